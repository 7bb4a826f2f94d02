"""One step of an optimizer, as models carry it that train on the device: plain arithmetic on each of their tensors."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from ...builders.tensor import Tensor
from ..context import Context
from ..registry import lowers

_TRAINING = "ai.onnx.preview.training"
Update = Callable[[Context, ir.Node, Tensor, Tensor, list[Tensor]], tuple[Tensor, ...]]
"""From the rate R, the count T, and a tensor X with its gradient and state, X and the state as they are then."""


def _each(ctx: Context, node: ir.Node, size: int, step: Update) -> tuple[Tensor, ...]:
    """Inputs are R, T, all X, all gradients, all of each state (``size`` kinds in all); outputs all X, all of each."""
    rate, count, *rest = ctx.inputs(node)
    many = len(rest) // size
    made = [step(ctx, node, rate, count, rest[i::many]) for i in range(many)]
    return tuple(tensors[k] for k in range(size - 1) for tensors in made)


def _number(ctx: Context, node: ir.Node, name: str, like: Tensor) -> Tensor:
    return ctx.b.like(like, float(ctx.attribute(node, name)))


def _regularized(ctx: Context, node: ir.Node, x: Tensor, gradient: Tensor) -> Tensor:
    return ctx.b.add(ctx.b.mul(_number(ctx, node, "norm_coefficient", x), x), gradient)


@lowers("Adagrad", domain=_TRAINING)
def lower_adagrad(ctx: Context, node: ir.Node) -> tuple[Tensor, ...]:
    """H += g²; X -= R / (1 + T·decay) · g / (√H + epsilon)."""
    return _each(ctx, node, 3, _adagrad)


def _adagrad(ctx: Context, node: ir.Node, rate: Tensor, count: Tensor, state: list[Tensor]) -> tuple[Tensor, ...]:
    b, (x, gradient, squares) = ctx.b, state
    decay = b.mul(b.cast(count, x.dtype), _number(ctx, node, "decay_factor", x))
    rate = b.div(b.cast(rate, x.dtype), b.add(b.like(x, 1), decay))
    gradient = _regularized(ctx, node, x, gradient)
    squares = b.add(squares, b.mul(gradient, gradient))
    root = b.add(b.unary("sqrt", squares), _number(ctx, node, "epsilon", x))
    return b.sub(x, b.div(b.mul(rate, gradient), root)), squares


@lowers("Adam", domain=_TRAINING)
def lower_adam(ctx: Context, node: ir.Node) -> tuple[Tensor, ...]:
    """V and H are running means of g and g²; X -= R' · V / (√H + epsilon), with R' corrected for their start at 0."""
    return _each(ctx, node, 4, _adam)


def _adam(ctx: Context, node: ir.Node, rate: Tensor, count: Tensor, state: list[Tensor]) -> tuple[Tensor, ...]:
    b, (x, gradient, mean, squares) = ctx.b, state
    one, alpha, beta = b.like(x, 1), _number(ctx, node, "alpha", x), _number(ctx, node, "beta", x)
    gradient = _regularized(ctx, node, x, gradient)
    mean = b.add(b.mul(alpha, mean), b.mul(b.sub(one, alpha), gradient))
    squares = b.add(b.mul(beta, squares), b.mul(b.sub(one, beta), b.mul(gradient, gradient)))
    rate, steps = b.cast(rate, x.dtype), b.cast(count, x.dtype)
    kept, kept_squares = (b.sub(one, b.binary("pow", decay, steps)) for decay in (alpha, beta))
    started = b.compare("greater", count, b.like(count, 0))
    rate = b.select(started, b.div(b.mul(rate, b.unary("sqrt", kept_squares)), kept), rate)
    root = b.add(b.unary("sqrt", squares), _number(ctx, node, "epsilon", x))
    x = b.sub(x, b.mul(rate, b.div(mean, root)))
    return b.mul(b.sub(one, _number(ctx, node, "norm_coefficient_post", x)), x), mean, squares


@lowers("Momentum", domain=_TRAINING)
def lower_momentum(ctx: Context, node: ir.Node) -> tuple[Tensor, ...]:
    """V = alpha·V + beta·g (g alone at T = 0); X -= R·V, or R·(g + alpha·V) in mode ``nesterov``."""
    return _each(ctx, node, 3, _momentum)


def _momentum(ctx: Context, node: ir.Node, rate: Tensor, count: Tensor, state: list[Tensor]) -> tuple[Tensor, ...]:
    b, (x, gradient, velocity) = ctx.b, state
    gradient, alpha = _regularized(ctx, node, x, gradient), _number(ctx, node, "alpha", x)
    started = b.compare("greater", count, b.const(np.zeros((), count.dtype)))
    beta = b.select(started, _number(ctx, node, "beta", x), b.like(x, 1))
    velocity = b.add(b.mul(alpha, velocity), b.mul(beta, gradient))
    step = velocity if ctx.attribute(node, "mode") == "standard" else b.add(gradient, b.mul(alpha, velocity))
    return b.sub(x, b.mul(b.cast(rate, x.dtype), step)), velocity
