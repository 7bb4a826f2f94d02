"""Extents that are known at run time only, and crops and pads along them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..builders.tensor import Shape, Tensor
from .context import Context


def affine_shape(ctx: Context, x: Tensor, factors: Sequence[int], offsets: Sequence[int]) -> Tensor:
    """``x``'s extents · ``factors`` + ``offsets``, 1-D int32; a constant where all that counts is static."""
    b = ctx.b
    known = affine_extents(x.shape, factors, offsets)
    if None not in known:
        return b.int32s([d or 0 for d in known])
    return b.add(b.mul(b.shape_of(x), b.int32s(factors)), b.int32s(offsets))


def affine_extents(shape: Shape, factors: Sequence[int], offsets: Sequence[int]) -> Shape:
    """What is known of :func:`affine_shape`; a factor of 0 makes an extent known."""
    return tuple(
        o if f == 0 else None if d is None else d * f + o for d, f, o in zip(shape, factors, offsets, strict=True)
    )


def reshape_affine(ctx: Context, x: Tensor, of: Tensor, factors: Sequence[int], offsets: Sequence[int]) -> Tensor:
    """``x`` with the shape that :func:`affine_shape` makes of ``of``'s."""
    shape = affine_extents(of.shape, factors, offsets)
    runtime = affine_shape(ctx, of, factors, offsets) if sum(d is None for d in shape) > 1 else None
    return ctx.b.reshape(x, shape, runtime)


def as_matrix(ctx: Context, x: Tensor, axis: int) -> Tensor:
    """``x`` of two axes: all before ``axis``, and all from it on."""
    axes = [(x, a) for a in range(x.rank)]
    return ctx.b.reshape_by(x, [axes[:axis], axes[axis:]])


def positions(ctx: Context, x: Tensor, axis: int) -> Tensor:
    """0, …, extent - 1 of an axis, 1-D int32; a constant where the extent is static."""
    b = ctx.b
    return b.range(b.const(np.int32(0)), b.extent_of(x, axis), b.const(np.int32(1)), None)


def are_among(ctx: Context, axes: Tensor, rank: int) -> Tensor:
    """Which of ``rank`` axes are among ``axes`` (1-D int32, may be negative), bool [rank]."""
    b = ctx.b
    counted = b.select(b.compare("less", axes, b.like(axes, 0)), b.add(axes, b.like(axes, rank)), axes)
    table = b.compare("equal", b.const(np.arange(rank, dtype=np.int32).reshape(-1, 1)), counted)
    return b.reduce("reduce_any", table, [1], keep_dims=False)


def extents_beside(ctx: Context, x: Tensor, axes: Tensor) -> Tensor:
    """``x``'s extents without those of ``axes`` (1-D int32), each of which is named once; 1-D int32."""
    b = ctx.b
    left = b.where(b.unary("logical_not", are_among(ctx, axes, x.rank)))
    return b.gather(b.shape_of(x), b.reshape(left, (x.rank - (axes.shape[0] or 0),)), 0)


def cropped(ctx: Context, x: Tensor, cuts: Sequence[tuple[int, int]]) -> Tensor:
    """``x`` without (front, back) elements of every axis. TFLite: SLICE, or STRIDED_SLICE of dynamic axes."""
    b = ctx.b
    if not any(map(any, cuts)):
        return x
    shape = tuple(None if d is None else d - low - high for d, (low, high) in zip(x.shape, cuts, strict=True))
    begin = [low for low, _ in cuts]
    if all(d is not None or high == 0 for d, (_, high) in zip(x.shape, cuts, strict=True)):
        return b.slice(x, begin, [-1 if d is None else d for d in shape])
    end = b.int32s([-high for _, high in cuts])
    to_the_end = sum(1 << axis for axis, (_, high) in enumerate(cuts) if high == 0)
    return b.strided_slice(x, b.int32s(begin), end, b.int32s([1] * x.rank), shape, end_mask=to_the_end)


def cropped_or_padded(
    ctx: Context, x: Tensor, pads: Sequence[tuple[int, int]], value: float | int | bool = 0
) -> Tensor:
    """``x`` with ``pads`` (before, after) elements of ``value`` on every axis; negative pads take away."""
    kept = cropped(ctx, x, [(max(-low, 0), max(-high, 0)) for low, high in pads])
    return ctx.b.pad(kept, [(max(low, 0), max(high, 0)) for low, high in pads], value)
