"""Pools on channels-last activations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import reduce

import numpy as np
import onnx_ir as ir

from ....vocabulary import NHWC_DOMAIN
from ...builders.tensor import Shape, Tensor, Unsupported, static
from ...graph.ranges import is_not_negative
from ...layout.spatial import spatial
from ..context import Context
from ..extents import affine_shape
from ..registry import lowers
from .convolution import Pads, explicit_pads, is_same, with_batch_and_channels

_LOWEST = float(np.finfo(np.float32).min)
_WIDE = 16
"""Sides of a window above which the padding that a partial one takes costs more than a branch."""


@lowers("MaxPool", domain=NHWC_DOMAIN, layout=spatial)
def lower_max_pool(ctx: Context, node: ir.Node) -> Tensor:
    """X [N,H,W,C] → Y [N,H',W',C] (ONNX MaxPool 1-22, without Indices). TFLite: MAX_POOL_2D.

    Padding that SAME can't express is made with values that never win: zeros where X can't be negative, X's own
    mirror image where that lies inside each window, the lowest float otherwise.
    """
    return _pooled(ctx, node, "reduce_max", _max)


def _max(
    ctx: Context,
    node: ir.Node,
    x: Tensor,
    kernel: tuple[int, ...],
    strides: tuple[int, ...],
    dilations: tuple[int, ...],
    pads: Pads,
) -> Tensor:
    if any(d != 1 for d in dilations):
        return _dilated_max(ctx, x, kernel, strides, dilations, pads)
    if x.rank == 5:
        return _max_3d(ctx, x, kernel, strides, pads)
    if is_same(pads, x.shape[1:-1], kernel, strides, dilations):
        return ctx.b.pool_2d("max_pool_2d", x, window=kernel, strides=strides, padding="SAME")
    x = _pad_for_max(ctx, node, x, kernel, _seen(x.shape[1:-1], kernel, strides, pads))
    return ctx.b.pool_2d("max_pool_2d", x, window=kernel, strides=strides, padding="VALID")


def window(
    ctx: Context, node: ir.Node, extents: Shape
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], Pads]:
    """Kernel, strides, dilations and pads of a pool over space of ``extents``.

    Of ceil_mode, with the padding behind that a last, partial window takes, or a window that ends where space ends.
    """
    kernel = tuple(int(k) for k in ctx.attribute(node, "kernel_shape"))
    if len(extents) not in (2, 3) and node.domain == NHWC_DOMAIN:
        raise Unsupported(
            f"a pool over {len(extents)} spatial dimensions", "pool over 1, 2 or 3: reshape the others into the batch"
        )
    strides = tuple(int(s) for s in ctx.attribute(node, "strides") or (1,) * len(kernel))
    dilations = tuple(int(d) for d in ctx.attribute(node, "dilations") or (1,) * len(kernel))
    pads = explicit_pads(ctx, node, extents, kernel, strides, dilations)
    if ctx.attribute(node, "ceil_mode"):
        sides = zip(extents, kernel, strides, dilations, pads, strict=True)
        ceiled = [_with_ceil(*side) for side in sides]
        return tuple(k for k, _ in ceiled), strides, dilations, [pad for _, pad in ceiled]
    return kernel, strides, dilations, pads


def _with_ceil(extent: int | None, k: int, s: int, d: int, pad: tuple[int, int]) -> tuple[int, tuple[int, int]]:
    """Kernel and pad of an axis where the last, partial window counts; it must start inside X or its front pad."""
    (low, high), span = pad, (k - 1) * d + 1
    if extent is None and s + high <= span:
        return k, (low, high + s - 1)  # every window that starts there, whatever the extent is
    (extent,) = static((extent,))
    whole = extent + low + high
    count = -(-(whole - span) // s) + 1
    if (count - 1) * s >= extent + low:
        count -= 1
    if count == d == 1:
        return min(k, whole), pad
    return k, (low, max((count - 1) * s + span - extent - low, 0) if count else high)


def _pooled(ctx: Context, node: ir.Node, whole: str, form: Callable[..., Tensor]) -> Tensor:
    """The pool, or the reduction of all of space where a window may cover it. TFLite: IF.

    Args:
        whole: The reduction.
        form: The pool, of what ``window`` gives.
    """
    b, x = ctx.b, ctx.input(node, 0)
    kernel, *rest = window(ctx, node, x.shape[1:-1])
    if not _may_be_one(ctx, node, x, kernel):
        return form(ctx, node, x, kernel, *rest)
    axes = range(1, x.rank - 1)
    covered = reduce(
        lambda p, q: b.binary("logical_and", p, q),
        [b.compare("less_equal", b.extent_of(x, a), b.const(np.int32(k))) for a, k in zip(axes, kernel, strict=True)],
    )
    b.because("its window may be wider than what it pools, which is one mean or maximum then")
    (y,) = b.cond(
        covered, lambda: [b.reduce(whole, x, axes, keep_dims=True)], lambda: [form(ctx, node, x, kernel, *rest)]
    )
    return y


def _may_be_one(ctx: Context, node: ir.Node, x: Tensor, kernel: Sequence[int]) -> bool:
    """Whether a wide window is over space whose extents aren't known, which may be smaller."""
    unpadded = not any(ctx.attribute(node, "pads") or ()) and (ctx.attribute(node, "auto_pad") or "NOTSET") == "NOTSET"
    dense = all(d == 1 for d in ctx.attribute(node, "dilations") or ())
    wide = max(kernel) > _WIDE and None in x.shape[1:-1]
    return bool(ctx.attribute(node, "ceil_mode")) and unpadded and dense and wide


def _seen(extents: Shape, kernel: Sequence[int], strides: Sequence[int], pads: Pads) -> Pads:
    """Pads without what lies behind the last window."""
    return [
        (low, high if extent is None else max(0, high - (extent + low + high - k) % s))
        for extent, k, s, (low, high) in zip(extents, kernel, strides, pads, strict=True)
    ]


def _pad_for_max(ctx: Context, node: ir.Node, x: Tensor, kernel: Sequence[int], pads: Pads) -> Tensor:
    if not any(map(any, pads)):
        return x
    if is_not_negative(node.inputs[0]):
        ctx.b.because("what it pools is never negative, so that zeros pad it")
        return ctx.b.pad(x, with_batch_and_channels(pads))
    mirrored = x.dtype == "float32" and all(
        2 * max(low, high) <= k for k, (low, high) in zip(kernel, pads, strict=True)
    )
    ctx.b.because("what it pools may be negative, so that zeros can't pad it: after a ReLU they could")
    if mirrored and None not in x.shape[1:-1]:
        return ctx.b.mirror_pad(x, with_batch_and_channels(pads), "SYMMETRIC")
    return ctx.b.pad(x, with_batch_and_channels(pads), lowest(x))


def lowest(x: Tensor) -> float:
    """The number that no maximum of ``x``'s type is below."""
    return _LOWEST if x.is_float else int(np.iinfo(x.dtype).min)


def _dilated_max(
    ctx: Context,
    x: Tensor,
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    pads: Pads,
) -> Tensor:
    """The maximum along each axis in turn."""
    x = ctx.b.pad(x, with_batch_and_channels(pads), lowest(x))
    return _axis_by_axis(ctx, x, lambda p, q: ctx.b.binary("maximum", p, q), kernel, strides, dilations)


def _axis_by_axis(
    ctx: Context,
    x: Tensor,
    join: Callable[[Tensor, Tensor], Tensor],
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
) -> Tensor:
    """Each window's elements joined, along one axis after the other: a + b shifted slices in place of a · b."""
    for axis in range(len(kernel)):
        size, step, gap = (
            tuple(n if a == axis else 1 for a, n in enumerate(ns)) for ns in (kernel, strides, dilations)
        )
        x = reduce(join, shifted(ctx, x, size, step, gap))
    return x


def shifted(
    ctx: Context, x: Tensor, kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int], first: int = 1
) -> Iterator[Tensor]:
    """For each kernel element, what it sees of ``x`` as the window moves; space begins at axis ``first``."""
    b, space = ctx.b, range(first, first + len(kernel))
    counts = [
        (e - (k - 1) * d - 1) // s + 1
        for e, k, s, d in zip(static(tuple(x.shape[a] for a in space)), kernel, strides, dilations, strict=True)
    ]
    shape = (*x.shape[:first], *counts, *x.shape[space.stop :])
    whole = sum(1 << axis for axis in range(x.rank) if axis not in space)
    before, behind = [0] * first, [0] * (x.rank - space.stop)
    steps = b.int32s([*(1 for _ in before), *strides, *(1 for _ in behind)])
    for offset in np.ndindex(*kernel):
        begin = [o * d for o, d in zip(offset, dilations, strict=True)]
        end = [at + (n - 1) * s + 1 for at, n, s in zip(begin, counts, strides, strict=True)]
        yield b.strided_slice(
            x, b.int32s([*before, *begin, *behind]), b.int32s([*before, *end, *behind]), steps, shape,
            begin_mask=whole, end_mask=whole,
        )  # fmt: skip


def _max_3d(ctx: Context, x: Tensor, kernel: Sequence[int], strides: Sequence[int], pads: Pads) -> Tensor:
    """A maximum over H and W, then one over D: each on a 4-D view."""
    b = ctx.b
    x = b.pad(x, with_batch_and_channels(pads), lowest(x))
    n = x.shape[0]
    d, h, w, c = static(x.shape[1:])
    plane = b.pool_2d(
        "max_pool_2d", b.reshape(x, (None if n is None else n * d, h, w, c)),
        window=kernel[1:], strides=strides[1:], padding="VALID",
    )  # fmt: skip
    h2, w2 = static(plane.shape[1:3])
    column = b.pool_2d(
        "max_pool_2d", b.reshape(plane, (n, d, h2 * w2, c)),
        window=(kernel[0], 1), strides=(strides[0], 1), padding="VALID",
    )  # fmt: skip
    return b.reshape(column, (n, column.shape[1], h2, w2, c))


@lowers("AveragePool", domain=NHWC_DOMAIN, layout=spatial)
def lower_average_pool(ctx: Context, node: ir.Node) -> Tensor:
    """X [N,H,W,C] → Y [N,H',W',C] (ONNX AveragePool 1-22). TFLite: AVERAGE_POOL_2D.

    TFLite never counts padding. Where ONNX does, zeros are padded first; where ONNX doesn't and SAME is not the
    padding, the mean over zeros is scaled by the share of real elements in each window: a constant, or for images of
    dynamic size the mean over ones padded alike.
    """
    return _pooled(ctx, node, "mean", _average)


def _average(
    ctx: Context,
    node: ir.Node,
    x: Tensor,
    kernel: tuple[int, ...],
    strides: tuple[int, ...],
    dilations: tuple[int, ...],
    pads: Pads,
) -> Tensor:
    b = ctx.b
    own = explicit_pads(ctx, node, x.shape[1:-1], kernel, strides, dilations)
    counts_pads = bool(ctx.attribute(node, "count_include_pad"))
    plain = x.rank == 4 and all(d == 1 for d in dilations)
    if plain and not any(map(any, pads)):
        return b.pool_2d("average_pool_2d", x, window=kernel, strides=strides, padding="VALID")
    if plain and not counts_pads and is_same(pads, x.shape[1:-1], kernel, strides, dilations):
        return b.pool_2d("average_pool_2d", x, window=kernel, strides=strides, padding="SAME")

    def mean_with_zeros(t: Tensor, around: Pads) -> Tensor:
        zeros = b.pad(t, with_batch_and_channels(around))
        if plain:
            return b.pool_2d("average_pool_2d", zeros, window=kernel, strides=strides, padding="VALID")
        return _mean_of_slices(ctx, zeros, kernel, strides, dilations)

    mean = mean_with_zeros(x, pads)
    if counts_pads and pads == own:
        return mean
    if None in x.shape[1:-1]:
        counted = own if counts_pads else [(0, 0)] * len(own)
        more = [low + high for low, high in counted]
        extents = tuple(None if d is None else d + n for d, n in zip(x.shape[1:-1], more, strict=True))
        shape = affine_shape(ctx, x, (0, *(1,) * (x.rank - 2), 0), (1, *more, 1))
        around = [(low - a, high - c) for (low, high), (a, c) in zip(pads, counted, strict=True)]
        return b.div(mean, mean_with_zeros(b.fill(shape, b.like(x, 1), (1, *extents, 1)), around))
    divisor = _valid_counts(x, kernel, strides, dilations, pads, own if counts_pads else None)
    return b.mul(mean, b.const((np.float32(np.prod(kernel)) / divisor).astype(x.dtype)))


def _valid_counts(
    x: Tensor, kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int], pads: Pads,
    counted: Pads | None,
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:  # fmt: skip
    """How many elements each window divides by, [1,H',W',1]; ``counted`` pads count as elements."""
    total: np.ndarray[tuple[int, ...], np.dtype[np.float32]] = np.ones((), np.float32)
    for axis, extent in enumerate(static(x.shape[1:-1])):
        k, s, d = kernel[axis], strides[axis], dilations[axis]
        (low, high) = pads[axis]
        inner_low, inner_high = counted[axis] if counted else (0, 0)
        starts = np.arange((extent + low + high - (k - 1) * d - 1) // s + 1) * s - low
        at = starts[:, None] + np.arange(k)[None, :] * d
        inside = ((at >= -inner_low) & (at < extent + inner_high)).sum(1).astype(np.float32)
        total = np.multiply.outer(total, np.maximum(inside, 1)).astype(np.float32)
    return total[None, ..., None]


def _mean_of_slices(
    ctx: Context, x: Tensor, kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> Tensor:
    """A dilated or volumetric mean."""
    total = _axis_by_axis(ctx, x, ctx.b.add, kernel, strides, dilations)
    return ctx.b.mul(total, ctx.b.like(total, 1.0 / float(np.prod(kernel))))


@lowers("GlobalAveragePool", "GlobalMaxPool", domain=NHWC_DOMAIN, layout=spatial)
def lower_global_pool(ctx: Context, node: ir.Node) -> Tensor:
    """X [N,...,C] → Y [N,1...,C]. TFLite: MEAN, REDUCE_MAX."""
    x = ctx.input(node, 0)
    op = "mean" if node.op_type == "GlobalAveragePool" else "reduce_max"
    return ctx.b.reduce(op, x, range(1, x.rank - 1), keep_dims=True)


@lowers("LpPool", since=2, domain=NHWC_DOMAIN, layout=spatial)
def lower_lp_pool(ctx: Context, node: ir.Node) -> Tensor:
    """X [N,H,W,C] → Y = (Σ |x|ᵖ)^(1/p) over windows (ONNX LpPool 2-22): the mean of |x|ᵖ times the window's size.

    Padding adds zeros, which add nothing to the sum. TFLite: AVERAGE_POOL_2D between the powers.
    """
    b, x, p = ctx.b, ctx.input(node, 0), int(ctx.attribute(node, "p"))
    kernel, strides, dilations, pads = window(ctx, node, x.shape[1:-1])
    powers = b.pad(_powers(ctx, x, p), with_batch_and_channels(pads))
    if x.rank == 4 and all(d == 1 for d in dilations):
        mean = b.pool_2d("average_pool_2d", powers, window=kernel, strides=strides, padding="VALID")
        total = b.mul(mean, b.like(x, float(np.prod(kernel))))
    else:
        total = _axis_by_axis(ctx, powers, b.add, kernel, strides, dilations)
    return _root(ctx, total, p)


@lowers("GlobalLpPool", since=2, domain=NHWC_DOMAIN, layout=spatial)
def lower_global_lp_pool(ctx: Context, node: ir.Node) -> Tensor:
    """X [N,...,C] → (Σ |x|ᵖ)^(1/p) over all of space, [N,1...,C]."""
    x, p = ctx.input(node, 0), int(ctx.attribute(node, "p"))
    return _root(ctx, ctx.b.reduce("sum", _powers(ctx, x, p), range(1, x.rank - 1), keep_dims=True), p)


def _powers(ctx: Context, x: Tensor, p: int) -> Tensor:
    b = ctx.b
    if p == 2:
        return b.mul(x, x)
    size = b.unary("abs", x)
    return size if p == 1 else b.binary("pow", size, b.like(x, p))


def _root(ctx: Context, x: Tensor, p: int) -> Tensor:
    if p <= 2:
        return ctx.b.unary("sqrt", x) if p == 2 else x
    return ctx.b.binary("pow", x, ctx.b.like(x, 1 / p))
