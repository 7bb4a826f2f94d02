"""What refines a file beside ranges: clipped weights and corrected biases, held against the LiteRT interpreter."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgeworthy.artifact import TFLiteModel
from edgeworthy.errors import BadInput
from edgeworthy.formats.tflite import edit as fb
from edgeworthy.quantize import weight_ranges
from edgeworthy.quantize.bias_correction import correct
from edgeworthy.quantize.calibration import CalibrationSet
from edgeworthy.quantize.post_training import quantize
from edgeworthy.quantize.ranges import Observer
from edgeworthy.quantize.recipe import Recipe

from .conftest import normal_feeds
from .tflite_graph import CONV, FC, Array, Graph, Weights, run, worst_sqnr

Calibrate = Callable[..., CalibrationSet]


# ---- weights ----


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("kind", ["normal", "laplace", "few", "outlier", "zeros", "one", "ties"])
def test_no_other_limit_is_much_better(kind: str, bits: int) -> None:
    """By a search through a thousand limits, with the error that is really made."""
    draw = np.random.default_rng(bits)
    rows = {
        "normal": draw.normal(size=(4, 2000)), "laplace": draw.laplace(size=(4, 2000)), "few": draw.normal(size=(4, 9)),
        "outlier": np.concatenate([draw.normal(size=(4, 2000)), np.full((4, 1), 40.0)], 1),
        "zeros": np.zeros((4, 9)), "one": np.eye(4, 9) * -3.0, "ties": np.full((4, 9), 0.25),
    }[kind]  # fmt: skip
    found, most = weight_ranges.limits(rows, bits), 2 ** (bits - 1) - 1
    largest = np.abs(rows).max(axis=1)
    assert (found <= largest).all()

    def noise(limits: Array) -> Array:
        step = np.maximum(limits, 1e-30)[:, None] / most
        error: Array = ((np.clip(np.rint(rows / step), -most, most) * step - rows) ** 2).sum(axis=1)
        return error

    assert (noise(found) <= noise(largest)).all()
    least = np.min([noise(largest * part) for part in np.linspace(0.001, 1, 1000)], axis=0)
    if kind in ("normal", "laplace", "outlier"):
        assert (noise(found) <= 1.15 * least + 1e-12).all()
    if kind == "outlier" and bits == 4:
        assert (noise(found) < noise(largest)).all()


def heavy(path: Path) -> TFLiteModel:
    """Layers with a few weights far beyond the others, as trained ones have, and a channel without any."""
    w, draw = Weights(0), np.random.default_rng(5)

    def weights(*shape: int) -> Array:
        drawn: Array = (draw.standard_t(3, shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)
        return drawn

    g = Graph(x=(1, 8, 8, 16))
    kernel = weights(32, 3, 3, 16)
    kernel[7] = 0
    x = g.op("relu", [g.op("conv_2d", [g.inputs[0], kernel, w(32, fan_in=50)], (1, 8, 8, 32), **CONV)], (1, 8, 8, 32))
    depthwise = [weights(1, 3, 3, 32), w(32, fan_in=50)]
    x = g.op("relu", [g.op("depthwise_conv_2d", [x, *depthwise], (1, 8, 8, 32), **CONV, depth_multiplier=1)],
             (1, 8, 8, 32))  # fmt: skip
    x = g.op("fully_connected", [x, weights(24, 32), w(24, fan_in=50)], (1, 8, 8, 24), **FC)
    return g.save(path, y=x)


@pytest.mark.parametrize("scheme", ["static_wi4_ai8", "dynamic_wi4_afp32", "weight_only_wi4_afp32"])
def test_clipped_weights_are_truer_in_few_steps(scheme: str, tmp_path: Path, calibrate: Calibrate) -> None:
    model = heavy(tmp_path / "m.tflite")
    data, fresh = calibrate(model), normal_feeds(model, 8, 1)

    def made(weights: str) -> tuple[float, bytes]:
        path = tmp_path / f"{weights}.tflite"
        recipe = Recipe.of(scheme, ranges="min_max", weight_ranges=weights)
        found = quantize(model, path, recipe, calibration=data)
        again = quantize(model, tmp_path / "again.tflite", found.recipe, calibration=data)
        assert found.recipe.weight_ranges == weights
        assert again.model.sha256 == found.model.sha256
        return worst_sqnr(model.path, path, fresh), path.read_bytes()

    (plain, _), (clipped, content) = made("max"), made("octav")
    assert clipped > plain + 0.5
    scales = [t.quantization.scale for t in fb.read(content).subgraphs[0].tensors if t.quantization is not None]
    assert all(np.isfinite(s).all() and (s > 0).all() for s in scales if s is not None), "of a channel of zeros too"


# ---- biases ----


def positive(path: Path, kind: str) -> TFLiteModel:
    """A layer behind a RELU, whose input has means far from zero."""
    w = Weights(2)
    g = Graph(x=(1, 7, 6, 16))
    x = g.op("relu", g.inputs, (1, 7, 6, 16))
    if kind == "dense":
        y = g.op("fully_connected", [x, w(24, 16, fan_in=16), w(24, fan_in=8)], (1, 7, 6, 24), **FC)
    elif kind == "flattened":
        flat = FC | {"keep_num_dims": False}
        y = g.op("fully_connected", [x, w(24, 672, fan_in=672), w(24, fan_in=8)], (1, 24), **flat)
    elif kind == "depthwise":
        strided = CONV | {"stride_h": 2, "dilation_w_factor": 1, "stride_w": 2}
        y = g.op("depthwise_conv_2d", [x, w(1, 3, 3, 32, fan_in=9), w(32, fan_in=8)], (1, 4, 3, 32), **strided,
                 depth_multiplier=2)  # fmt: skip
    elif kind == "grouped":
        y = g.op("conv_2d", [x, w(24, 3, 3, 4, fan_in=36), w(24, fan_in=8)], (1, 7, 6, 24), **CONV)
    else:
        dilated = CONV | {"dilation_h_factor": 2, "padding": "VALID" if kind == "valid" else "SAME"}
        shape = (1, 3, 4, 24) if kind == "valid" else (1, 7, 6, 24)
        y = g.op("conv_2d", [x, w(24, 3, 3, 16, fan_in=144), w(24, fan_in=8)], shape, **dilated)
    return g.save(path, y=y)


@pytest.mark.parametrize("kind", ["dense", "flattened", "depthwise", "grouped", "same", "valid"])
def test_the_mean_of_every_channel_comes_back(kind: str, tmp_path: Path) -> None:
    """By weights that are off: the interpreter's mean of each channel is the float model's again."""
    path = positive(tmp_path / "m.tflite", kind).path
    original, off = fb.read(path.read_bytes()), fb.read(path.read_bytes())
    observer, feeds = Observer(path.read_bytes()), []
    for seed in range(200):
        feeds.append({"x": np.random.default_rng(seed).normal(size=(1, 7, 6, 16)).astype(np.float32)})
        observer.observe(feeds[-1])
    (layer,) = (op for op in off.subgraphs[0].operators if fb.op_name(off, op) != "RELU")
    weights = off.subgraphs[0].tensors[layer.inputs[1]]
    real = fb.values(off, weights)
    assert real is not None
    scale = float(np.abs(real).max()) / 7
    weights.buffer, weights.type = fb.add_buffer(off, np.rint(real / scale).astype(np.int8)), fb.TensorType.INT8
    weights.quantization.scale, weights.quantization.zeroPoint = np.float32([scale]), np.int64([0])
    assert len(correct(off, original, observer.means)) == 1
    rounded = fb.read(path.read_bytes())
    graph = rounded.subgraphs[0]
    graph.tensors[layer.inputs[1]].buffer = fb.add_buffer(rounded, (np.rint(real / scale) * scale).astype(np.float32))

    def means(biases: Array, *, off: bool = True) -> Array:
        graph.tensors[layer.inputs[2]].buffer = fb.add_buffer(rounded, biases)
        (tmp_path / "r.tflite").write_bytes(fb.write(rounded if off else original))
        results = [run(tmp_path / "r.tflite", feed)["y"].reshape(-1, biases.size) for feed in feeds]
        mean: Array = np.concatenate(results).mean(axis=0)
        return mean

    plain = fb.values(original, original.subgraphs[0].tensors[layer.inputs[2]])
    corrected = fb.values(off, off.subgraphs[0].tensors[layer.inputs[2]])
    assert plain is not None and corrected is not None
    truth = means(plain, off=False)
    before, after = (np.abs(means(biases) - truth).max() for biases in (plain, corrected))
    assert before > 0.02
    assert after < 0.15 * before


def test_a_float_bias_that_two_layers_share_is_corrected_for_one(tmp_path: Path) -> None:
    """Other converters' files have such ones, without parameters of quantization: onnx-tf's of MobileNetV2, for one."""
    w, g = Weights(2), Graph(x=(1, 16))
    x, shared = g.op("relu", g.inputs, (1, 16)), w(24, fan_in=8)
    one, other = (g.op("fully_connected", [x, w(24, 16, fan_in=16), shared], (1, 24), **FC) for _ in range(2))
    path = g.save(tmp_path / "m.tflite", one=one, other=other).path
    original, off = fb.read(path.read_bytes()), fb.read(path.read_bytes())
    observer = Observer(path.read_bytes())
    observer.observe({"x": np.abs(np.random.default_rng(0).normal(size=(1, 16))).astype(np.float32)})
    graph = off.subgraphs[0]
    first, second = (op for op in graph.operators if fb.op_name(off, op) == "FULLY_CONNECTED")
    second.inputs[2] = first.inputs[2]
    graph.tensors[first.inputs[2]].quantization = None
    weights = graph.tensors[first.inputs[1]]
    real = fb.values(off, weights)
    assert real is not None
    weights.buffer, weights.type = fb.add_buffer(off, np.rint(real * 4).astype(np.int8)), fb.TensorType.INT8
    weights.quantization.scale, weights.quantization.zeroPoint = np.float32([0.25]), np.int64([0])
    assert len(correct(off, original, observer.means)) == 1
    changed, kept = (fb.values(off, graph.tensors[op.inputs[2]]) for op in (first, second))
    plain = fb.values(original, original.subgraphs[0].tensors[second.inputs[2]])
    assert plain is not None and kept is not None and changed is not None
    np.testing.assert_array_equal(kept, plain)
    assert np.abs(changed - plain).max() > 0.01


@pytest.mark.parametrize(("scheme", "gain"), [("static_wi4_ai8", 1.5), ("static_wi8t_ai8", 0.0)])
def test_corrected_biases_make_a_file_truer(
    scheme: str, gain: float, tmp_path: Path, calibrate: Calibrate, conv_net: TFLiteModel
) -> None:
    data, fresh = calibrate(conv_net), normal_feeds(conv_net, 16, 1)
    made = {
        told: quantize(
            conv_net, tmp_path / f"{told}.tflite",
            Recipe.of(scheme, ranges="min_max", bias_correction=told), calibration=data,
        )
        for told in ("off", "on", "auto")
    }  # fmt: skip
    plain, corrected = (worst_sqnr(conv_net.path, made[told].model.path, fresh) for told in ("off", "on"))
    assert corrected > plain + gain
    for delegate in (True, False):
        assert worst_sqnr(conv_net.path, made["on"].model.path, fresh, delegate=delegate) > plain + gain
    assert [c.name for c in made["auto"].ranges] == ["min_max", "min_max, biases corrected"]
    assert made["auto"].recipe.bias_correction in ("on", "off")
    again = quantize(conv_net, tmp_path / "again.tflite", made["on"].recipe, calibration=data)
    assert again.model.sha256 == made["on"].model.sha256 != made["off"].model.sha256


def test_biases_of_a_scheme_without_samples_cant_be_corrected(conv_net: TFLiteModel, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="takes no samples, and biases are corrected by means"):
        quantize(conv_net, tmp_path / "q.tflite", Recipe.of("dynamic_wi8_afp32", bias_correction="on"))
