"""Both real builders on the same calls: files that load, agree with numpy, keep names and dynamic dimensions."""

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from edgeworthy.convert.builders.builder import DryBuilder
from edgeworthy.convert.builders.tensor import Spec, Tensor, Unsupported
from edgeworthy.convert.builders.tflite import TfliteBuilder

from ...noops import noops


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


def test_names_may_hold_commas(tmp_path):
    """MLIR keeps the names of a signature in one string with commas between them."""
    x, k = np.array([1, -2, 3], np.float32), np.array([2, 2, 2], np.float32)

    def lower(b, inputs):
        return [("a,b", b.unary("neg", inputs[0])), (",", b.unary("abs", inputs[1])), ("c", b.unary("abs", inputs[0]))]

    inputs = [("i,n", Spec("float32", (3,))), ("k", Spec("float32", (3,)))]
    got = run_tflite(inputs, lower, {"i,n": x, "k": k}, tmp_path / "m")
    assert {name: value.tolist() for name, value in got.items()} == {"a,b": [-1, 2, -3], ",": [2, 2, 2], "c": [1, 2, 3]}
    assert b"\x1f" not in (tmp_path / "m").read_bytes()


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
        b.arg_extreme("arg_max", Tensor(None, "uint64", (3,)), 0)


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


# What is called on x [2,1,4,3], and whether x itself is the result.
IDLE = {
    "pad": (lambda b, x: b.pad(x, [(0, 0)] * 4, 7.0), True),
    "pad by amounts": (lambda b, x: b.pad_by(x, b.const(np.zeros((4, 2), np.int32)), b.like(x, 1), x.shape), True),
    "mirror pad": (lambda b, x: b.mirror_pad(x, [(0, 0)] * 4, "SYMMETRIC"), True),
    "mirror pad by one": (lambda b, x: b.mirror_pad(x, [(0, 0), (0, 0), (1, 0), (0, 0)], "SYMMETRIC"), False),
    "slice": (lambda b, x: b.slice(x, [0, 0, 0, 0], [-1, 1, 4, 3]), True),
    "slice of a part": (lambda b, x: b.slice(x, [0, 0, 1, 0], [-1, 1, 3, 3]), False),
    "strided slice": (lambda b, x: _stride(b, x, [0, 0, 0, 0], [2, 1, 9, 3], [1, 1, 1, 1], x.shape), True),
    "strided slice of a part": (lambda b, x: _stride(b, x, [0, 0, 1, 0], [2, 1, 4, 3], [1] * 4, (2, 1, 3, 3)), False),
    "strided slice backwards": (lambda b, x: _stride(b, x, [1, 0, 0, 0], [-9, 1, 4, 3], [-1, 1, 1, 1], x.shape), False),
    "cast": (lambda b, x: b.cast(x, "float32"), True),
    "transpose": (lambda b, x: b.transpose(x, [0, 1, 2, 3]), True),
    "transpose of two axes": (lambda b, x: b.transpose(x, [0, 1, 3, 2]), False),
    "reshape": (lambda b, x: b.reshape(x, (2, 1, 4, 3)), True),
    "reshape with a shape tensor": (lambda b, x: b.reshape(x, (2, 1, 4, 3), b.int32s([2, 1, 4, 3])), True),
    "expand no dims": (lambda b, x: b.expand_dims(x, []), True),
    "tile": (lambda b, x: b.tile(x, b.int32s([1, 1, 1, 1]), x.shape), True),
    "broadcast": (lambda b, x: b.broadcast_to(x, b.int32s([2, 1, 4, 3]), x.shape), True),
    "gather": (lambda b, x: b.gather(x, b.int32s([0, 1, 2]), -1), True),
    "gather in another order": (lambda b, x: b.gather(x, b.int32s([0, 2, 1]), -1), False),
    "reverse": (lambda b, x: b.reverse(x, 1), True),
    "reverse of more than one": (lambda b, x: b.reverse(x, 0), False),
    "concatenation": (lambda b, x: b.concat([x], 1), True),
    "split": (lambda b, x: b.split(x, [3], 3)[0], True),
    "depth to space": (lambda b, x: b.depth_to_space(x, 1), True),
    "space to depth": (lambda b, x: b.space_to_depth(x, 1), True),
    "mean over an extent of 1": (lambda b, x: b.reduce("mean", x, [1], keep_dims=True), True),
    "mean over more": (lambda b, x: b.reduce("mean", x, [0], keep_dims=True), False),
    "pool": (lambda b, x: _pool(b, x, (1, 1), (1, 1)), True),
    "pool with a stride": (lambda b, x: _pool(b, x, (1, 1), (1, 2)), False),
    "pool with a window": (lambda b, x: _pool(b, x, (1, 2), (1, 1)), False),
    "resize": (lambda b, x: _resize(b, x, 1, 4), True),
    "resize to another size": (lambda b, x: _resize(b, x, 2, 4), False),
    "times ones": (lambda b, x: b.mul(b.const(np.ones(3, np.float32)), x), True),
    "times almost ones": (lambda b, x: b.mul(x, b.const(np.array([1, 1, 2], np.float32))), False),
    "minus zero": (lambda b, x: b.sub(x, b.like(x, 0)), True),
    "zero minus": (lambda b, x: b.sub(b.like(x, 0), x), False),
    "by one": (lambda b, x: b.div(x, b.like(x, 1)), True),
    "one by": (lambda b, x: b.div(b.like(x, 1), x), False),
    "ones of more elements": (lambda b, x: b.mul(x, b.const(np.ones((2, 5, 4, 3), np.float32))), False),
}  # fmt: skip


def _stride(b, x, begin, end, strides, shape):
    return b.strided_slice(x, b.int32s(begin), b.int32s(end), b.int32s(strides), shape)


def _pool(b, x, window, strides):
    return b.pool_2d("max_pool_2d", x, window=window, strides=strides, padding="SAME")


def _resize(b, x, height, width):
    size = b.int32s([height, width])
    return b.resize("resize_bilinear", x, size, (height, width), align_corners=False, half_pixel_centers=True)


@pytest.mark.parametrize("name", IDLE)
def test_what_does_nothing_is_not_emitted(name):
    call, is_idle = IDLE[name]
    x = Tensor(None, "float32", (2, 1, 4, 3))
    assert (call(DryBuilder(), x) is x) == is_idle


def test_a_reshape_of_dynamic_extents_is_kept_where_they_may_move():
    b = DryBuilder()
    two, one, none = (Tensor(None, "float32", shape) for shape in ((None, None), (None, 3), (None, 0)))
    shape = Tensor(None, "int32", (2,))
    assert b.reshape(two, (None, None), shape) is not two
    assert b.reshape(one, (None, 3), shape) is one
    assert b.reshape(none, (None, 0), shape) is not none
    there = b.reshape(b.reshape(one, (None, 1, 3)), (3, None))
    assert b.reshape(there, (None, 3)) is one
    assert b.reshape(b.reshape(none, (None, 5, 0)), (None, 0)) is not none


def test_the_check_of_files_finds_what_does_nothing(tmp_path):
    """Emitted past the builder's methods, which wouldn't; MLIR folds other ops of the kind by itself."""
    builder = TfliteBuilder([("x", Spec("float32", (2, 1, 4, 3)))])
    b, x = builder, builder.unary("relu", builder.inputs[0])

    def emit(op, operands, **attributes):
        return b.emit_one(op, [x, *operands], "float32", x.shape, **attributes)

    zeros = b.const(np.zeros((4, 2), np.int32))
    idle = {
        "MIRROR_PAD": emit("mirror_pad", [zeros], mode="REFLECT"),
        "TILE": emit("tile", [b.int32s([1, 1, 1, 1])]),
        "GATHER": emit("gather", [b.int32s([0, 1, 2])], axis=3, batch_dims=0),
        "REVERSE_V2": emit("reverse_v2", [b.int32s([1])]),
    }
    busy = b.pad(b.transpose(x, [0, 1, 3, 2]), [(0, 0), (0, 1), (0, 0), (0, 0)])
    builder.save([*((f"y{i}", y) for i, y in enumerate(idle.values())), ("busy", busy)], tmp_path / "m.tflite")
    assert sorted(line.split()[0] for line in noops(tmp_path / "m.tflite")) == sorted(idle)


def test_an_output_may_be_a_copy_of_an_input(tmp_path):
    builder = TfliteBuilder([("x", Spec("float32", (2, 3)))])
    x = builder.inputs[0]
    copy = builder.emit_one("reshape", [x, builder.int32s([2, 3])], "float32", (2, 3))
    builder.save([("same", x), ("copy", copy)], tmp_path / "m.tflite")
    assert noops(tmp_path / "m.tflite") == []
    feed = np.arange(6, dtype=np.float32).reshape(2, 3)
    got = Interpreter(str(tmp_path / "m.tflite")).get_signature_runner("serving_default")(x=feed)
    assert all(np.array_equal(value, feed) for value in got.values())


def test_what_mlir_leaves_idle_is_dropped(tmp_path):
    """It makes a ONE_HOT of a comparison with a range, with a reshape of [-1] to [-1] before it."""
    builder = b = TfliteBuilder([("x", Spec("int64", (None,)))])
    classes = b.const(np.arange(4, dtype=np.int64))
    y = b.cast(b.compare("equal", b.expand_dims(builder.inputs[0], [1]), classes), "float32")
    builder.save([("y", y)], tmp_path / "m.tflite")
    assert noops(tmp_path / "m.tflite") == []
    x = np.array([3, 0, 0, 7, -1])
    got = Interpreter(str(tmp_path / "m.tflite")).get_signature_runner("serving_default")(x=x)["y"]
    assert np.array_equal(got, (x[:, None] == np.arange(4)).astype(np.float32))
