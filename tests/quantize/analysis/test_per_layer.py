"""The error of each layer, against readings that don't come from it: the interpreter's own outputs, and numpy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from edgeworthy.analysis import LayerError
from edgeworthy.errors import RuntimeFailure
from edgeworthy.formats.tflite import edit as fb
from edgeworthy.quantize.analysis.analyze import analyze

from ..tflite_graph import FC, Array, Graph, Weights, run, sqnr, worst_sqnr
from . import planted
from .conftest import Analyzed

Get = Callable[[str], Analyzed]
EVERY = [f"{net}:{scheme}" for net in ("conv_net", "transformer") for scheme in ("int8", "dynamic", "float16")]


def layer(analyzed: Analyzed, tensor: str) -> LayerError:
    return next(found for found in analyzed.found.layers if found.place.tensor == tensor)


@pytest.mark.parametrize("name", [n.replace(":dynamic", ":dynamic_wi8_afp32") for n in EVERY])
def test_the_outputs_accumulated_error_is_what_two_runs_show(name: str, analyzed: Get) -> None:
    one = analyzed(name)
    outputs = {n: f"serving_default_{n}_output" for n in run(one.floating.path, one.held[0])}
    found = [layer(one, tensor).accumulated.sqnr_db for tensor in outputs.values()]
    assert min(f for f in found if f is not None) == pytest.approx(
        worst_sqnr(one.floating.path, one.quantized.path, one.held), abs=1e-3
    )


@pytest.mark.parametrize("name", ["conv_net:int8", "transformer:int8", "transformer:dynamic_wi8_afp32", "head"])
def test_every_float_activation_is_compared(name: str, analyzed: Get) -> None:
    one = analyzed(name)
    graph = fb.read(fb.load(one.floating.path)).subgraphs[0]
    made = {fb.name(graph.tensors[o]) for op in graph.operators for o in op.outputs} | {
        fb.name(graph.tensors[i]) for i in graph.inputs
    }
    assert {found.place.tensor for found in one.found.layers} == made
    assert (one.found.layer_count, one.found.unmatched, one.found.samples) == (len(made), 0, 6)
    assert sorted(found.index for found in one.found.layers) == list(range(len(made)))


def _fully_connected_alone(one: Analyzed) -> tuple[list[Array], list[Array]]:
    """Truth and result of conv_net's FULLY_CONNECTED in steps, by numpy from the float model's own values."""
    truths, gots = [], []
    model = fb.read(fb.load(one.quantized.path))
    graph = model.subgraphs[0]
    op = next(o for o in graph.operators if fb.op_name(model, o) == "FULLY_CONNECTED")
    source, weights, bias = (graph.tensors[i] for i in op.inputs)
    result = graph.tensors[op.outputs[0]]
    floating = Interpreter(str(one.floating.path), experimental_preserve_all_tensors=True,
                           experimental_op_resolver_type=OpResolverType.BUILTIN)  # fmt: skip
    floating.allocate_tensors()
    names = {d["name"]: d["index"] for d in floating.get_tensor_details()}
    scale = [float(t.quantization.scale[0]) for t in (source, result)]
    zero = [int(t.quantization.zeroPoint[0]) for t in (source, result)]
    rows = np.asarray(fb.values(model, weights), np.int64)
    offset = np.asarray(fb.values(model, bias), np.int64)
    for feed in one.held:
        floating.set_tensor(floating.get_input_details()[0]["index"], feed["image"])
        floating.invoke()
        x = np.clip(np.rint(floating.get_tensor(names[fb.name(source)]).astype(float) / scale[0]) + zero[0], -128, 127)
        sums = (x.astype(np.int64) - zero[0]) @ rows.T + offset
        y = np.clip(np.rint(sums * scale[0] * np.asarray(weights.quantization.scale) / scale[1]) + zero[1], -128, 127)
        truths.append(floating.get_tensor(names["serving_default_logits_output"]))
        gots.append((y - zero[1]) * scale[1])
    return truths, gots


def test_local_error_is_the_operators_own(analyzed: Get) -> None:
    one = analyzed("conv_net:int8")
    truths, gots = _fully_connected_alone(one)
    found = layer(one, "serving_default_logits_output")
    assert found.local is not None
    assert found.local.sqnr_db == pytest.approx(sqnr(np.stack(truths), np.stack(gots)), abs=0.05)
    assert found.local.quality_db > found.accumulated.quality_db, "the logits inherit most of their error"


@pytest.mark.parametrize("scheme", ["dynamic_wi8_afp32", "float16"])
def test_an_operator_without_weights_makes_no_error_in_float(scheme: str, analyzed: Get) -> None:
    one = analyzed(f"conv_net:{scheme}")
    for name in ("n3_relu6", "n9_add", "n12_mean1"):
        found = layer(one, name)
        assert found.local is not None
        assert found.local.exact
        assert not found.accumulated.exact
        assert (found.there, found.rounding, found.local.mean_quanta) == (None, None, None)


def test_rounding_is_half_a_step_at_most(analyzed: Get) -> None:
    for found in analyzed("conv_net:int8").found.layers:
        assert found.rounding is not None
        assert found.rounding.max_quanta is not None
        assert found.local is None or found.local.quality_db <= found.rounding.quality_db + 0.1
        assert found.saturated > 0 or found.rounding.max_quanta <= 1.01, found.place.tensor


def test_the_planted_outlier_comes_first_and_by_far(analyzed: Get) -> None:
    worst, second = analyzed("outlier").found.layers[:2]
    assert (worst.place.op, worst.place.tensor) == ("CONV_2D", "n7_conv_2d2")
    assert worst.local_db < 3
    assert second.local_db > 30
    assert analyzed("chain").found.layers[0].local_db > 30


def test_the_join_of_unlike_ranges_comes_first_and_explains_its_neighbours(analyzed: Get) -> None:
    layers = analyzed("head").found.layers
    worst = layers[0]
    assert (worst.place.op, worst.local_db) == ("CONCATENATION", pytest.approx(0, abs=0.1))
    assert worst.local is not None
    assert (worst.local.channels, worst.local.sqnr_db) == ("4–15", pytest.approx(38.6, abs=1))
    explained = {found.place.op: found.scale_of for found in layers if found.scale_of}
    assert explained == {"RESHAPE": worst.place.tensor, "MUL": worst.place.tensor}


def test_histograms_hold_every_value_and_the_range(analyzed: Get) -> None:
    one = analyzed("outlier")
    drawn = {found.place.tensor: found for found in one.found.histograms}
    assert list(drawn) == [found.place.tensor for found in one.found.layers[:8]]
    for name, found in drawn.items():
        error = layer(one, name)
        assert sum(found.counts) == 6 * 8 * 8 * 24
        assert found.there == error.there
        assert found.edges[0] <= error.used[0]
        assert found.edges[1] >= error.used[1]
        assert found.clipped == error.saturated


def test_saturation_and_ranges_are_counted(analyzed: Get) -> None:
    one = analyzed("conv_net:int8")
    image = np.stack([feed["image"] for feed in one.held]).astype(np.float64)
    found = layer(one, "serving_default_image")
    assert found.there is not None
    low, high = found.there
    step = (high - low) / 255
    assert found.used == (image.min(), image.max())
    assert found.saturated == pytest.approx(np.mean((image < low - step) | (image > high + step)), abs=1e-9)
    assert found.used_share == pytest.approx((image.max() - image.min()) / (high - low))


def test_samples_of_other_extents(tmp_path: Path) -> None:
    """A dynamic batch: the figures are those of all samples, whatever the size of each."""
    w, g = Weights(5), Graph(x=(None, 6))
    y = g.op("fully_connected", [g.inputs[0], w(4, 6, fan_in=9), w(4, fan_in=50)], (None, 4), **FC)
    model = g.save(tmp_path / "m.tflite", y=g.op("logistic", [y], (None, 4)))
    random = np.random.default_rng(0)
    feeds = [{"x": random.normal(size=(n, 6)).astype(np.float32)} for n in (1, 7, 3, 40)]
    file = planted.force(model, tmp_path / "q.tflite", feeds)
    found = analyze(model, file, feeds)
    last = next(layer for layer in found.layers if layer.place.op == "LOGISTIC")
    wanted, got = ([np.ravel(resized(path, feed)) for feed in feeds] for path in (model.path, file.path))
    assert last.accumulated.sqnr_db == pytest.approx(sqnr(np.concatenate(wanted), np.concatenate(got)), abs=1e-3)


def resized(path: Path, feed: dict[str, Array]) -> Array:
    interpreter = Interpreter(str(path))
    interpreter.resize_tensor_input(interpreter.get_input_details()[0]["index"], feed["x"].shape)
    interpreter.allocate_tensors()
    found: Array = interpreter.get_signature_runner()(**feed)["y"]
    return found


def test_a_file_that_the_runtime_refuses_is_an_error_that_says_so(analyzed: Get, tmp_path: Path) -> None:
    one = analyzed("conv_net:int8")
    model = fb.read(fb.load(one.quantized.path))
    graph = model.subgraphs[0]
    op = next(o for o in graph.operators if fb.op_name(model, o) == "ADD")
    op.inputs = [op.inputs[0], next(o for o in graph.operators if fb.op_name(model, o) == "MEAN").outputs[0]]
    (tmp_path / "bad.tflite").write_bytes(fb.write(model))
    bad = replace(one.quantized, path=tmp_path / "bad.tflite")
    with pytest.raises(RuntimeFailure, match=r"analyzing bad\.tflite") as caught:
        analyze(one.floating, bad, one.held)
    assert "--analyze" in str(caught.value)
