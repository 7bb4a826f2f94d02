"""Sorting and what is made of it."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ...builders.tensor import Tensor, Unsupported, element_count, normalize_axis, static
from ...layout.axes import one_axis, softmax
from ..context import Context
from ..extents import as_matrix, cropped
from ..registry import lowers


@lowers("TopK", layout=one_axis(-1, last=True))
def lower_top_k(ctx: Context, node: ir.Node) -> tuple[Tensor, Tensor]:
    """The K largest (or smallest) elements along ``axis`` and their int64 indices. TFLite: TOPK_V2, last axis.

    The smallest are the largest of the negated input.
    """
    b, x = ctx.b, ctx.input(node, 0)
    axis = normalize_axis(int(ctx.attribute(node, "axis")), x.rank)
    if ctx.version(node) < 10:
        k = b.const(np.int32(node.attributes["k"].as_int()))
    else:
        k = b.cast(b.reshape(ctx.input(node, 1), ()), "int32")
    extent = ctx.output(node).shape[axis]
    if k.value is None and extent is not None:
        k = b.const(np.int32(extent))
    largest = ctx.attribute(node, "largest")
    flip = largest is not None and not largest
    if flip and x.dtype not in ("float32", "float16", "float64", "int32", "int64"):
        raise Unsupported(f"the smallest of {x.dtype}", "cast to float32 first")
    perm = [a for a in range(x.rank) if a != axis] + [axis]
    back = [perm.index(a) for a in range(x.rank)]
    moved = b.transpose(x, perm)
    values, indices = b.top_k(b.unary("neg", moved) if flip else moved, k)
    values = b.unary("neg", values) if flip else values
    return b.transpose(values, back), b.cast(b.transpose(indices, back), "int64")


@lowers("Hardmax", layout=softmax)
def lower_hardmax(ctx: Context, node: ir.Node) -> Tensor:
    """1 at the first maximum along ``axis``, 0 elsewhere; before opset 13 over all axes from ``axis`` on."""
    b, x = ctx.b, ctx.input(node, 0)
    axis = normalize_axis(int(ctx.attribute(node, "axis")), x.rank)
    flat = x
    if ctx.version(node) < 13:
        flat, axis = as_matrix(ctx, x, axis), 1
    index = b.cast(b.arg_extreme("arg_max", flat, axis), "int32")
    hot = b.one_hot(index, b.extent_of(flat, axis), b.like(x, 1), b.like(x, 0), axis)
    return b.reshape_by(hot, [[(x, a)] for a in range(x.rank)])


@lowers("Unique", since=11)
def lower_unique(ctx: Context, node: ir.Node) -> tuple[Tensor, ...]:
    """The different slices along ``axis`` (elements by default), where each first was, which each is, how many.

    Equal slices lie beside each other once the slices are sorted, by their last element first, so that the sort of the
    first settles it: TOPK_V2, where the first of equals comes first. Slices must have a static number of elements.
    """
    b, x, axis = ctx.b, ctx.input(node, 0), ctx.attribute(node, "axis")
    at = 0 if axis is None else normalize_axis(int(axis), x.rank)
    if axis is None:
        x = b.reshape(x, (element_count(x.shape),))
    perm = [at, *(a for a in range(x.rank) if a != at)]
    rows = b.transpose(x, perm)
    flat = b.reshape(rows, (x.shape[at], _width(rows)))
    order, begin, group, counts = _groups(ctx, flat)
    one, number = b.const(np.int32(1)), b.extent_of(begin, 0)
    first, ordinal = b.gather(order, begin, 0), b.range(b.like(one, 0), number, one, None)
    if ctx.attribute(node, "sorted"):
        place = rank = b.sub(b.sub(number, one), ordinal)
    else:
        place = b.reverse(b.top_k(first, number)[1], 0)
        rank = b.scatter_nd(b.expand_dims(place, [1]), ordinal, b.reshape(number, (1,)), (None,))
    first, counts = b.gather(first, place, 0), b.gather(counts, place, 0)
    unique = b.transpose(b.gather(rows, first, 0), [perm.index(a) for a in range(x.rank)])
    return unique, *(b.cast(t, "int64") for t in (first, b.gather(rank, group, 0), counts))


def _groups(ctx: Context, rows: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """All int32: the order in which ``rows`` [N, R] fall, where equal ones begin in it, whose each is, how many."""
    b, order, one = ctx.b, _descending(ctx, rows), ctx.b.const(np.int32(1))
    fallen, count = b.gather(rows, order, 0), b.reshape(b.extent_of(rows, 0), (1,))
    before, after = cropped(ctx, fallen, [(0, 1), (0, 0)]), cropped(ctx, fallen, [(1, 0), (0, 0)])
    changes = b.reduce("reduce_any", b.compare("not_equal", before, after), [1], keep_dims=False)
    starts = b.concat([b.const(np.ones(1, np.bool_)), changes], 0)
    begin = b.cast(b.reshape(b.where(starts), (None,)), "int32")
    ordinal = b.sub(b.cumsum(b.cast(starts, "int32"), b.like(one, 0), exclusive=False, reverse=False), one)
    group = b.scatter_nd(b.expand_dims(order, [1]), ordinal, count, rows.shape[:1])
    return order, begin, group, b.sub(b.concat([b.slice(begin, [1], [-1]), count], 0), begin)


def _width(rows: Tensor) -> int:
    return element_count(static(rows.shape[1:])) or 0


def _descending(ctx: Context, rows: Tensor) -> Tensor:
    """int32 [N], by which the ``rows`` [N, R] fall; equal ones keep their order."""
    b, order, count = ctx.b, None, ctx.b.extent_of(rows, 0)
    columns = b.unpack(rows, 1) if rows.shape[1] != 1 else (b.squeeze(rows, [1]),)
    for column in reversed(columns):
        values = column if order is None else b.gather(column, order, 0)
        (_, found) = b.top_k(values, count)
        order = found if order is None else b.gather(order, found, 0)
    if order is None:
        raise Unsupported("slices without elements", "leave it out of the model")
    return order
