"""Both real builders on the same calls: files that load, agree with numpy, keep names and dynamic dimensions."""

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from edgeworthy.convert.builders.builder import DryBuilder
from edgeworthy.convert.builders.tensor import Spec, Unsupported
from edgeworthy.convert.builders.tflite import TfliteBuilder


def run_tflite(inputs, lower, feeds, path):
    builder = TfliteBuilder(inputs)
    builder.save(lower(builder, builder.inputs), path)
    return Interpreter(str(path)).get_signature_runner("serving_default")(**feeds)


def run_saved_model(inputs, lower, feeds, path):
    import tensorflow as tf

    from edgeworthy.convert.builders.tensorflow import save_model

    save_model(inputs, lower, path)
    loaded = tf.saved_model.load(str(path))
    outputs = loaded.signatures["serving_default"](**{k: tf.constant(v) for k, v in feeds.items()})
    return {name: value.numpy() for name, value in outputs.items()}


BUILDERS = [pytest.param(run_tflite, id="tflite"), pytest.param(run_saved_model, id="saved_model")]


@pytest.mark.parametrize("run", BUILDERS)
def test_dense_layer_with_a_dynamic_batch(run, tmp_path):
    rng = np.random.default_rng(0)
    weights, bias = rng.standard_normal((7, 33)).astype("f"), rng.standard_normal(7).astype("f")
    x = rng.standard_normal((5, 33)).astype("f")

    def lower(b, inputs):
        y = b.unary("relu", b.fully_connected(inputs[0], b.const(weights), b.const(bias)))
        return [("y", y)]

    got = run([("x", Spec("float32", (None, 33)))], lower, {"x": x}, tmp_path / "m")
    assert np.allclose(got["y"], np.maximum(x @ weights.T + bias, 0), atol=1e-5)


@pytest.mark.parametrize("run", BUILDERS)
def test_outputs_may_be_inputs_constants_or_twice_the_same(run, tmp_path):
    x = np.array([1, -2, 3], np.int32)

    def lower(b, inputs):
        y = b.unary("neg", inputs[0])
        return [("same", inputs[0]), ("constant", b.const(np.array([True, False]))), ("once", y), ("again", y)]

    got = run([("x", Spec("int32", (3,)))], lower, {"x": x}, tmp_path / "m")
    assert got["same"].tolist() == [1, -2, 3]
    assert got["constant"].tolist() == [True, False]
    assert got["once"].tolist() == got["again"].tolist() == [-1, 2, -3]


@pytest.mark.parametrize("run", BUILDERS)
@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint32", "float16", "float64", "bool"])
def test_a_dtype_without_a_kernel_is_computed_in_a_wider_one(run, dtype, tmp_path):
    x = np.array([[0, 1], [1, 0]]).astype(dtype)

    def lower(b, inputs):
        return [("y", b.transpose(b.concat([inputs[0], inputs[0]], 1), [1, 0]))]

    got = run([("x", Spec(dtype, (2, 2)))], lower, {"x": x}, tmp_path / "m")
    assert got["y"].dtype == dtype
    assert np.array_equal(got["y"], np.concatenate([x, x], 1).T)


@pytest.mark.parametrize("run", BUILDERS)
@pytest.mark.parametrize(
    ("strides", "dilations"), [((1, 1), (1, 1)), ((2, 1), (1, 1)), ((1, 1), (2, 2)), ((2, 2), (2, 2))]
)
def test_depthwise_convolution_with_multiplier(run, strides, dilations, tmp_path):
    import torch

    rng = np.random.default_rng(1)
    x, w = rng.standard_normal((1, 9, 9, 3)).astype("f"), rng.standard_normal((6, 1, 3, 3)).astype("f")
    bias = rng.standard_normal(6).astype("f")

    def lower(b, inputs):
        kernel = b.const(np.transpose(w, (1, 2, 3, 0)))
        y = b.depthwise_conv_2d(inputs[0], kernel, b.const(bias), strides=strides, dilations=dilations, padding="VALID")
        return [("y", y)]

    got = run([("x", Spec("float32", x.shape))], lower, {"x": x}, tmp_path / "m")
    nchw = torch.from_numpy(x.transpose(0, 3, 1, 2))
    want = torch.conv2d(nchw, torch.from_numpy(w), torch.from_numpy(bias), strides, 0, dilations, 3)
    assert np.allclose(got["y"], want.numpy().transpose(0, 2, 3, 1), atol=1e-5)


def test_same_calls_give_the_same_bytes(tmp_path):
    rng = np.random.default_rng(0)
    weights = rng.standard_normal((64, 64)).astype("f")

    def build(path):
        builder = TfliteBuilder([("x", Spec("float32", (1, 64)))])
        y = builder.fully_connected(builder.inputs[0], builder.const(weights), None)
        builder.save([("y", y)], path)
        return path.read_bytes()

    assert build(tmp_path / "a") == build(tmp_path / "b")


def test_tensors_are_named_after_onnx_values(tmp_path):
    builder = TfliteBuilder([("x", Spec("float32", (4,)))])
    with builder.scope("layer1/exp"):
        y = builder.unary("exp", builder.inputs[0])
    builder.rename(y, "layer1/exp_output")
    builder.save([("y", builder.unary("log", y))], tmp_path / "m.tflite")
    names = {d["name"] for d in Interpreter(str(tmp_path / "m.tflite")).get_tensor_details()}
    assert "layer1/exp_output" in names


def test_dry_builder_gives_shapes_and_reasons():
    b = DryBuilder()
    x = b.const(np.zeros((1, 8, 8, 3), np.float32))
    y = b.conv_2d(x, b.const(np.zeros((4, 3, 3, 3), "f")), None, strides=(2, 2), dilations=(1, 1), padding="SAME")
    assert y.shape == (1, 4, 4, 4)
    with pytest.raises(Unsupported, match="no kernel for uint64"):
        b.cast(b.emit_one("range", [], "uint64", (3,)), "float32")


def test_large_weights_are_not_computed_at_run_time(tmp_path):
    """A scale before a dense layer must not become an operator on constants, run in every inference."""
    rng = np.random.default_rng(0)
    weights, scale = rng.standard_normal((256, 256)).astype("f"), rng.standard_normal(256).astype("f")
    builder = TfliteBuilder([("x", Spec("float32", (1, 256)))])
    scaled = builder.mul(builder.inputs[0], builder.const(scale))
    builder.save([("y", builder.fully_connected(scaled, builder.const(weights), None))], tmp_path / "m.tflite")
    interpreter = Interpreter(str(tmp_path / "m.tflite"), experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    constant = set()
    produced = {int(t) for op in interpreter._get_ops_details() for t in op["outputs"]} | {0}
    for op in interpreter._get_ops_details():
        if not any(int(t) in produced for t in op["inputs"]):
            constant.add(op["op_name"])
    assert not constant
    x = rng.standard_normal((1, 256)).astype("f")
    got = interpreter.get_signature_runner("serving_default")(x=x)["y"]
    assert np.allclose(got, (x * scale) @ weights.T, rtol=1e-4, atol=1e-3)
