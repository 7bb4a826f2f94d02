"""``--for``: said before anything is converted, with PyTorch lines; and held against the files that are made."""

from __future__ import annotations

import textwrap
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from edgeworthy.config import Config
from edgeworthy.errors import BadInput, CheckFailed
from edgeworthy.formats.onnx.summary import describe
from edgeworthy.pipeline import preflight
from edgeworthy.pipeline.inspection import inspect
from edgeworthy.pipeline.run import run_config
from edgeworthy.quantize.recipe import Recipe

NET = """
    import torch
    from torch import nn


    class Head(nn.Module):
        def forward(self, x):
            return torch.log(x.mean((2, 3)) + 8)


    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.example_inputs = {"image": torch.ones(1, 3, 16, 16)}
            self.conv = nn.Conv2d(3, 8, 3, padding=1)
            self.head = Head()

        def forward(self, image):
            x = torch.sin(self.conv(image))
            return self.head(x)
"""


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("preflight") / "net.py"
    path.write_text(textwrap.dedent(NET))
    return path


def run(net: Path, out: Path, *stages: str, source: str | None = None, **tables: Any) -> Any:
    tables = {"convert": {"to": ["tflite"]}} | tables
    given = {"output": out, "model": {"source": source or f"{net}:Net"}, **tables}
    return run_config(Config.model_validate(given), stages=stages)


def test_refused_before_anything_is_converted(net: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckFailed, match=r"^3 nodes would be refused by ethos-u:55-128") as error:
        run(net, tmp_path / "out", "convert", preflight={"targets": ["ethos-u:55-128"]})
    assert error.value.exit_code == 1
    ends = "it converts from or to float32, which the CPU does; use --io-dtype int8"
    assert error.value.details == (
        f"ethos-u:55-128: QUANTIZE image: {ends}",
        "ethos-u:55-128: SIN sin at net.py:19: the quantizer has no int8 form of it: it stays float32; compute it "
        "after the model, or as a buffer (register_buffer) where it depends on no input",
        f"ethos-u:55-128: DEQUANTIZE output: {ends}",
    )
    assert not [*tmp_path.rglob("*.tflite")]


def test_as_many_lines_as_nodes_and_what_to_write_for_what_was_written(tmp_path: Path) -> None:
    text = "import torch\n\n\nclass Net(torch.nn.Module):\n    example_inputs = {'x': torch.ones(1, 8)}\n\n"
    (tmp_path / "gelu.py").write_text(f"{text}    def forward(self, x):\n        return torch.erf(x)\n")
    with pytest.raises(CheckFailed, match=r"^1 node would be refused by nnapi") as error:
        run(
            tmp_path / "gelu.py", tmp_path / "out", "convert", source=f"{tmp_path / 'gelu.py'}:Net",
            preflight={"targets": ["nnapi"]},
        )  # fmt: skip
    (line,) = error.value.details  # of two SELECT_V2
    assert "gelu.py:8" in line and "torch.tanh(x * (1.1284" in line and "where" not in line


@pytest.mark.parametrize("pattern", ["SIN", "^sin$"])
def test_what_is_allowed_may_run_elsewhere(pattern: str, net: Path, tmp_path: Path) -> None:
    table = {"targets": ["ethos-u"], "allow": [pattern, "QUANTIZE", "DEQUANTIZE"]}
    run(net, tmp_path / "out", "convert", preflight=table)
    assert (tmp_path / "out/model_float32.tflite").is_file()


def test_a_module_may_be_allowed(net: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckFailed, match="1 node would be refused by edgetpu") as error:
        run(
            net, tmp_path / "out", "convert", preflight={"targets": ["edgetpu"], "allow": ["head"]},
            quantize={"io_dtype": "int8"},
        )  # fmt: skip
    assert "SIN sin at net.py:19" in error.value.details[0]  # and not LOG, which is of the head


def test_more_targets_and_one_that_takes_all(net: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckFailed, match="4 nodes would be refused by edgetpu and ethos-u:85-256"):
        run(net, tmp_path / "out", "convert", preflight={"targets": ["edgetpu", "ethos-u:85-256", "android-gpu"]})
    run(net, tmp_path / "out", "convert", preflight={"targets": ["android-gpu", "tflite-2.14"]})
    with pytest.raises(BadInput, match="nothing is known of a device 'edgtpu'"):
        run(net, tmp_path / "out", "convert", preflight={"targets": ["edgtpu"]})


def test_an_int8_kernel_that_an_old_runtime_lacks(net: Path, tmp_path: Path) -> None:
    """Float files go there, int8 files don't: said beforehand where they are to be made."""
    tables: dict[str, Any] = {"preflight": {"targets": ["tflite-2.14"]}}
    tables |= {"quantize": {"schemes": ["int8"], "calibration": "random"}}
    with pytest.raises(CheckFailed, match=r"1 node would be refused by tflite-2\.14") as error:
        run(net, tmp_path / "out", "quantize", **tables)
    assert error.value.details[0].startswith("tflite-2.14: LOG output at head net.py:8: ")
    assert "TFLite 2.14 takes none in int8; take the logarithm after the model" in error.value.details[0]
    tables["quantize"] = {"schemes": ["float16"]}
    assert not run(net, tmp_path / "out", "quantize", **tables).quantization[0].failure


def test_a_made_file_is_held_against_the_rules_too(net: Path, tmp_path: Path) -> None:
    """NNAPI asks for one scale before and after a mean, which no graph tells."""
    tables: dict[str, dict[str, Any]] = {"preflight": {"targets": ["nnapi"], "allow": ["LOG"]}}
    tables["quantize"] = {"schemes": ["int8"], "calibration": "random", "io_dtype": "int8", "device": "npu"}
    (row,) = run(net, tmp_path / "out", "quantize", **tables).quantization
    assert row.status != "pass"
    assert "1 node would be refused by nnapi" in row.failure
    assert "MEAN mean at head net.py:8: its result has another scale than its input" in row.failure
    tables["preflight"]["allow"] += ["MEAN"]
    (row,) = run(net, tmp_path / "out", "quantize", **tables).quantization
    assert not row.failure


def test_what_is_said_beforehand_is_what_is_in_the_file(net: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    made = {"schemes": ["int8"], "calibration": "random", "device": "ethos-u"}
    run(net, out, "export", "convert", "quantize", quantize=made)
    for name in ("ethos-u", "ethos-u:85-128", "edgetpu"):
        before = preflight.of_graph(describe(out / "model.onnx"), [name])[name]
        after = preflight.of_file(out / "model_int8.tflite", [name], model=out / "model.onnx")[name]
        said = Counter((r.operation.op, r.operation.source) for r in before)
        found = Counter((r.operation.op, r.operation.source) for r in after)
        assert not said - found
        assert {op for op, _ in found - said} <= {"QUANTIZE", "DEQUANTIZE"}  # around what stays float


def test_a_tflite_source(net: Path, tmp_path: Path) -> None:
    run(net, tmp_path / "out", "convert")
    file = tmp_path / "out/model_float32.tflite"
    with pytest.raises(CheckFailed, match="3 nodes would be refused by ethos-u") as error:
        run(net, tmp_path / "again", "quantize", source=str(file), convert={},
            preflight={"targets": ["ethos-u"]}, quantize={"schemes": ["int8"], "calibration": "random"})  # fmt: skip
    assert "SIN sin" in error.value.details[1]


def test_a_target_of_files_that_nobody_makes(net: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="it takes int8, static_wi8t_ai8, and none of these is made") as error:
        run(net, tmp_path / "out", "bench", targets=["edgetpu"], quantize={"schemes": ["float16"]})
    assert "--scheme int8" in (error.value.remedy or "")
    made = {"schemes": ["int8"], "calibration": "random"}
    with pytest.raises(BadInput, match="there is nothing to compare: edgetpu gives no outputs"):
        run(net, tmp_path / "out", "validate", targets=["edgetpu"], quantize=made)


def test_inspect_answers_for_graphs_and_files(net: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    made = {"schemes": ["int8"], "calibration": "random", "device": "ethos-u"}
    run(net, out, "export", "convert", "quantize", quantize=made)
    for name in ("model.onnx", "model_float32.tflite", "model_int8.tflite"):
        found = inspect(out / name, ["ethos-u:55-128", "android-gpu"]).refused
        assert found["android-gpu"] == []
        assert any(line.startswith("SIN sin") for line in found["ethos-u:55-128"])
        assert sum("--io-dtype int8" in line for line in found["ethos-u:55-128"]) == 2
    assert inspect(out / "model.onnx").refused == {}
    assert inspect(out / "model.onnx", ["gpu"]).refused == {}, "a device chooses forms and refuses nothing"
    with pytest.raises(BadInput, match="nothing is known of a device 'gpux'"):
        inspect(out / "model.onnx", ["gpux"])


SOFT = """
    import torch
    from torch import nn


    def make():
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(8, 8), nn.Softmax(-1), nn.Linear(8, 4))
        net.example_inputs = {"input": torch.ones(1, 8)}
        return net
"""


@pytest.mark.parametrize(
    ("tables", "device", "floats"),
    [
        ({"preflight": {"targets": ["nnapi"], "allow": [".*"]}}, "npu", 0),
        ({"preflight": {"targets": ["nnapi"], "allow": [".*"]}, "quantize": {"device": "x86"}}, "x86", 1),
        ({"preflight": {"targets": ["tflite-2.14"], "allow": [".*"]}}, "cpu", 1),
    ],
    ids=["for", "device", "neither"],
)
def test_what_a_model_is_for_says_what_it_is_quantized_for(
    tables: dict[str, Any], device: str, floats: int, tmp_path: Path
) -> None:
    """SOFTMAX is better in float on a CPU, and nowhere else."""
    (tmp_path / "net.py").write_text(textwrap.dedent(SOFT))
    table = {"schemes": ["int8"], "calibration": "random", "samples": 4, "ranges": "min_max"}
    config = Config.model_validate(
        {
            "model": {"source": f"{tmp_path}/net.py:make"},
            "output": tmp_path / "out",
            "convert": {"to": ["tflite"]},
            "preflight": tables["preflight"],
            "quantize": table | tables.get("quantize", {}),
        }
    )
    (found,) = run_config(config, stages=("quantize",)).quantization
    recipe = Recipe.read(tmp_path / "out/model_int8.recipe.json")
    assert (recipe.device, len([op for op in found.float_ops if op.op == "SOFTMAX"])) == (device, floats)
