"""Gathers and scatters."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ....artifact import Array
from ...builders.kernels import working_dtype
from ...builders.remedies import FIXED_SIZE
from ...builders.tensor import Tensor, Unsupported, element_count, normalize_axis, static
from ...layout.axes import gather, one_axis
from ..context import Context
from ..extents import positions
from ..registry import lowers

_SEGMENTS = {
    "max": ("unsorted_segment_max", "maximum"),
    "min": ("unsorted_segment_min", "minimum"),
    "mul": ("unsorted_segment_prod", "mul"),
}
"""Reduction of a scatter → what reduces the updates for one place, and what takes in the data there."""


def not_negative(ctx: Context, indices: Tensor, extent: int | None, of: Tensor, axis: int) -> Tensor:
    """Indices counted from the front: ONNX lets -1 be the last, TFLite does not."""
    b = ctx.b
    if indices.value is not None and (extent is not None or not np.any(indices.value < 0)):
        return b.const(np.where(indices.value < 0, indices.value + (extent or 0), indices.value), "int32")
    indices = b.cast(indices, "int32")
    size = b.const(np.int32(extent)) if extent is not None else b.gather(b.shape_of(of), b.const(np.int32(axis)), 0)
    negative = b.compare("less", indices, b.like(indices, 0))
    return b.select(negative, b.add(indices, size), indices)


@lowers("Gather", layout=gather)
def lower_gather(ctx: Context, node: ir.Node) -> Tensor:
    """numpy.take(data, indices, axis). TFLite: GATHER, or SLICE of neighbours, which XNNPACK takes."""
    x, indices = ctx.inputs(node)
    axis = normalize_axis(int(ctx.attribute(node, "axis")), x.rank)
    neighbours = _neighbours(indices.value, x.shape[axis])
    if neighbours is not None:
        first, count = neighbours
        ctx.b.because("its indices are neighbours, and XNNPACK takes a slice")
        begin, size = [0] * x.rank, [-1] * x.rank
        begin[axis], size[axis] = first, count
        part = ctx.b.slice(x, begin, size)
        return part if indices.rank else ctx.b.squeeze(part, [axis])
    return ctx.b.gather(x, not_negative(ctx, indices, x.shape[axis], x, axis), axis)


def _neighbours(indices: Array | None, extent: int | None) -> tuple[int, int] | None:
    """First and number of ``indices``, a scalar or 1-D, where each is one more than that before it."""
    if indices is None or indices.ndim > 1 or not indices.size:
        return None
    chosen = indices.reshape(-1).astype(np.int64)
    if extent is not None:
        chosen = np.where(chosen < 0, chosen + extent, chosen)
    first = int(chosen[0])
    within = first >= 0 and (extent is None or first + chosen.size <= extent)
    return (first, chosen.size) if within and (np.diff(chosen) == 1).all() else None


@lowers("GatherElements", since=11, layout=one_axis(0))
def lower_gather_elements(ctx: Context, node: ir.Node) -> Tensor:
    """out[i,j,k] = data[index[i,j,k],j,k] for axis 0. TFLite: GATHER_ND on full coordinates."""
    x, indices = ctx.inputs(node)
    return ctx.b.gather_nd(x, _coordinates(ctx, x, indices, int(ctx.attribute(node, "axis"))))


def _coordinates(ctx: Context, x: Tensor, indices: Tensor, axis: int) -> Tensor:
    """[*indices.shape, rank] int32: each element's own place, but for ``axis``, where the index says."""
    axis = normalize_axis(axis, x.rank)
    chosen = not_negative(ctx, indices, x.shape[axis], x, axis)
    columns = [chosen if a == axis else _places(ctx, indices, a) for a in range(x.rank)]
    return ctx.b.concat([ctx.b.expand_dims(c, [indices.rank]) for c in columns], -1)


def _places(ctx: Context, like: Tensor, axis: int) -> Tensor:
    """Each element's own index along ``axis``, int32 of ``like``'s shape."""
    b, along = ctx.b, positions(ctx, like, axis)
    if like.is_static and along.value is not None:
        shape = [1] * like.rank
        shape[axis] = -1
        return b.const(np.broadcast_to(along.value.reshape(shape), like.static_shape))
    zeros = b.fill(b.shape_of(like), b.const(np.int32(0)), like.shape)
    return b.add(zeros, b.expand_dims(along, [a for a in range(like.rank) if a != axis]))


@lowers("GatherND", since=11)
def lower_gather_nd(ctx: Context, node: ir.Node) -> Tensor:
    """Slices of data at index vectors. TFLite: GATHER_ND; batch dimensions become coordinates."""
    b = ctx.b
    x, indices = ctx.inputs(node)
    batch = int(ctx.attribute(node, "batch_dims") or 0)
    indices = _absolute(ctx, x, indices, batch)
    if not batch:
        return b.gather_nd(x, indices)
    first = b.squeeze(b.slice(indices, [0] * indices.rank, [-1] * (indices.rank - 1) + [1]), [-1])
    columns = [b.expand_dims(_places(ctx, first, axis), [first.rank]) for axis in range(batch)]
    return b.gather_nd(x, b.concat([*columns, indices], -1))


def _absolute(ctx: Context, x: Tensor, indices: Tensor, batch: int = 0) -> Tensor:
    """Index vectors with negative entries counted from the front."""
    b, depth = ctx.b, indices.shape[-1]
    if depth is None:
        raise Unsupported("the length of the index vectors must be static", FIXED_SIZE)
    extents = b.slice(b.shape_of(x), [batch], [depth])
    if indices.value is not None and extents.value is not None:
        return b.const(np.where(indices.value < 0, indices.value + extents.value, indices.value), "int32")
    indices = b.cast(indices, "int32")
    negative = b.compare("less", indices, b.like(indices, 0))
    return b.select(negative, b.add(indices, extents), indices)


@lowers("NonZero", since=9)
def lower_non_zero(ctx: Context, node: ir.Node) -> Tensor:
    """Coordinates of the elements that aren't 0, int64 [rank, count]. TFLite: WHERE, transposed."""
    b, x = ctx.b, ctx.input(node, 0)
    found = x if x.dtype == "bool" else b.compare("not_equal", x, b.like(x, 0))
    if x.rank == 0:
        raise Unsupported("the coordinates of a scalar", "give it an axis")
    return b.transpose(b.where(found), (1, 0))


@lowers("Compress", since=9)
def lower_compress(ctx: Context, node: ir.Node) -> Tensor:
    """The slices along ``axis`` (of X flattened by default) where the condition holds. TFLite: WHERE, GATHER."""
    b, x, condition = ctx.b, ctx.input(node, 0), ctx.input(node, 1)
    axis = ctx.attribute(node, "axis")
    if axis is None:
        x = b.reshape(x, (element_count(x.shape),))
    return b.gather(x, b.reshape(b.where(condition), (None,)), 0 if axis is None else int(axis))


@lowers("ReverseSequence", since=10)
def lower_reverse_sequence(ctx: Context, node: ir.Node) -> Tensor:
    """The first sequence_lens[n] elements of every batch along ``time_axis`` reversed. TFLite: REVERSE_SEQUENCE."""
    x, lengths = ctx.inputs(node)
    time, batch = (int(ctx.attribute(node, name)) for name in ("time_axis", "batch_axis"))
    return ctx.b.reverse_sequence(x, ctx.b.cast(lengths, "int32"), time, batch)


@lowers("ScatterND", since=11)
def lower_scatter_nd(ctx: Context, node: ir.Node) -> Tensor:
    """data with the slices at the index vectors replaced (or added to, multiplied, ...) by updates."""
    x, indices, updates = ctx.inputs(node)
    return _scattered(ctx, node, x, _absolute(ctx, x, indices), updates)


@lowers("ScatterElements", since=11, layout=one_axis(0))
@lowers("Scatter", since=9)
def lower_scatter_elements(ctx: Context, node: ir.Node) -> Tensor:
    """data[index[i,j,k],j,k] = updates[i,j,k] for axis 0."""
    x, indices, updates = ctx.inputs(node)
    at = _coordinates(ctx, x, indices, int(ctx.attribute(node, "axis")))
    return _scattered(ctx, node, x, at, updates)


def _scattered(ctx: Context, node: ir.Node, x: Tensor, at: Tensor, updates: Tensor) -> Tensor:
    """TFLite's SCATTER_ND adds up on zeros: a scattered mask says where the data give way."""
    b, shape = ctx.b, ctx.b.shape_of(x)
    reduction = str(ctx.attribute(node, "reduction") or "none")
    if reduction == "add":
        return b.add(x, b.scatter_nd(at, updates, shape, x.shape))
    if reduction in _SEGMENTS:
        return _by_segments(ctx, x, at, updates, reduction)
    work = updates if updates.dtype != "bool" else b.cast(updates, "int32")
    laid = b.scatter_nd(at, work, shape, x.shape)
    ones = b.fill(b.shape_of(updates), b.const(np.int32(1)), updates.shape)
    hit = b.compare("greater", b.scatter_nd(at, ones, shape, x.shape), b.const(np.int32(0)))
    return b.select(hit, b.cast(laid, x.dtype), x)


def _by_segments(ctx: Context, x: Tensor, at: Tensor, updates: Tensor, reduction: str) -> Tensor:
    """Updates for one place are a segment; one without any is the lowest (highest) number, or 1.

    TFLite: UNSORTED_SEGMENT_MAX, _MIN, _PROD.
    """
    b, depth = ctx.b, static(at.shape[-1:])[0]
    steps = [b.const(np.int32(1))]  # how far apart places are along each axis, the last first
    for axis in reversed(range(depth)):
        steps.append(b.mul(steps[-1], b.extent_of(x, axis)))
    total = steps.pop()
    apart = b.concat([b.reshape(step, (1,)) for step in reversed(steps)], 0)
    ids = b.reshape(b.reduce("sum", b.mul(at, apart), [-1], keep_dims=False), (element_count(at.shape[:-1]),))
    segment, combine = _SEGMENTS[reduction]
    # All in the kernel's dtype: the number of a segment without updates doesn't fit a narrower one.
    dtype, work = x.dtype, working_dtype(segment, x.dtype)
    x, updates = b.cast(x, work), b.cast(updates, work)
    first = [(updates, axis) for axis in range(at.rank - 1)]
    rows = b.reshape_by(updates, [first, *([(x, axis)] for axis in range(depth, x.rank))])
    merged = b.segment(segment, rows, ids, total)
    merged = b.reshape_by(merged, [[(x, axis)] for axis in range(x.rank)])
    return b.cast(b.binary(combine, x, merged), dtype)


@lowers("TensorScatter", since=24)
def lower_tensor_scatter(ctx: Context, node: ir.Node) -> Tensor:
    """past_cache [B,…,S,…] with update [B,…,s,…] from write_indices[b] on along ``axis``; ``circular`` goes on at 0.

    Every place of the result looks for its own element of the update. TFLite: SELECT_V2, and GATHER for s > 1.
    """
    b, past, update = ctx.b, ctx.input(node, 0), ctx.input(node, 1)
    start = ctx.optional(node, 2)
    axis = normalize_axis(int(ctx.attribute(node, "axis")), past.rank)
    if axis == 0:
        raise Unsupported("the axis to write along is that of the batch", "export the model again")
    at, size = b.expand_dims(positions(ctx, past, axis), [0]), b.extent_of(update, axis)
    first = b.const(np.zeros((1, 1), np.int32)) if start is None else b.expand_dims(b.cast(start, "int32"), [1])
    offset = b.sub(at, first)  # [B or 1, S]
    if ctx.attribute(node, "mode") == "circular":
        offset = b.binary("floor_mod", offset, b.extent_of(past, axis))
    zero = b.const(np.int32(0))
    inside = b.binary("logical_and", b.compare("greater_equal", offset, zero), b.compare("less", offset, size))
    if update.shape[axis] != 1:
        found = b.binary("maximum", b.binary("minimum", offset, b.sub(size, b.const(np.int32(1)))), zero)
        perm = [0, axis, *(a for a in range(1, past.rank) if a != axis)]
        rows = b.transpose(update, perm)
        rows = b.gather(rows, b.squeeze(found, [0]), 1) if start is None else b.gather(rows, found, 1, batch_dims=1)
        update = b.transpose(rows, [perm.index(a) for a in range(past.rank)])
    return b.select(b.expand_dims(inside, [a for a in range(1, past.rank) if a != axis]), update, past)
