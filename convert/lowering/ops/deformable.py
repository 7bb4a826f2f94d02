"""Deformable convolutions on channels-last activations."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from itertools import product
from math import prod

import numpy as np
import onnx_ir as ir

from ....vocabulary import NHWC_DOMAIN
from ...builders.tensor import Tensor, Unsupported
from ...layout.spatial import spatial
from ..context import Context
from ..extents import positions
from ..registry import lowers
from .convolution import geometry
from .sampling import Tap, flat_space, tap, weighted_pixels


@lowers("DeformConv", since=19, domain=NHWC_DOMAIN, layout=spatial)
def lower_deform_conv(ctx: Context, node: ir.Node) -> Tensor:
    """X [N,H,W,C], W [O,C/group,kH,kW], offset [N,offset_group·kH·kW·2,H',W'] of (y, x), B [O], mask
    [N,offset_group·kH·kW,H',W'] → Y [N,H',W',O] (ONNX DeformConv 19-22).

    Where each kernel element looks, four elements are picked by GATHER and weighted; all of them are multiplied with
    the weights by FULLY_CONNECTED. What lies outside is zero.
    """
    b, x, weights = ctx.b, ctx.input(node, 0), ctx.input(node, 1)
    if x.rank != 4:
        raise Unsupported(
            f"a deformable convolution over {x.rank - 2} spatial dimensions",
            "convolve over images, one after the other",
        )
    out, taken, *kernel = weights.static_shape
    groups, offset_groups = (int(ctx.attribute(node, name)) for name in ("group", "offset_group"))
    taps, channels = prod(kernel), taken * groups
    offset, mask = (_last(ctx, t, offset_groups, taps) for t in (ctx.input(node, 2), ctx.optional(node, 4)))
    if offset is None:
        raise Unsupported("input 2 is missing", "re-export the model")
    axes = [_axis(ctx, node, x, offset, axis, kernel) for axis in (0, 1)]
    parts = []
    for index, part in enumerate(b.split(x, [channels // offset_groups] * offset_groups, 3)):
        pixels = flat_space(ctx, part)
        corners = product(*([_of_group(ctx, *one, index) for one in taps_of] for taps_of in axes))
        seen = reduce(b.add, [weighted_pixels(ctx, part, pixels, corner) for corner in corners])
        parts.append(seen if mask is None else b.mul(seen, b.expand_dims(_group(ctx, mask, index), [4])))
    columns = b.concat(parts, 4)
    rows = b.reshape(b.transpose(weights, (0, 2, 3, 1)), (out, taps * taken))
    products = [
        b.fully_connected(b.reshape_to(seen, (*seen.shape[:3], taps * taken)), matrix, None)
        for seen, matrix in zip(
            b.split(columns, [taken] * groups, 4), b.split(rows, [out // groups] * groups, 0), strict=True
        )
    ]
    bias, y = ctx.optional(node, 3), b.concat(products, 3)
    return b.cast(y if bias is None else b.add(y, bias), x.dtype)


def _last(ctx: Context, x: Tensor | None, groups: int, taps: int) -> Tensor | None:
    """[N, groups·taps·n, H', W'] → [N, H', W', groups, taps, n], without n where it is 1; float32."""
    if x is None:
        return None
    b = ctx.b
    moved = b.cast(b.transpose(x, (0, 2, 3, 1)), "float32")
    each = (x.shape[1] or 0) // (groups * taps)
    return b.reshape_to(moved, (*moved.shape[:3], groups, taps, *((each,) if each > 1 else ())))


def _axis(ctx: Context, node: ir.Node, x: Tensor, offset: Tensor, axis: int, kernel: Sequence[int]) -> list[Tap]:
    """The two elements that are seen along ``axis`` (0: y, 1: x) and their weights, [N, H', W', groups, taps]."""
    b, (strides, dilations) = ctx.b, geometry(ctx, node, kernel)
    front = int((ctx.attribute(node, "pads") or (0,) * 4)[axis])
    window = b.sub(b.mul(positions(ctx, offset, 1 + axis), b.const(np.int32(strides[axis]))), b.const(np.int32(front)))
    element = np.indices(kernel, np.float32)[axis].reshape(-1) * np.float32(dilations[axis])
    others = [a for a in range(5) if a != 1 + axis]
    shift = b.squeeze(b.slice(offset, [0] * 5 + [axis], [-1] * 5 + [1]), [5])
    place = b.add(b.add(shift, b.const(element)), b.expand_dims(b.cast(window, "float32"), others))
    size, one = b.cast(ctx.b.extent_of(x, 1 + axis), "float32"), b.like(place, 1)
    low = b.unary("floor", place)
    beyond = b.sub(place, low)
    return [tap(ctx, low, b.sub(one, beyond), size, "zeros"), tap(ctx, b.add(low, one), beyond, size, "zeros")]


def _of_group(ctx: Context, index: Tensor, weight: Tensor | None, group: int) -> Tap:
    return _group(ctx, index, group), None if weight is None else _group(ctx, weight, group)


def _group(ctx: Context, x: Tensor, group: int) -> Tensor:
    """[N, H', W', groups, taps] → [N, H', W', taps] of one group."""
    return ctx.b.squeeze(ctx.b.slice(x, [0, 0, 0, group, 0], [-1, -1, -1, 1, -1]), [3])
