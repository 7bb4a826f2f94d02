"""Sampling of images at computed places, and its inverse."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import prod

import numpy as np
import onnx_ir as ir

from ....vocabulary import NHWC_DOMAIN
from ...builders.remedies import FIXED_SIZE
from ...builders.tensor import Tensor, Unsupported, element_count, static
from ...layout.spatial import spatial
from ..context import Context
from ..extents import cropped
from ..registry import lowers

_CUBIC = -0.75
"""The parameter of Keys' cubic convolution in ONNX's and PyTorch's grid_sample."""

_MODES = {"bilinear": "linear", "bicubic": "cubic"}
"""The names of opset 16 in those of opset 20."""


@lowers("GridSample", domain=NHWC_DOMAIN, layout=spatial)
def lower_grid_sample(ctx: Context, node: ir.Node) -> Tensor:
    """X [N,H,W,C] (or [N,D,H,W,C]), grid [N,H',W',2] of (x, y) in -1 … 1 → Y [N,H',W',C] (ONNX GridSample 16-22).

    Along each axis one (nearest), two (linear) or four (cubic) elements are picked by GATHER and weighted. What lies
    outside is zero, the border element, or mirrored, as ``padding_mode`` says.
    """
    b, x, grid = ctx.b, ctx.input(node, 0), ctx.input(node, 1)
    mode = str(ctx.attribute(node, "mode"))
    mode = _MODES.get(mode, mode)
    dims = x.rank - 2
    axes = [
        _taps(ctx, node, b.squeeze(_last(ctx, grid, dims - 1 - i), [-1]), b.extent_of(x, i + 1), mode)
        for i in range(dims)
    ]
    pixels = flat_space(ctx, x)
    result: Tensor | None = None
    for corner in product(*axes):
        value = weighted_pixels(ctx, x, pixels, corner)
        result = value if result is None else b.add(result, value)
    if result is None:
        raise Unsupported("a grid without axes", "leave it out of the model")
    return b.cast(result, x.dtype)


Tap = tuple[Tensor, Tensor | None]
"""Index (int32) of an element along one axis at every place of the grid, and its weight; None is 1."""


def _last(ctx: Context, x: Tensor, index: int) -> Tensor:
    """One element of the last axis, which stays as 1."""
    return ctx.b.slice(x, [0] * (x.rank - 1) + [index], [-1] * (x.rank - 1) + [1])


def _taps(ctx: Context, node: ir.Node, at: Tensor, extent: Tensor, mode: str) -> list[Tap]:
    """What is picked along one axis; ``at`` is where in -1 … 1."""
    b = ctx.b
    at, size = b.cast(at, "float32"), b.cast(extent, "float32")
    one, half = b.like(at, 1), b.like(at, 0.5)
    padding, corners = ctx.attribute(node, "padding_mode"), bool(ctx.attribute(node, "align_corners"))
    if corners:
        place = b.mul(b.mul(b.add(at, one), half), b.sub(size, one))
    else:
        place = b.sub(b.mul(b.mul(b.add(at, one), half), size), half)
    if mode == "nearest":
        place = b.unary("round", _brought_in(ctx, place, size, padding, corners))
        return [tap(ctx, place, None, size, padding)]
    first = b.unary("floor", place)
    beyond = b.sub(place, first)
    if mode == "linear":
        weights = [b.sub(one, beyond), beyond]
        offsets = [0, 1]
    elif mode == "cubic":
        offsets = [-1, 0, 1, 2]
        weights = [_cubic(ctx, b.sub(beyond, b.like(at, o)), near=o in (0, 1)) for o in offsets]
    else:
        raise Unsupported(f"mode={mode!r}", "use nearest, bilinear or bicubic")
    return [
        tap(ctx, _brought_in(ctx, b.add(first, b.like(at, o)), size, padding, corners), w, size, padding)
        for o, w in zip(offsets, weights, strict=True)
    ]


def _brought_in(ctx: Context, place: Tensor, size: Tensor, padding: str, corners: bool) -> Tensor:
    """Places outside mirrored at the centre (``align_corners``) or the outer edge of the border elements."""
    if padding != "reflection":
        return place
    b = ctx.b
    low = b.like(place, 0 if corners else -0.5)
    span = b.sub(size, b.like(place, 1)) if corners else size
    period = b.binary("maximum", b.add(span, span), b.like(place, 1e-6))  # an extent of 1 has none
    rest = b.binary("floor_mod", b.sub(place, low), period)
    return b.add(b.binary("minimum", rest, b.sub(period, rest)), low)


def tap(ctx: Context, place: Tensor, weight: Tensor | None, size: Tensor, padding: str) -> Tap:
    """The element at a whole ``place`` (float32), or what ``padding`` (zeros, border) says lies outside ``size``."""
    b = ctx.b
    inside = b.binary("minimum", b.binary("maximum", place, b.like(place, 0)), b.sub(size, b.like(place, 1)))
    if padding == "zeros":
        is_inside = b.cast(b.compare("equal", place, inside), place.dtype)
        weight = is_inside if weight is None else b.mul(weight, is_inside)
    return b.cast(inside, "int32"), weight


def _cubic(ctx: Context, distance: Tensor, *, near: bool) -> Tensor:
    """Keys' cubic convolution kernel (1981), within a distance of 1 or between 1 and 2."""
    b, d, a = ctx.b, ctx.b.unary("abs", distance), _CUBIC
    c = (1.0, 0.0, -(a + 3), a + 2) if near else (-4 * a, 8 * a, -5 * a, a)
    result = b.like(d, c[3])
    for coefficient in (c[2], c[1], c[0]):
        result = b.add(b.mul(result, d), b.like(d, coefficient))
    return result


def flat_space(ctx: Context, x: Tensor) -> Tensor:
    """[N, ..., C] → [N, all of space, C]."""
    space = None if None in x.shape[1:-1] else prod(d or 0 for d in x.shape[1:-1])
    if x.shape[-1] is None:
        raise Unsupported("the number of channels must be static", FIXED_SIZE)
    if x.shape[0] is not None or space is not None:
        return ctx.b.reshape(x, (x.shape[0], space, x.shape[-1]))
    batch = ctx.b.slice(ctx.b.shape_of(x), [0], [1])
    return ctx.b.reshape(x, (None, None, x.shape[-1]), ctx.b.concat([batch, ctx.b.int32s([-1, x.shape[-1]])], 0))


def weighted_pixels(ctx: Context, x: Tensor, pixels: Tensor, corner: Sequence[Tap]) -> Tensor:
    """The elements at one combination of taps, [N,H',W',C], times the product of their weights."""
    b = ctx.b
    (flat, weight), *others = corner
    for axis, (index, factor) in enumerate(others, 2):
        flat = b.add(b.mul(flat, b.extent_of(x, axis)), index)
        if factor is not None:
            weight = factor if weight is None else b.mul(weight, factor)
    picked = b.gather(pixels, flat, 1, batch_dims=1)
    picked = b.cast(picked, "float32")
    return picked if weight is None else b.mul(picked, b.expand_dims(weight, [weight.rank]))


@lowers("AffineGrid", since=20)
def lower_affine_grid(ctx: Context, node: ir.Node) -> Tensor:
    """theta [N,2,3], size (N,C,H,W) → the grid [N,H,W,2] of (x, y) = theta·(x, y, 1) with x and y in -1 … 1; volumes
    [N,3,4] likewise (ONNX AffineGrid 20).

    TFLite: a sum of products with each axis' places, which come at run time where the size does.
    """
    b, theta, size = ctx.b, ctx.input(node, 0), ctx.input(node, 1)
    dims = static(size.shape)[0] - 2
    corners = bool(ctx.attribute(node, "align_corners"))
    theta = b.cast(theta, "float32")

    def column(index: int) -> Tensor:
        return b.reshape(b.slice(theta, [0, 0, index], [-1, -1, 1]), (theta.shape[0], *(1,) * dims, dims))

    result = column(dims)
    for axis in range(dims):
        extent = b.reshape(b.slice(b.cast(size, "int32"), [2 + axis], [1]), ())
        line = b.expand_dims(_line(ctx, extent, corners), [a for a in range(dims + 2) if a != axis + 1])
        result = b.add(b.mul(column(dims - 1 - axis), line), result)
    return b.cast(result, ctx.output(node).dtype)


def _line(ctx: Context, extent: Tensor, corners: bool) -> Tensor:
    """The places in -1 … 1 of an axis' elements, or of their outer edges (``corners``), 1-D float32."""
    b = ctx.b
    if extent.value is not None:
        count = int(extent.value)
        known = 2 * np.arange(count, dtype=np.float32) - (count - 1)
        return b.const(known / np.float32(max(count - 1, 1) if corners else count))
    size = b.cast(extent, "float32")
    one, two = b.like(size, 1), b.like(size, 2)
    last = b.sub(size, one)
    at = b.sub(b.mul(b.range(b.like(size, 0), size, one, None), two), last)
    return b.div(at, b.binary("maximum", last, one) if corners else size)


@lowers("Col2Im", since=18)
def lower_col2im(ctx: Context, node: ir.Node) -> Tensor:
    """X [N, C·(product of block), L] → Y [N, C, *image]: every column's elements added where unfold took them from.

    TFLite: SCATTER_ND, which adds up; its places are constant where image and block are.
    """
    b, x = ctx.b, ctx.input(node, 0)
    image, block = (b.cast(ctx.input(node, i), "int32") for i in (1, 2))
    rank = static(image.shape)[0]
    dilations = ctx.attribute(node, "dilations") or (1,) * rank
    strides = ctx.attribute(node, "strides") or (1,) * rank
    pads = ctx.attribute(node, "pads") or (0,) * (2 * rank)
    whole = b.add(image, b.int32s([pads[i] + pads[i + rank] for i in range(rank)]))
    # [block, columns], then with each further axis [block·block', columns·columns'].
    places = b.const(np.zeros((1, 1), np.int32))
    for axis in range(rank):
        extent, k = (b.reshape(b.slice(t, [axis], [1]), ()) for t in (whole, block))
        step = _steps(ctx, extent, k, dilations[axis], strides[axis])
        outer = b.add(b.expand_dims(b.mul(places, extent), [1, 3]), b.expand_dims(step, [0, 2]))
        places = ctx.b.reshape_by(outer, [[(outer, 0), (outer, 1)], [(outer, 2), (outer, 3)]])
    taps, n, columns = element_count((places.shape[0],)), x.shape[0], static(x.shape[2:])[0]
    if taps == 0:
        raise Unsupported("a block without elements", "export the model again")
    channels = static(x.shape[1:2])[0] // taps if taps is not None else ctx.output(node).shape[1]
    if channels is None:
        raise Unsupported("the number of channels must be known", "make block_shape constant")
    batch = b.reshape(b.extent_of(x, 0), (1,))
    rows = None if n is None else n * channels
    by_place = b.transpose(b.reshape(x, (rows, static(x.shape[1:2])[0] // channels * columns)), (1, 0))
    total = (
        b.reduce("reduce_prod", whole, [0], keep_dims=True) if whole.value is None else b.int32s([prod(whole.value)])
    )
    shape = b.concat([total, b.mul(batch, b.int32s([channels]))], 0)
    static_total = None if total.value is None else int(total.value[0])
    added = b.scatter_nd(b.reshape(places, (by_place.shape[0], 1)), by_place, shape, (static_total, rows))
    known = (None,) * rank if whole.value is None else tuple(int(d) for d in whole.value)
    extents = b.concat([batch, b.int32s([channels]), whole], 0)
    full = b.reshape(b.transpose(added, (1, 0)), (n, channels, *known), extents)
    return cropped(ctx, full, [(0, 0), (0, 0), *((pads[i], pads[i + rank]) for i in range(rank))])


def _steps(ctx: Context, extent: Tensor, kernel: Tensor, dilation: int, stride: int) -> Tensor:
    """Where along an axis of ``extent`` each kernel element of each window lies, int32 [kernel, windows]."""
    b, one = ctx.b, ctx.b.const(np.int32(1))
    within = b.range(b.const(np.int32(0)), b.mul(kernel, b.like(kernel, dilation)), b.const(np.int32(dilation)), None)
    reach = b.add(b.mul(b.sub(kernel, one), b.like(kernel, dilation)), one)
    starts = b.range(b.const(np.int32(0)), b.add(b.sub(extent, reach), one), b.const(np.int32(stride)), None)
    return b.add(b.expand_dims(within, [1]), b.expand_dims(starts, [0]))
