"""Tables that rows are looked up in have 8 bits and a scale for each row, wherever nothing stands against it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ai_edge_litert.interpreter import Interpreter

from edgeworthy.artifact import TFLiteModel
from edgeworthy.formats.tflite import edit as fb
from edgeworthy.formats.tflite.releases import least_runtime
from edgeworthy.formats.tflite.summary import summarize
from edgeworthy.numerics.distinct import DistinctArrays
from edgeworthy.quantize import lookups
from edgeworthy.quantize.analysis.lint import lint
from edgeworthy.quantize.analysis.per_layer import PerLayer
from edgeworthy.quantize.calibration import CalibrationSet
from edgeworthy.quantize.deciding import in_float
from edgeworthy.quantize.post_training import Quantization, quantize
from edgeworthy.quantize.recipe import Recipe, Rule, path_beside

from .tflite_graph import FC, NO_ACTIVATION, Array, Graph, Shape, run, sqnr

Calibrate = Callable[..., CalibrationSet]

WORDS, WIDTH, LENGTH = 500, 64, 8
FAR = 7
"""A word whose row is fifty times as large as the others."""
SCHEMES = ("int8", "static_wi8_ai16", "dynamic_wi8_afp32", "dynamic_wi4_afp32", "weight_only_wi8_afp32")


def table(*shape: int) -> Array:
    values = np.random.default_rng(3).normal(size=shape or (WORDS, WIDTH)).astype(np.float32)
    if values.shape[0] > FAR:
        values[FAR] *= 50
        values[0] = 0
    return values


def lookup(path: Path, values: Array, *, ids: Shape = (1, LENGTH), dtype: str = "int32", axis: int = 0) -> TFLiteModel:
    """Rows of a table, times two."""
    g = Graph(ids=(ids, dtype))
    shape = (*values.shape[:axis], *ids, *values.shape[axis + 1 :])
    rows = g.op("gather", [values, g.inputs[0]], shape, axis=axis, batch_dims=0)
    return g.save(path, rows=g.op("mul", [rows, np.full((1,), 2, np.float32)], shape, **NO_ACTIVATION))


def tied(path: Path) -> TFLiteModel:
    """A table that words are looked up in, and that scores every word at the end."""
    g = Graph(ids=((1, LENGTH), "int32"))
    values = g.const(table())
    rows = g.op("gather", [values, g.inputs[0]], (1, LENGTH, WIDTH), axis=0, batch_dims=0)
    x = g.op("tanh", [rows], (1, LENGTH, WIDTH))
    return g.save(path, scores=g.op("fully_connected", [x, values, g.no_value()], (1, LENGTH, WORDS), **FC))


def words(model: TFLiteModel, count: int = 16) -> list[dict[str, Array]]:
    (spec,) = model.inputs
    draw = np.random.default_rng(5)
    return [{"ids": draw.integers(8, 32, spec.concrete_shape()).astype(spec.dtype)} for _ in range(count)]


def made(
    model: TFLiteModel, calibrate: Calibrate, scheme: str = "int8", device: str | None = "cpu", **more: Any
) -> Quantization:
    recipe = Recipe.of(scheme, device=device, ranges="min_max", **more)
    feeds = words(model)
    data = calibrate(model, feeds=feeds) if scheme.startswith(("int8", "static")) else None
    return quantize(model, model.path.with_suffix(".quantized.tflite"), recipe, calibration=data, example=feeds[0])


def constants(path: Path) -> list[tuple[str, tuple[int, ...]]]:
    """Dtype and shape of what a file stores, without what is small; the largest first."""
    model = fb.read(path.read_bytes())
    stored, found = DistinctArrays(), {}
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            value = fb.values(model, tensor)
            if value is not None and value.size >= 1024:
                found[stored.index(model.buffers[tensor.buffer].data)] = (value.dtype.name, value.shape, value.nbytes)
    return [(dtype, shape) for dtype, shape, _ in sorted(found.values(), key=lambda one: -one[2])]


def kinds(path: Path) -> list[str]:
    (graph,) = summarize(path).graphs
    return [op.op for op in graph.ops]


def gathered(model: TFLiteModel) -> str:
    """Name of what the first lookup gives."""
    (graph,) = summarize(model.path).graphs
    return next(graph.tensors[op.outputs[0]].name for op in graph.ops if op.op == "GATHER")


def embedded(values: Array, ids: Array) -> Array:
    """Twice the rows, by PyTorch in float64."""
    weights = torch.from_numpy(values).double()
    found: Array = (2 * torch.nn.functional.embedding(torch.from_numpy(ids).long(), weights)).numpy()
    return found


@pytest.mark.parametrize("delegate", [True, False])
@pytest.mark.parametrize("dtype", ["int32", "int64"])
@pytest.mark.parametrize("scheme", ["dynamic_wi8_afp32", "dynamic_wi4_afp32", "weight_only_wi8_afp32"])
def test_every_row_keeps_its_own_scale(
    tmp_path: Path, calibrate: Calibrate, scheme: str, dtype: str, delegate: bool
) -> None:
    values = table()
    model = lookup(tmp_path / "float.tflite", values, dtype=dtype)
    path = made(model, calibrate, scheme).model.path
    assert constants(path) == [("int8", (WORDS, WIDTH))]
    assert path.stat().st_size < 0.3 * model.path.stat().st_size
    ids = np.arange(4, 484).reshape(-1, 1, LENGTH).astype(dtype)
    for some in ids:
        got = run(path, {"ids": some}, delegate=delegate)["rows"]
        truth = embedded(values, some)
        assert min(map(sqnr, truth[0], got[0])) > 38
    assert not run(path, {"ids": np.zeros((1, LENGTH), dtype)}, delegate=delegate)["rows"].any(), "zeros stay zeros"


@pytest.mark.parametrize("delegate", [True, False])
@pytest.mark.parametrize("scheme", ["int8", "static_wi8_ai16"])
def test_a_far_row_spoils_no_other_of_a_calibrated_file(
    tmp_path: Path, calibrate: Calibrate, scheme: str, delegate: bool
) -> None:
    """No sample has that row: under one scale with it, all others would have 3 of 255 steps."""
    values = table()
    model = lookup(tmp_path / "float.tflite", values)
    path = made(model, calibrate, scheme).model.path
    assert constants(path) == [("int8", (WORDS, WIDTH))]
    ids = words(model, 1)[0]["ids"]
    assert sqnr(embedded(values, ids), run(path, {"ids": ids}, delegate=delegate)["rows"]) > 35


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("wrong", [-1, WORDS])
def test_ids_that_there_are_not_are_refused_as_before(
    tmp_path: Path, calibrate: Calibrate, scheme: str, wrong: int
) -> None:
    model = lookup(tmp_path / "float.tflite", table())
    for path in (model.path, made(model, calibrate, scheme).model.path):
        for delegate in (True, False):
            with pytest.raises(RuntimeError, match="index"):
                run(path, {"ids": np.full((1, LENGTH), wrong, np.int32)}, delegate=delegate)


@pytest.mark.parametrize("scheme", ["int8", "dynamic_wi8_afp32"])
def test_ids_may_have_any_extent(tmp_path: Path, calibrate: Calibrate, scheme: str) -> None:
    g = Graph(ids=((None, None), "int32"))
    values = table()
    rows = g.op("gather", [values, g.inputs[0]], (None, None, WIDTH), axis=0, batch_dims=0)
    model = g.save(tmp_path / "float.tflite", rows=rows)
    path = made(model, calibrate, scheme).model.path
    assert constants(path) == [("int8", (WORDS, WIDTH))]
    interpreter = Interpreter(str(path))
    ids = np.arange(8, 23, dtype=np.int32).reshape(3, 5)
    (index,) = (d["index"] for d in interpreter.get_input_details())
    interpreter.resize_tensor_input(index, ids.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(index, ids)
    interpreter.invoke()
    got = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    assert got.shape == (3, 5, WIDTH)
    assert sqnr(values.astype(np.float64)[ids], got) > 40


def test_rows_may_have_more_axes(tmp_path: Path, calibrate: Calibrate) -> None:
    values = table(100, 4, 16)
    model = lookup(tmp_path / "float.tflite", values)
    path = made(model, calibrate, "dynamic_wi8_afp32").model.path
    assert constants(path) == [("int8", (100, 4, 16))]
    ids = np.array([[1, 2, 3, FAR, 5, 99, 4, 8]], np.int32)
    truth = 2 * values.astype(np.float64)[ids]
    assert min(map(sqnr, truth[0], run(path, {"ids": ids})["rows"][0])) > 38


def with_output(path: Path) -> TFLiteModel:
    g = Graph(ids=((1, LENGTH), "int32"))
    values = g.const(table())
    rows = g.op("gather", [values, g.inputs[0]], (1, LENGTH, WIDTH), axis=0, batch_dims=0)
    return g.save(path, rows=rows, table=values)


def masks() -> Array:
    return np.where(np.tri(64), 0, np.finfo(np.float32).min).astype(np.float32)


@pytest.mark.parametrize(
    "build",
    [
        pytest.param(lambda path: lookup(path, table(4096)), id="numbers"),
        pytest.param(lambda path: lookup(path, table(1000, 8)), id="short rows"),
        pytest.param(lambda path: lookup(path, table(60, 16)), id="too small to matter"),
        pytest.param(lambda path: lookup(path, table(64, 64), axis=1), id="columns"),
        pytest.param(lambda path: lookup(path, masks()), id="masks"),
        pytest.param(lambda path: lookup(path, table(), ids=(1, 2, 2, 2)), id="more axes than a MUL broadcasts"),
        pytest.param(with_output, id="a table that is an output too"),
    ],
)
def test_other_tables_stay_as_they_are(
    tmp_path: Path, calibrate: Calibrate, build: Callable[[Path], TFLiteModel]
) -> None:
    model = build(tmp_path / "float.tflite")
    path = made(model, calibrate, "dynamic_wi8_afp32").model.path
    assert kinds(path) == kinds(model.path)
    assert constants(path) == constants(model.path)


@pytest.mark.parametrize("scheme", ["int8", "dynamic_wi8_afp32", "weight_only_wi8_afp32"])
def test_a_table_that_is_weights_too_is_stored_once(tmp_path: Path, calibrate: Calibrate, scheme: str) -> None:
    model = tied(tmp_path / "float.tflite")
    path = made(model, calibrate, scheme).model.path
    assert constants(path) == [("int8", (WORDS, WIDTH))]
    feed = words(model, 1)[0]
    for delegate in (True, False):
        assert sqnr(run(model.path, feed)["scores"], run(path, feed, delegate=delegate)["scores"]) > 20


def test_a_table_whose_weights_stay_float_does_too(tmp_path: Path, calibrate: Calibrate) -> None:
    model = tied(tmp_path / "float.tflite")
    path = made(model, calibrate, exclude=["FULLY_CONNECTED"]).model.path
    assert constants(path) == [("float32", (WORDS, WIDTH))]


def test_two_lookups_share_their_table(tmp_path: Path, calibrate: Calibrate) -> None:
    g = Graph(ids=((1, LENGTH), "int32"), others=((1, LENGTH), "int32"))
    values, shape = g.const(table()), (1, LENGTH, WIDTH)
    first, second = (g.op("gather", [values, ids], shape, axis=0, batch_dims=0) for ids in g.inputs)
    model = g.save(tmp_path / "float.tflite", sum=g.op("add", [first, second], shape, **NO_ACTIVATION))
    feed = {name: np.arange(8, 16, dtype=np.int32)[None] for name in ("ids", "others")}
    recipe = Recipe.of("dynamic_wi8_afp32", device="cpu")
    path = quantize(model, tmp_path / "quantized.tflite", recipe, example=feed).model.path
    assert constants(path) == [("int8", (WORDS, WIDTH))]
    assert sqnr(run(model.path, feed)["sum"], run(path, feed)["sum"]) > 40
    one = recipe.model_copy(update={"rules": (Rule(pattern="n1_gather"),)})
    path = quantize(model, tmp_path / "one.tflite", one, example=feed).model.path
    assert constants(path) == [("float32", (WORDS, WIDTH))], "in both forms it would be larger"


# ---- what the user says ----


@pytest.mark.parametrize("scheme", ["int8", "dynamic_wi8_afp32"])
@pytest.mark.parametrize("more", [{"exclude": ["GATHER"]}, {"only": ["FULLY_CONNECTED"]}, {"exclude": ["n1_"]}])
def test_what_is_kept_float_is(
    tmp_path: Path, calibrate: Calibrate, scheme: str, more: Mapping[str, list[str]]
) -> None:
    g = Graph(ids=((1, LENGTH), "int32"))
    rows = g.op("gather", [table(), g.inputs[0]], (1, LENGTH, WIDTH), axis=0, batch_dims=0)
    y = g.op("fully_connected", [rows, table(40, WIDTH), g.no_value()], (1, LENGTH, 40), **FC)
    model = g.save(tmp_path / "float.tflite", y=y)
    path = made(model, calibrate, scheme, **more).model.path
    assert constants(path) == [("float32", (WORDS, WIDTH)), ("int8", (40, WIDTH))]


def test_a_rule_may_want_one_scale(tmp_path: Path, calibrate: Calibrate) -> None:
    model = lookup(tmp_path / "float.tflite", table())
    recipe = Recipe.of("int8", device="cpu", rules=(Rule(pattern="GATHER", compute="int8"),))
    data = calibrate(model, feeds=words(model))
    path = quantize(model, tmp_path / "quantized.tflite", recipe, calibration=data).model.path
    assert kinds(path).count("GATHER") == 1
    assert constants(path) == [("int8", (WORDS, WIDTH))]


@pytest.mark.parametrize("device", ["npu", "ethos-u", "edgetpu"])
def test_where_all_are_integers_rows_are(tmp_path: Path, calibrate: Calibrate, device: str) -> None:
    model = lookup(tmp_path / "float.tflite", table())
    done = made(model, calibrate, device=device, full_integer=True, io_dtype="int8")
    assert not done.float_ops
    assert kinds(done.model.path) == ["GATHER", "MUL"]
    assert constants(done.model.path) == [("int8", (WORDS, WIDTH))]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_recipe_makes_the_same_bytes(tmp_path: Path, calibrate: Calibrate, scheme: str) -> None:
    model = tied(tmp_path / "float.tflite")
    first = made(model, calibrate, scheme).model.path
    data = calibrate(model, feeds=words(model)) if scheme.startswith(("int8", "static")) else None
    again = quantize(
        model, tmp_path / "again.tflite", Recipe.read(path_beside(first)), calibration=data, example=words(model, 1)[0]
    )
    assert again.model.path.read_bytes() == first.read_bytes()


# ---- what is said of it ----


@pytest.mark.parametrize("scheme", ["int8", "dynamic_wi8_afp32"])
def test_it_is_one_operator_to_whoever_asks(tmp_path: Path, calibrate: Calibrate, scheme: str) -> None:
    model = lookup(tmp_path / "float.tflite", table())
    done = made(model, calibrate, scheme)
    path, name = done.model.path, gathered(model)
    assert least_runtime(path).release == "TFLite 2.7"
    assert [(op.op, op.name) for op in done.float_ops if op.op == "GATHER"] == (
        [("GATHER", name)] if scheme == "int8" else []
    )
    layers = PerLayer(model.path.read_bytes(), path.read_bytes())
    for feed in words(model, 4):
        layers.compare(feed)
    (row,) = (error for error in layers.errors() if error.place.tensor == name)
    assert row.place.op == "GATHER"
    assert row.local is not None
    assert 40 < row.local.sqnr_db < 60
    assert name in layers.pair.with_integer_weights()
    found = lint(layers.pair, layers.layers, done.recipe)
    assert [f for f in found if f.severity != "note"] == []
    if scheme != "int8":
        assert found == [], "a file of floats isn't one of integers with floats in it"


def test_steps_and_scales_are_those_of_the_rows() -> None:
    values = table()
    values[3] = np.float32(1e-40)  # subnormal
    steps, largest = lookups._steps(values)
    real = steps.astype(np.float64) / 127 * largest[:, None].astype(np.float64)
    assert (np.abs(real - values) <= 0.5001 * largest[:, None].astype(np.float64) / 127).all()
    assert steps.min() >= -127


def test_what_goes_to_float_keeps_its_table_small(tmp_path: Path) -> None:
    """As repair puts it: float, with weights in 8 bits."""
    model = lookup(tmp_path / "float.tflite", table())
    short = lookup(tmp_path / "short.tflite", table(1000, 8))
    assert in_float(fb.read(model.path.read_bytes()), 0) == "weights"
    assert in_float(fb.read(short.path.read_bytes()), 0) == "float32"
