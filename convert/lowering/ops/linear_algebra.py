"""What is computed of square matrices, and products along an axis."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ...builders.tensor import Tensor, Unsupported, element_count, normalize_axis
from ..context import Context
from ..extents import cropped
from ..registry import lowers


@lowers("Det", since=11)
def lower_det(ctx: Context, node: ir.Node) -> Tensor:
    """X [*,M,M] → [*]: the product of the pivots of Gauss's elimination, which takes the largest of each column."""
    b, x = ctx.b, ctx.input(node, 0)
    size = x.shape[-1]
    if x.rank < 2 or size is None or size != x.shape[-2] or size == 0:
        raise Unsupported("the determinant of what may be no square", "export with static shapes (--input)")
    rest = b.reshape(b.cast(x, "float32"), (element_count(x.shape[:-2]), size, size))
    zero, one = b.like(rest, 0), b.like(rest, 1)
    result = None
    for left in range(size, 1, -1):
        column = b.unary("abs", b.squeeze(b.slice(rest, [0, 0, 0], [-1, -1, 1]), [2]))
        chosen = b.cast(b.arg_extreme("arg_max", column, 1), "int32")
        row = b.gather(rest, b.expand_dims(chosen, [1]), 1, batch_dims=1)  # [N,1,left]
        top = b.slice(rest, [0, 0, 0], [-1, 1, -1])
        is_chosen = b.compare("equal", b.expand_dims(chosen, [1]), b.const(np.arange(1, left, dtype=np.int32)[None]))
        below = b.select(b.expand_dims(is_chosen, [2]), top, b.slice(rest, [0, 1, 0], [-1, -1, -1]))
        pivot = b.slice(row, [0, 0, 0], [-1, -1, 1])
        signed = b.select(b.compare("equal", b.reshape(chosen, (rest.shape[0], 1, 1)), b.like(chosen, 0)), pivot,
                          b.unary("neg", pivot))  # fmt: skip
        result = signed if result is None else b.mul(result, signed)
        factors = b.div(b.slice(below, [0, 0, 0], [-1, -1, 1]), b.select(b.compare("equal", pivot, zero), one, pivot))
        rest = b.sub(b.slice(below, [0, 0, 1], [-1, -1, -1]), b.mul(factors, b.slice(row, [0, 0, 1], [-1, -1, -1])))
    product = rest if result is None else b.mul(result, rest)
    return b.cast(b.reshape_by(product, [[(x, axis)] for axis in range(x.rank - 2)]), ctx.output(node).dtype)


@lowers("CumProd", since=26)
def lower_cum_prod(ctx: Context, node: ir.Node) -> Tensor:
    """Running product along ``axis``: of 2, 4, 8 … elements, each from two of half as many.

    Where the axis comes at run time, along all of them.
    """
    b, x = ctx.b, ctx.input(node, 0)
    known = ctx.known(node, 1)
    if known is not None:
        return _running_product(ctx, node, x, normalize_axis(int(known.item()), x.rank))
    axis = b.cast(b.reshape(ctx.input(node, 1), ()), "int32")
    result = _running_product(ctx, node, x, 0)
    for other in range(1, x.rank):
        chosen = b.compare("equal", b.binary("floor_mod", axis, b.like(axis, x.rank)), b.like(axis, other))
        result = b.select(chosen, _running_product(ctx, node, x, other), result)
    return result


def _running_product(ctx: Context, node: ir.Node, x: Tensor, axis: int) -> Tensor:
    b, extent, reverse = ctx.b, x.shape[axis], bool(ctx.attribute(node, "reverse"))
    if extent is None:
        raise Unsupported("a running product along a dynamic axis", "give the axis a static extent with --input")

    def shifted(t: Tensor, by: int) -> Tensor:
        """Ones come in, the last go."""
        cuts, pads = ([(0, 0)] * x.rank for _ in range(2))
        cuts[axis], pads[axis] = (by, 0) if reverse else (0, by), (0, by) if reverse else (by, 0)
        return b.pad(cropped(ctx, t, cuts), pads, 1)

    result = shifted(x, 1) if ctx.attribute(node, "exclusive") else x
    step = 1
    while step < extent:
        result = b.mul(result, shifted(result, step))
        step *= 2
    return result
