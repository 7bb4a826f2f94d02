from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgeworthy.artifact import TFLiteModel
from edgeworthy.formats.tflite import edit as fb
from edgeworthy.quantize.bias import own
from edgeworthy.quantize.calibration import CalibrationSet
from edgeworthy.quantize.post_training import quantize
from edgeworthy.quantize.recipe import Recipe

from .conftest import normal_feeds
from .tflite_graph import CONV, FC, Graph, Weights, i32, run, sqnr, worst_sqnr


def pruned(path: Path, kind: str) -> TFLiteModel:
    """One layer with channels whose weights are zero, or next to it, and whose bias is not."""
    w = Weights(0)
    bias = np.linspace(1, 2, 8).astype(np.float32)
    g = Graph(x=(1, 8, 8, 8))
    if kind == "conv":
        kernel = w(8, 3, 3, 8, fan_in=72)
        kernel[2], kernel[5] = 0, 1e-20
        y = g.op("conv_2d", [g.inputs[0], kernel, bias], (1, 8, 8, 8), **CONV)
    elif kind == "depthwise":
        kernel = w(1, 3, 3, 8, fan_in=9)
        kernel[..., 2], kernel[..., 5] = 0, 1e-20
        y = g.op("depthwise_conv_2d", [g.inputs[0], kernel, bias], (1, 8, 8, 8), **CONV, depth_multiplier=1)
    elif kind == "transposed":
        kernel = w(8, 3, 3, 8, fan_in=18)
        kernel[2], kernel[5] = 0, 1e-20
        options = {"padding": "SAME", "stride_h": 2, "stride_w": 2, "fused_activation_function": "NONE"}
        y = g.op("transpose_conv", [i32(1, 16, 16, 8), kernel, g.inputs[0], bias], (1, 16, 16, 8), **options)
    else:
        kernel = w(8, 8, fan_in=8)
        kernel[2], kernel[5] = 0, 1e-20
        y = g.op("fully_connected", [g.inputs[0], kernel, bias], (1, 8, 8, 8), **FC)
    return g.save(path, y=y)


@pytest.mark.parametrize("kind", ["conv", "depthwise", "transposed", "dense"])
def test_channels_without_weights_keep_their_bias(
    kind: str, tmp_path: Path, calibrate: Callable[..., CalibrationSet]
) -> None:
    model = pruned(tmp_path / "m.tflite", kind)
    result = quantize(model, tmp_path / "q.tflite", Recipe.of("int8"), calibration=calibrate(model))
    assert any("weight scales widened" in note for note in result.notes)
    feeds = normal_feeds(model, 4, seed=1)
    dead = [(run(model.path, f)["y"][..., 2], run(result.model.path, f)["y"][..., 2]) for f in feeds]
    assert min(sqnr(wanted, got) for wanted, got in dead) > 30
    for delegate in (True, False):
        assert worst_sqnr(model.path, result.model.path, feeds, delegate=delegate) > 33


def test_layers_that_share_weights_get_their_own_where_one_is_widened(
    tmp_path: Path, calibrate: Callable[..., CalibrationSet]
) -> None:
    w = Weights(0)
    g = Graph(x=(1, 4, 16))
    kernel = w(16, 16, fan_in=32)
    kernel[3] = 1e-8
    shared = g.const(kernel)
    first = g.op("fully_connected", [g.inputs[0], shared, np.full(16, 1, np.float32)], (1, 4, 16), **FC)
    second = g.op("fully_connected", [g.inputs[0], shared, np.full(16, 1e-9, np.float32)], (1, 4, 16), **FC)
    model = g.save(tmp_path / "m.tflite", first=first, second=second)
    result = quantize(model, tmp_path / "q.tflite", Recipe.of("int8"), calibration=calibrate(model))
    graph = fb.read(result.model.path.read_bytes())
    kernels = {op.inputs[1] for _, _, op in fb.operators(graph) if fb.op_name(graph, op) == "FULLY_CONNECTED"}
    assert len(kernels) == 2
    assert worst_sqnr(model.path, result.model.path, normal_feeds(model, 4, seed=1)) > 33


@pytest.mark.parametrize(
    ("scheme", "least"), [("static_wi4_ai8", 17), ("static_wi8t_ai8", 25), ("static_wi8_ai16", 30)]
)
def test_narrow_weights_and_wide_activations_keep_their_bias(
    scheme: str, least: float, tmp_path: Path, calibrate: Callable[..., CalibrationSet]
) -> None:
    w = Weights(0)
    kernel, bias = w(512, 1024, fan_in=1024), np.linspace(1, 2, 512).astype(np.float32)
    kernel[::7] *= 1e-7
    g = Graph(x=(1, 4, 1024))
    model = g.save(tmp_path / "m.tflite", y=g.op("fully_connected", [g.inputs[0], kernel, bias], (1, 4, 512), **FC))
    result = quantize(model, tmp_path / "q.tflite", Recipe.of(scheme), calibration=calibrate(model, 8))
    feeds = normal_feeds(model, 2, seed=1)
    for delegate in (True, False):
        assert worst_sqnr(model.path, result.model.path, feeds, delegate=delegate) > least
    wanted, got = (np.concatenate([run(p, f)["y"] for f in feeds])[..., ::7] for p in (model.path, result.model.path))
    np.testing.assert_allclose(got, wanted, atol=0.05)


def test_steps_of_a_recurrent_layer_share_what_is_widened(
    tmp_path: Path, calibrate: Callable[..., CalibrationSet]
) -> None:
    """One set of weights, whatever the number of steps and the scale of each one's input."""
    w = Weights(0)
    g = Graph(x=(1, 5, 64))
    kernel, bias = w(64, 64, fan_in=64), np.linspace(-1, 1, 64).astype(np.float32)
    kernel[3], kernel[9] = 0, 1e-9
    shared, offset = g.const(kernel), g.const(bias)
    state = None
    for step in range(5):
        part = g.op("slice", [g.inputs[0], i32(0, step, 0), i32(1, 1, 64)], (1, 1, 64))
        state = part if state is None else g.op("add", [part, state], (1, 1, 64), fused_activation_function="NONE")
        state = g.op("fully_connected", [state, shared, offset], (1, 1, 64), **FC)
    model = g.save(tmp_path / "m.tflite", y=state)
    result = quantize(model, tmp_path / "q.tflite", Recipe.of("int8", ranges="min_max"), calibration=calibrate(model))
    assert any("weight scales widened" in note for note in result.notes)
    graph = fb.read(result.model.path.read_bytes())
    layers = [op for _, _, op in fb.operators(graph) if fb.op_name(graph, op) == "FULLY_CONNECTED"]
    assert len(layers) == 5
    assert len({op.inputs[1] for op in layers}) == 1
    assert [len(b.data) for b in graph.buffers if b.data is not None and len(b.data) == kernel.size] == [kernel.size]
    assert worst_sqnr(model.path, result.model.path, normal_feeds(model, 4, seed=1)) > 25


def test_layers_of_a_large_file_keep_their_bias(tmp_path: Path, calibrate: Callable[..., CalibrationSet]) -> None:
    """From 256 KiB on the quantizer writes constants behind the flatbuffer, where they are read as bytes."""
    w = Weights(0)
    kernel, bias = w(512, 1024, fan_in=1024), np.linspace(1, 2, 512).astype(np.float32)
    kernel[::7] = 0
    g = Graph(x=(1, 4, 1024))
    model = g.save(tmp_path / "m.tflite", y=g.op("fully_connected", [g.inputs[0], kernel, bias], (1, 4, 512), **FC))
    result = quantize(model, tmp_path / "q.tflite", Recipe.of("int8"), calibration=calibrate(model, 8))
    assert any("weight scales widened" in note for note in result.notes)
    assert worst_sqnr(model.path, result.model.path, normal_feeds(model, 2, seed=1)) > 30


def test_healthy_layers_are_left_alone(
    conv_net: TFLiteModel, tmp_path: Path, calibrate: Callable[..., CalibrationSet]
) -> None:
    recipe = Recipe.of("int8", ranges="min_max")
    result = quantize(conv_net, tmp_path / "q.tflite", recipe, calibration=calibrate(conv_net, 8))
    assert result.notes == ()


@pytest.mark.parametrize("bare", [True, False])
def test_one_of_two_readers_gets_its_own(bare: bool, tmp_path: Path) -> None:
    """A tensor of a folded constant has no table of scales at all."""
    g, w = Graph(x=(1, 4, 4, 8)), Weights(0)
    bias = g.const(np.arange(8, dtype=np.float32))
    x = g.inputs[0]
    for _ in range(2):
        x = g.op("conv_2d", [x, w(8, 1, 1, 8, fan_in=8), bias], (1, 4, 4, 8), **CONV)
    model = fb.read(g.save(tmp_path / "m.tflite", y=x).path.read_bytes())
    graph = model.subgraphs[0]
    first, second = (op for op in graph.operators if fb.op_name(model, op) == "CONV_2D")
    index = int(first.inputs[2])
    assert index == second.inputs[2]
    if bare:
        graph.tensors[index].quantization = None
    mine = own(graph, [second], index)
    assert (first.inputs[2], graph.tensors[second.inputs[2]]) == (index, mine) and second.inputs[2] != index
    assert fb.name(mine) != fb.name(graph.tensors[index])
    assert (mine.quantization is None) == bare
    assert own(graph, [second], int(second.inputs[2])) is mine
