"""`inspect` on every kind of file, and on what is none."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

import edgeworthy
from edgeworthy.errors import BadInput
from edgeworthy.formats.tflite.summary import OP_NAMES
from edgeworthy.targets.rules import runtime


@pytest.fixture
def out(net: Path, tmp_path: Path) -> Path:
    stages = ("export", "convert", "quantize")
    edgeworthy.run(f"{net}/net.py:make", tmp_path / "out", stages=stages, quantize={"schemes": ["float16"]})
    return tmp_path / "out"


def test_files_of_a_run(out: Path) -> None:
    for name in ("model.onnx", "saved_model", "model_float32.tflite", "model_float16.tflite"):
        found = edgeworthy.inspect(out / name)
        assert [(t.name, t.dtype, t.shape) for t in found.inputs] == [("image", "float32", [1, 1, 4, 4])], name
        assert len(found.outputs) == 1
        assert found.outputs[0].shape == [1, 3]
        assert found.ops
        assert found.transposes is not None
        assert set(found.runs_on) & {"onnxruntime", "tensorflow", "tflite"}
        assert found.unsupported == []
    assert edgeworthy.inspect(out / "model_float16.tflite").details["loads on"] == "TFLite ≥ 2.7"
    weights = edgeworthy.inspect(out / "model_float16.tflite").constants
    assert weights["float16"] > weights.get("float32", 0)
    weights = edgeworthy.inspect(out / "saved_model").constants
    assert weights["float32"] >= 4 * (4 * 9 + 4 + 64 * 3 + 3)
    runs_on = edgeworthy.inspect(out / "model_float16.tflite").runs_on
    assert runs_on["ethos-u"] == "no: this is float16" and runs_on["tflite"] == "yes"


@pytest.mark.parametrize(
    ("version", "old", "installed"),
    [
        (7, "", "yes"),
        (8, "no: it loads on LiteRT ≥ 1.0", "yes"),
        (99, "no: it loads on a runtime newer than LiteRT 2.3", "no: it loads on a runtime newer than LiteRT 2.3"),
    ],
)
def test_a_runtime_that_is_too_old(tmp_path: Path, version: int, old: str, installed: str) -> None:
    code = next(code for code, name in OP_NAMES.items() if name == "CONV_2D")
    (tmp_path / "net.tflite").write_bytes(runtime.model(code, version))
    found = edgeworthy.inspect(tmp_path / "net.tflite")
    assert found.runs_on["tflite"] == installed
    assert found.runs_on["tflite-2.14"].startswith("no: it loads") == bool(old) and old in found.runs_on["tflite-2.14"]


def test_what_cannot_be_converted_is_listed(tmp_path: Path) -> None:
    value = [onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [2, 2]) for n in ("x", "y")]
    node = onnx.helper.make_node("Magic", ["x"], ["y"], domain="my.own", name="trick")
    graph = onnx.helper.make_graph([node], "g", value[:1], value[1:])
    opsets = [onnx.helper.make_opsetid("", 20), onnx.helper.make_opsetid("my.own", 1)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opsets, ir_version=10), tmp_path / "model.onnx")
    found = edgeworthy.inspect(tmp_path / "model.onnx")
    assert [(u.op, u.node) for u in found.unsupported] == [("Magic", "trick")] or "Magic" in found.unsupported[0].op


@pytest.mark.parametrize("name", ["none.onnx", "none.tflite", "text.onnx", "text.tflite", "text.txt", "folder"])
def test_what_is_no_model(tmp_path: Path, name: str) -> None:
    for text in ("text.onnx", "text.tflite", "text.txt"):
        (tmp_path / text).write_text("not a model at all")
    (tmp_path / "folder").mkdir()
    with pytest.raises(BadInput):
        edgeworthy.inspect(tmp_path / name)
