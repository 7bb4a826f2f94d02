"""Operations on the bits of integers. TFLite has BITWISE_XOR and RIGHT_SHIFT; the rest is arithmetic."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ...builders.tensor import Tensor
from ...layout.elementwise import elementwise
from ..context import Context
from ..registry import lowers

_WIDE = ("int32", "uint32", "int64", "uint64")


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
    return _and(ctx, *ctx.inputs(node))


@lowers("BitwiseOr", since=18, layout=elementwise)
def lower_bitwise_or(ctx: Context, node: ir.Node) -> Tensor:
    """A or B, broadcast: what differs, and what both have."""
    p, q = ctx.inputs(node)
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
    """X shifted right (TFLite: RIGHT_SHIFT) or left (a product with a power of two, wrapping) by Y bits."""
    b = ctx.b
    x, bits = ctx.inputs(node)
    if ctx.attribute(node, "direction") == "RIGHT":
        return b.binary("right_shift", x, bits)
    if bits.value is not None:
        power = b.const(np.left_shift(np.int64(1), bits.value.astype(np.int64)))
    else:
        power = b.cast(b.binary("pow", b.const(2, "int32"), b.cast(bits, "int32")), "int64")
    return b.cast(b.mul(b.cast(x, "int64"), power), x.dtype)
