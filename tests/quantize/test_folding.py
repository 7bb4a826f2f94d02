from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from edgeworthy.formats.tflite import edit as fb
from edgeworthy.formats.tflite.summary import summarize
from edgeworthy.quantize.calibration import CalibrationSet
from edgeworthy.quantize.folding import fold_constants
from edgeworthy.quantize.post_training import quantize
from edgeworthy.quantize.recipe import Recipe

from .conftest import normal_feeds
from .tflite_graph import CONV, FC, NO_ACTIVATION, Graph, Weights, i32, run, worst_sqnr


def test_products_of_constants_are_computed(tmp_path: Path) -> None:
    """As MLIR leaves a scale that it moved into weights that are too large for it."""
    w = Weights(0)
    g = Graph(x=(1, 4, 64))
    weights, scale = g.const(w(64, 64, fan_in=64)), g.const(w(64, fan_in=2))
    bias = g.op("fully_connected", [scale, weights, g.no_value()], (64,), **FC | {"keep_num_dims": False})
    scaled = g.op("mul", [weights, scale], (64, 64), **NO_ACTIVATION)
    model = g.save(tmp_path / "m.tflite", y=g.op("fully_connected", [g.inputs[0], scaled, bias], (1, 4, 64), **FC))
    folded = tmp_path / "folded.tflite"
    folded.write_bytes(fold_constants(model.path.read_bytes()))
    assert summarize(folded).op_counts == {"FULLY_CONNECTED": 1}
    assert folded.stat().st_size < model.size + 1000
    (feed,) = normal_feeds(model, 1)
    np.testing.assert_allclose(run(folded, feed)["y"], run(model.path, feed)["y"], rtol=1e-5, atol=1e-5)
    data = normal_feeds(model, 16)
    np.savez(tmp_path / "c.npz", x=np.stack([f["x"] for f in data]))
    for scheme in ("float16", "dynamic_wi8_afp32"):
        result = quantize(model, tmp_path / "q.tflite", Recipe.of(scheme))
        assert result.float_ops == ()
        assert result.model.size < 0.6 * model.size
        assert worst_sqnr(model.path, result.model.path, data) > 35


def test_constants_that_would_grow_are_left(tmp_path: Path) -> None:
    g = Graph(x=(1, 4096))
    wide = g.op("fill", [i32(1, 4096), np.full((), 2, np.float32)], (1, 4096))
    model = g.save(tmp_path / "m.tflite", y=g.op("add", [g.inputs[0], wide], (1, 4096), **NO_ACTIVATION))
    content = model.path.read_bytes()
    assert fold_constants(content) == content


def test_a_result_that_was_declared_dynamic_has_the_shape_of_its_values(tmp_path: Path) -> None:
    """As MLIR declares what BROADCAST_TO or FILL makes from a constant shape that it didn't look at."""
    g = Graph(x=(1, 5, 1))
    wide = g.op("fill", [i32(1, 1, 6), np.full((), 2, np.float32)], (None, None, None))
    model = g.save(tmp_path / "m.tflite", y=g.op("mul", [g.inputs[0], wide], (1, 5, None), **NO_ACTIVATION))
    folded = tmp_path / "folded.tflite"
    folded.write_bytes(fold_constants(model.path.read_bytes()))
    assert summarize(folded).op_counts == {"MUL": 1}
    (feed,) = normal_feeds(model, 1)
    np.testing.assert_array_equal(run(folded, feed)["y"], np.repeat(feed["x"] * 2, 6, 2))


def test_a_dynamic_result_that_turns_out_large_is_left(tmp_path: Path) -> None:
    g = Graph(x=(1, 4096))
    wide = g.op("fill", [i32(1, 4096), np.full((), 2, np.float32)], (None, None))
    model = g.save(tmp_path / "m.tflite", y=g.op("add", [g.inputs[0], wide], (1, 4096), **NO_ACTIVATION))
    content = model.path.read_bytes()
    assert fold_constants(content) == content


def test_an_empty_result_is_left_to_the_runtime(tmp_path: Path) -> None:
    """An empty buffer is no constant: nothing would make the tensor any more."""
    g = Graph(x=(2, 4))
    none = g.op("fill", [i32(0, 4), np.full((), 2, np.float32)], (0, 4))
    model = g.save(tmp_path / "m.tflite", y=g.op("concatenation", [g.inputs[0], none], (2, 4), axis=0, **NO_ACTIVATION))
    content = model.path.read_bytes()
    assert fold_constants(content) == content


def test_a_model_without_constant_operators_is_left(tmp_path: Path) -> None:
    g = Graph(x=(1, 8))
    content = g.save(tmp_path / "m.tflite", y=g.op("relu", [g.inputs[0]], (1, 8))).path.read_bytes()
    assert fold_constants(content) is content


def test_a_bias_that_is_computed_keeps_its_operator_in_float(
    tmp_path: Path, calibrate: Callable[..., CalibrationSet]
) -> None:
    w = Weights(0)
    g = Graph(x=(1, 8, 8, 8), shift=(8,))
    y = g.op("conv_2d", [g.inputs[0], w(8, 3, 3, 8, fan_in=72), g.inputs[1]], (1, 8, 8, 8), **CONV)
    model = g.save(tmp_path / "m.tflite", y=g.op("relu", [y], (1, 8, 8, 8)))
    result = quantize(model, tmp_path / "q.tflite", Recipe.of("int8"), calibration=calibrate(model))
    assert [(op.op, op.reason) for op in result.float_ops] == [("CONV_2D", "its bias is computed while running")]
    assert worst_sqnr(model.path, result.model.path, normal_feeds(model, 2)) > 30
    assert fb.read(result.model.path.read_bytes()).subgraphs[0].operators
