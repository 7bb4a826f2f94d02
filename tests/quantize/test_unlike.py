"""Boxes and scores: values of unlike size, joined or in one tensor, each judged by itself and not as a whole."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeworthy.artifact import TFLiteModel
from edgeworthy.quantize.calibration import CalibrationSet
from edgeworthy.quantize.post_training import Quantization, quantize
from edgeworthy.quantize.recipe import Recipe

from .conftest import normal_feeds
from .tflite_graph import FC, NO_ACTIVATION, Array, Graph, Weights, i32, run, scalar, sqnr

Calibrate = Callable[..., CalibrationSet]


def fit(model: TFLiteModel, folder: Path, calibrate: Calibrate) -> tuple[Quantization, dict[str, tuple[Array, Array]]]:
    """Quantized, and each output of both on the samples that it was calibrated on: nothing is clipped."""
    made = quantize(model, folder / "q.tflite", Recipe.of("int8"), calibration=calibrate(model))
    pairs = [(run(model.path, feed), run(made.model.path, feed)) for feed in normal_feeds(model, 32)]
    names = [spec.name for spec in model.outputs]
    return made, {
        n: (np.concatenate([w[n] for w, _ in pairs]), np.concatenate([g[n] for _, g in pairs])) for n in names
    }


def linear(g: Graph, x: Any, size: float, out: int, seed: int = 0) -> Any:
    w = Weights(seed)
    kernel, bias = (np.float32(size) * w(*shape, fan_in=8) for shape in ((out, 8), (out,)))
    return g.op("fully_connected", [x, kernel, bias], (1, 16, out), **FC)


@pytest.mark.parametrize(("ratio", "kept"), [(2, False), (12, True), (300, True), (1e6, True)])
def test_what_is_joined_and_read_apart(ratio: float, kept: bool, tmp_path: Path, calibrate: Calibrate) -> None:
    """With one scale for both, the smaller one would have hardly a level; what moves it doesn't get one either."""
    g = Graph(x=(1, 16, 8))
    wide, near = linear(g, g.inputs[0], ratio, 4), linear(g, g.inputs[0], 1, 3, seed=1)
    joined = g.op("concatenation", [wide, near], (1, 16, 7), axis=2, **NO_ACTIVATION)
    moved = g.op("transpose", [joined, i32(0, 2, 1)], (1, 7, 16))
    made, outputs = fit(g.save(tmp_path / "m.tflite", y=moved), tmp_path, calibrate)
    assert [op.op for op in made.float_ops] == (["CONCATENATION", "TRANSPOSE"] if kept else [])
    wanted, got = outputs["y"]
    assert sqnr(wanted[:, :4], got[:, :4]) > 30
    assert sqnr(wanted[:, 4:], got[:, 4:]) > 30


def test_a_narrow_operand_that_is_summed_may_have_fewer_levels(tmp_path: Path, calibrate: Calibrate) -> None:
    g = Graph(x=(1, 16, 8))
    wide, near = linear(g, g.inputs[0], 12, 4), linear(g, g.inputs[0], 1, 4, seed=1)
    joined = g.op("concatenation", [wide, near], (1, 16, 8), axis=2, **NO_ACTIVATION)
    made, outputs = fit(g.save(tmp_path / "m.tflite", y=linear(g, joined, 1, 8, seed=2)), tmp_path, calibrate)
    assert made.float_ops == ()
    assert sqnr(*outputs["y"]) > 30


def test_unlike_values_stay_apart_from_int8_through_arithmetic(tmp_path: Path, calibrate: Calibrate) -> None:
    """A product with a constant behind the join, as a detector scales boxes by strides: in int8 it has one scale."""
    g = Graph(x=(1, 16, 8))
    boxes, scores = linear(g, g.inputs[0], 1, 4), g.op("logistic", [linear(g, g.inputs[0], 1, 3)], (1, 16, 3))
    joined = g.op("concatenation", [boxes, scores], (1, 16, 7), axis=2, **NO_ACTIVATION)
    strides = np.array([320] * 4 + [1] * 3, np.float32)
    scaled = g.op("mul", [joined, strides], (1, 16, 7), **NO_ACTIVATION)
    parts = g.op("split_v", [scaled, i32(4, 3), np.array(2, np.int32)], [(1, 16, 4), (1, 16, 3)], num_splits=2)
    made, outputs = fit(g.save(tmp_path / "m.tflite", boxes=parts[0], scores=parts[1]), tmp_path, calibrate)
    assert {"MUL", "SPLIT_V"} <= {op.op for op in made.float_ops}
    assert sqnr(*outputs["boxes"]) > 30
    assert sqnr(*outputs["scores"]) > 30


@pytest.mark.parametrize("kind", ["split_v", "strided_slice", "slice"])
def test_what_was_joined_by_one_layer_is_taken_apart(kind: str, tmp_path: Path, calibrate: Calibrate) -> None:
    """One layer gives boxes and scores; in int8 its result has one scale, before anything could be done about it."""
    g, w = Graph(x=(1, 16, 8)), Weights(0)
    sizes = np.array([300] * 4 + [1] * 3, np.float32)[:, None]
    both = g.op("fully_connected", [g.inputs[0], sizes * w(7, 8, fan_in=8), g.no_value()], (1, 16, 7), **FC)
    moved = g.op("transpose", [both, i32(0, 2, 1)], (1, 7, 16))
    if kind == "split_v":
        parts = g.op(kind, [moved, i32(4, 3), np.array(1, np.int32)], [(1, 4, 16), (1, 3, 16)], num_splits=2)
    elif kind == "slice":
        parts = [g.op(kind, [moved, i32(0, b, 0), i32(1, n, 16)], (1, n, 16)) for b, n in ((0, 4), (4, 3))]
    else:
        none = {"begin_mask": 0, "end_mask": 0, "ellipsis_mask": 0, "new_axis_mask": 0, "shrink_axis_mask": 0}
        parts = [
            g.op(kind, [moved, i32(0, b, 0), i32(1, e, 16), i32(1, 1, 1)], (1, e - b, 16), offset=False, **none)
            for b, e in ((0, 4), (4, 7))
        ]
    scores = g.op("mul", [parts[1], scalar(0.5)], (1, 3, 16), **NO_ACTIVATION)
    made, outputs = fit(g.save(tmp_path / "m.tflite", boxes=parts[0], scores=scores), tmp_path, calibrate)
    floats = [op.op for op in made.float_ops]
    assert floats[:2] == ["FULLY_CONNECTED", "TRANSPOSE"]
    assert "MUL" not in floats, "behind the slice it has a scale of its own"
    assert sqnr(*outputs["boxes"]) > 30
    assert sqnr(*outputs["scores"]) > 30


def test_slices_of_like_values_stay_integer(tmp_path: Path, calibrate: Calibrate) -> None:
    g = Graph(x=(1, 16, 8))
    both = linear(g, g.inputs[0], 1, 8)
    parts = g.op("split", [np.array(2, np.int32), both], [(1, 16, 4), (1, 16, 4)], num_splits=2)
    made, outputs = fit(g.save(tmp_path / "m.tflite", a=parts[0], b=parts[1]), tmp_path, calibrate)
    assert made.float_ops == ()
    assert min(sqnr(*pair) for pair in outputs.values()) > 30
