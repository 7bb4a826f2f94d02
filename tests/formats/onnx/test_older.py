"""Files of opsets 1 to 7, by what their operators meant then (ONNX's change log), in numpy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeworthy.convert import convert
from edgeworthy.errors import UnsupportedNodes
from edgeworthy.export.onnx_export import export_onnx
from edgeworthy.formats.onnx.file import read_onnx
from edgeworthy.formats.onnx.older import OPSET
from edgeworthy.formats.onnx.summary import summarize
from edgeworthy.source.load import load_source

from ...conformance.adapters import run_tflite

Array = Any
F32 = np.float32
X = np.random.default_rng(0).normal(size=(2, 3, 4, 5)).astype(F32)
C = np.array([-1, 0, 2], F32)


def write(
    path: Path, opset: int, nodes: list[Any], weights: dict[str, Array] | None = None, kind: int = TensorProto.FLOAT
) -> Path:
    """A file as they were then: constants are inputs too, and no inner value has a shape."""
    weights = weights or {}
    value = helper.make_tensor_value_info
    inputs = [value("x", TensorProto.FLOAT, ["n", *X.shape[1:]])]
    inputs += [value(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape) for n, a in weights.items()]
    tensors = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "g", inputs, [value("y", kind, None)], tensors)
    opsets = [helper.make_opsetid("", opset)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=3), path)
    return path


def node(op: str, *inputs: str, **attributes: Any) -> Any:
    return helper.make_node(op, ["x", *inputs], ["y"], **attributes)


def norm(x: Array, epsilon: float = 1e-5) -> Array:
    wide = C.reshape(3, 1, 1)
    return (x - wide) / np.sqrt(np.abs(wide) + 1 + epsilon) * wide + wide


NORM = {"scale": C, "bias": C, "mean": C, "var": np.abs(C) + 1}
CASES: dict[str, tuple[int, Any, dict[str, Array], Callable[[Array], Array]]] = {
    "by axis": (6, node("Add", "c", broadcast=1, axis=1), {"c": C}, lambda x: x + C.reshape(3, 1, 1)),
    "by first axes": (6, node("Mul", "c", broadcast=1, axis=1), {"c": X[0, :, :, 0]}, lambda x: x * X[0, :, :, :1]),
    "by negative axis": (3, node("Sub", "c", broadcast=1, axis=-3), {"c": C}, lambda x: x - C.reshape(3, 1, 1)),
    "by last axes": (6, node("Sub", "c", broadcast=1), {"c": X[0, 0]}, lambda x: x - X[0, 0]),
    "by one number": (6, node("Div", "c", broadcast=1), {"c": np.array([3], F32)}, lambda x: x / F32(3)),
    "by one number at an axis": (1, node("Pow", "c", broadcast=1, axis=0), {"c": np.array(2, F32)}, np.square),
    "comparison": (6, node("Less", "c", broadcast=1, axis=1), {"c": C}, lambda x: x < C.reshape(3, 1, 1)),
    "slopes": (6, node("PRelu", "c"), {"c": C}, lambda x: np.where(x < 0, x * C.reshape(3, 1, 1), x)),
    "slope": (1, node("PRelu", "c"), {"c": C[:1]}, lambda x: np.where(x < 0, x * C[0], x)),
    "slopes like NumPy": (7, node("PRelu", "c"), {"c": X[0, 0, 0]}, lambda x: np.where(x < 0, x * X[0, 0, 0], x)),
    "shape": (4, node("Reshape", shape=[0, -1, 4]), {}, lambda x: x.reshape(len(x), -1, 4)),
    "batch norm": (
        6,
        node("BatchNormalization", "scale", "bias", "mean", "var", is_test=1),
        NORM,
        norm,
    ),
    "first batch norm": (
        1,
        node("BatchNormalization", *NORM, is_test=1, consumed_inputs=[0, 0, 0, 1, 1], epsilon=0.5),
        NORM,
        lambda x: norm(x, 0.5),
    ),
    "dropout": (6, node("Dropout", is_test=1, ratio=0.9), {}, lambda x: x),
    "axis of concat": (3, node("Concat", "x"), {}, lambda x: np.concatenate([x, x], 1)),
    "type": (5, node("Cast", to="INT32"), {}, lambda x: x.astype(np.int32)),
    "pads": (1, node("Pad", paddings=[0, 0, 1, 0, 0, 0, 2, 1], value=7.0), {},
             lambda x: np.pad(x, [(0, 0), (0, 0), (1, 2), (0, 1)], constant_values=7)),
    "scales": (6, node("Upsample", height_scale=2.0, width_scale=3.0), {}, lambda x: x.repeat(2, 2).repeat(3, 3)),
    "power": (1, node("GlobalLpPool", p=1.0), {}, lambda x: np.abs(x).sum((2, 3), keepdims=True)),
    "hint": (1, node("Relu", consumed_inputs=[0]), {}, lambda x: np.maximum(x, 0)),
    "defaults": (1, node("Selu"), {},
                 lambda x: F32(1.0507) * np.where(x > 0, x, F32(1.6732) * np.expm1(np.minimum(x, 0)))),
    "defaults of today": (6, node("Selu"), {}, lambda x: F32(1.05070102214813232421875)
                          * np.where(x > 0, x, F32(1.67326319217681884765625) * np.expm1(np.minimum(x, 0)))),
    "extremes": (7, node("Max", "c"), {"c": X[0]}, lambda x: np.maximum(x, X[0])),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_what_they_meant(name: str, tmp_path: Path) -> None:
    opset, made, weights, meaning = CASES[name]
    want = [meaning(x) for x in (X, X[:1])]
    kind = helper.np_dtype_to_tensor_dtype(want[0].dtype)
    path = write(tmp_path / "m.onnx", opset, [made], weights, kind)
    assert summarize(path).notes[0].startswith(f"the file is of opset {opset}")
    file = convert(path, tmp_path, to=("tflite",)).tflite
    assert file is not None
    for x, expected in zip((X, X[:1]), want, strict=True):
        got = run_tflite(file.path, {"x": x})["y"]
        assert (got.shape, got.dtype) == (expected.shape, expected.dtype)
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


def test_ranks_behind_operators_that_spread(tmp_path: Path) -> None:
    """No inner value has a shape in the file; each rank follows from those before it."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], kernel_shape=[1, 1]),
        helper.make_node("Add", ["a", "c"], ["b"], broadcast=1, axis=1),
        helper.make_node("Greater", ["b", "c"], ["d"], broadcast=1, axis=1),
        helper.make_node("Cast", ["d"], ["e"], to="FLOAT"),
        helper.make_node("Mul", ["e", "c"], ["f"], broadcast=1, axis=1),
        helper.make_node("PRelu", ["f", "c"], ["y"]),
    ]
    path = write(tmp_path / "m.onnx", 5, nodes, {"w": np.eye(3, dtype=F32).reshape(3, 3, 1, 1), "c": C})
    wide = C.reshape(3, 1, 1)
    product = (X + wide > wide).astype(F32) * wide
    exported = export_onnx(load_source(str(path)), tmp_path / "out" / "model.onnx")
    assert exported.opset == OPSET
    (out,) = ort.InferenceSession(exported.model.path).run(None, {"x": X})
    np.testing.assert_array_equal(out, np.where(product < 0, product * wide, product))
    file = convert(path, tmp_path, to=("tflite",)).tflite
    assert file is not None
    np.testing.assert_array_equal(run_tflite(file.path, {"x": X})["y"], out)


def test_a_dropout_that_trains_is_told(tmp_path: Path) -> None:
    notes = summarize(write(tmp_path / "m.onnx", 6, [node("Dropout", is_test=0)])).notes
    assert "y' is in training mode" in notes[1]


def test_what_has_no_form_in_opset_8(tmp_path: Path) -> None:
    """The model stays as it is, and the preflight names the node."""
    weights = {"n": np.array([2], F32), "a": np.array([1], F32)}
    path = write(tmp_path / "m.onnx", 5, [node("Tile", "n", "a")], weights)
    assert read_onnx(path).opset_imports[""] == 5
    with pytest.raises(UnsupportedNodes, match="Tile"):
        convert(path, tmp_path, to=("tflite",))
