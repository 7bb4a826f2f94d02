from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgeworthy.artifact import TFLiteModel
from edgeworthy.formats.tflite.summary import summarize
from edgeworthy.quantize.calibration import CalibrationSet
from edgeworthy.quantize.post_training import Quantization, quantize
from edgeworthy.quantize.recipe import Recipe

from .conftest import normal_feeds
from .tflite_graph import NO_ACTIVATION, Graph, Weights, i32, run, sqnr, worst_sqnr

DTYPES = ["float32", "int8", "uint8"]
Make = Callable[[TFLiteModel, str], Quantization]


@pytest.fixture
def made(tmp_path: Path, calibrate: Callable[..., CalibrationSet]) -> Make:
    def make(model: TFLiteModel, dtype: str) -> Quantization:
        data = calibrate(model, 16)
        return quantize(model, tmp_path / f"{dtype}.tflite", Recipe.of("int8", io_dtype=dtype), calibration=data)

    return make


def casts(result: Quantization) -> dict[str, int]:
    counts = summarize(result.model.path).op_counts
    return {kind: counts[kind] for kind in ("QUANTIZE", "DEQUANTIZE") if kind in counts}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("delegate", [True, False])
def test_a_network_with_each_dtype(conv_net: TFLiteModel, made: Make, dtype: str, delegate: bool) -> None:
    result = made(conv_net, dtype)
    specs = (*result.model.inputs, *result.model.outputs)
    assert {s.dtype for s in specs} == {dtype}
    assert [s.name for s in specs] == ["image", "logits", "probabilities"]
    assert worst_sqnr(conv_net.path, result.model.path, normal_feeds(conv_net, 8, 1), delegate=delegate) > 20
    wanted = {"float32": {"QUANTIZE": 1, "DEQUANTIZE": 2}, "int8": {}, "uint8": {"QUANTIZE": 3}}
    assert casts(result) == wanted[dtype]


def test_uint8_holds_the_int8_numbers_shifted_by_128(conv_net: TFLiteModel, made: Make) -> None:
    signed, unsigned = made(conv_net, "int8"), made(conv_net, "uint8")
    (feed,) = normal_feeds(conv_net, 1)
    one, other = (run(r.model.path, feed, raw=True) for r in (signed, unsigned))
    for name in one:
        np.testing.assert_array_equal(one[name].astype(int) + 128, other[name])


@pytest.mark.parametrize("dtype", DTYPES)
def test_an_output_that_is_read_inside(tmp_path: Path, made: Make, dtype: str) -> None:
    g = Graph(x=(1, 32))
    first = g.op("relu", [g.inputs[0]], (1, 32))
    model = g.save(tmp_path / "m.tflite", first=first, second=g.op("tanh", [first], (1, 32)))
    result = made(model, dtype)
    assert result.float_ops == ()
    for delegate in (True, False):
        assert worst_sqnr(model.path, result.model.path, normal_feeds(model, 4), delegate=delegate) > 36


@pytest.mark.parametrize("dtype", DTYPES)
def test_one_tensor_as_two_outputs(tmp_path: Path, made: Make, dtype: str) -> None:
    g = Graph(x=(1, 32))
    y = g.op("relu", [g.inputs[0]], (1, 32))
    model = g.save(tmp_path / "m.tflite", a=y, b=y)
    assert worst_sqnr(model.path, made(model, dtype).model.path, normal_feeds(model, 4)) > 38


@pytest.mark.parametrize("dtype", DTYPES)
def test_an_input_that_is_an_output(tmp_path: Path, made: Make, dtype: str) -> None:
    g = Graph(x=(1, 32))
    model = g.save(tmp_path / "m.tflite", y=g.op("relu", [g.inputs[0]], (1, 32)), same=g.inputs[0])
    result = made(model, dtype)
    (feed,) = normal_feeds(model, 1)
    got = run(result.model.path, feed)
    assert sqnr(feed["x"], got["same"]) > (100 if dtype == "float32" else 38)
    assert sqnr(np.maximum(feed["x"], 0), got["y"]) > 36


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("delegate", [True, False])
def test_a_constant_output(tmp_path: Path, made: Make, dtype: str, delegate: bool) -> None:
    g = Graph(x=(1, 32))
    constant = g.const(Weights(0)(1, 32, fan_in=2))
    model = g.save(tmp_path / "m.tflite", y=g.op("relu", [g.inputs[0]], (1, 32)), constant=constant)
    result = made(model, dtype)
    assert worst_sqnr(model.path, result.model.path, normal_feeds(model, 4), delegate=delegate) > 38


def test_no_casts_where_the_ends_stayed_float(tmp_path: Path, made: Make) -> None:
    g = Graph(x=(1, 32))
    x = g.op("sin", [g.inputs[0]], (1, 32))
    x = g.op("mul", [x, np.full(32, 0.7, np.float32)], (1, 32), **NO_ACTIVATION)
    model = g.save(tmp_path / "m.tflite", y=g.op("cos", [x], (1, 32)))
    result = made(model, "float32")
    assert casts(result) == {"QUANTIZE": 1, "DEQUANTIZE": 1}, "only around MUL"
    assert [op.op for op in result.float_ops] == ["SIN", "COS"]
    assert worst_sqnr(model.path, result.model.path, normal_feeds(model, 4)) > 40


@pytest.mark.parametrize("dtype", DTYPES)
def test_integer_inputs_keep_their_dtype(tmp_path: Path, made: Make, dtype: str) -> None:
    g = Graph(table=(1, 8, 16), rows=((1, 4), "int32"))
    model = g.save(tmp_path / "m.tflite", y=g.op("gather", g.inputs, (1, 4, 16), axis=1, batch_dims=1))
    result = made(model, dtype)
    assert {s.name: s.dtype for s in result.model.inputs} == {"table": dtype, "rows": "int32"}
    assert worst_sqnr(model.path, result.model.path, normal_feeds(model, 4)) > 36


def test_equal_requantization_is_taken_out(tmp_path: Path, made: Make) -> None:
    """A table that is looked up keeps its scale; the quantizer's own differs in the last digit."""
    w = Weights(0)
    g = Graph(rows=((1, 8), "int32"))
    x = g.op("gather", [w(50, 64, fan_in=2), g.inputs[0]], (1, 8, 64), axis=0, batch_dims=0)
    y = g.op("reshape", [g.op("relu", [x], (1, 8, 64)), i32(1, 512)], (1, 512))
    result = made(g.save(tmp_path / "m.tflite", y=y), "int8")
    assert casts(result) == {}
