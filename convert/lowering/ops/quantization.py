"""Quantization and its inverse as the arithmetic that they are, in float32."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ....vocabulary import FUSED_DOMAIN
from ...builders.tensor import Steps, Tensor, Unsupported, format_shape, normalize_axis
from ...layout.axes import quantization
from ..context import Context
from ..registry import lowers


@lowers("QuantizeLinear", since=10, layout=quantization)
def lower_quantize(ctx: Context, node: ir.Node) -> Tensor:
    """saturate(round(X / scale) + zero_point), rounding half to even, per tensor or along ``axis``."""
    b, x, dtype = ctx.b, ctx.input(node, 0), ctx.output(node).dtype
    if not np.issubdtype(dtype, np.integer):
        raise Unsupported(f"quantization to {dtype}", "quantize to int8 or uint8")
    limits = np.iinfo(dtype)
    if limits.bits > 16:
        raise Unsupported(f"quantization to {dtype}, which float32 can't hold", "quantize to int8 or uint8")
    x = b.cast(x, "float32")
    scale, zero = _parameters(ctx, node, x)
    steps = b.unary("round", b.div(x, scale))
    steps = steps if zero is None else b.add(steps, zero)
    low, high = b.like(steps, limits.min), b.like(steps, limits.max)
    return b.cast(b.binary("minimum", b.binary("maximum", steps, low), high), dtype)


@lowers("QuantizeDequantize", domain=FUSED_DOMAIN, layout=quantization)
def lower_quantize_dequantize(ctx: Context, node: ir.Node) -> Tensor:
    """X rounded to whole steps of ``scale``, per tensor. TFLite: QUANTIZE, DEQUANTIZE.

    uint8 becomes int8, which stands for the same numbers with a zero point 128 less; TFLite's kernels are int8's.
    """
    scale, zero = float(ctx.constant(node, 1).reshape(())), ctx.constant(node, 2).reshape(())
    shift = 128 if zero.dtype == np.uint8 else 0
    dtype = "int8" if shift else zero.dtype.name
    return ctx.b.fake_quantize(ctx.input(node, 0), dtype, Steps(scale, int(zero) - shift))


@lowers("DequantizeLinear", since=10, layout=quantization)
def lower_dequantize(ctx: Context, node: ir.Node) -> Tensor:
    """(X - zero_point) · scale, per tensor or along ``axis``."""
    b, x = ctx.b, ctx.input(node, 0)
    wide = b.cast(x, "float32")
    scale, zero = _parameters(ctx, node, wide)
    return b.cast(b.mul(wide if zero is None else b.sub(wide, zero), scale), ctx.output(node).dtype)


def _parameters(ctx: Context, node: ir.Node, x: Tensor) -> tuple[Tensor, Tensor | None]:
    """Scale and zero point as float32 that broadcasts to X."""
    block = int(ctx.attribute(node, "block_size") or 0)
    scale, zero = ctx.input(node, 1), ctx.optional(node, 2)
    if scale.value is not None and not (np.isfinite(scale.value) & (scale.value > 0)).all():
        raise Unsupported("a scale that isn't a positive number", "quantize the model again")
    axis = ctx.attribute(node, "axis")
    if zero is not None and zero.value is not None and not zero.value.any():
        zero = None

    def shaped(t: Tensor) -> Tensor:
        wide = ctx.b.cast(t, "float32")
        if not block and (t.rank == 0 or t.shape == (1,)):
            return ctx.b.reshape(wide, ())
        at = normalize_axis(int(axis), x.rank)
        if block:
            return _of_blocks(ctx, wide, x, at, block)
        if t.rank != 1:
            raise Unsupported(f"a scale of rank {t.rank}", "quantize per tensor or per channel")
        return ctx.b.expand_dims(wide, [a for a in range(x.rank) if a != at])

    return shaped(scale), None if zero is None else shaped(zero)


def _of_blocks(ctx: Context, t: Tensor, x: Tensor, axis: int, block: int) -> Tensor:
    """A parameter for each ``block`` elements along ``axis`` (the last may have fewer) as one for each element."""
    extent = x.shape[axis]
    if extent is None or t.rank != x.rank or t.shape[axis] != -(-extent // block):
        raise Unsupported(
            f"a scale {format_shape(t.shape)} for blocks of {block} of {format_shape(x.shape)}",
            "quantize per tensor or per channel",
        )
    if t.value is not None:
        return ctx.b.const(np.repeat(t.value, block, axis).take(range(extent), axis))
    return ctx.b.gather(t, ctx.b.const(np.arange(extent, dtype=np.int32) // block), axis)
