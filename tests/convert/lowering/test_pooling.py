"""How a max pool is padded: not at all, by SAME, by zeros, by slices of its own border."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx.parser
import onnxruntime as ort
import pytest

from edgeworthy.formats.tflite.summary import summarize

from ...conformance.adapters import convert_to, run_tflite
from ...noops import noops
from .against_ort import assert_agrees, model_of


@pytest.mark.parametrize(
    ("nodes", "padding"),
    [
        ("y = MaxPool<kernel_shape=[3,3], strides=[2,2]>(x)", None),
        ("y = MaxPool<kernel_shape=[3,3], strides=[2,2], ceil_mode=1>(x)", None),
        ("y = MaxPool<kernel_shape=[3,3], pads=[1,1,1,1]>(x)", None),
        ("y = MaxPool<kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1]>(x)", "SLICE"),
        ("r = Relu(x) y = MaxPool<kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1]>(r)", "PAD"),
        ("r = Relu(x) s = Sigmoid(x) c = Concat<axis=1>(r, s) p = AveragePool<kernel_shape=[3,3]>(c) "
         "y = MaxPool<kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1]>(p)", "PAD"),
        ("r = Relu(x) c = Concat<axis=1>(r, x) y = MaxPool<kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1]>(c)",
         "SLICE"),
    ],
)  # fmt: skip
def test_padding_of_a_max_pool(nodes: str, padding: str | None, tmp_path: Path) -> None:
    text = f'<ir_version: 9, opset_import: ["": 20]> g (float[1,4,14,14] x) => (float[1,c,h,w] y) {{ {nodes} }}'
    model = onnx.parser.parse_model(text).SerializeToString()
    x = np.random.default_rng(0).standard_normal((1, 4, 14, 14)).astype(np.float32) - np.float32(1)
    x[0, 0] = 0
    made = convert_to("tflite", model, tmp_path)
    assert noops(made) == []
    ways = {"PAD", "PADV2", "MIRROR_PAD", "SLICE"}
    assert ways & {*summarize(made).op_counts} == ({padding} if padding else set())
    (want,) = ort.InferenceSession(model).run(None, {"x": x})
    np.testing.assert_allclose(run_tflite(made, {"x": x})["y"], want, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("node", "shape", "slices"),
    [
        ("MaxPool<kernel_shape=[5,7], dilations=[2,3], strides=[2,1], pads=[4,3,2,6]>", "[2,3,20,31]", 12),
        ("MaxPool<kernel_shape=[5,1], dilations=[2,3], ceil_mode=1, strides=[3,2]>", "[2,3,20,31]", 6),
        ("AveragePool<kernel_shape=[3,4], dilations=[2,2], pads=[2,2,2,2]>", "[2,3,20,31]", 7),
        ("LpPool<kernel_shape=[3,4], dilations=[2,2], p=3>", "[2,3,20,31]", 7),
        ("AveragePool<kernel_shape=[2,3,2], strides=[1,2,1]>", "[1,2,6,7,5]", 7),
        ("MaxPool<kernel_shape=[2,3,2], dilations=[2,1,2]>", "[1,2,6,7,5]", 7),
    ],
)
def test_windows_with_holes_go_axis_by_axis(node: str, shape: str, slices: int, tmp_path: Path) -> None:
    """A slice for each place along each axis, not for each of the window's places."""
    name, _, attributes = node.partition("<")
    out = "[n,c,h,w]" if shape.count(",") == 3 else "[n,c,d,h,w]"
    model = model_of(f"(float{shape} x) => (float{out} y)", f"y = {name}<{attributes}(x)", opset=22)
    x = np.random.default_rng(0).standard_normal(json.loads(shape)).astype(np.float32)
    made = assert_agrees(model, [{"x": x}], tmp_path, artifacts=("tflite",))["tflite"]
    ops = summarize(made).op_counts
    assert ops["STRIDED_SLICE"] + ops.get("SLICE", 0) <= slices


@pytest.mark.parametrize(("kernel", "stride", "pads", "size"), [
    ((3, 3), (2, 2), (1, 1, 1, 1), (7, 8)), ((5, 4), (2, 3), (2, 1, 2, 2), (9, 9)),
    ((3, 3), (3, 3), (1, 0, 1, 1), (5, 7)), ((2, 2), (2, 2), (1, 1, 1, 1), (2, 5)),
    ((7, 7), (4, 4), (3, 3, 3, 3), (8, 12)), ((3, 3), (2, 2), (1, 1, 1, 1), (1, 1)),
])  # fmt: skip
def test_borders_of_what_may_be_negative(
    kernel: tuple[int, int], stride: tuple[int, int], pads: tuple[int, ...], size: tuple[int, int], tmp_path: Path
) -> None:
    """Of other sizes and batches, where the maximum is the lowest number, infinite, a tie or in the corner."""
    node = f"y = MaxPool<kernel_shape={list(kernel)}, strides={list(stride)}, pads={list(pads)}>(x)"
    shape = f"n,2,{size[0]},{size[1]}"
    text = f'<ir_version: 9, opset_import: ["": 20]> g (float[{shape}] x) => (float[n,2,h,w] y) {{ {node} }}'
    model = onnx.parser.parse_model(text).SerializeToString()
    made = convert_to("tflite", model, tmp_path)
    for batch in (1, 3):
        x = np.random.default_rng(batch).standard_normal((batch, 2, *size)).astype(np.float32) - np.float32(2)
        x[0, 0], x[0, 1, 0, 0], x[-1, 1, -1, -1] = np.finfo(np.float32).min, np.inf, 5
        (want,) = ort.InferenceSession(model).run(None, {"x": x})
        np.testing.assert_array_equal(run_tflite(made, {"x": x})["y"], want)


@pytest.mark.parametrize(
    "node",
    [
        "MaxPool<kernel_shape=[2,2], ceil_mode=1>",
        "MaxPool<kernel_shape=[3,2], strides=[2,2], ceil_mode=1, pads=[0,1,1,0]>",
        "AveragePool<kernel_shape=[3,3], strides=[2,3], ceil_mode=1>",
        "AveragePool<kernel_shape=[4,3], strides=[2,2], ceil_mode=1, pads=[1,0,1,1], count_include_pad=1>",
        "AveragePool<kernel_shape=[4,3], strides=[2,2], ceil_mode=1, pads=[1,0,1,1]>",
        "AveragePool<kernel_shape=[20,20], strides=[20,20], ceil_mode=1, count_include_pad=1>",
        "MaxPool<kernel_shape=[20,20], strides=[20,20], ceil_mode=1>",
    ],
)
def test_partial_windows_of_extents_that_vary(node: str, tmp_path: Path) -> None:
    """The last window of an axis counts where it is cut off, and where it is wider than all of the axis."""
    name, _, attributes = node.partition("<")
    model = model_of("(float[n,2,h,w] x) => (float[n,2,k,l] y)", f"y = {name}<{attributes}(x)", opset=22)
    random = np.random.default_rng(0)
    feeds = [random.standard_normal((n, 2, h, w)).astype(np.float32) - 1 for n, h, w in
             ((1, 6, 7), (2, 5, 9), (1, 4, 4), (1, 23, 40), (1, 20, 21))]  # fmt: skip
    assert_agrees(model, [{"x": x} for x in feeds], tmp_path)


@pytest.mark.parametrize("pool", ["AveragePool", "MaxPool"])
def test_a_window_wider_than_all_of_space_is_as_wide(pool: str, tmp_path: Path) -> None:
    """1280 × 1280 over 7 × 9, as in EfficientNet of ``transformers``: no padding of that size."""
    text = f"y = {pool}<kernel_shape=[1280,1280], strides=[1280,1280], ceil_mode=1>(x)"
    model = model_of("(float[1,3,7,9] x) => (float[1,3,1,1] y)", text, opset=22)
    x = np.random.default_rng(0).standard_normal((1, 3, 7, 9)).astype(np.float32)
    made = assert_agrees(model, [{"x": x}], tmp_path)["tflite"]
    assert not {"PAD", "PADV2", "SLICE", "CONCATENATION"} & {*summarize(made).op_counts}
