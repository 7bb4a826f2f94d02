from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from edgeworthy.artifact import FloatOp, TFLiteModel
from edgeworthy.quantize.calibration import CalibrationSet
from edgeworthy.quantize.post_training import quantize
from edgeworthy.quantize.recipe import Recipe

from .tflite_graph import FC, NO_ACTIVATION, Graph, Weights, i32

Calibrate = Callable[..., CalibrationSet]


def trigonometry(path: Path) -> TFLiteModel:
    g = Graph(x=(1, 64))
    x = g.op("relu", [g.inputs[0]], (1, 64))
    x = g.op("sin", [x], (1, 64))
    x = g.op("mul", [x, np.full(64, 0.7, np.float32)], (1, 64), **NO_ACTIVATION)
    return g.save(path, y=x)


def test_operators_without_an_int8_form_are_listed(tmp_path: Path, calibrate: Calibrate) -> None:
    model = trigonometry(tmp_path / "m.tflite")
    result = quantize(model, tmp_path / "q.tflite", Recipe.of("int8"), calibration=calibrate(model))
    assert result.float_ops == (FloatOp("SIN", "n2_sin", "the quantizer has no static_wi8_ai8 form of it"),)


def test_excluded_operators_are_listed(tmp_path: Path, calibrate: Calibrate) -> None:
    model = trigonometry(tmp_path / "m.tflite")
    result = quantize(
        model, tmp_path / "q.tflite", Recipe.of("int8", exclude=["RELU", "y_out"]), calibration=calibrate(model)
    )
    assert [(op.op, op.reason) for op in result.float_ops] == [
        ("RELU", "excluded by 'RELU'"),
        ("SIN", "the quantizer has no static_wi8_ai8 form of it"),
        ("MUL", "excluded by 'y_out'"),
    ]


def test_nothing_is_listed_for_a_network_all_in_int8(
    conv_net: TFLiteModel, tmp_path: Path, calibrate: Calibrate
) -> None:
    result = quantize(conv_net, tmp_path / "q.tflite", Recipe.of("int8"), calibration=calibrate(conv_net, 8))
    assert result.float_ops == ()


def test_integer_arithmetic_is_not_float(tmp_path: Path, calibrate: Calibrate) -> None:
    g = Graph(x=(1, 64), rows=((1, 4), "int32"))
    x = g.op("relu", [g.inputs[0]], (1, 64))
    y = g.op("add", [g.inputs[1], i32(1)], (1, 4), "int32", **NO_ACTIVATION)
    shape = g.op("shape", [x], (2,), "int32")
    model = g.save(tmp_path / "m.tflite", x=x, y=y, shape=shape)
    result = quantize(model, tmp_path / "q.tflite", Recipe.of("int8"), calibration=calibrate(model))
    assert result.float_ops == ()


def embedding(path: Path) -> TFLiteModel:
    w = Weights(0)
    g = Graph(rows=((1, 8), "int32"))
    x = g.op("gather", [w(50, 64, fan_in=2), g.inputs[0]], (1, 8, 64), axis=0, batch_dims=0)
    x = g.op("mul", [x, w(64, fan_in=2)], (1, 8, 64), **NO_ACTIVATION)
    return g.save(path, y=g.op("fully_connected", [x, w(64, 64, fan_in=64), w(64, fan_in=2)], (1, 8, 64), **FC))


def test_dynamic_lists_large_weights_that_stayed_float(tmp_path: Path) -> None:
    g = Graph(ids=((1, 8), "int32"))
    numbers = g.op("gather", [Weights(0)(4096, fan_in=2), g.inputs[0]], (1, 8), axis=0, batch_dims=0)
    model = g.save(tmp_path / "m.tflite", y=numbers)  # each row is one number, for which no scale is worth it
    result = quantize(model, tmp_path / "q.tflite", Recipe.of("dynamic_wi8_afp32"))
    assert [(op.op, op.reason) for op in result.float_ops] == [
        ("GATHER", "the quantizer has no dynamic_wi8_afp32 form of it")
    ]


def test_float16_lists_weights_beyond_its_range(tmp_path: Path) -> None:
    assert quantize(embedding(tmp_path / "m.tflite"), tmp_path / "h.tflite", Recipe.of("float16")).float_ops == ()
    g = Graph(x=(1, 64))
    y = g.op("mul", [g.inputs[0], np.full(64, 1e6, np.float32)], (1, 64), **NO_ACTIVATION)
    result = quantize(g.save(tmp_path / "w.tflite", y=y), tmp_path / "q.tflite", Recipe.of("float16"))
    assert [(op.op, op.reason) for op in result.float_ops] == [("MUL", "it reaches ±1.0e+06, beyond float16")]
