"""Sampling of images at computed places, and its inverse."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import prod

import numpy as np
import onnx_ir as ir

from ....vocabulary import NHWC_DOMAIN
from ...builders.tensor import FIXED_SIZE, Tensor, Unsupported
from ...layout.spatial import spatial
from ..context import Context
from ..extents import cropped, extent_of
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
        _taps(ctx, node, b.squeeze(_last(ctx, grid, dims - 1 - i), [-1]), extent_of(ctx, x, i + 1), mode)
        for i in range(dims)
    ]
    pixels = _flat_space(ctx, x)
    result: Tensor | None = None
    for corner in product(*axes):
        value = _weighted_pixels(ctx, x, pixels, corner)
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
        return [_tap(ctx, place, None, size, padding)]
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
        _tap(ctx, _brought_in(ctx, b.add(first, b.like(at, o)), size, padding, corners), w, size, padding)
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


def _tap(ctx: Context, place: Tensor, weight: Tensor | None, size: Tensor, padding: str) -> Tap:
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


def _flat_space(ctx: Context, x: Tensor) -> Tensor:
    """[N, ..., C] → [N, all of space, C]."""
    space = None if None in x.shape[1:-1] else prod(d or 0 for d in x.shape[1:-1])
    if x.shape[-1] is None:
        raise Unsupported("the number of channels must be static", FIXED_SIZE)
    if x.shape[0] is not None or space is not None:
        return ctx.b.reshape(x, (x.shape[0], space, x.shape[-1]))
    batch = ctx.b.slice(ctx.b.shape_of(x), [0], [1])
    return ctx.b.reshape(x, (None, None, x.shape[-1]), ctx.b.concat([batch, ctx.b.int32s([-1, x.shape[-1]])], 0))


def _weighted_pixels(ctx: Context, x: Tensor, pixels: Tensor, corner: Sequence[Tap]) -> Tensor:
    """The elements at one combination of taps, [N,H',W',C], times the product of their weights."""
    b = ctx.b
    (flat, weight), *others = corner
    for axis, (index, factor) in enumerate(others, 2):
        flat = b.add(b.mul(flat, extent_of(ctx, x, axis)), index)
        if factor is not None:
            weight = factor if weight is None else b.mul(weight, factor)
    picked = b.gather(pixels, flat, 1, batch_dims=1)
    picked = b.cast(picked, "float32")
    return picked if weight is None else b.mul(picked, b.expand_dims(weight, [weight.rank]))


@lowers("Col2Im", since=18)
def lower_col2im(ctx: Context, node: ir.Node) -> Tensor:
    """X [N, C·(product of block), L] → Y [N, C, *image]: every column's elements added where unfold took them from.

    TFLite: SCATTER_ND, which adds up, at constant places.
    """
    b, x = ctx.b, ctx.input(node, 0)
    image, block = (ctx.constant(node, i).reshape(-1).tolist() for i in (1, 2))
    rank = len(image)
    dilations = ctx.attribute(node, "dilations") or (1,) * rank
    strides = ctx.attribute(node, "strides") or (1,) * rank
    pads = ctx.attribute(node, "pads") or (0,) * (2 * rank)
    whole = [d + pads[i] + pads[i + rank] for i, d in enumerate(image)]
    steps = [
        np.arange(k)[:, None] * d + np.arange((w - (k - 1) * d - 1) // s + 1)[None, :] * s
        for k, d, s, w in zip(block, dilations, strides, whole, strict=True)
    ]
    places = np.zeros((1, 1), np.int64)
    for step, extent in zip(steps, whole, strict=True):
        places = (places[:, None, :, None] * extent + step[None, :, None, :]).reshape(
            places.shape[0] * step.shape[0], -1
        )
    n, rows, count = x.static_shape
    channels = rows // prod(block)
    by_place = b.transpose(b.reshape(x, (n * channels, prod(block) * count)), (1, 0))
    shape = (prod(whole), n * channels)
    added = b.scatter_nd(b.const(places.reshape(-1, 1).astype(np.int32)), by_place, b.int32s(shape), shape)
    full = b.reshape(b.transpose(added, (1, 0)), (n, channels, *whole))
    return cropped(ctx, full, [(0, 0), (0, 0), *((pads[i], pads[i + rank]) for i in range(rank))])
