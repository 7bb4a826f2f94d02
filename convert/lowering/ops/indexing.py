"""Gathers and scatters."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ...builders.tensor import Tensor, Unsupported, normalize_axis
from ..context import Context
from ..registry import lowers


def not_negative(ctx: Context, indices: Tensor, extent: int | None, of: Tensor, axis: int) -> Tensor:
    """Indices counted from the front: ONNX lets -1 be the last, TFLite does not."""
    b = ctx.b
    if indices.value is not None and (extent is not None or not np.any(indices.value < 0)):
        return b.const(np.where(indices.value < 0, indices.value + (extent or 0), indices.value), "int32")
    indices = b.cast(indices, "int32")
    size = b.const(np.int32(extent)) if extent is not None else b.gather(b.shape_of(of), b.const(np.int32(axis)), 0)
    negative = b.compare("less", indices, b.like(indices, 0))
    return b.select(negative, b.add(indices, size), indices)


@lowers("Gather")
def lower_gather(ctx: Context, node: ir.Node) -> Tensor:
    """numpy.take(data, indices, axis). TFLite: GATHER."""
    x, indices = ctx.inputs(node)
    axis = normalize_axis(int(ctx.attribute(node, "axis")), x.rank)
    return ctx.b.gather(x, not_negative(ctx, indices, x.shape[axis], x, axis), axis)


@lowers("GatherElements", since=11)
def lower_gather_elements(ctx: Context, node: ir.Node) -> Tensor:
    """out[i,j,k] = data[index[i,j,k],j,k] for axis 0. TFLite: GATHER_ND on full coordinates."""
    x, indices = ctx.inputs(node)
    return ctx.b.gather_nd(x, _coordinates(ctx, x, indices, int(ctx.attribute(node, "axis"))))


def _coordinates(ctx: Context, x: Tensor, indices: Tensor, axis: int) -> Tensor:
    """[*indices.shape, rank] int32: each element's own place, but for ``axis``, where the index says."""
    b, shape = ctx.b, indices.static_shape
    axis = normalize_axis(axis, x.rank)
    chosen = not_negative(ctx, indices, x.shape[axis], x, axis)
    grids = np.meshgrid(*(np.arange(d, dtype=np.int32) for d in shape), indexing="ij")
    columns = [
        b.expand_dims(chosen, [len(shape)]) if a == axis else b.const(grids[a][..., None]) for a in range(x.rank)
    ]
    return b.concat(columns, -1)


@lowers("GatherND", since=11)
def lower_gather_nd(ctx: Context, node: ir.Node) -> Tensor:
    """Slices of data at index vectors. TFLite: GATHER_ND; batch dimensions become coordinates."""
    b = ctx.b
    x, indices = ctx.inputs(node)
    batch = int(ctx.attribute(node, "batch_dims") or 0)
    indices = _absolute(ctx, x, indices, batch)
    if not batch:
        return b.gather_nd(x, indices)
    lead = indices.static_shape[:-1]
    grids = np.meshgrid(*(np.arange(d, dtype=np.int32) for d in lead), indexing="ij")
    columns = [b.const(grid[..., None]) for grid in grids[:batch]]
    return b.gather_nd(x, b.concat([*columns, indices], -1))


def _absolute(ctx: Context, x: Tensor, indices: Tensor, batch: int = 0) -> Tensor:
    """Index vectors with negative entries counted from the front."""
    b, depth = ctx.b, indices.shape[-1]
    if depth is None:
        raise Unsupported("the length of the index vectors must be static")
    extents = b.const(np.asarray(x.static_shape[batch : batch + depth], np.int32))
    if indices.value is not None:
        return b.const(np.where(indices.value < 0, indices.value + extents.value, indices.value), "int32")
    indices = b.cast(indices, "int32")
    negative = b.compare("less", indices, b.like(indices, 0))
    return b.select(negative, b.add(indices, extents), indices)


@lowers("ScatterND", since=11)
def lower_scatter_nd(ctx: Context, node: ir.Node) -> Tensor:
    """data with the slices at the index vectors replaced (or added to, multiplied, ...) by updates."""
    x, indices, updates = ctx.inputs(node)
    return _scattered(ctx, node, x, _absolute(ctx, x, indices), updates)


@lowers("ScatterElements", "Scatter", since=9)
def lower_scatter_elements(ctx: Context, node: ir.Node) -> Tensor:
    """data[index[i,j,k],j,k] = updates[i,j,k] for axis 0."""
    x, indices, updates = ctx.inputs(node)
    at = _coordinates(ctx, x, indices, int(ctx.attribute(node, "axis")))
    return _scattered(ctx, node, x, at, updates)


def _scattered(ctx: Context, node: ir.Node, x: Tensor, at: Tensor, updates: Tensor) -> Tensor:
    """TFLite's SCATTER_ND adds up on zeros: a scattered mask says where the data give way."""
    b, shape = ctx.b, ctx.b.int32s(x.static_shape)
    reduction = ctx.attribute(node, "reduction") or "none"
    if reduction == "add":
        return b.add(x, b.scatter_nd(at, updates, shape, x.shape))
    if reduction != "none":
        raise Unsupported(f"reduction={reduction!r}", "scatter with reduction none or add")
    work = updates if updates.dtype != "bool" else b.cast(updates, "int32")
    laid = b.scatter_nd(at, work, shape, x.shape)
    count = b.scatter_nd(at, b.const(np.ones(updates.static_shape, np.int32)), shape, x.shape)
    hit = b.compare("greater", count, b.like(count, 0))
    return b.select(hit, b.cast(laid, x.dtype), x)
