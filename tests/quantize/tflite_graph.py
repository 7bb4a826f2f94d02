"""Float TFLite models made operator by operator, and how to run and compare them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from litert_converter import converter_api_ext as api
from litert_converter.mlir import ir
from litert_converter.mlir.dialects import func
from numpy.typing import NDArray

from edgeworthy.artifact import TFLiteModel
from edgeworthy.formats.tflite.summary import describe

Array = NDArray[Any]
Shape = tuple[int | None, ...]

CONV = {
    "dilation_h_factor": 1,
    "dilation_w_factor": 1,
    "stride_h": 1,
    "stride_w": 1,
    "padding": "SAME",
    "fused_activation_function": "NONE",
}
FC = {
    "fused_activation_function": "NONE",
    "weights_format": "DEFAULT",
    "keep_num_dims": True,
    "asymmetric_quantize_inputs": False,
}
POOL = {"filter_height": 2, "filter_width": 2, "stride_h": 2, "stride_w": 2, "padding": "VALID"}
NO_ACTIVATION = {"fused_activation_function": "NONE"}


class Graph:
    """Builds a flatbuffer from operations of the TFL dialect.

    Args:
        inputs: Input name → shape (None is dynamic), float32; or a pair of shape and dtype.
    """

    def __init__(self, **inputs: Shape | tuple[Shape, str]) -> None:
        self._stack = ExitStack()
        context = ir.Context()
        api.prepare_mlir_context(context)
        self._stack.enter_context(context)
        self._stack.enter_context(ir.Location.unknown())
        self._module = ir.Module.create()
        self._names = list(inputs)
        self._count = 0
        types = []
        for value in inputs.values():
            shape, dtype = value if len(value) == 2 and isinstance(value[1], str) else (value, "float32")
            types.append(self._type(shape, dtype))
        with ir.InsertionPoint(self._module.body):
            self._function = func.FuncOp("main", ir.FunctionType.get(types, []))
        block = self._function.add_entry_block()
        self._types = types
        self._stack.enter_context(ir.InsertionPoint(block))
        self.inputs = list(block.arguments)

    def const(self, value: Array) -> Any:
        value = np.asarray(value, order="C")
        kind = self._type(value.shape, value.dtype.name)
        attributes = {"value": ir.DenseElementsAttr.get(value, type=kind)}
        return ir.Operation.create("arith.constant", results=[kind], attributes=attributes).result

    def no_value(self) -> Any:
        attributes = {"value": ir.UnitAttr.get()}
        return ir.Operation.create("tfl.no_value", results=[ir.NoneType.get()], attributes=attributes).result

    def op(
        self, op: str, operands: Sequence[Any], shape: Shape | list[Shape], dtype: str = "float32", **attributes: Any
    ) -> Any:
        """Add ``tfl.<op>``; arrays among the operands become constants. Several shapes give several results."""
        self._count += 1
        shapes = shape if isinstance(shape, list) else [shape]
        with ir.Location.name(f"n{self._count}_{op}"):
            created = ir.Operation.create(
                f"tfl.{op}",
                results=[self._type(s, dtype) for s in shapes],
                operands=[self.const(o) if isinstance(o, np.ndarray) else o for o in operands],
                attributes={key: _attribute(value) for key, value in attributes.items()},
            )
        return list(created.results) if isinstance(shape, list) else created.result

    def save(self, path: Path, **outputs: Any) -> TFLiteModel:
        values = list(outputs.values())
        func.ReturnOp(values)
        kind = ir.FunctionType.get(self._types, [v.type for v in values])
        self._function.operation.attributes["function_type"] = ir.TypeAttr.get(kind)
        api.set_signature(self._function.operation, "serving_default", self._names, list(outputs))
        path.write_bytes(api.export_flatbuffer_to_bytes(self._module.operation))
        self._stack.close()
        return describe(path)

    @staticmethod
    def _type(shape: Any, dtype: str) -> Any:
        element = ir.F32Type.get() if dtype == "float32" else ir.IntegerType.get_signless(_BITS[dtype])
        dynamic = ir.ShapedType.get_dynamic_size()
        return ir.RankedTensorType.get([dynamic if d is None else d for d in shape], element)


_BITS = {"bool": 1, "int32": 32, "int64": 64}


def _attribute(value: Any) -> Any:
    if isinstance(value, bool):
        return ir.BoolAttr.get(value)
    if isinstance(value, int):
        return ir.IntegerAttr.get(ir.IntegerType.get_signless(32), value)
    if isinstance(value, float):
        return ir.FloatAttr.get(ir.F32Type.get(), value)
    if isinstance(value, list):
        return ir.ArrayAttr.get([ir.IntegerAttr.get(ir.IntegerType.get_signless(64), v) for v in value])
    return ir.StringAttr.get(value)


def i32(*values: int) -> Array:
    return np.array(values, np.int32)


def scalar(value: float) -> Array:
    return np.full((), value, np.float32)


class Weights:
    """Seeded weights that keep the size of what they multiply."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng([seed, 1])  # not the numbers that feeds are drawn from

    def __call__(self, *shape: int, fan_in: float) -> Array:
        return (self._random.normal(size=shape) * np.sqrt(2 / fan_in)).astype(np.float32)


def run(path: Path, feed: Mapping[str, Array], *, delegate: bool = True, raw: bool = False) -> dict[str, Array]:
    """Run a file by its signature. Floats are quantized for integer inputs, and integer outputs dequantized."""
    resolver = OpResolverType.BUILTIN if delegate else OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter(str(path), experimental_op_resolver_type=resolver)
    interpreter.allocate_tensors()
    runner = interpreter.get_signature_runner()
    feeds = {}
    for name, details in runner.get_input_details().items():
        value = feed[name]
        if value.dtype != details["dtype"]:
            scale, zero_point = details["quantization"]
            limits = np.iinfo(details["dtype"])
            value = np.clip(np.rint(value / scale) + zero_point, limits.min, limits.max).astype(details["dtype"])
        feeds[name] = value
    results = runner(**feeds)
    for name, details in runner.get_output_details().items():
        scale, zero_point = details["quantization"]
        if scale and not raw:
            results[name] = (results[name].astype(np.float32) - zero_point) * scale
    return dict(results)


def sqnr(reference: Array, got: Array) -> float:
    """Signal to quantization noise, in dB."""
    reference, got = reference.astype(np.float64), got.astype(np.float64)
    noise = ((reference - got) ** 2).sum()
    return float(10 * np.log10((reference**2).sum() / max(noise, 1e-30)))


def worst_sqnr(model: Path, quantized: Path, feeds: Sequence[Mapping[str, Array]], *, delegate: bool = True) -> float:
    """The least SQNR of all outputs, over all feeds taken together."""
    wanted = [run(model, feed) for feed in feeds]
    got = [run(quantized, feed, delegate=delegate) for feed in feeds]
    return min(
        sqnr(np.concatenate([w[name] for w in wanted]), np.concatenate([g[name] for g in got])) for name in wanted[0]
    )


def conv_net(path: Path) -> TFLiteModel:
    """A MobileNetV2-like classifier: NCHW input, strided convolution, inverted residual, pool, softmax."""
    w = Weights(0)
    g = Graph(image=(1, 3, 32, 32))
    x = g.op("transpose", [g.inputs[0], i32(0, 2, 3, 1)], (1, 32, 32, 3))
    strided = CONV | {"stride_h": 2, "stride_w": 2}
    x = g.op("conv_2d", [x, w(16, 3, 3, 3, fan_in=27), w(16, fan_in=50)], (1, 16, 16, 16), **strided)
    x = g.op("relu6", [x], (1, 16, 16, 16))
    wide = g.op("conv_2d", [x, w(96, 1, 1, 16, fan_in=16), w(96, fan_in=50)], (1, 16, 16, 96), **CONV)
    wide = g.op("relu6", [wide], (1, 16, 16, 96))
    depthwise = CONV | {"depth_multiplier": 1}
    wide = g.op("depthwise_conv_2d", [wide, w(1, 3, 3, 96, fan_in=9), w(96, fan_in=50)], (1, 16, 16, 96), **depthwise)
    wide = g.op("relu6", [wide], (1, 16, 16, 96))
    narrow = g.op("conv_2d", [wide, w(16, 1, 1, 96, fan_in=96), w(16, fan_in=50)], (1, 16, 16, 16), **CONV)
    x = g.op("add", [x, narrow], (1, 16, 16, 16), **NO_ACTIVATION)
    x = g.op("conv_2d", [x, w(256, 3, 3, 16, fan_in=144), w(256, fan_in=50)], (1, 8, 8, 256), **strided)
    x = g.op("hard_swish", [x], (1, 8, 8, 256))
    x = g.op("mean", [x, i32(1, 2)], (1, 256), keep_dims=False)
    flat = FC | {"keep_num_dims": False}
    x = g.op("fully_connected", [x, w(10, 256, fan_in=256), w(10, fan_in=50)], (1, 10), **flat)
    return g.save(path, logits=x, probabilities=g.op("softmax", [x], (1, 10), beta=1.0))


def transformer(path: Path) -> TFLiteModel:
    """An encoder layer: attention by BATCH_MATMUL, LayerNorm in its parts, GELU."""
    w = Weights(1)
    g = Graph(tokens=(1, 16, 64))

    def linear(x: Any, wide: int, out: int) -> Any:
        return g.op("fully_connected", [x, w(out, wide, fan_in=2 * wide), w(out, fan_in=200)], (1, 16, out), **FC)

    def norm(x: Any) -> Any:
        mean = g.op("mean", [x, i32(2)], (1, 16, 1), keep_dims=True)
        off = g.op("sub", [x, mean], (1, 16, 64), **NO_ACTIVATION)
        square = g.op("mul", [off, off], (1, 16, 64), **NO_ACTIVATION)
        variance = g.op("mean", [square, i32(2)], (1, 16, 1), keep_dims=True)
        variance = g.op("add", [variance, scalar(1e-5)], (1, 16, 1), **NO_ACTIVATION)
        unit = g.op("mul", [off, g.op("rsqrt", [variance], (1, 16, 1))], (1, 16, 64), **NO_ACTIVATION)
        scaled = g.op("mul", [unit, 1 + w(64, fan_in=100)], (1, 16, 64), **NO_ACTIVATION)
        return g.op("add", [scaled, w(64, fan_in=100)], (1, 16, 64), **NO_ACTIVATION)

    def heads(x: Any) -> Any:
        split = g.op("reshape", [x, i32(1, 16, 4, 16)], (1, 16, 4, 16))
        return g.op("transpose", [split, i32(0, 2, 1, 3)], (1, 4, 16, 16))

    x = g.inputs[0]
    y = norm(x)
    query, key, value = (heads(linear(y, 64, 64)) for _ in range(3))
    scores = g.op("batch_matmul", [query, key], (1, 4, 16, 16), adj_x=False, adj_y=True)
    scores = g.op("mul", [scores, scalar(0.25)], (1, 4, 16, 16), **NO_ACTIVATION)
    shares = g.op("softmax", [scores], (1, 4, 16, 16), beta=1.0)
    mixed = g.op("batch_matmul", [shares, value], (1, 4, 16, 16), adj_x=False, adj_y=False)
    mixed = g.op("transpose", [mixed, i32(0, 2, 1, 3)], (1, 16, 4, 16))
    mixed = g.op("reshape", [mixed, i32(1, 16, 64)], (1, 16, 64))
    x = g.op("add", [x, linear(mixed, 64, 64)], (1, 16, 64), **NO_ACTIVATION)
    hidden = g.op("gelu", [linear(norm(x), 64, 256)], (1, 16, 256), approximate=False)
    x = g.op("add", [x, linear(hidden, 256, 64)], (1, 16, 64), **NO_ACTIVATION)
    return g.save(path, encoded=norm(x))
