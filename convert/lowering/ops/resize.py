"""Resizing of channels-last images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from ....artifact import Array
from ....vocabulary import NHWC_DOMAIN
from ...builders.tensor import Shape, Tensor, Unsupported
from ...layout.spatial import resize
from ..context import Context
from ..registry import lowers
from ..resampling import ResizedAxis, ResizeFilter, resample


@lowers("Resize", "Upsample", since=7, domain=NHWC_DOMAIN, layout=resize)
def lower_resize(ctx: Context, node: ir.Node) -> Tensor:
    """X [N,H,W,C] → [N,H',W',C] (ONNX Resize 10-19, Upsample 7-9); scales, sizes and roi are in ONNX's NCHW order.

    TFLite: RESIZE_BILINEAR and RESIZE_NEAREST_NEIGHBOR where their coordinates are ONNX's. Otherwise each axis is
    gathered (nearest) or multiplied by its matrix of interpolation weights (linear, cubic), which is exact; where a
    scale, an extent or the region comes at run time, so does the matrix.
    """
    x = ctx.input(node, 0)
    scales, out_size = _scales(ctx, node, x), ctx.output(node).shape[1:-1]
    is_plain = x.rank == 4 and not _is_computed(ctx, node) and _transform(ctx, node) != "tf_crop_and_resize"
    native = _native(ctx, node, x, out_size, scales) if is_plain else None
    if native is not None:
        op, align, half = native
        size = _runtime_size(ctx, node, x, out_size, scales)
        return ctx.b.resize(op, x, size, out_size, align_corners=align, half_pixel_centers=half)
    return _by_axis(ctx, node, x, {axis: axis - 1 for axis in range(2, x.rank)})


@lowers("Resize", "Upsample", since=7)
def lower_resize_of_any_axis(ctx: Context, node: ir.Node) -> Tensor:
    """X with every axis resized, those of batch and channels too (ONNX Resize 10-19, Upsample 7-9)."""
    x = ctx.input(node, 0)
    return _by_axis(ctx, node, x, {axis: axis for axis in range(x.rank)})


def _by_axis(ctx: Context, node: ir.Node, x: Tensor, places: dict[int, int]) -> Tensor:
    """One axis after the other; ``places`` is where ONNX's axes lie in ``x``."""
    b, rank, stated = ctx.b, x.rank, ctx.output(node).shape
    b.because("TFLite resizes images only, and by other coordinates than these")
    scales, transform, outside = _scales(ctx, node, x), _transform(ctx, node), []
    for axis, at in places.items():
        extent, target = x.shape[at], stated[at]
        region = _region(ctx, node, axis, rank) if transform == "tf_crop_and_resize" else None
        known_region = None if region is None else [edge.value for edge in region]
        if _is_computed(ctx, node) or extent is None or target is None or (known_region and None in known_region):
            wanted = _target(ctx, node, x, axis, at, region)
            if wanted is not None:
                x, inside = resample(ctx, x, at, wanted, _filter(ctx, node))
                outside += [] if inside is None else [(at, b.unary("logical_not", inside))]
            continue
        scale = scales[axis] if scales else target / extent
        if extent == target and scale == 1 and known_region in (None, [0, 1]):
            continue
        places_of = _coordinates(extent, target, scale, transform, known_region)
        if _mode(ctx, node) == "nearest":
            x = b.gather(x, b.const(_nearest(ctx, node, places_of, extent)), at)
        else:
            x = _weighted(ctx, x, at, _weights(ctx, node, places_of, extent, scale))
        if known_region is not None:
            outside.append((at, b.const((places_of < 0) | (places_of > extent - 1))))
    return _extrapolated(ctx, node, x, outside)


def _extrapolated(ctx: Context, node: ir.Node, x: Tensor, outside: list[tuple[int, Tensor]]) -> Tensor:
    """``x`` with another value where an axis says that it lies outside."""
    b, value = ctx.b, float(ctx.attribute(node, "extrapolation_value") or 0)
    for axis, where in outside:
        if not where.is_all(0):
            there = b.expand_dims(where, [a for a in range(x.rank) if a != axis])
            x = b.select(there, b.like(x, value), x)
    return x


def _is_old(ctx: Context, node: ir.Node) -> bool:
    """Upsample and the Resize of opset 10: asymmetric, rounding down, scales in input 1."""
    return node.op_type == "Upsample" or ctx.version(node) < 11


def _mode(ctx: Context, node: ir.Node) -> str:
    mode = str(ctx.attribute(node, "mode"))
    return "linear" if mode == "bilinear" else mode


def _transform(ctx: Context, node: ir.Node) -> str:
    return "asymmetric" if _is_old(ctx, node) else str(ctx.attribute(node, "coordinate_transformation_mode"))


def _filter(ctx: Context, node: ir.Node) -> ResizeFilter:
    if _is_old(ctx, node):
        return ResizeFilter(_mode(ctx, node), "asymmetric", "floor")
    return ResizeFilter(
        mode=_mode(ctx, node), transform=_transform(ctx, node), nearest=str(ctx.attribute(node, "nearest_mode")),
        cubic=float(ctx.attribute(node, "cubic_coeff_a")), antialias=bool(ctx.attribute(node, "antialias")),
        exclude_outside=bool(ctx.attribute(node, "exclude_outside")),
    )  # fmt: skip


def _given(ctx: Context, node: ir.Node, index: int) -> bool:
    """Whether input ``index`` says something: one without elements doesn't."""
    value = node.inputs[index] if index < len(node.inputs) else None
    return value is not None and ctx.tensor(value).shape != (0,)


def _scales_at(ctx: Context, node: ir.Node) -> int:
    return 1 if _is_old(ctx, node) else 2


def _is_computed(ctx: Context, node: ir.Node) -> bool:
    """Whether the scales come at run time: the output's size doesn't tell them."""
    at = _scales_at(ctx, node)
    return _given(ctx, node, at) and ctx.known(node, at) is None


def _axes(ctx: Context, node: ir.Node, rank: int) -> list[int]:
    return [int(a) % rank for a in ctx.attribute(node, "axes") or range(rank)]


def _scales(ctx: Context, node: ir.Node, x: Tensor) -> list[float] | None:
    """The scale of each of ONNX's axes; None where the sizes are given, or the scales at run time."""
    scales = ctx.known(node, _scales_at(ctx, node))
    if scales is None and "scales" in node.attributes:
        scales = np.asarray(node.attributes["scales"].as_floats())
    if scales is None or not scales.size:
        return None
    by_axis = {a: float(s) for a, s in zip(_axes(ctx, node, x.rank), scales.reshape(-1), strict=True)}
    return [by_axis.get(i, 1.0) for i in range(x.rank)]


def _target(
    ctx: Context, node: ir.Node, x: Tensor, axis: int, at: int, region: tuple[Tensor, Tensor] | None
) -> ResizedAxis | None:
    """What becomes of ``axis``, which lies at axis ``at`` of ``x``; None if it stays as it is."""
    b, axes, scales = ctx.b, _axes(ctx, node, x.rank), _scales(ctx, node, x)
    if axis not in axes:
        return None
    index = axes.index(axis)
    if scales is not None and scales[axis] == 1 and region is None:
        return None
    if scales is not None or _is_computed(ctx, node):
        if scales is not None:
            scale = b.const(scales[axis], "float32")
        else:
            scale = b.reshape(b.slice(ctx.input(node, _scales_at(ctx, node)), [index], [1]), ())
        length = b.mul(b.cast(b.extent_of(x, at), "float32"), scale)
        length = length if region is None else b.mul(length, b.sub(region[1], region[0]))
        return ResizedAxis(b.cast(b.unary("floor", length), "int32"), scale, region)
    if ctx.attribute(node, "keep_aspect_ratio_policy") not in (None, "stretch"):
        raise Unsupported("keep_aspect_ratio_policy with sizes or an image of dynamic size", "use policy stretch")
    size = b.reshape(b.slice(b.cast(ctx.input(node, 3), "int32"), [index], [1]), ())
    return ResizedAxis(size, None, region)


def _region(ctx: Context, node: ir.Node, axis: int, rank: int) -> tuple[Tensor, Tensor] | None:
    """Where ``roi`` begins and ends on ``axis``, float32 scalars; None for all of it."""
    b, axes = ctx.b, _axes(ctx, node, rank)
    if axis not in axes:
        return None
    roi = b.cast(ctx.input(node, 1), "float32")
    start, end = (b.reshape(b.slice(roi, [axes.index(axis) + i * len(axes)], [1]), ()) for i in (0, 1))
    return start, end


def _native(
    ctx: Context, node: ir.Node, x: Tensor, out_size: Shape, scales: list[float] | None
) -> tuple[str, bool, bool] | None:
    """(op, align_corners, half_pixel_centers) of the TFLite op that computes just this; None if there is none."""
    mode, transform = _mode(ctx, node), _transform(ctx, node)
    scales = scales[2:] if scales else None
    for i, (extent, target) in enumerate(zip(x.shape[1:-1], out_size, strict=True)):
        # The op's scale is target/extent.
        if extent is None or target is None:
            if scales is not None and not scales[i].is_integer():
                return None
        elif scales is not None and abs(scales[i] - target / extent) > 1e-6:
            return None
    whole = scales is not None and all(s.is_integer() for s in scales)
    if mode == "linear":
        # TFLite divides by (target - 1) when aligning corners. Of dynamic extents, 1 is not thought of.
        more_than_one = all(d is None or d > 1 for d in out_size)
        grows = whole or all(o and i and o >= i for o, i in zip(out_size, x.shape[1:-1], strict=True))
        if ctx.attribute(node, "antialias") and not grows:
            return None
        return {
            "half_pixel": ("resize_bilinear", False, True),
            "pytorch_half_pixel": ("resize_bilinear", False, True) if more_than_one else None,
            "align_corners": ("resize_bilinear", True, False) if more_than_one else None,
            "asymmetric": ("resize_bilinear", False, False),
        }.get(transform)
    if mode == "nearest" and transform == "asymmetric":
        floor = _is_old(ctx, node) or ctx.attribute(node, "nearest_mode") == "floor"
        if floor and (whole or None in out_size):
            return ("resize_nearest_neighbor", False, False)
    return None


def _runtime_size(ctx: Context, node: ir.Node, x: Tensor, out_size: Shape, scales: list[float] | None) -> Tensor:
    """[H', W'] as int32: constant, from the input ``sizes``, or X's own size times the (whole) scales."""
    b = ctx.b
    if None not in out_size:
        return b.int32s([d or 0 for d in out_size])
    if scales is not None:
        return b.mul(b.slice(b.shape_of(x), [1], [2]), b.int32s([int(s) for s in scales[2:]]))
    axes = _axes(ctx, node, x.rank)
    sizes = b.cast(ctx.input(node, 3), "int32")
    return b.concat(
        [
            b.slice(sizes, [axes.index(a)], [1]) if a in axes else b.slice(b.shape_of(x), [a - 1], [1])
            for a in range(2, x.rank)
        ],
        0,
    )


def _coordinates(
    extent: int, target: int, scale: float, transform: str, region: Sequence[Array | None] | None
) -> Array:
    """Where in the input each output element lies (ONNX Resize, coordinate_transformation_mode)."""
    at = np.arange(target, dtype=np.float64)
    if region is not None:
        start, end = (float(edge) for edge in region if edge is not None)
        if target == 1:
            return at + (start + end) / 2 * (extent - 1)
        return (start + at * (end - start) / (target - 1)) * (extent - 1)
    if transform == "asymmetric":
        return at / scale
    if transform == "align_corners":
        return at * (extent - 1) / (target - 1) if target > 1 else at * 0
    if transform == "half_pixel_symmetric":
        adjustment = target / (scale * extent)
        return extent / 2 * (1 - adjustment) + (at + 0.5) / scale - 0.5
    if transform == "pytorch_half_pixel" and target == 1:
        return at * 0
    return (at + 0.5) / scale - 0.5


def _nearest(ctx: Context, node: ir.Node, at: Array, extent: int) -> Array:
    mode = "floor" if _is_old(ctx, node) else ctx.attribute(node, "nearest_mode")
    rounded = {
        "floor": np.floor(at),
        "ceil": np.ceil(at),
        "round_prefer_floor": np.ceil(at - 0.5),
        "round_prefer_ceil": np.floor(at + 0.5),
    }[mode]
    return np.asarray(np.clip(rounded, 0, extent - 1), np.int32)


def _weights(ctx: Context, node: ir.Node, at: Array, extent: int, scale: float) -> Array:
    """[out, in] interpolation weights of one axis."""
    mode, antialias = _mode(ctx, node), bool(ctx.attribute(node, "antialias")) and scale < 1
    stretch = scale if antialias else 1.0
    reach = (2 if mode == "cubic" else 1) / stretch
    matrix = np.zeros((len(at), extent))
    coefficient = float(ctx.attribute(node, "cubic_coeff_a") or -0.75)
    for row, centre in enumerate(at):
        taps = np.arange(int(np.floor(centre - reach)), int(np.ceil(centre + reach)) + 1)
        weights = _kernel((taps - centre) * stretch, mode, coefficient)
        inside = (taps >= 0) & (taps < extent)
        if ctx.attribute(node, "exclude_outside"):
            weights = np.where(inside, weights, 0)
        total = weights.sum()
        np.add.at(matrix[row], np.clip(taps, 0, extent - 1), weights / total if total else weights)
    return matrix.astype(np.float32)


def _kernel(distance: Array, mode: str, a: float) -> Array:
    """Triangle, or Keys' cubic convolution (R. Keys, 1981) with parameter ``a``."""
    d = np.abs(distance)
    if mode != "cubic":
        return np.asarray(np.maximum(1 - d, 0))
    near = (a + 2) * d**3 - (a + 3) * d**2 + 1
    far = a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a
    return np.where(d <= 1, near, np.where(d < 2, far, 0))


def _weighted(ctx: Context, x: Tensor, axis: int, weights: Array) -> Tensor:
    """``weights`` [out, in] applied along ``axis``: as FULLY_CONNECTED on the last axis."""
    b = ctx.b
    perm = [a for a in range(x.rank) if a != axis] + [axis]
    back = [perm.index(a) for a in range(x.rank)]
    moved = b.cast(b.transpose(x, perm), "float32")
    return b.transpose(b.cast(b.fully_connected(moved, b.const(weights), None), x.dtype), back)
