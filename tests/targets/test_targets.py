from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import onnx
import pytest

from edgeworthy.convert import convert
from edgeworthy.errors import BadInput, NotAvailable
from edgeworthy.targets import TARGETS, TargetInfo, cuda, find, get, listed
from edgeworthy.targets.tflite import TFLite


def test_every_target_tells_its_state() -> None:
    for name, target in TARGETS.items():
        assert target.name == name
        missing = target.missing()
        if target.version is None:
            assert missing and target.install in missing
            with pytest.raises(NotAvailable, match="is not installed"):
                get(name)
        elif target.needs_address:
            assert missing and target.address in missing
            with pytest.raises(BadInput, match=f"is no {target.address}"):
                get(name)
        else:
            assert get(name).kind == target.kind
    assert TARGETS["tflite"].missing() is None
    assert TARGETS["onnxruntime"].version


def test_get_passes_options() -> None:
    runtime = get("pytorch", float64=True)
    assert getattr(runtime, "float64", False) is True
    assert isinstance(get("tflite", kernels="reference"), TFLite)


def test_unknown_and_missing() -> None:
    with pytest.raises(BadInput, match="no target 'onnxrunime'") as unknown:
        find("onnxrunime")
    assert "did you mean 'onnxruntime'" in (unknown.value.remedy or "")
    absent = TargetInfo("x", "X", "", "onnx", "no_such_package", ("no-such",), "pip install no-such", TFLite)
    assert absent.version is None
    assert absent.missing() == "no_such_package is not installed; pip install no-such"


def test_a_target_takes_options_and_other_names() -> None:
    given = find("litert:cpu,kernels=reference,require_full_delegation=true")
    assert (given.name, given.title) == (
        "tflite,kernels=reference,require_full_delegation=true",
        "TFLite (kernels=reference, require_full_delegation=true)",
    )
    assert given.options == {"kernels": "reference"} and given.require_full_delegation
    assert getattr(get("tflite,kernels=builtin"), "kernels", None) == "builtin"
    assert find("onnxruntime:cpu") == TARGETS["onnxruntime"] and find("torch") == TARGETS["pytorch"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tflite,kernel=reference", "has no option 'kernel'"),
        ("tflite,kernels=fast", "kernels=fast: it is one of xnnpack, builtin, reference"),
        ("tflite,kernels", "kernels=: it is one of"),
        ("tflite:gpu", "takes no address, and was given 'gpu'"),
        ("onnxruntime,require_full_delegation=yes", "it is one of true, false"),
        ("tflite,kernels=xnnpack,kernels=reference", "an option is given twice"),
        ("browser:wasm,chromium=", "chromium= has no value"),
        ("android:", "android: has no address after the colon"),
        ("ethos-u:55-999", "55-999: it is one of 55-32, "),
        ("", "there is no target ''"),
    ],
)
def test_what_a_target_does_not_take_is_said(text: str, said: str) -> None:
    with pytest.raises(BadInput, match=re.escape(said)):
        find(text)


def test_lists_of_targets_keep_options_with_their_target() -> None:
    assert listed(["a,b=1,c=2", "d"]) == ["a,b=1,c=2", "d"]
    assert listed(["a, b=1 ", " d"]) == ["a,b=1", "d"]
    assert listed(["a", "b=1", "a,b=1", "d"]) == ["a,b=1", "d"]  # as a flag that is split at commas gives them


ON_CUDA = {
    "torch-cuda", "torch-compile:cuda", "torchscript:cuda", "onnxruntime:cuda", "onnxruntime:tensorrt",
    "tensorflow:gpu",
}  # fmt: skip


def test_on_the_cpu_a_worker_sees_no_gpu() -> None:
    hidden = {name for name, target in TARGETS.items() if target.environment == {"CUDA_VISIBLE_DEVICES": ""}}
    assert hidden == {name for name, target in TARGETS.items() if target.device == "cpu"}
    assert {name for name, target in TARGETS.items() if target.device == "cuda"} == ON_CUDA


def test_on_a_gpu_float32_is_float32_unless_tf32_is_asked_for() -> None:
    for name in ON_CUDA:
        assert find(name).environment == find(f"{name},tf32=false").environment == {"NVIDIA_TF32_OVERRIDE": "0"}
        assert find(f"{name},tf32=true").environment == {}
        assert find(f"{name},tf32=true").options["tf32"] is True


def test_without_a_gpu_cuda_says_what_is_missing() -> None:
    if cuda.missing() is None:
        pytest.skip("there is a GPU")
    for name in ON_CUDA:
        why = TARGETS[name].missing() or ""
        assert re.search("NVIDIA", why) and TARGETS[name].install in why, why


def test_names_of_frameworks_have_other_names() -> None:
    for other, name in {
        "torch:cuda": "torch-cuda", "onnxruntime-cuda": "onnxruntime:cuda", "tensorrt": "onnxruntime:tensorrt",
        "tensorflow:cuda": "tensorflow:gpu", "torchscript:cpu": "torchscript", "tensorflow:cpu": "tensorflow",
    }.items():  # fmt: skip
        assert find(other).name == name
    with pytest.raises(BadInput, match="onnxruntime takes no address, and was given 'coreml'"):
        find("onnxruntime:coreml")


PLUGIN = """
from edgeworthy.targets import TargetInfo
from edgeworthy.targets.tflite import TFLite

REFERENCE = TargetInfo(
    "tflite-reference", "TFLite reference", "the kernels that define the operators", "tflite", "ai_edge_litert",
    ("ai-edge-litert",), "pip install ai-edge-litert", TFLite, {"kernels": "reference"},
)
AGAIN = TargetInfo("tflite", "TFLite", "", "tflite", "ai_edge_litert", (), "", TFLite)
NONSENSE = 3
"""


@pytest.fixture
def plugin(tmp_path: Path) -> dict[str, str]:
    """The environment of a process that has another package's targets: one that works, four that don't."""
    (tmp_path / "edge_plugin.py").write_text(PLUGIN)
    (tmp_path / "edge_broken.py").write_text("raise RuntimeError('no licence')\n")
    info = tmp_path / "edge_plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: edge-plugin\nVersion: 1.0\n")
    entries = {"reference": "edge_plugin:REFERENCE", "again": "edge_plugin:AGAIN", "nonsense": "edge_plugin:NONSENSE"}
    entries |= {"broken": "edge_broken:X", "gone": "edge_gone:X"}
    lines = "\n".join(f"{name} = {value}" for name, value in entries.items())
    (info / "entry_points.txt").write_text(f"[edgeworthy.targets]\n{lines}\n")
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])}


def test_a_package_of_a_third_party_adds_a_target(plugin: dict[str, str], tmp_path: Path) -> None:
    x, y = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 3]) for name in "xy")
    graph = onnx.helper.make_graph([onnx.helper.make_node("Abs", ["x"], ["y"])], "g", [x], [y])
    opset = [onnx.helper.make_opsetid("", 20)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=10), tmp_path / "abs.onnx")
    made = convert(tmp_path / "abs.onnx", tmp_path, to=["tflite"]).tflite
    assert made is not None
    code = (
        "import sys, numpy as np\n"
        "from edgeworthy.formats.tflite.summary import describe\n"
        "from edgeworthy.targets.worker import Worker\n"
        "from pathlib import Path\n"
        "with Worker('tflite-reference', describe(Path(sys.argv[1]))) as worker:\n"
        "    x = np.array([[-1.5, 0.0, 2.0]], np.float32)\n"
        "    print(worker.receipt.ran, *next(iter(worker.run({'x': x}).values())).ravel())\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, str(made.path)], env=plugin, capture_output=True, text=True, check=True
    )
    assert ran.stdout.split() == ["TFLite", "reference", "1.5", "0.0", "2.0"]


def test_entry_points_that_dont_load_are_shown_and_break_nothing(plugin: dict[str, str]) -> None:
    command = [sys.executable, "-m", "edgeworthy", "targets", "--json"]
    shown = subprocess.run(command, env=plugin, capture_output=True, text=True, check=True)
    found = {state["name"]: state for state in json.loads(shown.stdout)}
    assert found["tflite-reference"]["available"] and found["tflite"]["available"]
    for name, why in {
        "broken": "no licence", "gone": "edge_gone", "nonsense": "is no TargetInfo", "again": "'tflite' already",
    }.items():  # fmt: skip
        assert not found[name]["available"]
        assert why in found[name]["why"], found[name]
    command = [sys.executable, "-m", "edgeworthy", "run", "sample:simple_net", "-o", "none", "--target", "broken"]
    asked = subprocess.run(command, env=plugin, capture_output=True, text=True, check=False)
    assert asked.returncode == 3
    assert "no licence" in asked.stderr


def test_tflite_and_then_onnxruntime_are_the_default_baseline() -> None:
    ranked = sorted((t for t in TARGETS.values() if t.baseline_rank), key=lambda t: -t.baseline_rank)
    assert [t.name for t in ranked] == ["tflite", "onnxruntime"]


def test_importing_targets_imports_no_runtime() -> None:
    code = (
        "import sys, edgeworthy.targets.worker as w, edgeworthy.targets as t; "
        "[i.version for i in t.TARGETS.values()]; "
        "print([m for m in ('torch', 'tensorflow', 'onnxruntime', 'ai_edge_litert.interpreter') "
        "if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("text", "rounds"),
    [
        ("litert:gpu", True), ("litert:gpu,precision=float32", False), ("browser:webgpu", True), ("litert:npu", True),
        ("browser:webgpu,precision=float32", False), ("torch-cuda", False), ("torch-cuda,tf32=true", True),
        ("openvino", False), ("openvino,precision=bfloat16", True), ("tflite", False), ("browser:wasm", False),
    ],
)  # fmt: skip
def test_what_may_round_is_held_to_a_signal_to_noise_ratio(text: str, rounds: bool) -> None:
    """A GPU with half floats takes them by itself: 1700 times float32's noise is no fault of the model there."""
    assert find(text).rounds == rounds
