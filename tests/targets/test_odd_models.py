"""Models that nobody expects, converted by us, on every place that has a real one here: right, or refused with why.

Names with ``:`` and a space, an input of rank 0, one without elements, any batch, int64 and bool, int64 beyond 32 bits,
an output that is an input.
"""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from onnx.numpy_helper import from_array

from edgeworthy import kits
from edgeworthy.artifact import Artifact, Feeds
from edgeworthy.convert import convert
from edgeworthy.errors import EdgeworthyError
from edgeworthy.export.onnx_export import export_onnx
from edgeworthy.source.load import load_source
from edgeworthy.targets.pytorch import PyTorchModel
from edgeworthy.targets.worker import Worker

from .android.devices import Network, why_not
from .remote.boards import SSHD, Board

X = np.array([[0, -1, 2.5], [3, 4, -5]], np.float32)
IDS = np.array([[1, -2, 3], [7, 0, 5]], np.int64)
ON = X > 0
ONE, WEIGHTS = np.array(1, np.float32), np.arange(12, dtype=np.float32).reshape(3, 4) / 8
FLOAT, INT, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL
NPU = "litert:npu,device=cpu,precision=float32"
KITS = {"openvino:onnx": "openvino", NPU: "openvino", "browser:wasm": "browser", "litert:gpu": "gpu"}


@dataclass(frozen=True)
class Odd:
    """A model, what it is fed, and what comes of that.

    Attributes:
        inputs: Name → type and extents.
        refused: Target → what is wrong with it there.
    """

    nodes: Sequence[onnx.NodeProto]
    inputs: dict[str, tuple[int, Sequence[int | str]]]
    feeds: Feeds
    expected: Feeds
    refused: dict[str, str] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        value = helper.make_tensor_value_info
        outputs = [value(n, helper.np_dtype_to_tensor_dtype(a.dtype), None) for n, a in self.expected.items()]
        graph = helper.make_graph(
            self.nodes,
            "odd",
            [value(name, *told) for name, told in self.inputs.items()],
            outputs,
            [from_array(ONE, "one"), from_array(WEIGHTS, "weights")],
        )
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


node = helper.make_node
WHICH = [
    node("Cast", ["ids"], ["floats"], to=FLOAT),
    node("Where", ["on", "x", "floats"], ["y"]),
    node("Add", ["ids", "ids"], ["twice"]),
    node("Not", ["on"], ["off"]),
]
MIXED = {"ids": (INT, (2, 3)), "on": (BOOL, (2, 3)), "x": (FLOAT, (2, 3))}
LARGE = IDS * 2**40
BEYOND = "integers have 32 bits, and 'ids' has a value beyond them"
DTYPES = r"takes and gives float32, int32, uint8, and this file has ids:int64\[2,3\], on:bool"
ECHO = "nonsense where an output is an input itself: "
SIZES = "has fixed sizes: "
MICRO = "TFLite Micro refuses the file"
MODELS = {
    "names": Odd(
        [node("Mul", ["in:0", "my input"], ["y:0"]), node("Add", ["in:0", "y:0"], ["my output"])],
        {"in:0": (FLOAT, (2, 3)), "my input": (FLOAT, (2, 3))},
        {"in:0": X, "my input": X[::-1].copy()},
        {"y:0": X * X[::-1], "my output": X + X * X[::-1]},
    ),
    "rank 0": Odd(
        [node("Mul", ["x", "t"], ["y"]), node("Add", ["t", "t"], ["twice"])],
        {"x": (FLOAT, (2, 3)), "t": (FLOAT, ())},
        {"x": X, "t": np.array(-1.5, np.float32)},
        {"y": X * -1.5, "twice": np.array(-3, np.float32)},
    ),
    "no elements": Odd(
        [node("Concat", ["x", "e"], ["y"], axis=0), node("Add", ["e", "one"], ["none"])],
        {"x": (FLOAT, (2, 3)), "e": (FLOAT, (0, 3))},
        {"x": X, "e": np.zeros((0, 3), np.float32)},
        {"y": X, "none": np.zeros((0, 3), np.float32)},
        {
            "tflite-micro": SIZES + "'e'",
            "tflite-2.14": "XNNPack",
            "litert:gpu": "no tensor without elements, and 'e' is",
            NPU: "no tensor without elements, and 'e' is",
            "browser:wasm": r"no dynamic dimensions, and this file has e:float32\[",
        },
    ),
    "any batch": Odd(
        [node("Relu", ["x"], ["r"]), node("MatMul", ["r", "weights"], ["y"])],
        {"x": (FLOAT, ("batch", 3))},
        {"x": np.tile(X, (3, 1))},
        {"y": np.tile(np.maximum(X, 0) @ WEIGHTS, (3, 1))},
        {
            "tflite-micro": SIZES + "'x'",
            NPU: "compiled input 'x' for",
            "browser:wasm": r"no dynamic dimensions, and this file has x:float32\[batch,3\]",
        },
    ),
    "int64 and bool": Odd(
        WHICH,
        MIXED,
        {"ids": IDS, "on": ON, "x": X},
        {"y": np.where(ON, X, IDS.astype(np.float32)), "twice": IDS * 2, "off": ~ON},
        {"tflite-micro": MICRO, "browser:wasm": DTYPES},
    ),
    "large int64": Odd(
        WHICH,
        MIXED,
        {"ids": LARGE, "on": ON, "x": X},
        {"y": np.where(ON, X, LARGE.astype(np.float32)), "twice": LARGE * 2, "off": ~ON},
        {"tflite-micro": MICRO, "browser:wasm": DTYPES, **dict.fromkeys(("openvino", "openvino:onnx", NPU), BEYOND)},
    ),
    "passed through": Odd(
        [node("Add", ["x", "one"], ["y"]), node("Identity", ["x"], ["same"])],
        {"x": (FLOAT, (2, 3))},
        {"x": X},
        {"y": X + 1, "same": X},
        {"browser:wasm": ECHO + "same"},
    ),
    "an input itself": Odd(
        [node("Add", ["x", "one"], ["y"])],
        {"x": (FLOAT, (2, 3))},
        {"x": X},
        {"y": X + 1, "x": X},
        {"browser:wasm": ECHO + "x", "openvino:onnx": ECHO + "x"},
    ),
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Artifact, Artifact]]:
    """The ONNX and the TFLite file of each model."""
    made: dict[str, tuple[Artifact, Artifact]] = {}
    for name, odd in MODELS.items():
        folder = tmp_path_factory.mktemp("odd")
        odd.save(folder / "model.onnx")
        exported = export_onnx(load_source(str(folder / "model.onnx")), folder / "exported.onnx").model
        tflite = convert(exported, folder, to=["tflite"]).tflite
        assert tflite is not None
        made[name] = exported, tflite
    return made


def run_all(target: str, files: dict[str, tuple[Artifact, Artifact]], key: str = "") -> None:
    """All models on a target, one after another: what is refused harms no other."""
    with Worker(target, timeout_s=120) as worker:
        for name, odd in MODELS.items():
            onnx_file, tflite = files[name]
            artifact = onnx_file if target.startswith(("onnxruntime", "openvino:onnx")) else tflite
            if said := odd.refused.get(key or target):
                with pytest.raises(EdgeworthyError, match=said) as caught:
                    worker.load(artifact)
                    worker.run(odd.feeds)
                assert caught.value.where and caught.value.remedy, (name, caught.value)
                continue
            worker.load(artifact)
            same(worker.run(odd.feeds), odd.expected, name)
            assert len(worker.time(odd.feeds, 2)) == 2, name


def same(found: Feeds, expected: Feeds, name: str) -> None:
    assert list(found) == list(expected), name
    for output, array in expected.items():
        assert (found[output].shape, found[output].dtype) == (array.shape, array.dtype), (name, output)
        np.testing.assert_allclose(found[output], array, rtol=1e-5, atol=1e-6, err_msg=f"{name}: {output}")


@pytest.mark.parametrize("target", ["onnxruntime", "tflite"])
def test_it_is_right_here(files: dict[str, tuple[Artifact, Artifact]], target: str) -> None:
    run_all(target, files)


@pytest.mark.device
@pytest.mark.parametrize(
    "target",
    ["tflite-micro", "tflite-2.14", "openvino", "openvino:onnx", NPU, "litert:gpu", "arm64", "browser:wasm"],
)
def test_it_is_right_or_refused(files: dict[str, tuple[Artifact, Artifact]], target: str) -> None:
    kit = KITS.get(target, target)
    if kits.look(kits.KITS[kit]).status != "ready":
        pytest.skip(f"its kit isn't there: edgeworthy targets install {kit}")
    if target.startswith("browser") and not shutil.which("chromium"):
        pytest.skip("Chromium is missing: apt-get install chromium")
    run_all(target, files)


@pytest.fixture
def phone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    if why := why_not():
        pytest.skip(why)
    network = Network(tmp_path)
    monkeypatch.setenv("PATH", f"{network.adb.parent}{os.pathsep}{os.environ['PATH']}")
    try:
        with network.device() as device:
            yield f"{device.target},python={sys.executable}"
    finally:
        network.close()


@pytest.mark.device
def test_it_is_right_on_a_device(files: dict[str, tuple[Artifact, Artifact]], phone: str) -> None:
    run_all(phone, files, "android")


@pytest.mark.device
@pytest.mark.skipif(not Path(SSHD).exists(), reason="there is no sshd: apt-get install openssh-server")
def test_it_is_right_on_a_board(files: dict[str, tuple[Artifact, Artifact]], tmp_path: Path) -> None:
    with Board(tmp_path / "board") as board:
        run_all(board.target(python=sys.executable), files, "ssh")


MODULES = """
    import torch
    from torch import nn

    class Scaled(nn.Module):
        example_inputs = {"x": torch.ones(2, 3), "t": torch.tensor(2.0)}
        def forward(self, x, t): return {"y": x * t, "twice": t + t}

    class Nothing(nn.Module):
        example_inputs = {"x": torch.ones(2, 3), "e": torch.ones(0, 3)}
        def forward(self, x, e): return {"y": torch.cat([x, e]) + 1, "none": e + 1}

    class Mixed(nn.Module):
        example_inputs = {
            "ids": torch.tensor([[2**40, -1]]), "on": torch.tensor([[True, False]]), "x": torch.ones(1, 2)
        }
        def forward(self, ids, on, x):
            return {"y": torch.where(on, x, ids.float()), "twice": ids + ids, "off": ~on}

    class Echo(nn.Module):
        example_inputs = {"x": torch.ones(2, 3)}
        def forward(self, x): return x + 1, x
"""
REFUSED = {("executorch", "Nothing"): "ExecuTorch can't lower this module"}


@pytest.mark.parametrize(
    "target",
    ["torchscript", pytest.param("torch-compile", marks=pytest.mark.slow),
     pytest.param("executorch", marks=pytest.mark.device)],
)  # fmt: skip
def test_modules_are_right_or_refused(target: str, tmp_path: Path) -> None:
    if target == "executorch" and kits.look(kits.KITS[target]).status != "ready":
        pytest.skip(f"its kit isn't there: edgeworthy targets install {target}")
    file = tmp_path / "net.py"
    file.write_text(textwrap.dedent(MODULES))
    with Worker(target, timeout_s=300) as worker:
        for name in ("Scaled", "Nothing", "Mixed", "Echo"):
            source = load_source(f"{file}:{name}")
            exported = export_onnx(source, tmp_path / f"{name}.onnx").model
            model = PyTorchModel.of(f"{file}:{name}", exported.inputs, exported.outputs)
            if said := REFUSED.get((target, name)):
                with pytest.raises(EdgeworthyError, match=said) as caught:
                    worker.load(model)
                assert caught.value.where and caught.value.remedy and caught.value.details
                continue
            worker.load(model)
            assert source.module is not None
            tensors = {n: torch.from_numpy(a) for n, a in source.examples.items()}
            made = source.module(**tensors)
            values = made.values() if isinstance(made, dict) else made
            expected = {spec.name: v.numpy() for spec, v in zip(exported.outputs, values, strict=True)}
            same(worker.run(source.examples), expected, name)
