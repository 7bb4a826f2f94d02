from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgeworthy.artifact import TensorSpec, TFLiteModel
from edgeworthy.errors import BadInput
from edgeworthy.formats.tflite import edit as fb
from edgeworthy.formats.tflite.summary import summarize
from edgeworthy.quantize.calibration import CalibrationSet, load_calibration
from edgeworthy.quantize.post_training import quantize
from edgeworthy.quantize.recipe import Recipe
from edgeworthy.schemes import QUANTIZED, SCHEMES

from ..noops import noops
from .conftest import normal_feeds
from .test_ranges import added, attention, masks
from .tflite_graph import CONV, FC, NO_ACTIVATION, Graph, Weights, i32, run, worst_sqnr

Calibrate = Callable[..., CalibrationSet]


# ---- results ----


@pytest.mark.parametrize("delegate", [True, False])
@pytest.mark.parametrize(
    ("network", "scheme", "sqnr", "size"),
    [
        ("conv_net", "float16", 60, 0.56),
        ("conv_net", "dynamic_wi8_afp32", 33, 0.32),
        ("conv_net", "weight_only_wi8_afp32", 33, 0.34),
        ("conv_net", "int8", 33, 0.34),
        ("conv_net", "dynamic_wi4_afp32", 18, 0.21),
        ("conv_net", "dynamic_wi4b32_afp32", 20, 0.31),
        ("conv_net", "weight_only_wi4_afp32", 18, 0.21),
        ("conv_net", "static_wi8t_ai8", 33, 0.30),
        ("conv_net", "static_wi4_ai8", 18, 0.22),
        ("transformer", "float16", 60, 0.56),
        ("transformer", "dynamic_wi8_afp32", 36, 0.34),
        ("transformer", "weight_only_wi8_afp32", 36, 0.36),
        ("transformer", "int8", 26, 0.36),
        ("transformer", "dynamic_wi4_afp32", 16, 0.22),
        ("transformer", "dynamic_wi4b32_afp32", 18, 0.21),
        ("transformer", "weight_only_wi4_afp32", 16, 0.23),
        ("transformer", "static_wi8t_ai8", 26, 0.32),
        ("transformer", "static_wi8_ai16", 38, 0.37),
        ("transformer", "static_wi4_ai8", 14, 0.25),
    ],
)
def test_networks_keep_their_results(
    network: str,
    scheme: str,
    sqnr: float,
    size: float,
    delegate: bool,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    calibrate: Calibrate,
) -> None:
    model: TFLiteModel = request.getfixturevalue(network)
    result = quantize(model, tmp_path / "q.tflite", Recipe.of(scheme), calibration=calibrate(model, 64))
    assert result.float_ops == ()
    assert noops(result.model.path) == []
    assert result.model.size < size * model.size
    assert worst_sqnr(model.path, result.model.path, normal_feeds(model, 8, seed=1), delegate=delegate) > sqnr


def test_what_has_no_16_bit_kernel_stays_float(conv_net: TFLiteModel, tmp_path: Path, calibrate: Calibrate) -> None:
    recipe = Recipe.of("static_wi8_ai16")
    result = quantize(conv_net, tmp_path / "q.tflite", recipe, calibration=calibrate(conv_net, 64))
    assert [op.op for op in result.float_ops] == ["HARD_SWISH"]
    assert "no static_wi8_ai16 form" in result.float_ops[0].reason
    assert "int16" in summarize(result.model.path).activation_dtypes
    assert [spec.dtype for spec in (*result.model.inputs, *result.model.outputs)] == ["float32"] * 3
    for delegate in (True, False):
        assert worst_sqnr(conv_net.path, result.model.path, normal_feeds(conv_net, 8, 1), delegate=delegate) > 38


@pytest.mark.parametrize("name", [scheme.name for scheme in QUANTIZED])
def test_a_file_is_known_by_its_scheme(
    name: str, transformer: TFLiteModel, tmp_path: Path, calibrate: Calibrate
) -> None:
    """As far as bits tell: what shares a scale isn't asked."""
    made = quantize(transformer, tmp_path / "q.tflite", Recipe.of(name), calibration=calibrate(transformer, 2))
    found = SCHEMES[summarize(made.model.path).scheme]
    wanted = SCHEMES[name]
    assert (found.method, found.weights, found.activations) == (wanted.method, wanted.weights, wanted.activations)
    again = quantize(transformer, tmp_path / "r.tflite", made.recipe, calibration=calibrate(transformer, 2))
    assert again.model.sha256 == made.model.sha256


def test_where_weights_dominate_int8_takes_at_most_30_percent(tmp_path: Path, calibrate: Calibrate) -> None:
    w = Weights(0)
    g = Graph(x=(1, 8, 8, 64))
    x = g.inputs[0]
    for _ in range(3):
        x = g.op("conv_2d", [x, w(64, 3, 3, 64, fan_in=576), w(64, fan_in=50)], (1, 8, 8, 64), **CONV)
        x = g.op("relu", [x], (1, 8, 8, 64))
    model = g.save(tmp_path / "m.tflite", y=x)
    for scheme, share in (("int8", 0.28), ("dynamic_wi8_afp32", 0.28), ("float16", 0.51)):
        result = quantize(model, tmp_path / f"{scheme}.tflite", Recipe.of(scheme), calibration=calibrate(model, 4))
        assert result.model.size < share * model.size


def test_trained_digits_keep_their_accuracy(tmp_path: Path, calibrate: Calibrate) -> None:
    """An MLP trained on scikit-learn's digits; int8 stays within a point of float."""
    from sklearn.datasets import load_digits
    from sklearn.neural_network import MLPClassifier

    images, labels = load_digits(return_X_y=True)
    images = (images / 16).astype(np.float32)
    network = MLPClassifier((64,), max_iter=300, tol=1e-3, random_state=0).fit(images[:1200], labels[:1200])
    g = Graph(x=(1, 64))
    flat = FC | {"keep_num_dims": False}
    (first, last), (first_bias, last_bias) = network.coefs_, network.intercepts_
    x = g.op("fully_connected", [g.inputs[0], first.T.astype("f"), first_bias.astype("f")], (1, 64), **flat)
    x = g.op("relu", [x], (1, 64))
    x = g.op("fully_connected", [x, last.T.astype("f"), last_bias.astype("f")], (1, 10), **flat)
    model = g.save(tmp_path / "m.tflite", y=x)
    np.savez(tmp_path / "c.npz", x=images[:200])
    data = load_calibration(tmp_path / "c.npz", model.inputs)

    def accuracy(path: Path) -> float:
        feeds = [{"x": image[None]} for image in images[1200:]]
        guesses = [int(run(path, feed)["y"].argmax()) for feed in feeds]
        return float(np.mean(guesses == labels[1200:]))

    reference = accuracy(model.path)
    assert reference > 0.9
    for scheme in ("float16", "dynamic_wi8_afp32", "int8"):
        result = quantize(model, tmp_path / "q.tflite", Recipe.of(scheme), calibration=data)
        assert abs(accuracy(result.model.path) - reference) < 0.01


def test_weights_are_per_channel_and_symmetric_and_biases_int32(
    conv_net: TFLiteModel, tmp_path: Path, calibrate: Calibrate
) -> None:
    result = quantize(conv_net, tmp_path / "q.tflite", Recipe.of("int8"), calibration=calibrate(conv_net, 8))
    (graph,) = summarize(result.model.path).graphs
    axes = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 0}
    found = 0
    for op in graph.ops:
        if op.op in axes:
            source, weights, bias = (graph.tensors[i] for i in op.inputs[:3])
            assert source.quantization is not None
            assert weights.quantization is not None
            assert (source.dtype, weights.dtype, bias.dtype) == ("int8", "int8", "int32")
            assert source.quantization.channels == 1
            assert weights.quantization.axis == axes[op.op]
            assert weights.quantization.channels == weights.shape[axes[op.op]]
            found += 1
    model = fb.read(result.model.path.read_bytes())
    for tensor in model.subgraphs[0].tensors:
        if tensor.quantization is not None and tensor.quantization.scale is not None:
            zero_points = np.asarray(tensor.quantization.zeroPoint)
            assert not (fb.is_constant(model, tensor) and zero_points.any())
    assert found == 6


def test_the_result_tells_how_it_came_about(conv_net: TFLiteModel, tmp_path: Path, calibrate: Calibrate) -> None:
    path = tmp_path / "new" / "q.tflite"
    result = quantize(conv_net, path, Recipe.of("int8", io_dtype="uint8"), calibration=calibrate(conv_net, 5))
    assert result.model.path == path
    assert result.model.scheme == result.scheme == "static_wi8_ai8"
    assert result.engine.startswith("ai-edge-quantizer 0.10")
    assert result.io_dtype == "uint8"
    assert result.calibration is not None
    assert result.calibration.endswith("calibration.npz: 5 samples")
    assert (result.samples, result.fit_for_deployment) == (5, True)
    assert 0 < result.seconds < 60
    weights_only = quantize(conv_net, path, Recipe.of("float16"), calibration=calibrate(conv_net, 5))
    assert (weights_only.calibration, weights_only.samples) == (None, 0)


def test_noise_is_stamped(conv_net: TFLiteModel, tmp_path: Path) -> None:
    noise = load_calibration("random", conv_net.inputs, samples=4)
    result = quantize(conv_net, tmp_path / "q.tflite", Recipe.of("int8"), calibration=noise)
    assert not result.fit_for_deployment
    assert quantize(conv_net, tmp_path / "h.tflite", Recipe.of("float16"), calibration=noise).fit_for_deployment


@pytest.mark.parametrize("scheme", ["float16", "dynamic_wi8_afp32", "int8"])
def test_two_runs_give_the_same_bytes(
    scheme: str, transformer: TFLiteModel, tmp_path: Path, calibrate: Calibrate
) -> None:
    data = calibrate(transformer, 8)
    one, two = (
        quantize(transformer, tmp_path / f"{i}.tflite", Recipe.of(scheme), calibration=data, threads=i) for i in (1, 2)
    )
    assert one.model.sha256 == two.model.sha256


def test_progress_counts_the_feeds(conv_net: TFLiteModel, tmp_path: Path, calibrate: Calibrate) -> None:
    seen: list[tuple[int, int]] = []
    data = calibrate(conv_net, 3)
    quantize(
        conv_net,
        tmp_path / "q.tflite",
        Recipe.of("int8"),
        calibration=data,
        progress=lambda *done: seen.append(done),
    )
    assert seen == [(1, 3), (2, 3), (3, 3)]


# ---- shapes, layouts, structures ----


def test_samples_in_the_source_layout_are_permuted(tmp_path: Path) -> None:
    w = Weights(0)
    g = Graph(image=(1, 8, 8, 3))
    y = g.op("conv_2d", [g.inputs[0], w(8, 3, 3, 3, fan_in=27), w(8, fan_in=8)], (1, 8, 8, 8), **CONV)
    model = g.save(tmp_path / "m.tflite", y=y)
    images = np.random.default_rng(0).normal(size=(16, 3, 8, 8)).astype(np.float32)
    images *= np.array([1, 5, 25], np.float32)[:, None, None]
    np.savez(tmp_path / "nchw.npz", image=images)
    source = (TensorSpec("image", "float32", (1, 3, 8, 8)),)
    np.savez(tmp_path / "nhwc.npz", image=images.transpose(0, 2, 3, 1))
    permuted = quantize(
        model,
        tmp_path / "permuted.tflite",
        Recipe.of("int8"),
        calibration=load_calibration(tmp_path / "nchw.npz", source),
        permute={"image": (0, 2, 3, 1)},
    )
    direct = quantize(
        model,
        tmp_path / "direct.tflite",
        Recipe.of("int8"),
        calibration=load_calibration(tmp_path / "nhwc.npz", model.inputs),
    )
    assert permuted.model.sha256 == direct.model.sha256
    with pytest.raises(BadInput, match="shape"):
        quantize(
            model,
            tmp_path / "q.tflite",
            Recipe.of("int8"),
            calibration=load_calibration(tmp_path / "nchw.npz", source),
        )


@pytest.mark.parametrize("scheme", ["float16", "dynamic_wi8_afp32", "int8"])
def test_dynamic_batches(scheme: str, tmp_path: Path, calibrate: Calibrate) -> None:
    w = Weights(0)
    g = Graph(x=(None, 8, 8, 3))
    x = g.op("conv_2d", [g.inputs[0], w(8, 3, 3, 3, fan_in=27), w(8, fan_in=8)], (None, 8, 8, 8), **CONV)
    x = g.op("mean", [x, i32(1, 2)], (None, 8), keep_dims=False)
    flat = FC | {"keep_num_dims": False}
    x = g.op("fully_connected", [x, w(4, 8, fan_in=8), w(4, fan_in=8)], (None, 4), **flat)
    model = g.save(tmp_path / "m.tflite", y=x)
    result = quantize(model, tmp_path / "q.tflite", Recipe.of(scheme), calibration=calibrate(model, 16))
    assert result.model.inputs == model.inputs == (TensorSpec("x", "float32", ("batch", 8, 8, 3)),)
    assert result.float_ops == ()
    assert worst_sqnr(model.path, result.model.path, normal_feeds(model, 4)) > 28


def test_an_int64_input_of_the_source_fits_an_int32_one(tmp_path: Path) -> None:
    g = Graph(rows=((1, 4), "int32"))
    y = g.op("gather", [Weights(0)(50, 64, fan_in=2), g.inputs[0]], (1, 4, 64), axis=0, batch_dims=0)
    model = g.save(tmp_path / "m.tflite", y=y)
    source = (TensorSpec("rows", "int64", (1, 4)),)
    np.savez(tmp_path / "c.npz", rows=np.arange(40).reshape(10, 4))
    data = load_calibration(tmp_path / "c.npz", source)
    assert quantize(model, tmp_path / "q.tflite", Recipe.of("int8"), calibration=data).model.size < model.size
    np.savez(tmp_path / "c.npz", rows=np.full((10, 4), 2**40))
    with pytest.raises(BadInput, match="don't fit the TFLite input's int32"):
        data = load_calibration(tmp_path / "c.npz", source)
        quantize(model, tmp_path / "q.tflite", Recipe.of("int8"), calibration=data)


@pytest.mark.parametrize("scheme", ["dynamic_wi8_afp32", "int8"])
def test_constants_that_several_operators_read(scheme: str, tmp_path: Path, calibrate: Calibrate) -> None:
    w = Weights(0)
    g = Graph(x=(1, 64, 64))
    weights, bias = g.const(w(64, 64, fan_in=64)), g.const(w(64, fan_in=8))
    x = g.op("fully_connected", [g.inputs[0], weights, bias], (1, 64, 64), **FC)
    x = g.op("relu", [x], (1, 64, 64))
    x = g.op("fully_connected", [x, weights, bias], (1, 64, 64), **FC)
    x = g.op("add", [x, weights], (1, 64, 64), **NO_ACTIVATION)
    x = g.op("minimum", [x, bias], (1, 64, 64))
    model = g.save(tmp_path / "m.tflite", y=x)
    result = quantize(model, tmp_path / "q.tflite", Recipe.of(scheme), calibration=calibrate(model, 16))
    assert worst_sqnr(model.path, result.model.path, normal_feeds(model, 4, seed=1)) > 28


def test_bodies_of_control_flow_stay_float(tmp_path: Path, calibrate: Calibrate) -> None:
    model = _with_body(tmp_path / "m.tflite")
    result = quantize(model, tmp_path / "q.tflite", Recipe.of("int8"), calibration=calibrate(model, 16))
    reasons = {op.op: op.reason for op in result.float_ops}
    assert "calibration doesn't see" in reasons["FULLY_CONNECTED"]
    assert worst_sqnr(model.path, result.model.path, normal_feeds(model, 4, seed=1)) > 28


def _with_body(path: Path, width: int = 16) -> TFLiteModel:
    """A WHILE whose body holds a FULLY_CONNECTED; made by TensorFlow."""
    tf = pytest.importorskip("tensorflow")
    weights = tf.constant(Weights(0)(width, width, fan_in=2 * width))

    @tf.function(input_signature=[tf.TensorSpec([1, width], tf.float32, name="x")])  # type: ignore[untyped-decorator]
    def f(x: object) -> dict[str, object]:
        start, low = tf.nn.relu(x @ weights), tf.sin(x)  # nothing reads the latter behind the loop
        _, y = tf.while_loop(lambda i, v: i < 3, lambda i, v: (i + 1, tf.tanh(v @ weights) + v + low), [0, start])
        return {"y": tf.nn.relu(y @ weights)}

    module = tf.Module()
    module.f = f
    tf.saved_model.save(module, str(path.parent / "saved"), signatures={"serving_default": f})
    converter = tf.lite.TFLiteConverter.from_saved_model(str(path.parent / "saved"))
    path.write_bytes(converter.convert())
    from edgeworthy.formats.tflite.summary import describe

    return describe(path)


def test_weights_in_the_body_of_a_loop_are_integers_under_a_static_scheme(tmp_path: Path, calibrate: Calibrate) -> None:
    """What is measured is the main graph; a layer of the body computes as a dynamic scheme has it."""
    model = _with_body(tmp_path / "m.tflite", width=64)
    data = calibrate(model)
    result = quantize(model, tmp_path / "q.tflite", Recipe.of("int8"), calibration=data)
    body = [t for graph in summarize(result.model.path).graphs[1:] for t in graph.tensors if t.nbytes >= 64 * 64]
    assert [t.dtype for t in body] == ["int8"]
    assert {op.op for op in result.float_ops} >= {"FULLY_CONNECTED", "TANH"}
    assert worst_sqnr(model.path, result.model.path, normal_feeds(model, 4, seed=1)) > 28


@pytest.mark.parametrize("value", [-1e4, -1e9, -3.4e38])
def test_masked_attention_survives_int8(value: float, tmp_path: Path, calibrate: Calibrate) -> None:
    model = attention(tmp_path / "m.tflite", added(value))
    data = calibrate(model, feeds=masks(0, (8, 5, 3, 6) * 8))
    result = quantize(model, tmp_path / "q.tflite", Recipe.of("int8"), calibration=data)
    for delegate in (True, False):
        assert worst_sqnr(model.path, result.model.path, masks(1, (7, 4, 2)), delegate=delegate) > 28


def test_an_operator_that_the_runtime_refuses_goes_back_to_float(tmp_path: Path) -> None:
    """The quantizer makes the left operand int8, and the kernel wants it float beside a float right one."""
    g = Graph(x=(1, 8, 16))
    y = g.op("batch_matmul", [Weights(0)(1, 4, 8, fan_in=8), g.inputs[0]], (1, 4, 16), adj_x=False, adj_y=False)
    model = g.save(tmp_path / "m.tflite", y=y)
    result = quantize(model, tmp_path / "q.tflite", Recipe.of("dynamic_wi8_afp32"))
    (op,) = result.float_ops
    assert op.op == "BATCH_MATMUL"
    assert "the runtime refused it" in op.reason
    assert worst_sqnr(model.path, result.model.path, normal_feeds(model, 2)) > 100
