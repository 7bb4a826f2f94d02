"""A model that comes quantized, through the verbs: its file, its row, its gate, and no second quantization."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import pytest

import edgeworthy
from edgeworthy.errors import BadInput

TEXT = """<ir_version: 8, opset_import: ["" : 17]> g (float[1,3,8,8] x) => (float[1,4,6,6] y) {
    q = QuantizeLinear (x, s, z) d = DequantizeLinear (q, s, z) wd = DequantizeLinear <axis = 0> (w, ws, wz)
    c = Conv (d, wd) p = QuantizeLinear (c, t, z) y = DequantizeLinear (p, t, z) }"""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    made = onnx.parser.parse_model(TEXT)
    values = {
        "s": np.float32(0.05),
        "t": np.float32(0.1),
        "z": np.int8(3),
        "w": rng.integers(-127, 128, (4, 3, 3, 3)).astype(np.int8),
        "ws": rng.uniform(0.001, 0.01, 4).astype(np.float32),
        "wz": np.zeros(4, np.int8),
    }
    made.graph.initializer.extend(onnx.numpy_helper.from_array(np.asarray(v), n) for n, v in values.items())
    path = tmp_path / "qdq.onnx"
    onnx.save(made, path)
    return path


def test_its_file_is_int8_by_its_own_scales(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    report = edgeworthy.validate(str(model), out, convert={"to": ["tflite"]})
    assert (out / "model_int8.tflite").exists()
    assert not (out / "model_float32.tflite").exists()
    (row,) = report.quantization
    assert (row.engine, row.scheme, row.status) == ("the model's own", "static_wi8_ai8", "pass")
    assert report.parity is not None
    statuses = {hop.artifact: hop.status for hop in report.parity.hops}
    assert statuses["tflite_static_wi8_ai8"] == "pass"


@pytest.mark.parametrize("options", [{}, {"quantize": {"schemes": ["float16"]}}])
def test_it_is_not_quantized_again(model: Path, tmp_path: Path, options: dict[str, object]) -> None:
    with pytest.raises(BadInput, match="quantized already"):
        edgeworthy.quantize(str(model), tmp_path / "out", **options)
    assert not list((tmp_path / "out").glob("*.tflite"))


@pytest.fixture
def without_kernels(model: Path, tmp_path: Path) -> Path:
    """With a scale for each channel of the activation, and a result that has none."""
    made = onnx.load(model)
    for name, value in (("s", np.array([0.05, 0.07, 0.04], np.float32)), ("z", np.zeros(3, np.int8))):
        (old,) = (t for t in made.graph.initializer if t.name == name)
        old.CopyFrom(onnx.numpy_helper.from_array(value, name))
    for node in list(made.graph.node):
        if "p" in (*node.input, *node.output):
            made.graph.node.remove(node)
        elif node.output[0] == "c":
            node.output[0] = "y"
    path = tmp_path / "channels.onnx"
    onnx.save(made, path)
    return path


def test_a_file_without_integer_kernels_is_a_float32_one(without_kernels: Path, tmp_path: Path) -> None:
    """What stands in their way is a note; it is no float model that may be quantized all the same."""
    out = tmp_path / "out"
    report = edgeworthy.validate(str(without_kernels), out, convert={"to": ["tflite"]})
    assert [path.name for path in out.glob("*.tflite")] == ["model_float32.tflite"]
    assert not report.quantization
    notes = [note for artifact in report.artifacts for note in artifact.notes]
    assert any(note.startswith("Conv y stays float: ") for note in notes), notes
    assert any("scale for each channel" in note for note in notes), notes
    assert report.parity is not None
    assert {hop.artifact: hop.status for hop in report.parity.hops}["tflite_float32"] == "pass"
    again = edgeworthy.validate(str(without_kernels), out, convert={"to": ["tflite"]})
    assert [path.name for path in out.glob("*.tflite")] == ["model_float32.tflite"]
    assert not again.quantization
    with pytest.raises(BadInput, match="quantized already"):
        edgeworthy.quantize(str(without_kernels), tmp_path / "more", quantize={"schemes": ["float16"]})
