"""Operations on the bits of integers."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ...builders.tensor import Tensor
from ..context import Context
from ..registry import lowers


@lowers("BitwiseNot", since=18)
def lower_not(ctx: Context, node: ir.Node) -> Tensor:
    """All bits flipped: x xor -1."""
    x = ctx.input(node, 0)
    return ctx.b.binary("bitwise_xor", x, ctx.b.const(np.array(0, x.dtype) - np.array(1, x.dtype)))


@lowers("BitwiseXor", since=18)
def lower_xor(ctx: Context, node: ir.Node) -> Tensor:
    """A xor B, broadcast. TFLite: BITWISE_XOR."""
    return ctx.b.binary("bitwise_xor", ctx.input(node, 0), ctx.input(node, 1))


@lowers("BitShift", since=11)
def lower_shift(ctx: Context, node: ir.Node) -> Tensor:
    """X shifted right (TFLite: RIGHT_SHIFT) or left (a product with a power of two, wrapping) by Y bits."""
    b = ctx.b
    x, bits = ctx.inputs(node)
    if ctx.attribute(node, "direction") == "RIGHT":
        return b.binary("right_shift", x, bits)
    power = b.binary("pow", b.const(2, "int32"), b.cast(bits, "int32"))
    return b.cast(b.mul(b.cast(x, "int64"), b.cast(power, "int64")), x.dtype)
