"""Maxima with their places, and back."""

from __future__ import annotations

from functools import reduce
from math import prod

import numpy as np
import onnx_ir as ir

from ...builders.tensor import Tensor, element_count, static
from ..context import Context
from ..extents import affine_shape, positions
from ..registry import lowers
from .pooling import lowest, shifted, window


@lowers("MaxPool")
def lower_max_pool_with_indices(ctx: Context, node: ir.Node) -> tuple[Tensor, Tensor]:
    """X [N,C,...] → Y, and where in X (its elements counted through) each maximum is, int64 (ONNX MaxPool 8-22).

    The layout step leaves a MaxPool in ONNX's domain for its Indices, or for an unknown or odd rank. TFLite: one
    STRIDED_SLICE for each kernel element, MAXIMUM and ARG_MAX over them: of equal ones the first.
    """
    b, x = ctx.b, ctx.input(node, 0)
    extents = static(x.shape[2:])
    kernel, strides, dilations, pads = window(ctx, node, extents)
    padded = b.pad(x, [(0, 0), (0, 0), *pads], lowest(x))
    seen = list(shifted(ctx, padded, kernel, strides, dilations, 2))
    values = reduce(lambda p, q: b.binary("maximum", p, q), seen)
    if not ctx.has_output(node, 1):
        return values, b.const(np.zeros((), np.int64))
    along = extents if not ctx.attribute(node, "storage_order") else extents[::-1]
    steps = np.cumprod([1, *along[:0:-1]])[::-1]
    steps = steps if not ctx.attribute(node, "storage_order") else steps[::-1]
    offset = _sum_outer([np.arange(k) * d * step for k, d, step in zip(kernel, dilations, steps, strict=True)])
    corner = _sum_outer(
        [
            (np.arange(count) * s - low) * step
            for count, s, (low, _), step in zip(static(values.shape[2:]), strides, pads, steps, strict=True)
        ]
    )
    which = b.cast(b.arg_extreme("arg_max", b.pack(seen, 0), 0), "int32")
    within = b.add(b.gather(b.const(offset.reshape(-1), "int32"), which, 0), b.const(corner[None, None], "int32"))
    planes = b.mul(positions(ctx, x, 0), b.const(np.int32(static(x.shape[1:2])[0])))
    plane = b.add(b.expand_dims(planes, [1]), b.expand_dims(positions(ctx, x, 1), [0]))
    first = b.mul(plane, b.const(np.int32(prod(extents))))
    return values, b.cast(b.add(within, b.expand_dims(first, range(2, x.rank))), "int64")


def _sum_outer(
    parts: list[np.ndarray[tuple[int, ...], np.dtype[np.int64]]],
) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    return reduce(np.add.outer, parts)


@lowers("MaxUnpool", since=9)
def lower_max_unpool(ctx: Context, node: ir.Node) -> Tensor:
    """X, I [N,C,...] → what a MaxPool gave X and I of, zeros elsewhere (ONNX MaxUnpool 9-22).

    Zeros come behind every axis up to ``output_shape``. TFLite: SCATTER_ND; where windows overlap, so that a maximum
    comes more than once, UNSORTED_SEGMENT_MAX.
    """
    b, x, indices = ctx.b, ctx.input(node, 0), ctx.input(node, 1)
    kernel = [int(k) for k in ctx.attribute(node, "kernel_shape")]
    strides = [int(s) for s in ctx.attribute(node, "strides") or (1,) * len(kernel)]
    pads = ctx.attribute(node, "pads") or (0,) * (2 * len(kernel))
    grow = [k - s - pads[i] - pads[i + len(kernel)] for i, (k, s) in enumerate(zip(kernel, strides, strict=True))]
    factors, offsets = [1, 1, *strides], [0, 0, *grow]
    shape = affine_shape(ctx, x, factors, offsets)
    extents = (x.shape[0], *(d * f + o for d, f, o in zip(static(x.shape[1:]), factors[1:], offsets[1:], strict=True)))
    count, total = element_count(x.shape), element_count(extents)
    values, at = b.reshape(x, (count,)), b.cast(b.reshape(indices, (count,)), "int32")
    size = b.reduce("reduce_prod", shape, [0], keep_dims=True) if total is None else b.int32s([total])
    places = b.expand_dims(at, [1])
    if all(s >= k for k, s in zip(kernel, strides, strict=True)):
        full = b.scatter_nd(places, values, size, (total,))
    else:
        ones = b.fill(b.shape_of(values), b.const(np.int32(1)), values.shape)
        hit = b.compare("greater", b.scatter_nd(places, ones, size, (total,)), b.const(np.int32(0)))
        full = b.select(hit, b.segment("unsorted_segment_max", values, at, b.reshape(size, ())), b.like(x, 0))
    result = b.reshape(full, extents)
    wanted = ctx.optional(node, 2)
    if wanted is None:
        return result
    behind = b.sub(b.cast(wanted, "int32"), shape)
    amounts = b.transpose(b.pack([b.int32s([0] * x.rank), behind], 0), (1, 0))
    return b.pad_by(result, amounts, b.const(np.zeros((), x.dtype)), ctx.output(node).shape)
