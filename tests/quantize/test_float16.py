from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from edgeworthy.artifact import TFLiteModel
from edgeworthy.formats.tflite import edit as fb
from edgeworthy.formats.tflite.summary import DTYPE_NAMES, summarize
from edgeworthy.quantize.calibration import CalibrationSet
from edgeworthy.quantize.float16 import store_halves, to_float16
from edgeworthy.quantize.post_training import quantize
from edgeworthy.quantize.recipe import Recipe, Rule

from .conftest import normal_feeds
from .tflite_graph import CONV, FC, NO_ACTIVATION, Graph, Weights, run, worst_sqnr


def halved(model: TFLiteModel, path: Path) -> tuple[Path, dict[str, str]]:
    graph = fb.read(model.path.read_bytes())
    kept = to_float16(graph)
    path.write_bytes(fb.write(graph))
    return path, kept


@pytest.mark.parametrize("network", ["conv_net", "transformer"])
@pytest.mark.parametrize("delegate", [True, False])
def test_half_the_size_and_nearly_the_same_results(
    network: str, delegate: bool, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    model: TFLiteModel = request.getfixturevalue(network)
    path, kept = halved(model, tmp_path / "half.tflite")
    assert not kept
    assert path.stat().st_size < 0.6 * model.size
    assert worst_sqnr(model.path, path, normal_feeds(model, 4), delegate=delegate) > 55


def test_weights_are_rounded_as_numpy_rounds_them(conv_net: TFLiteModel, tmp_path: Path) -> None:
    path, _ = halved(conv_net, tmp_path / "half.tflite")
    model, original = fb.read(path.read_bytes()), fb.read(conv_net.path.read_bytes())
    wanted = {fb.name(t): fb.values(original, t) for t in original.subgraphs[0].tensors}
    found = 0
    for tensor in model.subgraphs[0].tensors:
        if tensor.type == fb.TensorType.FLOAT16:
            weights, half = wanted[fb.name(tensor).removesuffix("_float16")], fb.values(model, tensor)
            assert weights is not None
            assert half is not None
            np.testing.assert_array_equal(half, weights.astype(np.float16))
            found += 1
    assert found == 9, "6 weights and the 3 biases of 64 elements or more"


def test_what_float16_cant_hold_stays(tmp_path: Path) -> None:
    g = Graph(x=(1, 128))
    y = g.op("add", [g.inputs[0], np.full(128, 1e6, np.float32)], (1, 128), **NO_ACTIVATION)
    y = g.op("mul", [y, np.full(128, -np.inf, np.float32)], (1, 128), **NO_ACTIVATION)
    path, kept = halved(g.save(tmp_path / "m.tflite", y=y), tmp_path / "half.tflite")
    assert list(kept.values()) == ["it reaches ±1.0e+06, beyond float16"]
    assert np.isneginf(run(path, {"x": np.zeros((1, 128), np.float32)})["y"]).all()


def test_a_constant_that_several_tensors_share_is_stored_once(tmp_path: Path) -> None:
    w = Weights(0)
    g = Graph(x=(1, 8, 8, 8), v=(1, 8, 72))
    kernel = w(8, 3, 3, 8, fan_in=72)
    y = g.op("conv_2d", [g.inputs[0], kernel, w(8, fan_in=8)], (1, 8, 8, 8), **CONV)
    z = g.op("fully_connected", [g.inputs[1], kernel.reshape(8, 72), g.no_value()], (1, 8, 8), **FC)
    model = g.save(tmp_path / "m.tflite", y=y, z=z)
    graph = fb.read(model.path.read_bytes())
    weights = [t for t in graph.subgraphs[0].tensors if fb.is_constant(graph, t) and len(t.shape) != 1]
    assert len(weights) == 2
    weights[1].buffer = weights[0].buffer
    model.path.write_bytes(fb.write(graph))
    path, _ = halved(model, tmp_path / "half.tflite")
    sizes = [len(b.data) for b in fb.read(path.read_bytes()).buffers if b.data is not None]
    assert [size for size in sizes if size > 100] == [8 * 72 * 2]
    assert worst_sqnr(model.path, path, normal_feeds(model, 2)) > 55


def test_small_constants_stay(tmp_path: Path) -> None:
    g = Graph(x=(1, 8))
    y = g.op("mul", [g.inputs[0], np.full(8, 1 / 3, np.float32)], (1, 8), **NO_ACTIVATION)
    model = g.save(tmp_path / "m.tflite", y=y)
    path, _ = halved(model, tmp_path / "half.tflite")
    (feed,) = normal_feeds(model, 1)
    np.testing.assert_array_equal(run(path, feed)["y"], run(model.path, feed)["y"])


@pytest.mark.parametrize(
    ("scheme", "size", "noted"),
    [("float16", 8, True), ("float16", 64, False), ("dynamic_wi8_afp32", 64, True)],  # a MUL has no weights for int8
)
def test_a_file_that_holds_nothing_of_its_scheme_says_so(tmp_path: Path, scheme: str, size: int, noted: bool) -> None:
    g = Graph(x=(1, size))
    y = g.op("mul", [g.inputs[0], np.full(size, 1 / 3, np.float32)], (1, size), **NO_ACTIVATION)
    made = quantize(g.save(tmp_path / "m.tflite", y=y), tmp_path / "q.tflite", Recipe.of(scheme))
    dtype = "float16" if scheme == "float16" else "int8"
    held = {np.dtype(d["dtype"]).name for d in Interpreter(str(tmp_path / "q.tflite")).get_tensor_details()}
    assert (dtype not in held) == noted
    assert any(f"nothing in the file is {dtype}" in note for note in made.notes) == noted


def test_a_static_file_whose_operators_all_stay_float_is_no_int8_file(
    tmp_path: Path, calibrate: Callable[..., CalibrationSet]
) -> None:
    """The engine's int8 input and output are in the file still, and nothing reads or writes them."""
    g = Graph(x=(1, 8))
    y = g.op("mul", [g.inputs[0], np.full(8, 1 / 3, np.float32)], (1, 8), **NO_ACTIVATION)
    model = g.save(tmp_path / "m.tflite", y=y)
    path, recipe = tmp_path / "q.tflite", Recipe.of("int8", exclude=["MUL"])
    made = quantize(model, path, recipe, calibration=calibrate(model, 4))
    assert "int8" in {np.dtype(d["dtype"]).name for d in Interpreter(str(path)).get_tensor_details()}
    assert any("nothing in the file is int8: every operator stays in float" in note for note in made.notes)
    found = summarize(path)
    assert found.scheme == "float32" and set(found.activation_dtypes) == {"float32"}


@pytest.mark.parametrize("scheme", ["int8", "dynamic", "float16"])
def test_a_rule_gives_some_operators_float16_weights(
    scheme: str, conv_net: TFLiteModel, tmp_path: Path, calibrate: Callable[..., CalibrationSet]
) -> None:
    """A convolution of 36 864 weights, in half the bytes of float32; what isn't meant has the scheme's."""
    original = fb.read(conv_net.path.read_bytes())
    (graph,) = original.subgraphs
    layers = [op for op in graph.operators if fb.op_name(original, op) == "CONV_2D"]
    large = max(layers, key=lambda op: int(np.prod(graph.tensors[op.inputs[1]].shape)))
    name = fb.name(graph.tensors[large.outputs[0]])
    rules = (
        Rule(pattern="CONV_2D", compute="float32", by="operator"),
        Rule(pattern=name, compute="float16", by="result", why="for the test"),
    )
    recipe = Recipe.of(scheme).model_copy(update={"rules": rules})
    made = quantize(conv_net, tmp_path / "q.tflite", recipe, calibration=calibrate(conv_net))
    model = fb.read((tmp_path / "q.tflite").read_bytes())
    constants = [t for t in model.subgraphs[0].tensors if t.buffer and len(t.shape) > 1]
    stored = {int(np.prod(t.shape)): DTYPE_NAMES[t.type] for t in constants}
    halves, kept = 256 * 9 * 16, 96 * 16
    assert stored[halves] == "float16" and stored[kept] == "float32"
    assert stored[256 * 10] == ("float16" if scheme == "float16" else "int8")
    reasons = {op.name: op.reason for op in made.float_ops}
    assert scheme == "float16" or reasons[name] == "for the test"
    feeds = normal_feeds(conv_net, 4)
    for delegate in (True, False):
        assert worst_sqnr(conv_net.path, tmp_path / "q.tflite", feeds, delegate=delegate) > 30


def test_a_constant_that_others_read_in_float32_stays(tmp_path: Path) -> None:
    g, w = Graph(x=(1, 64)), Weights(0)
    kernel = g.const(w(64, 64, fan_in=64))
    y = g.op("fully_connected", [g.inputs[0], kernel, g.no_value()], (1, 64), **FC)
    z = g.op("fully_connected", [y, kernel, g.no_value()], (1, 64), **FC)
    model = fb.read(g.save(tmp_path / "m.tflite", z=z).path.read_bytes())
    (graph,) = model.subgraphs
    names = [fb.name(graph.tensors[op.outputs[0]]) for op in graph.operators]
    store_halves(model, names[:1])
    assert len(graph.operators) == 2
    store_halves(model, names)
    assert [fb.op_name(model, op) for op in graph.operators] == ["DEQUANTIZE", "FULLY_CONNECTED", "FULLY_CONNECTED"]
