"""Resizing of channels-last images."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ....artifact import Array
from ....vocabulary import NHWC_DOMAIN
from ...builders.tensor import Shape, Tensor, Unsupported
from ...layout.spatial import resize
from ..context import Context
from ..registry import lowers


@lowers("Resize", "Upsample", since=7, domain=NHWC_DOMAIN, layout=resize)
def lower_resize(ctx: Context, node: ir.Node) -> Tensor:
    """X [N,H,W,C] → [N,H',W',C] (ONNX Resize 10-19, Upsample 7-9); scales and sizes are in ONNX's NCHW order.

    TFLite: RESIZE_BILINEAR and RESIZE_NEAREST_NEIGHBOR where their coordinates are ONNX's. Otherwise each axis is
    gathered (nearest) or multiplied by its matrix of interpolation weights (linear, cubic), which is exact.
    Raises Unsupported for mode tf_crop_and_resize, and for dynamic image sizes that TFLite's ops can't do alone.
    """
    b, x = ctx.b, ctx.input(node, 0)
    mode, transform = ctx.attribute(node, "mode"), _transform(ctx, node)
    if transform == "tf_crop_and_resize":
        raise Unsupported("coordinate_transformation_mode=tf_crop_and_resize", "crop with Slice, then resize")
    scales, out_size = _scales(ctx, node, x), ctx.output(node).shape[1:-1]
    native = _native(ctx, node, x, out_size, scales) if x.rank == 4 else None
    if native is not None:
        op, align, half = native
        size = _runtime_size(ctx, node, x, out_size, scales)
        return b.resize(op, x, size, out_size, align_corners=align, half_pixel_centers=half)
    if None in out_size or None in x.shape[1:-1]:
        raise Unsupported(
            f"a resize with mode={mode}, {transform} of an image of dynamic size",
            "give the image a fixed size with --input, or resize by a whole factor",
        )
    b.because(f"TFLite resizes by other coordinates than mode={mode}, {transform} from this size to that")
    for axis, (extent, target) in enumerate(zip(x.shape[1:-1], out_size, strict=True), 1):
        extent, target = extent or 0, target or 0
        scale = scales[axis - 1] if scales else target / extent
        if extent == target and scale == 1:
            continue
        at = _coordinates(extent, target, scale, transform)
        if mode == "nearest":
            x = b.gather(x, b.const(_nearest(ctx, node, at, extent)), axis)
        else:
            x = _weighted(ctx, x, axis, _weights(ctx, node, mode, at, extent, scale))
    return x


def _is_old(ctx: Context, node: ir.Node) -> bool:
    """Upsample and the Resize of opset 10: asymmetric, rounding down, scales in input 1."""
    return node.op_type == "Upsample" or ctx.version(node) < 11


def _transform(ctx: Context, node: ir.Node) -> str:
    return "asymmetric" if _is_old(ctx, node) else str(ctx.attribute(node, "coordinate_transformation_mode"))


def _scales(ctx: Context, node: ir.Node, x: Tensor) -> list[float] | None:
    """The scale of each spatial axis; None where the sizes are given.

    Raises:
        Unsupported: the scales are computed at run time.
    """
    at = 1 if _is_old(ctx, node) else 2
    scales = ctx.known(node, at)
    if scales is None and "scales" in node.attributes:
        scales = np.asarray(node.attributes["scales"].as_floats())
    given = at < len(node.inputs) and node.inputs[at] is not None
    if scales is None and given and ctx.input(node, at).shape != (0,):
        ctx.constant(node, at)  # refuses: the output's size doesn't tell the scale
    if scales is None or not scales.size:
        return None
    axes = ctx.attribute(node, "axes") or tuple(range(x.rank))
    by_axis = {int(a) % x.rank: float(s) for a, s in zip(axes, scales.reshape(-1), strict=True)}
    return [by_axis.get(i, 1.0) for i in range(2, x.rank)]


def _native(
    ctx: Context, node: ir.Node, x: Tensor, out_size: Shape, scales: list[float] | None
) -> tuple[str, bool, bool] | None:
    """(op, align_corners, half_pixel_centers) of the TFLite op that computes just this; None if there is none."""
    mode, transform = ctx.attribute(node, "mode"), _transform(ctx, node)
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
        return b.mul(b.slice(b.shape_of(x), [1], [2]), b.int32s([int(s) for s in scales]))
    axes = [int(a) % x.rank for a in ctx.attribute(node, "axes") or range(x.rank)]
    sizes = b.cast(ctx.input(node, 3), "int32")
    return b.concat(
        [
            b.slice(sizes, [axes.index(a)], [1]) if a in axes else b.slice(b.shape_of(x), [a - 1], [1])
            for a in range(2, x.rank)
        ],
        0,
    )


def _coordinates(extent: int, target: int, scale: float, transform: str) -> Array:
    """Where in the input each output element lies (ONNX Resize, coordinate_transformation_mode)."""
    at = np.arange(target, dtype=np.float64)
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


def _weights(ctx: Context, node: ir.Node, mode: str, at: Array, extent: int, scale: float) -> Array:
    """[out, in] interpolation weights of one axis."""
    antialias = bool(ctx.attribute(node, "antialias")) and scale < 1
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
