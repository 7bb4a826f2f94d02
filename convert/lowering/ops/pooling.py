"""Pools on channels-last activations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import reduce

import numpy as np
import onnx_ir as ir

from ...builders.tensor import Tensor, Unsupported
from ..context import Context
from ..registry import CHANNELS_LAST, lowers
from .convolution import Pads, explicit_pads, is_same, with_batch_and_channels

_LOWEST = float(np.finfo(np.float32).min)
_NOT_NEGATIVE = frozenset({"Relu", "Sigmoid", "Softmax", "HardSigmoid", "Abs", "Exp"})


@lowers("MaxPool", domain=CHANNELS_LAST)
def lower_max_pool(ctx: Context, node: ir.Node) -> Tensor:
    """X [N,H,W,C] → Y [N,H',W',C] (ONNX MaxPool 1-22, without Indices). TFLite: MAX_POOL_2D.

    Padding that SAME can't express is made with values that never win: zeros where X can't be negative, X's own
    mirror image where that lies inside each window, the lowest float otherwise.
    """
    if ctx.has_output(node, 1):
        raise Unsupported("the Indices output has no TFLite op", "don't return the indices of the pool")
    x = ctx.input(node, 0)
    kernel, strides, dilations, pads = _window(ctx, node, x)
    if any(d != 1 for d in dilations):
        return _dilated_max(ctx, x, kernel, strides, dilations, pads)
    if x.rank == 5:
        return _max_3d(ctx, x, kernel, strides, pads)
    if is_same(pads, x.shape[1:-1], kernel, strides, dilations):
        return ctx.b.pool_2d("max_pool_2d", x, window=kernel, strides=strides, padding="SAME")
    x = _pad_for_max(ctx, node, x, kernel, pads)
    return ctx.b.pool_2d("max_pool_2d", x, window=kernel, strides=strides, padding="VALID")


def _window(ctx: Context, node: ir.Node, x: Tensor) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], Pads]:
    kernel = tuple(int(k) for k in ctx.attribute(node, "kernel_shape"))
    if x.rank not in (4, 5):
        raise Unsupported(f"a pool over {x.rank - 2} spatial dimensions")
    strides = tuple(int(s) for s in ctx.attribute(node, "strides") or (1,) * len(kernel))
    dilations = tuple(int(d) for d in ctx.attribute(node, "dilations") or (1,) * len(kernel))
    pads = explicit_pads(ctx, node, x.shape[1:-1], kernel, strides, dilations)
    if ctx.attribute(node, "ceil_mode"):
        pads = _with_ceil(x, kernel, strides, dilations, pads)
    return kernel, strides, dilations, pads


def _with_ceil(x: Tensor, kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int], pads: Pads) -> Pads:
    """More padding behind, so that the last, partial window counts; it must start inside X or its front pad."""
    result: Pads = []
    for extent, k, s, d, (low, high) in zip(x.static_shape[1:-1], kernel, strides, dilations, pads, strict=True):
        span = (k - 1) * d + 1
        count = -(-(extent + low + high - span) // s) + 1
        if (count - 1) * s >= extent + low:
            count -= 1
        result.append((low, max((count - 1) * s + span - extent - low, 0) if count else high))
    return result


def _pad_for_max(ctx: Context, node: ir.Node, x: Tensor, kernel: Sequence[int], pads: Pads) -> Tensor:
    value = node.inputs[0]
    maker = value.producer() if value is not None else None
    if maker is not None and _is_not_negative(ctx, maker):
        return ctx.b.pad(x, with_batch_and_channels(pads))
    mirrored = x.dtype == "float32" and all(
        2 * max(low, high) <= k for k, (low, high) in zip(kernel, pads, strict=True)
    )
    if mirrored and x.is_static:
        return ctx.b.mirror_pad(x, with_batch_and_channels(pads), "SYMMETRIC")
    return ctx.b.pad(x, with_batch_and_channels(pads), _lowest(x))


def _is_not_negative(ctx: Context, maker: ir.Node) -> bool:
    if maker.op_type == "Clip":
        low = ctx.known(maker, 1)
        return low is not None and float(low.item()) >= 0
    return maker.op_type in _NOT_NEGATIVE


def _lowest(x: Tensor) -> float:
    return _LOWEST if x.is_float else int(np.iinfo(x.dtype).min)


def _dilated_max(
    ctx: Context,
    x: Tensor,
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    pads: Pads,
) -> Tensor:
    """The maximum of one shifted slice per kernel element."""
    x = ctx.b.pad(x, with_batch_and_channels(pads), _lowest(x))
    parts = _shifted(ctx, x, kernel, strides, dilations)
    return reduce(lambda p, q: ctx.b.binary("maximum", p, q), parts)


def _shifted(
    ctx: Context, x: Tensor, kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> Iterator[Tensor]:
    """For each kernel element, what it sees of ``x`` [N,...,C] as the window moves."""
    b, extents = ctx.b, x.static_shape[1:-1]
    counts = [(e - (k - 1) * d - 1) // s + 1 for e, k, s, d in zip(extents, kernel, strides, dilations, strict=True)]
    for offset in np.ndindex(*kernel):
        first = [o * d for o, d in zip(offset, dilations, strict=True)]
        last = [at + (n - 1) * s + 1 for at, n, s in zip(first, counts, strides, strict=True)]
        begin, end = [0, *first, 0], [x.static_shape[0], *last, x.static_shape[-1]]
        shape = (x.shape[0], *counts, x.shape[-1])
        yield b.strided_slice(x, b.int32s(begin), b.int32s(end), b.int32s([1, *strides, 1]), shape)


def _max_3d(ctx: Context, x: Tensor, kernel: Sequence[int], strides: Sequence[int], pads: Pads) -> Tensor:
    """A maximum over H and W, then one over D: each on a 4-D view."""
    b = ctx.b
    x = b.pad(x, with_batch_and_channels(pads), _lowest(x))
    n, d, h, w, c = x.static_shape
    plane = b.pool_2d(
        "max_pool_2d", b.reshape(x, (n * d, h, w, c)), window=kernel[1:], strides=strides[1:], padding="VALID"
    )
    _, h2, w2, _ = plane.static_shape
    column = b.pool_2d(
        "max_pool_2d", b.reshape(plane, (n, d, h2 * w2, c)),
        window=(kernel[0], 1), strides=(strides[0], 1), padding="VALID",
    )  # fmt: skip
    return b.reshape(column, (n, column.static_shape[1], h2, w2, c))


@lowers("AveragePool", domain=CHANNELS_LAST)
def lower_average_pool(ctx: Context, node: ir.Node) -> Tensor:
    """X [N,H,W,C] → Y [N,H',W',C] (ONNX AveragePool 1-22). TFLite: AVERAGE_POOL_2D.

    TFLite never counts padding. Where ONNX does, zeros are padded first; where ONNX doesn't and SAME is not the
    padding, the mean over zeros is scaled by the (constant) share of real elements in each window.
    """
    b, x = ctx.b, ctx.input(node, 0)
    kernel, strides, dilations, pads = _window(ctx, node, x)
    own = explicit_pads(ctx, node, x.shape[1:-1], kernel, strides, dilations)
    counts_pads = bool(ctx.attribute(node, "count_include_pad"))
    plain = x.rank == 4 and all(d == 1 for d in dilations)
    if plain and not any(map(any, pads)):
        return b.pool_2d("average_pool_2d", x, window=kernel, strides=strides, padding="VALID")
    if plain and not counts_pads and is_same(pads, x.shape[1:-1], kernel, strides, dilations):
        return b.pool_2d("average_pool_2d", x, window=kernel, strides=strides, padding="SAME")
    divisor = _valid_counts(x, kernel, strides, dilations, pads, own if counts_pads else None)
    zeros = b.pad(x, with_batch_and_channels(pads))
    if plain:
        mean = b.pool_2d("average_pool_2d", zeros, window=kernel, strides=strides, padding="VALID")
    else:
        mean = _mean_of_slices(ctx, zeros, kernel, strides, dilations)
    scale = np.float32(np.prod(kernel)) / divisor
    return mean if np.all(scale == 1) else b.mul(mean, b.const(scale.astype(x.dtype)))


def _valid_counts(
    x: Tensor, kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int], pads: Pads,
    counted: Pads | None,
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:  # fmt: skip
    """How many elements each window divides by, [1,H',W',1]; ``counted`` pads count as elements."""
    total: np.ndarray[tuple[int, ...], np.dtype[np.float32]] = np.ones((), np.float32)
    for axis, extent in enumerate(x.static_shape[1:-1]):
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
    total = reduce(ctx.b.add, _shifted(ctx, x, kernel, strides, dilations))
    return ctx.b.mul(total, ctx.b.like(total, 1.0 / float(np.prod(kernel))))


@lowers("GlobalAveragePool", "GlobalMaxPool", domain=CHANNELS_LAST)
def lower_global_pool(ctx: Context, node: ir.Node) -> Tensor:
    """X [N,...,C] → Y [N,1...,C]. TFLite: MEAN, REDUCE_MAX."""
    x = ctx.input(node, 0)
    op = "mean" if node.op_type == "GlobalAveragePool" else "reduce_max"
    return ctx.b.reduce(op, x, range(1, x.rank - 1), keep_dims=True)
