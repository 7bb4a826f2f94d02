"""Activation functions."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ....vocabulary import FUSED_DOMAIN
from ...builders.builder import Builder
from ...builders.ranks import MOST_AXES
from ...builders.tensor import Tensor, normalize_axis
from ...layout.axes import softmax
from ...layout.elementwise import elementwise
from ..context import Context
from ..extents import as_matrix
from ..registry import lowers

_NAMES = {"Relu": "relu", "Sigmoid": "logistic", "Tanh": "tanh"}
_SOFTMAX = {"Softmax": "softmax", "LogSoftmax": "log_softmax"}


@lowers(*_NAMES, layout=elementwise)
def lower_named(ctx: Context, node: ir.Node) -> Tensor:
    """X → Y elementwise, an op of its own in TFLite."""
    return ctx.b.unary(_NAMES[node.op_type], ctx.input(node, 0))


@lowers("HardSwish", since=14, layout=elementwise)
@lowers("HardSwish", domain=FUSED_DOMAIN, layout=elementwise)
def lower_hard_swish(ctx: Context, node: ir.Node) -> Tensor:
    """x · clip(x/6 + 1/2, 0, 1). TFLite: HARD_SWISH."""
    return ctx.b.unary("hard_swish", ctx.input(node, 0))


@lowers("Gelu", since=20, layout=elementwise)
@lowers("Gelu", domain=FUSED_DOMAIN, layout=elementwise)
def lower_gelu(ctx: Context, node: ir.Node) -> Tensor:
    """x·Φ(x), by erf (``approximate="none"``) or tanh. TFLite: GELU."""
    return ctx.b.unary("gelu", ctx.input(node, 0), approximate=ctx.attribute(node, "approximate") == "tanh")


@lowers("LeakyRelu", layout=elementwise)
def lower_leaky_relu(ctx: Context, node: ir.Node) -> Tensor:
    """x where positive, else alpha·x. TFLite: LEAKY_RELU."""
    return ctx.b.unary("leaky_relu", ctx.input(node, 0), alpha=float(ctx.attribute(node, "alpha")))


@lowers("PRelu", since=7, layout=elementwise)
def lower_prelu(ctx: Context, node: ir.Node) -> Tensor:
    """x where positive, else slope·x; the slope broadcasts to x from the right. TFLite: PRELU."""
    x, slope = ctx.inputs(node)
    if x.is_float:
        # PRELU wants no batch axis in its slope, and every axis of x behind it.
        extents = (1,) * (x.rank - slope.rank) + slope.shape
        if 1 < x.rank <= MOST_AXES and extents[0] == 1:
            return ctx.b.prelu(x, ctx.b.reshape(slope, extents[1:]))
    negative = ctx.b.compare("less", x, ctx.b.like(x, 0))
    return ctx.b.select(negative, ctx.b.mul(x, slope), x)


@lowers("Elu", layout=elementwise)
def lower_elu(ctx: Context, node: ir.Node) -> Tensor:
    """x where positive, else alpha·(eˣ-1). TFLite: ELU for alpha = 1."""
    x, alpha = ctx.input(node, 0), float(ctx.attribute(node, "alpha"))
    return _scaled_elu(ctx, x, alpha, 1.0)


@lowers("Selu", layout=elementwise)
def lower_selu(ctx: Context, node: ir.Node) -> Tensor:
    """gamma·elu(x, alpha)."""
    x = ctx.input(node, 0)
    return _scaled_elu(ctx, x, float(ctx.attribute(node, "alpha")), float(ctx.attribute(node, "gamma")))


@lowers("Celu", since=12, layout=elementwise)
def lower_celu(ctx: Context, node: ir.Node) -> Tensor:
    """max(0, x) + min(0, alpha·(e^(x/alpha)-1))."""
    x, alpha = ctx.input(node, 0), float(ctx.attribute(node, "alpha"))
    inner = ctx.b.unary("elu", ctx.b.div(x, ctx.b.like(x, alpha)))
    return ctx.b.mul(inner, ctx.b.like(x, alpha))


def _scaled_elu(ctx: Context, x: Tensor, alpha: float, gamma: float) -> Tensor:
    elu = ctx.b.unary("elu", x)
    if alpha != 1.0:
        positive = ctx.b.compare("greater", x, ctx.b.like(x, 0))
        elu = ctx.b.select(positive, elu, ctx.b.mul(elu, ctx.b.like(x, alpha)))
    return elu if gamma == 1.0 else ctx.b.mul(elu, ctx.b.like(x, gamma))


@lowers("Softsign", layout=elementwise)
def lower_softsign(ctx: Context, node: ir.Node) -> Tensor:
    """x / (1 + |x|)."""
    b, x = ctx.b, ctx.input(node, 0)
    return b.div(x, b.add(b.unary("abs", x), b.like(x, 1)))


@lowers("Mish", since=18, layout=elementwise)
def lower_mish(ctx: Context, node: ir.Node) -> Tensor:
    """x · tanh(softplus(x)) = x · p/(p + 2q) with n = e^-|x|, p = 2n + 1, q = n² (x > 0) or p = 2n + n², q = 1."""
    b, x = ctx.b, ctx.input(node, 0)
    n = b.unary("exp", b.unary("neg", b.unary("abs", x)))
    square, one, positive = b.mul(n, n), b.like(x, 1), b.compare("greater", x, b.like(x, 0))
    p = b.add(b.add(n, n), b.select(positive, one, square))
    q = b.select(positive, square, one)
    return b.mul(x, b.div(p, b.add(p, b.add(q, q))))


@lowers("Swish", since=24, layout=elementwise)
def lower_swish(ctx: Context, node: ir.Node) -> Tensor:
    """x · sigmoid(alpha·x)."""
    x, alpha = ctx.input(node, 0), float(ctx.attribute(node, "alpha"))
    inner = x if alpha == 1.0 else ctx.b.mul(x, ctx.b.like(x, alpha))
    return ctx.b.mul(x, ctx.b.unary("logistic", inner))


@lowers("HardSigmoid", layout=elementwise)
def lower_hard_sigmoid(ctx: Context, node: ir.Node) -> Tensor:
    """clip(alpha·x + beta, 0, 1); for alpha = 1/6, beta = 1/2 by RELU6, which fuses into the add."""
    b, x = ctx.b, ctx.input(node, 0)
    alpha, beta = float(ctx.attribute(node, "alpha")), float(ctx.attribute(node, "beta"))
    if np.float32(alpha) == np.float32(1 / 6) and beta == 0.5:
        return b.mul(b.unary("relu6", b.add(x, b.like(x, 3))), b.like(x, 1 / 6))
    line = b.add(b.mul(x, b.like(x, alpha)), b.like(x, beta))
    return b.binary("minimum", b.binary("maximum", line, b.like(x, 0)), b.like(x, 1))


@lowers("ThresholdedRelu", since=10, layout=elementwise)
def lower_thresholded_relu(ctx: Context, node: ir.Node) -> Tensor:
    """x where x > alpha, else 0."""
    b, x = ctx.b, ctx.input(node, 0)
    above = b.compare("greater", x, b.like(x, float(ctx.attribute(node, "alpha"))))
    return b.select(above, x, b.like(x, 0))


@lowers("Shrink", since=9, layout=elementwise)
def lower_shrink(ctx: Context, node: ir.Node) -> Tensor:
    """x + bias below -lambd, x - bias above lambd, 0 between."""
    b, x = ctx.b, ctx.input(node, 0)
    bias, lambd = float(ctx.attribute(node, "bias")), float(ctx.attribute(node, "lambd"))
    above = b.select(b.compare("greater", x, b.like(x, lambd)), b.sub(x, b.like(x, bias)), b.like(x, 0))
    return b.select(b.compare("less", x, b.like(x, -lambd)), b.add(x, b.like(x, bias)), above)


@lowers(*_SOFTMAX, layout=softmax)
def lower_softmax(ctx: Context, node: ir.Node) -> Tensor:
    """Softmax over ``axis``; before opset 13 over all axes from ``axis`` on, flattened.

    TFLite: SOFTMAX, LOG_SOFTMAX or its steps, on the last axis; another axis is moved there and back.
    """
    b, x, op = ctx.b, ctx.input(node, 0), _SOFTMAX[node.op_type]
    axis = normalize_axis(int(ctx.attribute(node, "axis")), x.rank)
    if axis == x.rank - 1:
        if x.rank == 0:
            return b.reshape(_over_rows(b, op, b.reshape(x, (1,))), ())
        return _over_rows(b, op, x)
    if ctx.version(node) < 13:
        made = _over_rows(b, op, as_matrix(ctx, x, axis))
        return b.reshape_by(made, [[(x, a)] for a in range(x.rank)])
    perm = [a for a in range(x.rank) if a != axis] + [axis]
    back = [perm.index(a) for a in range(x.rank)]
    return b.transpose(_over_rows(b, op, b.transpose(x, perm)), back)


def _over_rows(b: Builder, op: str, x: Tensor) -> Tensor:
    """``softmax`` or ``log_softmax`` over the last axis.

    The steps are what the form is called; MLIR makes LOG_SOFTMAX of them, and ``tflite_cleanup`` the steps again.
    """
    if op == "softmax":
        return b.unary(op, x, beta=1.0)
    if x.dtype != "float32" or not b.forms.takes("log_softmax_in_steps"):
        return b.unary(op, x)
    b.because("XNNPACK takes the steps of LOG_SOFTMAX, and not the whole")
    below = b.sub(x, b.reduce("reduce_max", x, [-1], keep_dims=True))
    total = b.reduce("sum", b.unary("exp", below), [-1], keep_dims=True)
    return b.sub(below, b.unary("log", total))
