"""Maxima with their places, in one to three dimensions, and back to where they were."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from ...conformance.adapters import convert_to, run_tflite
from .against_ort import assert_agrees, model_of


def _image(*shape: int) -> Any:
    """Small whole numbers: many are equal, all but the first plane below 0."""
    x = np.random.default_rng(0).integers(-6, 0, shape).astype(np.float32)
    x[0, 0] += 4
    return x


@pytest.mark.parametrize(
    ("shape", "attributes"),
    [
        ((2, 3, 11), "kernel_shape=[3], strides=[2], pads=[1,0]"),
        ((2, 3, 7, 8), "kernel_shape=[3,2], strides=[2,1], pads=[1,0,1,1]"),
        ((2, 3, 7, 8), "kernel_shape=[3,2], strides=[2,2], dilations=[2,3], ceil_mode=1, storage_order=1"),
        ((1, 2, 4, 5, 6), 'kernel_shape=[2,2,3], strides=[2,1,2], auto_pad="SAME_UPPER"'),
    ],
)
def test_indices(shape: tuple[int, ...], attributes: str, tmp_path: Path) -> None:
    outer = ",".join(map(str, shape[1:]))
    outputs = f"float[{','.join('abcde'[: len(shape)])}] y, int64[{','.join('abcde'[: len(shape)])}] i"
    model = model_of(f"(float[batch,{outer}] x) => ({outputs})", f"y, i = MaxPool<{attributes}>(x)")
    assert_agrees(model, [{"x": _image(*shape)}, {"x": _image(4, *shape[1:])}], tmp_path)


@pytest.mark.parametrize(("batch", "strides"), [("batch", 2), ("2", 1), ("batch", 1)])
def test_there_and_back(batch: str, strides: int, tmp_path: Path) -> None:
    """With a stride of 1 windows overlap, and a maximum comes several times."""
    window = f"kernel_shape=[2,2], strides=[{strides},{strides}]"
    model = model_of(
        f"(float[{batch},3,6,8] x) => (float[a,b,c,d] y)",
        f"p, i = MaxPool<{window}>(x) r = Relu(p) y = MaxUnpool<{window}>(r, i)",
    )
    feeds = [{"x": _image(2, 3, 6, 8)}, *([{"x": _image(3, 3, 6, 8)}] if batch == "batch" else [])]
    assert_agrees(model, feeds, tmp_path, artifacts=["tflite"])


def test_a_larger_output(tmp_path: Path) -> None:
    """The indices count elements of the smaller one, as ONNX's reference has it (ONNX Runtime has not)."""
    window = "kernel_shape=[2,2], strides=[2,2]"
    model = model_of(
        "(float[2,3,3,4] x, int64[2,3,3,4] i) => (float[2,3,8,10] y)",
        f"y = MaxUnpool<{window}>(x, i, size)", {"size": np.array([2, 3, 8, 10], np.int64)},
    )  # fmt: skip
    places = np.arange(2 * 3 * 6 * 8).reshape(2, 3, 6, 8)[:, :, 1::2, ::2]
    feed = {"x": _image(2, 3, 3, 4), "i": np.ascontiguousarray(places)}
    (want,) = ReferenceEvaluator(onnx.load_from_string(model)).run(None, feed)
    np.testing.assert_array_equal(run_tflite(convert_to("tflite", model, tmp_path), feed)["y"], want)
