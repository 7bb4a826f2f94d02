"""Functions of one real variable that TFLite has no op for, from those it has, to float32 accuracy.

Each is accurate relative to its value, near zero as well, where the textbook formula would cancel. The polynomials
are minimax fits (Lawson's iteration on 2,000 Chebyshev points, relative error, in float64); errors are stated in
float32 steps (2^-23) of the value, with exact EXP, LOG, SIN and COS.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..builders.tensor import Tensor
from .context import Context

# erf(x)/x on x² ≤ 0.9², to 1.2e-8, and -log(erfc(x)) on 0.9 … 4, to 1.6e-9 of 1 in erfc.
_ERF_SPLIT = 0.9
_ERF_NEAR = (1.1283791537971195, -0.3761252327528334, 0.11282140803138263, -0.02677890862141769, 0.005011962412464236,
             -0.0006090358002330837)  # fmt: skip
_ERF_FAR = (0.00017748724406363436, 1.127749595594115, 0.6370596927431204, 0.10403741702982408, -0.02227711705266136,
            0.0030556156969411405, -0.00019718262231614258)  # fmt: skip
# artanh(s)/s on s² ≤ 1/9, to 4.0e-9.
_ARTANH = (1.0000000039604693, 0.3333315734252064, 0.2001245507226118, 0.13980302367389696, 0.140891629985962)
# sinh(x)/x on x² ≤ 1, to 4.6e-11.
_SINH = (1.000000000045977, 0.16666666430246332, 0.008333352592932997, 0.0001983581244291518, 2.8185239684914277e-06)


def polynomial(ctx: Context, x: Tensor, coefficients: Sequence[float]) -> Tensor:
    """Σ coefficients[i] · xⁱ, by Horner's rule."""
    b = ctx.b
    *rest, last = coefficients
    result = b.like(x, last)
    for coefficient in reversed(rest):
        result = b.add(b.mul(result, x), b.like(x, coefficient))
    return result


def erf(ctx: Context, x: Tensor) -> Tensor:
    """The error function; at most 1.5 steps off. Beyond |x| = 4 it is ±1."""
    b = ctx.b
    near = b.mul(x, polynomial(ctx, b.mul(x, x), _ERF_NEAR))
    size = b.unary("abs", x)
    exponent = polynomial(ctx, b.binary("minimum", size, b.like(x, 4)), _ERF_FAR)
    far = b.sub(b.like(x, 1), b.unary("exp", b.unary("neg", exponent)))
    far = b.select(b.compare("less", x, b.like(x, 0)), b.unary("neg", far), far)
    return b.select(b.compare("less", size, b.like(x, _ERF_SPLIT)), near, far)


def log1p(ctx: Context, x: Tensor) -> Tensor:
    """log(1 + x) for x ≥ 0; at most 2 steps off. Up to 1 it is 2·artanh(x / (x + 2)); NaN for x < -1."""
    b = ctx.b
    # x may be infinite, and the branch that isn't taken must not make a NaN of it in a quantized graph.
    low = b.binary("minimum", x, b.like(x, 1))
    s = b.div(low, b.add(low, b.like(x, 2)))
    near = b.mul(b.add(s, s), polynomial(ctx, b.mul(s, s), _ARTANH))
    far = b.unary("log", b.add(x, b.like(x, 1)))
    return b.select(b.compare("less_equal", b.unary("abs", x), b.like(x, 1)), near, far)


def softplus(ctx: Context, x: Tensor) -> Tensor:
    """log(1 + eˣ) = max(x, 0) + log(1 + e^-|x|), which neither overflows nor rounds small values away."""
    b = ctx.b
    small = b.unary("exp", b.unary("neg", b.unary("abs", x)))
    s = b.div(small, b.add(small, b.like(x, 2)))
    near = b.mul(b.add(s, s), polynomial(ctx, b.mul(s, s), _ARTANH))
    return b.add(b.unary("relu", x), near)


def sinh(ctx: Context, x: Tensor) -> Tensor:
    """(eˣ - e⁻ˣ) / 2, and a polynomial within ±1, where the difference would cancel."""
    b = ctx.b
    near = b.mul(x, polynomial(ctx, b.mul(x, x), _SINH))
    far = b.mul(b.like(x, 0.5), b.sub(b.unary("exp", x), b.unary("exp", b.unary("neg", x))))
    return b.select(b.compare("less", b.unary("abs", x), b.like(x, 1)), near, far)


def cosh(ctx: Context, x: Tensor) -> Tensor:
    """(eˣ + e⁻ˣ) / 2."""
    b = ctx.b
    return b.mul(b.like(x, 0.5), b.add(b.unary("exp", x), b.unary("exp", b.unary("neg", x))))


def asinh(ctx: Context, x: Tensor) -> Tensor:
    """sign(x) · log1p(|x| + |x| / (√(1 + t²) + t)) with t = 1/|x|, so that x² can't overflow."""
    b, size = ctx.b, ctx.b.unary("abs", x)
    t = b.div(b.like(x, 1), size)
    root = b.unary("sqrt", b.add(b.mul(t, t), b.like(x, 1)))
    return b.mul(b.unary("sign", x), log1p(ctx, b.add(size, b.div(size, b.add(root, t)))))


def acosh(ctx: Context, x: Tensor) -> Tensor:
    """log1p(t + √t·√(t + 2)) with t = x - 1."""
    b = ctx.b
    t = b.sub(x, b.like(x, 1))
    root = b.mul(b.unary("sqrt", t), b.unary("sqrt", b.add(t, b.like(x, 2))))
    return log1p(ctx, b.add(t, root))


def atanh(ctx: Context, x: Tensor) -> Tensor:
    """sign(x) · log1p(2|x| / (1 - |x|)) / 2."""
    b, size = ctx.b, ctx.b.unary("abs", x)
    inner = b.div(b.add(size, size), b.sub(b.like(x, 1), size))
    return b.mul(b.mul(b.unary("sign", x), b.like(x, 0.5)), log1p(ctx, inner))


def tan(ctx: Context, x: Tensor) -> Tensor:
    """sin r / cos r, or -cos r / sin r, with r = x - k·π/2 within ±π/4.

    SIN and COS are accurate to a step of 1, not of their value, so that their quotient near a pole would not be. π/2
    comes off in three parts, the products of which with k are exact up to |x| ≈ 10⁵ (Cody and Waite, 1980).
    """
    b = ctx.b
    k = b.unary("round", b.mul(x, b.like(x, 2 / np.pi)))
    r = x
    for part in _parts_of_half_pi():
        r = b.sub(r, b.mul(k, b.like(x, part)))
    sine, cosine = b.unary("sin", r), b.unary("cos", r)
    half = b.mul(k, b.like(x, 0.5))
    is_odd = b.compare("not_equal", half, b.unary("floor", half))
    return b.div(b.select(is_odd, b.unary("neg", cosine), sine), b.select(is_odd, sine, cosine))


def _parts_of_half_pi() -> list[float]:
    """π/2 as a sum: two numbers of 8 significant bits, and the rest."""
    rest, parts = np.pi / 2, []
    for _ in range(2):
        scale = 2.0 ** (7 - np.floor(np.log2(rest)))
        parts.append(float(np.floor(rest * scale) / scale))
        rest -= parts[-1]
    return [*parts, float(rest)]


def atan(ctx: Context, x: Tensor) -> Tensor:
    """atan2(x, 1); ATAN2 does not broadcast."""
    b = ctx.b
    if x.is_static:
        return b.binary("atan2", x, b.const(np.ones(x.static_shape, x.dtype)))
    return b.binary("atan2", x, b.fill(b.shape_of(x), b.like(x, 1), x.shape))


def asin(ctx: Context, x: Tensor) -> Tensor:
    """atan2(x, √(1 - x²))."""
    return ctx.b.binary("atan2", x, _cathetus(ctx, x))


def acos(ctx: Context, x: Tensor) -> Tensor:
    """atan2(√(1 - x²), x)."""
    return ctx.b.binary("atan2", _cathetus(ctx, x), x)


def _cathetus(ctx: Context, x: Tensor) -> Tensor:
    b, one = ctx.b, ctx.b.like(x, 1)
    return b.unary("sqrt", b.mul(b.sub(one, x), b.add(one, x)))
