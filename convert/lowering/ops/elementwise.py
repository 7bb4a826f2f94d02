"""Arithmetic on one, two or more broadcasting tensors."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

import numpy as np
import onnx_ir as ir

from ...builders.tensor import Tensor
from ...layout.elementwise import elementwise
from .. import functions
from ..context import Context
from ..registry import lowers

_UNARY = {
    "Abs": "abs", "Ceil": "ceil", "Cos": "cos", "Exp": "exp", "Floor": "floor", "Log": "log", "Neg": "neg",
    "Round": "round", "Sign": "sign", "Sin": "sin", "Sqrt": "sqrt", "Not": "logical_not",
}  # fmt: skip
_BINARY = {"Add": "add", "Sub": "sub", "Mul": "mul", "And": "logical_and", "Or": "logical_or"}
_VARIADIC = {"Max": "maximum", "Min": "minimum", "Sum": "add", "Mean": "add"}
_UNSIGNED = ("uint8", "uint16", "uint32", "uint64")


@lowers(*_UNARY, layout=elementwise)
def lower_unary(ctx: Context, node: ir.Node) -> Tensor:
    """X [...] → Y [...] of the same type."""
    x = ctx.input(node, 0)
    if node.op_type in ("Abs", "Sign") and x.dtype in _UNSIGNED:
        return x if node.op_type == "Abs" else ctx.b.cast(ctx.b.cast(x, "bool"), x.dtype)
    if node.op_type in ("Ceil", "Floor", "Round") and not x.is_float:
        return x
    return ctx.b.unary(_UNARY[node.op_type], x)


@lowers(*_BINARY, since=7, layout=elementwise)
def lower_binary(ctx: Context, node: ir.Node) -> Tensor:
    """A [...], B [...] → C, broadcast from the right as numpy does."""
    return ctx.b.binary(_BINARY[node.op_type], ctx.input(node, 0), ctx.input(node, 1))


@lowers("Div", since=7, layout=elementwise)
def lower_div(ctx: Context, node: ir.Node) -> Tensor:
    """A / B; integers truncate towards zero, as ONNX and TFLite's DIV both do."""
    a, b = ctx.inputs(node)
    if b.value is not None and b.is_float and b.value.size == 1 and float(b.value.item()) != 0:
        inverse, limits = 1.0 / float(b.value.item()), np.finfo(b.dtype)
        # A power of two: multiplying is exact, and MUL fuses and quantizes where DIV does not. Past the normal numbers
        # there is no such inverse: 1/2⁻¹⁴⁹ is no float32, and runtimes may take a subnormal for 0.
        if np.frexp(abs(inverse))[0] == 0.5 and float(limits.tiny) <= abs(inverse) <= float(limits.max):
            return ctx.b.mul(a, ctx.b.const(np.full(b.shape, inverse, b.dtype)))
    return ctx.b.div(a, b)


@lowers("Pow", since=7, layout=elementwise)
def lower_pow(ctx: Context, node: ir.Node) -> Tensor:
    """X ^ Y; the result has X's type. Squares and square roots become their own ops."""
    x, exponent = ctx.inputs(node)
    if exponent.value is not None and exponent.value.size == 1 and exponent.rank <= x.rank:
        power = float(exponent.value.item())
        if power == 2.0:
            return ctx.b.mul(x, x)
        if power == 0.5 and x.is_float:
            return ctx.b.unary("sqrt", x)
        if power == 3.0:
            return ctx.b.mul(ctx.b.mul(x, x), x)
        if power == 1.0:
            return x
    if x.is_float or not exponent.is_float:
        return ctx.b.binary("pow", x, ctx.b.cast(exponent, x.dtype))
    result = ctx.b.binary("pow", ctx.b.cast(x, "float32"), ctx.b.cast(exponent, "float32"))
    return ctx.b.cast(result, x.dtype)


@lowers("Mod", since=10, layout=elementwise)
def lower_mod(ctx: Context, node: ir.Node) -> Tensor:
    """A mod B with the sign of B (``fmod=0``) or of A (``fmod=1``); that of a zero is either. TFLite: FLOOR_MOD."""
    a, b = ctx.inputs(node)
    if not ctx.attribute(node, "fmod"):
        return ctx.b.binary("floor_mod", a, b)
    # C's fmod: |a| mod |b| is not negative, then the sign of a. FLOOR_MOD(|a|, |b|) is exact.
    if a.dtype in _UNSIGNED:
        return ctx.b.binary("floor_mod", a, b)
    rest = ctx.b.binary("floor_mod", ctx.b.unary("abs", a), ctx.b.unary("abs", b))
    negative = ctx.b.compare("less", a, ctx.b.like(a, 0))
    return ctx.b.select(negative, ctx.b.unary("neg", rest), rest)


@lowers("Xor", since=7, layout=elementwise)
def lower_xor(ctx: Context, node: ir.Node) -> Tensor:
    """A xor B on bool, which is A ≠ B."""
    return ctx.b.compare("not_equal", ctx.input(node, 0), ctx.input(node, 1))


@lowers(*_VARIADIC, since=8, layout=elementwise)
def lower_variadic(ctx: Context, node: ir.Node) -> Tensor:
    """One or more tensors, folded pairwise; Mean divides the sum by their number."""
    tensors = ctx.inputs(node)
    total = reduce(lambda a, b: ctx.b.binary(_VARIADIC[node.op_type], a, b), tensors)
    if node.op_type == "Mean":
        return ctx.b.div(total, ctx.b.like(total, len(tensors)))
    return total


@lowers("Reciprocal", layout=elementwise)
def lower_reciprocal(ctx: Context, node: ir.Node) -> Tensor:
    """1 / X."""
    x = ctx.input(node, 0)
    return ctx.b.div(ctx.b.like(x, 1), x)


@lowers("Clip", layout=elementwise)
def lower_clip(ctx: Context, node: ir.Node) -> Tensor:
    """min(max(X, min), max); the bounds are attributes until opset 10, scalar inputs (either may be absent) after."""
    x = ctx.input(node, 0)
    if "min" in node.attributes or "max" in node.attributes:
        given = (node.attributes.get(name) for name in ("min", "max"))
        bounds = [None if a is None else ctx.b.like(x, a.as_float()) for a in given]
    else:
        bounds = [ctx.optional(node, 1), ctx.optional(node, 2)]
    low, high = bounds
    exact = [None if t is None or t.value is None else float(t.value.reshape(())) for t in bounds]
    for limits, op in (((0.0, 6.0), "relu6"), ((-1.0, 1.0), "relu_n1_to_1"), ((0.0, None), "relu")):
        if tuple(exact) == limits and x.dtype == "float32" and (limits[1] is not None or high is None):
            return ctx.b.unary(op, x)
    if low is not None:
        x = ctx.b.binary("maximum", x, low)
    return x if high is None else ctx.b.binary("minimum", x, high)


_COMPOSED: dict[str, Callable[[Context, Tensor], Tensor]] = {
    "Acos": functions.acos, "Acosh": functions.acosh, "Asin": functions.asin, "Asinh": functions.asinh,
    "Atan": functions.atan, "Atanh": functions.atanh, "Cosh": functions.cosh, "Erf": functions.erf,
    "Sinh": functions.sinh, "Softplus": functions.softplus, "Tan": functions.tan,
}  # fmt: skip


@lowers(*_COMPOSED, layout=elementwise)
def lower_composed(ctx: Context, node: ir.Node) -> Tensor:
    """Y = f(X) elementwise, with a function that TFLite has no op for (see ``lowering.functions``)."""
    x = ctx.b.cast(ctx.input(node, 0), "float32")
    return ctx.b.cast(_COMPOSED[node.op_type](ctx, x), ctx.output(node).dtype)
