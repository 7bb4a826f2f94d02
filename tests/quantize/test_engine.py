"""The int8 operators that are added to the quantizer, each run against its float form."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_quantizer import default_policy
from ai_edge_quantizer.utils import tfl_flatbuffer_utils

from edgeworthy.artifact import TFLiteModel
from edgeworthy.formats.tflite.ops import OPS, Int8
from edgeworthy.formats.tflite.summary import OP_NAMES, summarize
from edgeworthy.quantize import engine
from edgeworthy.quantize.calibration import CalibrationSet, load_calibration
from edgeworthy.quantize.post_training import Quantization, quantize
from edgeworthy.quantize.recipe import Compute, Recipe, Rule
from edgeworthy.schemes import SCHEMES

from .conftest import normal_feeds
from .tflite_graph import CONV, NO_ACTIVATION, Array, Graph, Weights, i32, run, sqnr, worst_sqnr

SHAPE = (1, 4, 4, 8)
INT = np.int32


def _prelu_slopes() -> Array:
    return np.linspace(-0.2, 0.5, 8).astype(np.float32).reshape(1, 1, 8)


# Operator → the rest of its operands, the shape of its result, its attributes.
CASES: dict[str, tuple[list[Any], Any, dict[str, Any]]] = {
    "ABS": ([], SHAPE, {}),
    "BATCH_TO_SPACE_ND": ([], (4, 2, 2, 8), {}),
    "DEPTH_TO_SPACE": ([], (1, 8, 8, 2), {"block_size": 2}),
    "ELU": ([], SHAPE, {}),
    "EXP": ([], SHAPE, {}),
    "EXPAND_DIMS": ([np.array(0, INT)], (1, *SHAPE), {}),
    "L2_NORMALIZATION": ([], SHAPE, NO_ACTIVATION),
    "LEAKY_RELU": ([], SHAPE, {"alpha": 0.1}),
    "LOG": ([], SHAPE, {}),
    "LOG_SOFTMAX": ([], SHAPE, {}),
    "MINIMUM": ([np.linspace(-1, 1, 8).astype(np.float32)], SHAPE, {}),
    "PRELU": ([_prelu_slopes()], SHAPE, {}),
    "REDUCE_MAX": ([i32(1, 2)], (1, 8), {"keep_dims": False}),
    "RELU6": ([], SHAPE, {}),
    "RELU_0_TO_1": ([], SHAPE, {}),
    "RELU_N1_TO_1": ([], SHAPE, {}),
    "REVERSE_V2": ([i32(1)], SHAPE, {}),
    "SPACE_TO_BATCH_ND": ([i32(2, 2), np.zeros((2, 2), INT)], (4, 2, 2, 8), {}),
    "SPLIT_V": ([i32(3, 5), np.array(3, INT)], [(1, 4, 4, 3), (1, 4, 4, 5)], {"num_splits": 2}),
    "SQUEEZE": ([], (4, 4, 8), {"squeeze_dims": [0]}),
    "TILE": ([i32(1, 2, 1, 1)], (1, 8, 4, 8), {}),
}
ELSEWHERE = {"ARG_MAX", "ARG_MIN", "BATCH_TO_SPACE_ND"}


def test_every_added_operator_is_tried_here() -> None:
    assert set(CASES) | ELSEWHERE == set(engine.ADDED)


def test_the_quantizer_still_lacks_what_is_added() -> None:
    listed = {getattr(op, "value", op) for op in default_policy.DEFAULT_CONFIG_CHECK_POLICY}
    assert not listed & set(engine.ADDED)


def test_the_table_says_what_the_quantizer_lists() -> None:
    names = {OP_NAMES[code] for code, key in tfl_flatbuffer_utils.TFL_OP_CODE_TO_NAME.items() if _is_listed(key)}
    rows = {row.builtin: row.int8 for row in OPS.values()}
    assert {name for name, rule in rows.items() if rule is Int8.LISTED} == names & set(rows)
    assert {name for name, rule in rows.items() if rule not in (Int8.LISTED, Int8.FLOAT)} == set(engine.ADDED)


def _is_listed(key: Any) -> bool:
    return getattr(key, "value", key) in {getattr(op, "value", op) for op in default_policy.DEFAULT_CONFIG_CHECK_POLICY}


@pytest.fixture(scope="module")
def all_added(tmp_path_factory: pytest.TempPathFactory) -> tuple[TFLiteModel, Quantization, list[dict[str, Array]]]:
    """One model with every added operator side by side, quantized."""
    folder = tmp_path_factory.mktemp("added")
    g = Graph(x=SHAPE, positive=SHAPE)
    outputs = {}
    for kind in sorted(set(CASES) - ELSEWHERE):
        operands, shape, attributes = CASES[kind]
        source = g.inputs[1 if kind == "LOG" else 0]
        result = g.op(kind.lower(), [source, *operands], shape, **attributes)
        outputs |= {f"{kind}.{i}": r for i, r in enumerate(result if isinstance(result, list) else [result])}
    model = g.save(folder / "m.tflite", **outputs)
    feeds = normal_feeds(model, 8)
    for feed in feeds:
        feed["positive"] = np.abs(feed["positive"]) + np.float32(0.3)
    np.savez(folder / "c.npz", **{name: np.stack([f[name] for f in feeds]) for name in feeds[0]})  # type: ignore[arg-type]
    data = load_calibration(folder / "c.npz", model.inputs)
    return model, quantize(model, folder / "q.tflite", Recipe.of("int8"), calibration=data), feeds


@pytest.mark.parametrize("kind", sorted(set(CASES) - ELSEWHERE))
def test_added_operators_run_in_int8(
    kind: str, all_added: tuple[TFLiteModel, Quantization, list[dict[str, Array]]]
) -> None:
    model, made, feeds = all_added
    assert kind not in {op.op for op in made.float_ops}
    assert summarize(made.model.path).op_counts[kind] == 1
    for delegate in (True, False):
        for feed in feeds:
            wanted, got = run(model.path, feed), run(made.model.path, feed, delegate=delegate)
            for name in (n for n in wanted if n.startswith(f"{kind}.")):
                assert sqnr(wanted[name], got[name]) > 30


def test_block_shuffles_go_there_and_back(tmp_path: Path, calibrate: Callable[..., CalibrationSet]) -> None:
    g = Graph(x=SHAPE)
    there = g.op("space_to_batch_nd", [g.inputs[0], i32(2, 2), np.zeros((2, 2), INT)], (4, 2, 2, 8))
    back = g.op("batch_to_space_nd", [there, i32(2, 2), np.zeros((2, 2), INT)], SHAPE)
    model = g.save(tmp_path / "m.tflite", y=back)
    made = quantize(model, tmp_path / "q.tflite", Recipe.of("int8"), calibration=calibrate(model, 8))
    assert made.float_ops == ()
    assert worst_sqnr(model.path, made.model.path, normal_feeds(model, 8)) > 38


@pytest.mark.parametrize("kind", ["arg_max", "arg_min"])
def test_extremes_are_found_in_int8(kind: str, tmp_path: Path, calibrate: Callable[..., CalibrationSet]) -> None:
    g = Graph(x=SHAPE)
    model = g.save(tmp_path / "m.tflite", y=g.op(kind, [g.inputs[0], np.array(3, INT)], (1, 4, 4), "int64"))
    made = quantize(model, tmp_path / "q.tflite", Recipe.of("int8"), calibration=calibrate(model, 8))
    assert made.float_ops == ()
    agree = [run(model.path, f)["y"] == run(made.model.path, f)["y"] for f in normal_feeds(model, 8)]
    assert np.mean(agree) > 0.95


@pytest.mark.parametrize("constant_side", ["left", "right"])
def test_batch_matmul_with_a_constant(
    constant_side: str, tmp_path: Path, calibrate: Callable[..., CalibrationSet]
) -> None:
    """Its int8 kernel reads one scale, so its constant must not get one a channel."""
    g = Graph(x=(1, 8, 16))
    constant = Weights(0)(1, 16, 8, fan_in=16) * np.geomspace(0.1, 10, 8, dtype=np.float32)
    operands = [g.inputs[0], constant] if constant_side == "right" else [constant, g.inputs[0]]
    size = 8 if constant_side == "right" else 16
    y = g.op("batch_matmul", operands, (1, size, size), adj_x=False, adj_y=False)
    model = g.save(tmp_path / "m.tflite", y=y)
    made = quantize(model, tmp_path / "q.tflite", Recipe.of("int8"), calibration=calibrate(model))
    assert made.float_ops == ()
    for delegate in (True, False):
        assert worst_sqnr(model.path, made.model.path, normal_feeds(model, 4), delegate=delegate) > 30


@pytest.mark.parametrize("computes", [("weights", "float32"), ("int8", "weights")])
def test_constants_that_are_shared_by_layers_that_compute_in_different_types(
    computes: tuple[Compute, Compute], tmp_path: Path, calibrate: Callable[..., CalibrationSet]
) -> None:
    """The engine gives each its copy, and forgot what kind of name that has; biases aren't corrected for others."""
    g, w = Graph(x=(1, 4, 4, 32)), Weights(0)
    kernel, bias = g.const(w(32, 3, 3, 32, fan_in=288)), g.const(np.zeros(32, np.float32))
    first = g.op("conv_2d", [g.inputs[0], kernel, bias], (1, 4, 4, 32), **CONV)
    model = g.save(tmp_path / "m.tflite", y=g.op("conv_2d", [first, kernel, bias], (1, 4, 4, 32), **CONV))
    layers = [op for op in summarize(model.path).graphs[0].ops if op.op == "CONV_2D"]
    names = [summarize(model.path).graphs[0].tensors[op.outputs[0]].name for op in layers]
    rules = tuple(Rule(pattern=n, by="result", compute=c) for n, c in zip(names, computes, strict=True))
    recipe = Recipe.of("int8", rules=rules, bias_correction="on")
    made = quantize(model, tmp_path / "q.tflite", recipe, calibration=calibrate(model))
    assert [op.name for op in made.float_ops] == [n for n, c in zip(names, computes, strict=True) if c != "int8"]
    for delegate in (True, False):
        assert worst_sqnr(model.path, made.model.path, normal_feeds(model, 4), delegate=delegate) > 30


def test_a_float_operator_behind_a_float_output_reads_floats(
    tmp_path: Path, calibrate: Callable[..., CalibrationSet]
) -> None:
    """The engine hands it the output's quantized copy, which its float kernel refuses."""
    g = Graph(x=(1, 16))
    logits = g.op("tanh", [g.inputs[0]], (1, 16))
    model = g.save(tmp_path / "m.tflite", logits=logits, shares=g.op("softmax", [logits], (1, 16), beta=1.0))
    for io_dtype in ("float32", "int8"):
        recipe = Recipe.of("int8", exclude=["TANH", "SOFTMAX"], io_dtype=io_dtype)
        made = quantize(model, tmp_path / "q.tflite", recipe, calibration=calibrate(model))
        assert [op.op for op in made.float_ops] == ["TANH", "SOFTMAX"]
        for delegate in (True, False):
            least = 35 if io_dtype == "int8" else 100
            assert worst_sqnr(model.path, made.model.path, normal_feeds(model, 4), delegate=delegate) > least


@pytest.mark.parametrize("io_dtype", ["float32", "int8", "uint8"])
def test_an_integer_output_that_a_float_operator_reads(
    io_dtype: str, tmp_path: Path, calibrate: Callable[..., CalibrationSet]
) -> None:
    """The engine makes its float copy the graph's output, and leaves the signature with what XNNPACK swallows."""
    g = Graph(x=(1, 16))
    logits = g.op("tanh", [g.inputs[0]], (1, 16))
    model = g.save(tmp_path / "m.tflite", logits=logits, shares=g.op("softmax", [logits], (1, 16), beta=1.0))
    recipe = Recipe.of("int8", exclude=["SOFTMAX"], io_dtype=io_dtype)
    made = quantize(model, tmp_path / "q.tflite", recipe, calibration=calibrate(model))
    assert [op.op for op in made.float_ops] == ["SOFTMAX"]
    assert [spec.dtype for spec in made.model.outputs] == [io_dtype] * 2
    for delegate in (True, False):
        assert worst_sqnr(model.path, made.model.path, normal_feeds(model, 4), delegate=delegate) > 30


def test_supported_operators_follow_the_scheme() -> None:
    static = engine.supported_operators(SCHEMES["static_wi8_ai8"])
    dynamic = engine.supported_operators(SCHEMES["dynamic_wi8_afp32"])
    assert {"CONV_2D", "TRANSPOSE_CONV", "SOFTMAX"} <= static
    assert {"CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED"} <= dynamic
    assert "SOFTMAX" not in dynamic
    assert "SIN" not in static | dynamic


def test_sqnr_measures_noise() -> None:
    assert sqnr(np.ones(10), np.full(10, 1.1)) == pytest.approx(20.0)
