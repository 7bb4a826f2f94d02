"""Resizing along one axis by a scale, to an extent or out of a region that is known at run time only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..builders.tensor import Tensor
from .context import Context
from .functions import polynomial


@dataclass(frozen=True)
class ResizedAxis:
    """What an axis becomes; scalars.

    Attributes:
        extent: The new extent, int32.
        scale: float32; None is the quotient of the extents.
        region: Where in 0 … 1 of the axis it begins and ends, float32; None: all of it.
    """

    extent: Tensor
    scale: Tensor | None
    region: tuple[Tensor, Tensor] | None = None


@dataclass(frozen=True)
class ResizeFilter:
    """How elements are weighted: attributes of ONNX's Resize."""

    mode: str
    transform: str
    nearest: str = "round_prefer_floor"
    cubic: float = -0.75
    antialias: bool = False
    exclude_outside: bool = False


def resample(
    ctx: Context, x: Tensor, axis: int, target: ResizedAxis, how: ResizeFilter
) -> tuple[Tensor, Tensor | None]:
    """``x`` with ``axis`` resized, and for a region which elements lie in the tensor (bool, 1-D).

    TFLite: GATHER (nearest), or BATCH_MATMUL with a matrix of weights.
    """
    b = ctx.b
    size = b.cast(b.extent_of(x, axis), "float32")
    at = _places(ctx, size, target, how.transform)
    last = b.sub(size, b.like(size, 1))
    inside = None
    if target.region is not None:
        inside = b.binary(
            "logical_and", b.compare("greater_equal", at, b.like(at, 0)), b.compare("less_equal", at, last)
        )
    if how.mode == "nearest":
        return b.gather(x, b.cast(_within(ctx, _rounded(ctx, at, how.nearest), last), "int32"), axis), inside
    stretch = None
    if how.antialias:
        scale = target.scale if target.scale is not None else b.div(b.cast(target.extent, "float32"), size)
        stretch = b.binary("minimum", scale, b.like(scale, 1))
    if how.mode == "linear" and stretch is None:
        # What lies outside is the border's: by a place on the border.
        at = _within(ctx, at, last)
        return _mixed(ctx, x, axis, _weights(ctx, at, _line(ctx, x, axis, None), how, None)), inside
    beyond = None if how.exclude_outside else _reach(ctx, how, stretch)
    taps = _line(ctx, x, axis, beyond)
    if beyond is not None:
        x = b.gather(x, b.cast(_within(ctx, taps, last), "int32"), axis)
    return _mixed(ctx, x, axis, _weights(ctx, at, taps, how, stretch)), inside


def _float(ctx: Context, x: Tensor) -> Tensor:
    return ctx.b.cast(x, "float32")


def _places(ctx: Context, size: Tensor, target: ResizedAxis, transform: str) -> Tensor:
    """Where in the input each new element lies (ONNX Resize, coordinate_transformation_mode), 1-D float32."""
    b, extent = ctx.b, _float(ctx, target.extent)
    zero, one, half = (b.like(size, v) for v in (0, 1, 0.5))
    order = b.range(zero, extent, one, None)

    def back(place: Tensor) -> Tensor:
        return b.div(b.mul(place, size), extent) if target.scale is None else b.div(place, target.scale)

    if transform == "asymmetric":
        return back(order)
    if transform in ("align_corners", "tf_crop_and_resize"):
        steps = b.div(b.sub(size, one), b.binary("maximum", b.sub(extent, one), one))
        if target.region is None:
            return b.mul(order, steps)
        start, end = target.region
        first, last = (b.mul(edge, b.sub(size, one)) for edge in (start, end))
        among = b.add(b.mul(order, b.mul(b.sub(end, start), steps)), first)
        return b.select(b.compare("greater", extent, one), among, b.mul(b.add(first, last), half))
    place = b.sub(back(b.add(order, half)), half)
    if transform == "half_pixel_symmetric" and target.scale is not None:
        adjustment = b.div(extent, b.mul(target.scale, size))
        return b.add(place, b.mul(b.mul(size, half), b.sub(one, adjustment)))
    if transform == "pytorch_half_pixel":
        return b.mul(place, b.cast(b.compare("greater", extent, one), "float32"))
    return place


def _within(ctx: Context, at: Tensor, last: Tensor) -> Tensor:
    return ctx.b.binary("minimum", ctx.b.binary("maximum", at, ctx.b.like(at, 0)), last)


def _rounded(ctx: Context, at: Tensor, mode: str) -> Tensor:
    b, half = ctx.b, ctx.b.like(at, 0.5)
    if mode in ("floor", "ceil"):
        return b.unary(mode, at)
    return b.unary("ceil", b.sub(at, half)) if mode == "round_prefer_floor" else b.unary("floor", b.add(at, half))


def _reach(ctx: Context, how: ResizeFilter, stretch: Tensor | None) -> Tensor:
    """How many elements beyond the border may count, a float32 scalar."""
    b, taps = ctx.b, 2.0 if how.mode == "cubic" else 1.0
    if stretch is None:
        return b.const(taps, "float32")
    return b.add(b.unary("ceil", b.div(b.like(stretch, taps), stretch)), b.like(stretch, 1))


def _line(ctx: Context, x: Tensor, axis: int, beyond: Tensor | None) -> Tensor:
    """The numbers of an axis' elements, and of so many on both sides of it, 1-D float32."""
    b, extent = ctx.b, x.shape[axis]
    more = 0.0 if beyond is None else None if beyond.value is None else float(beyond.value)
    if extent is not None and more is not None:
        return b.const(np.arange(-more, extent + more, dtype=np.float32))
    size, none = _float(ctx, b.extent_of(x, axis)), b.const(np.float32(0))
    beyond = none if beyond is None else beyond
    return b.range(b.sub(none, beyond), b.add(size, beyond), b.like(size, 1), None)


def _weights(ctx: Context, at: Tensor, taps: Tensor, how: ResizeFilter, stretch: Tensor | None) -> Tensor:
    """[1, new, taps]: what each tap counts for each new element."""
    b = ctx.b
    distance = b.unary("abs", b.sub(b.expand_dims(taps, [0, 1]), b.expand_dims(at, [0, 2])))
    distance = distance if stretch is None else b.mul(distance, stretch)
    if how.mode == "cubic":
        weights = _cubic(ctx, distance, how.cubic)
    else:
        weights = b.unary("relu", b.sub(b.like(distance, 1), distance))
    if stretch is None and not how.exclude_outside:
        return weights
    total = b.reduce("sum", weights, [2], keep_dims=True)
    return b.div(weights, b.select(b.compare("equal", total, b.like(total, 0)), b.like(total, 1), total))


def _cubic(ctx: Context, distance: Tensor, a: float) -> Tensor:
    """Keys' cubic convolution (R. Keys, 1981) with parameter ``a``."""
    b = ctx.b
    near = polynomial(ctx, distance, (1.0, 0.0, -(a + 3), a + 2))
    far = polynomial(ctx, distance, (-4 * a, 8 * a, -5 * a, a))
    far = b.select(b.compare("less", distance, b.like(distance, 2)), far, b.like(distance, 0))
    return b.select(b.compare("less_equal", distance, b.like(distance, 1)), near, far)


def _mixed(ctx: Context, x: Tensor, axis: int, weights: Tensor) -> Tensor:
    """``weights`` [1, new, old] applied along ``axis``."""
    b = ctx.b

    def axes(some: Sequence[int]) -> list[tuple[Tensor, int]]:
        return [(x, a) for a in some]

    before, behind = range(axis), range(axis + 1, x.rank)
    flat = b.reshape_by(_float(ctx, x), [axes(before), axes([axis]), axes(behind)])
    product = b.batch_matmul(weights, flat)
    extents = [*(axes([a]) for a in before), [(product, 1)], *(axes([a]) for a in behind)]
    return b.cast(b.reshape_by(product, extents), x.dtype)
