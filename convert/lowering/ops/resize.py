"""Resizing of channels-last images."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ...builders.tensor import Array, Tensor, Unsupported
from ..context import Context
from ..registry import CHANNELS_LAST, lowers


@lowers("Resize", "Upsample", domain=CHANNELS_LAST)
def lower_resize(ctx: Context, node: ir.Node) -> Tensor:
    """X [N,H,W,C] → [N,H',W',C] (ONNX Resize 10-19, Upsample 7-9); scales and sizes are in ONNX's NCHW order.

    TFLite: RESIZE_BILINEAR and RESIZE_NEAREST_NEIGHBOR where their coordinates are ONNX's. Otherwise each axis is
    gathered (nearest) or multiplied by its matrix of interpolation weights (linear, cubic), which is exact.
    Raises Unsupported for dynamic sizes and mode tf_crop_and_resize.
    """
    b, x = ctx.b, ctx.input(node, 0)
    in_size = x.static_shape[1:-1]
    scales, out_size = _target(ctx, node, x)
    mode = ctx.attribute(node, "mode")
    transform = ctx.attribute(node, "coordinate_transformation_mode") or "asymmetric"
    if node.op_type == "Upsample" or ctx.version(node) < 11:
        transform = "asymmetric"
    if transform == "tf_crop_and_resize":
        raise Unsupported("coordinate_transformation_mode=tf_crop_and_resize")
    native = _native(ctx, node, mode, transform, in_size, out_size, scales)
    if native is not None and x.rank == 4:
        op, align, half = native
        return b.resize(op, x, out_size, align_corners=align, half_pixel_centers=half)
    for i, (extent, target, scale) in enumerate(zip(in_size, out_size, scales, strict=True)):
        if extent == target and scale == 1:
            continue
        at = _coordinates(extent, target, scale, transform)
        if mode == "nearest":
            x = b.gather(x, b.const(_nearest(ctx, node, at, extent)), i + 1)
        else:
            x = _weighted(ctx, x, i + 1, _weights(ctx, node, mode, at, extent, scale))
    return x


def _target(ctx: Context, node: ir.Node, x: Tensor) -> tuple[list[float], list[int]]:
    """Scale and output extent of each spatial axis."""
    static = ctx.output(node).shape
    rank, extents = x.rank, x.static_shape[1:-1]
    if any(d is None for d in static):
        raise Unsupported("the output size must be static", "give the image a fixed size with --input")
    out_size = [d or 0 for d in static[1:-1]]
    scales_at = 1 if node.op_type == "Upsample" or ctx.version(node) < 11 else 2
    scales = ctx.known(node, scales_at)
    if scales is None and "scales" in node.attributes:
        scales = np.asarray(node.attributes["scales"].as_floats())
    given = scales_at < len(node.inputs) and node.inputs[scales_at] is not None
    if scales is None and given and ctx.input(node, scales_at).shape != (0,):
        ctx.constant(node, scales_at)  # refuses: the output's size doesn't tell the scale
    if scales is not None and scales.size:
        axes = ctx.attribute(node, "axes") or tuple(range(rank))
        by_axis = {int(a) % rank: float(s) for a, s in zip(axes, scales.reshape(-1), strict=True)}
        return [by_axis.get(i + 2, 1.0) for i in range(rank - 2)], out_size
    return [o / i for o, i in zip(out_size, extents, strict=True)], out_size


def _native(
    ctx: Context, node: ir.Node, mode: str, transform: str, in_size: tuple[int, ...], out_size: list[int],
    scales: list[float],
) -> tuple[str, bool, bool] | None:  # fmt: skip
    """(op, align_corners, half_pixel_centers) of the TFLite op that computes just this; None if there is none."""
    ratio = [o / i for o, i in zip(out_size, in_size, strict=True)]
    if any(abs(s - r) > 1e-6 for s, r in zip(scales, ratio, strict=True)):
        return None
    # XNNPACK and the kernels divide (out-1) when aligning corners.
    if mode == "linear":
        if ctx.attribute(node, "antialias") and any(s < 1 for s in scales):
            return None
        return {
            "half_pixel": ("resize_bilinear", False, True),
            "pytorch_half_pixel": ("resize_bilinear", False, True) if min(out_size) > 1 else None,
            "align_corners": ("resize_bilinear", True, False) if min(out_size) > 1 else None,
            "asymmetric": ("resize_bilinear", False, False),
        }.get(transform)
    if mode == "nearest" and transform == "asymmetric":
        rounding = ctx.attribute(node, "nearest_mode") or "floor"
        if node.op_type == "Upsample" or ctx.version(node) < 11:
            rounding = "floor"
        whole = all(float(s).is_integer() for s in scales)
        if rounding == "floor" and whole:
            return ("resize_nearest_neighbor", False, False)
    return None


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
    mode = ctx.attribute(node, "nearest_mode") or "floor"
    if node.op_type == "Upsample" or ctx.version(node) < 11:
        mode = "floor"
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
