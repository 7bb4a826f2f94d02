"""Sorting and what is made of it."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ...builders.tensor import Tensor, Unsupported, normalize_axis
from ...layout.axes import one_axis, softmax
from ..context import Context
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
    shape = x.static_shape
    flat = x
    if ctx.version(node) < 13:
        flat = b.reshape(x, (int(np.prod(shape[:axis], dtype=int)), int(np.prod(shape[axis:], dtype=int))))
        axis = 1
    depth = flat.static_shape[axis]
    index = b.cast(b.arg_extreme("arg_max", flat, axis), "int32")
    on, off = b.like(x, 1), b.like(x, 0)
    return b.reshape(b.one_hot(index, b.const(np.int32(depth)), on, off, axis), shape)
