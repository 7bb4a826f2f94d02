"""Operations on the bits of integers. TFLite has BITWISE_XOR and RIGHT_SHIFT; the rest is arithmetic."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from ...builders.tensor import Tensor, Unsupported
from ...layout.elementwise import elementwise
from ..context import Context
from ..registry import lowers

_WIDE = ("int32", "uint32")
_SIGNED = ("int8", "int16", "int32", "int64")


@lowers("BitwiseNot", since=18, layout=elementwise)
def lower_bitwise_not(ctx: Context, node: ir.Node) -> Tensor:
    """All bits flipped: x xor -1."""
    x = ctx.input(node, 0)
    ones = ~np.zeros((), x.dtype)
    return ctx.b.binary("bitwise_xor", x, ctx.b.const(ones))


@lowers("BitwiseXor", since=18, layout=elementwise)
def lower_bitwise_xor(ctx: Context, node: ir.Node) -> Tensor:
    """A xor B, broadcast. TFLite: BITWISE_XOR."""
    return ctx.b.binary("bitwise_xor", ctx.input(node, 0), ctx.input(node, 1))


@lowers("BitwiseAnd", since=18, layout=elementwise)
def lower_bitwise_and(ctx: Context, node: ir.Node) -> Tensor:
    """A and B, broadcast."""
    return _by_halves(ctx, _and, *ctx.inputs(node))


@lowers("BitwiseOr", since=18, layout=elementwise)
def lower_bitwise_or(ctx: Context, node: ir.Node) -> Tensor:
    """A or B, broadcast: what differs, and what both have."""
    return _by_halves(ctx, _or, *ctx.inputs(node))


def _by_halves(ctx: Context, function: Callable[[Context, Tensor, Tensor], Tensor], p: Tensor, q: Tensor) -> Tensor:
    """A function of bits on 64-bit integers, which TFLite knows no bits of, as int32 of twice the number."""
    if np.dtype(p.dtype).itemsize < 8:
        return function(ctx, p, q)
    return ctx.b.bitcast(function(ctx, ctx.b.halves(p), ctx.b.halves(q)), p.dtype)


def _or(ctx: Context, p: Tensor, q: Tensor) -> Tensor:
    return ctx.b.add(ctx.b.binary("bitwise_xor", p, q), _and(ctx, p, q))


def _and(ctx: Context, p: Tensor, q: Tensor) -> Tensor:
    """p + q = (p xor q) + 2·(p and q). In 32 bits the sum could overflow, so the last bit is looked at by itself."""
    b, dtype = ctx.b, p.dtype
    if dtype not in _WIDE:
        p, q = b.cast(p, "int32"), b.cast(q, "int32")
        both = b.binary("right_shift", b.sub(b.add(p, q), b.binary("bitwise_xor", p, q)), b.like(p, 1))
        return b.cast(both, dtype)
    one = b.like(p, 1)
    halves = [b.binary("right_shift", t, one) for t in (p, q)]
    last = b.mul(*(b.sub(t, b.add(half, half)) for t, half in zip((p, q), halves, strict=True)))
    twice = b.sub(b.add(*halves), b.binary("bitwise_xor", *halves))
    return b.add(twice, last)


@lowers("BitShift", since=11, layout=elementwise)
def lower_bit_shift(ctx: Context, node: ir.Node) -> Tensor:
    """X shifted right (TFLite: RIGHT_SHIFT) or left (a product with a power of two, wrapping) by Y bits.

    By fewer than none, or by all of them and more, leaves the sign to the right and 0 else (ONNX BitShift-28).
    """
    b = ctx.b
    x, bits = ctx.inputs(node)
    width = np.iinfo(x.dtype).bits
    if bits.value is not None:
        inside = b.const((bits.value >= 0) & (bits.value < width))
    else:
        inside = b.compare("less", bits, b.like(bits, width))
        if x.dtype in _SIGNED:
            inside = b.binary("logical_and", inside, b.compare("greater_equal", bits, b.like(bits, 0)))
    count = b.cast(b.select(inside, bits, b.like(bits, width - 1)), "int32")
    if ctx.attribute(node, "direction") == "LEFT":
        moved = b.shifted_left(x, count)
    else:
        moved = b.shifted_right(x, count) if width == 64 else b.binary("right_shift", x, b.cast(count, x.dtype))
        if x.dtype in _SIGNED:
            return moved
    return moved if inside.is_all(1) else b.select(inside, moved, b.like(x, 0))


@lowers("BitCast", since=26, layout=elementwise)
def lower_bit_cast(ctx: Context, node: ir.Node) -> Tensor:
    """The bits of X as another type of their number. TFLite: BITCAST, or CAST of the two numbers of bool."""
    x, dtype = ctx.input(node, 0), ctx.output(node).dtype
    if np.dtype(dtype).itemsize != np.dtype(x.dtype).itemsize:
        raise Unsupported(
            f"the bits of {x.dtype} as {dtype}, which has another number of them",
            "cast to a dtype of the same width first",
        )
    return ctx.b.cast(x, dtype) if "bool" in (x.dtype, dtype) else ctx.b.bitcast(x, dtype)
