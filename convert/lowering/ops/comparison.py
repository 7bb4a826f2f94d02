"""Comparisons and selection."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ...builders.tensor import Tensor
from ...layout.elementwise import elementwise
from ..context import Context
from ..registry import lowers

_COMPARE = {
    "Equal": "equal", "Greater": "greater", "GreaterOrEqual": "greater_equal", "Less": "less",
    "LessOrEqual": "less_equal",
}  # fmt: skip


@lowers(*_COMPARE, since=7, layout=elementwise)
def lower_compare(ctx: Context, node: ir.Node) -> Tensor:
    """A [...], B [...] of one type → bool, broadcast."""
    return ctx.b.compare(_COMPARE[node.op_type], ctx.input(node, 0), ctx.input(node, 1))


@lowers("Where", since=9, layout=elementwise)
def lower_where(ctx: Context, node: ir.Node) -> Tensor:
    """X where the condition holds, else Y, all three broadcast. TFLite: SELECT_V2."""
    condition, x, y = ctx.inputs(node)
    return ctx.b.select(condition, x, y)


@lowers("IsNaN", since=9, layout=elementwise)
def lower_is_nan(ctx: Context, node: ir.Node) -> Tensor:
    """NaN is the only value unlike itself."""
    x = ctx.input(node, 0)
    return ctx.b.compare("not_equal", x, x)


@lowers("IsInf", since=10, layout=elementwise)
def lower_is_inf(ctx: Context, node: ir.Node) -> Tensor:
    """X is ±∞; ``detect_positive`` and ``detect_negative`` choose which counts."""
    b, x = ctx.b, ctx.input(node, 0)
    positive, negative = ctx.attribute(node, "detect_positive"), ctx.attribute(node, "detect_negative")
    if positive and negative:
        return b.compare("equal", b.unary("abs", x), b.like(x, np.inf))
    if positive or negative:
        return b.compare("equal", x, b.like(x, np.inf if positive else -np.inf))
    return b.compare("not_equal", b.like(x, 0), b.mul(x, b.like(x, 0)))
