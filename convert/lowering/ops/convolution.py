"""Convolutions on channels-last activations; weights come as ONNX has them, [O, I/groups, k...]."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from ...builders.tensor import Array, Shape, Tensor, Unsupported
from ..context import Context
from ..registry import CHANNELS_LAST, lowers

Pads = list[tuple[int, int]]


def explicit_pads(
    ctx: Context, node: ir.Node, extents: Shape, kernel: Sequence[int], strides: Sequence[int],
    dilations: Sequence[int],
) -> Pads:  # fmt: skip
    """(before, after) of every spatial axis, from ``pads`` or ``auto_pad``."""
    mode = ctx.attribute(node, "auto_pad") or "NOTSET"
    rank = len(kernel)
    if mode == "VALID":
        return [(0, 0)] * rank
    if mode == "NOTSET":
        pads = ctx.attribute(node, "pads") or (0,) * (2 * rank)
        return [(int(pads[i]), int(pads[i + rank])) for i in range(rank)]
    result: Pads = []
    for extent, k, s, d in zip(extents, kernel, strides, dilations, strict=True):
        if extent is None:
            raise Unsupported(f"auto_pad={mode} needs static spatial dimensions", "export with fixed sizes")
        total = max((-(-extent // s) - 1) * s + (k - 1) * d + 1 - extent, 0)
        low = total // 2 if mode == "SAME_UPPER" else total - total // 2
        result.append((low, total - low))
    return result


def is_same(
    pads: Pads, extents: Shape, kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> bool:
    """Whether TFLite's SAME padding is exactly ``pads``."""
    for (low, high), extent, k, s, d in zip(pads, extents, kernel, strides, dilations, strict=True):
        if extent is None:
            # With stride 1, SAME does not depend on the extent.
            if s != 1:
                return False
            total = (k - 1) * d
        else:
            total = max((-(-extent // s) - 1) * s + (k - 1) * d + 1 - extent, 0)
        if (low, high) != (total // 2, total - total // 2):
            return False
    return True


def with_batch_and_channels(pads: Pads) -> Pads:
    return [(0, 0), *pads, (0, 0)]


def padded(
    ctx: Context,
    x: Tensor,
    pads: Pads,
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
) -> tuple[Tensor, str]:
    """``x`` (padded with zeros if it must be) and the padding mode that is left for the op."""
    if is_same(pads, x.shape[1:-1], kernel, strides, dilations):
        return x, "SAME"
    if all(low >= 0 and high >= 0 for low, high in pads):
        return ctx.b.pad(x, with_batch_and_channels(pads)), "VALID"
    return _cropped(ctx, x, pads), "VALID"


def _cropped(ctx: Context, x: Tensor, pads: Pads) -> Tensor:
    """Negative pads take away."""
    begin = [0, *(max(-low, 0) for low, _ in pads), 0]
    size = [-1, *(
        (extent or 0) + min(low, 0) + min(high, 0)
        for extent, (low, high) in zip(x.shape[1:-1], pads, strict=True)
    ), -1]  # fmt: skip
    _ = x.static_shape
    kept = ctx.b.slice(x, begin, size)
    return ctx.b.pad(kept, with_batch_and_channels([(max(low, 0), max(high, 0)) for low, high in pads]))


def _bias(ctx: Context, node: ir.Node) -> Tensor | None:
    return ctx.optional(node, 2)


def _geometry(ctx: Context, node: ir.Node, kernel: Sequence[int]) -> tuple[list[int], list[int]]:
    ones = (1,) * len(kernel)
    strides = [int(s) for s in ctx.attribute(node, "strides") or ones]
    return strides, [int(d) for d in ctx.attribute(node, "dilations") or ones]


@lowers("Conv", domain=CHANNELS_LAST)
def lower_conv(ctx: Context, node: ir.Node) -> Tensor:
    """X [N,H,W,C], W [O,C/groups,kH,kW], B [O] → Y [N,H',W',O]; volumes likewise (ONNX Conv 1-22).

    TFLite: CONV_2D, DEPTHWISE_CONV_2D (groups = C) or CONV_3D, with PAD before where SAME would pad otherwise.
    Raises Unsupported for weights that are computed at run time in 3-D, and for ranks other than 4 and 5.
    """
    x, groups = ctx.input(node, 0), int(ctx.attribute(node, "group"))
    weights = ctx.input(node, 1)
    kernel = weights.static_shape[2:]
    strides, dilations = _geometry(ctx, node, kernel)
    pads = explicit_pads(ctx, node, x.shape[1:-1], kernel, strides, dilations)
    x, padding = padded(ctx, x, pads, kernel, strides, dilations)
    bias = _bias(ctx, node)
    if x.rank == 5:
        return _conv_3d(ctx, x, weights, bias, groups, strides, dilations, padding)
    if x.rank != 4:
        raise Unsupported(f"a convolution over {x.rank - 2} spatial dimensions")
    channels = weights.static_shape[1] * groups
    if groups == channels and groups > 1:
        kernel_last = _rearranged(ctx, node, 1, (1, 2, 3, 0))
        return ctx.b.depthwise_conv_2d(x, kernel_last, bias, strides=strides, dilations=dilations, padding=padding)
    return ctx.b.conv_2d(
        x,
        _rearranged(ctx, node, 1, (0, 2, 3, 1)),
        bias,
        strides=strides,
        dilations=dilations,
        padding=padding,
    )


def _rearranged(ctx: Context, node: ir.Node, index: int, perm: Sequence[int]) -> Tensor:
    """Weights with their axes in TFLite's order; at no cost where they are constant."""
    known = ctx.known(node, index)
    if known is not None:
        return ctx.b.const(np.transpose(known, perm))
    return ctx.b.transpose(ctx.input(node, index), perm)


def _conv_3d(
    ctx: Context, x: Tensor, weights: Tensor, bias: Tensor | None, groups: int,
    strides: Sequence[int], dilations: Sequence[int], padding: str,
) -> Tensor:  # fmt: skip
    b = ctx.b
    ordered = b.transpose(weights, (2, 3, 4, 1, 0))
    if groups == 1:
        return b.conv_3d(x, ordered, bias, strides=strides, dilations=dilations, padding=padding)
    sizes = [weights.static_shape[1]] * groups
    outs = [weights.static_shape[0] // groups] * groups
    parts = [
        b.conv_3d(part, kernel, None, strides=strides, dilations=dilations, padding=padding)
        for part, kernel in zip(b.split(x, sizes, 4), b.split(ordered, outs, 4), strict=True)
    ]
    joined = b.concat(parts, 4)
    return joined if bias is None else b.add(joined, bias)


@lowers("ConvTranspose", domain=CHANNELS_LAST)
def lower_conv_transpose(ctx: Context, node: ir.Node) -> Tensor:
    """X [N,H,W,C], W [C,O/groups,kH,kW], B [O] → Y [N,H',W',O] with
    H' = (H-1)·stride + (kH-1)·dilation + 1 + output_padding - pads (ONNX ConvTranspose 1-22).

    TFLite: TRANSPOSE_CONV; VALID gives everything, of which the pads are cut off. Dilation goes into the kernel.
    Raises Unsupported for volumes, dynamic sizes and weights computed at run time.
    """
    x = ctx.input(node, 0)
    if x.rank != 4:
        raise Unsupported(f"a transposed convolution over {x.rank - 2} spatial dimensions")
    weights, groups = ctx.constant(node, 1), int(ctx.attribute(node, "group"))
    strides, dilations = _geometry(ctx, node, weights.shape[2:])
    weights = _dilated(weights, dilations)
    pads, extra = _transpose_pads(ctx, node, x, weights.shape[2:], strides)
    bias = _bias(ctx, node)
    parts = ctx.b.split(x, [x.static_shape[3] // groups] * groups, 3)
    kernels = np.split(weights, groups, axis=0)
    same = groups == 1 and _transpose_is_same(weights.shape[2:], strides, pads, extra)
    outs = [
        ctx.b.transpose_conv(
            part, ctx.b.const(np.transpose(kernel, (1, 2, 3, 0))), bias if groups == 1 else None,
            strides=strides, padding="SAME" if same else "VALID",
        )
        for part, kernel in zip(parts, kernels, strict=True)
    ]  # fmt: skip
    if same:
        return outs[0]
    result = ctx.b.concat(outs, 3)
    if groups > 1 and bias is not None:
        result = ctx.b.add(result, bias)
        bias = None
    return _cut(ctx, result, x, weights.shape[2:], strides, pads, extra, bias)


def _dilated(weights: Array, dilations: Sequence[int]) -> Array:
    if all(d == 1 for d in dilations):
        return weights
    spatial = [(k - 1) * d + 1 for k, d in zip(weights.shape[2:], dilations, strict=True)]
    spread = np.zeros((*weights.shape[:2], *spatial), weights.dtype)
    spread[:, :, :: dilations[0], :: dilations[1]] = weights
    return spread


def _transpose_pads(
    ctx: Context, node: ir.Node, x: Tensor, kernel: Sequence[int], strides: Sequence[int]
) -> tuple[Pads, list[int]]:
    """(before, after) cut off per axis, and output_padding."""
    extra = [int(p) for p in ctx.attribute(node, "output_padding") or (0,) * len(kernel)]
    wanted = ctx.attribute(node, "output_shape")
    mode = ctx.attribute(node, "auto_pad") or "NOTSET"
    if wanted is None and mode == "NOTSET":
        pads = ctx.attribute(node, "pads") or (0,) * (2 * len(kernel))
        return [(int(pads[i]), int(pads[i + len(kernel)])) for i in range(len(kernel))], extra
    if mode == "VALID" and wanted is None:
        return [(0, 0)] * len(kernel), extra
    result: Pads = []
    for axis, (extent, k, s) in enumerate(zip(x.static_shape[1:-1], kernel, strides, strict=True)):
        target = int(wanted[axis]) if wanted is not None else extent * s
        total = max((extent - 1) * s + k + extra[axis] - target, 0)
        low = total // 2 if mode == "SAME_UPPER" else total - total // 2
        result.append((low, total - low))
    return result, extra


def _transpose_is_same(kernel: Sequence[int], strides: Sequence[int], pads: Pads, extra: Sequence[int]) -> bool:
    """SAME gives H·stride and cuts (k-stride)//2 off the front."""
    return all(
        k >= s and low + high - e == k - s and low == (k - s) // 2
        for k, s, (low, high), e in zip(kernel, strides, pads, extra, strict=True)
    )


def _cut(
    ctx: Context, full: Tensor, x: Tensor, kernel: Sequence[int], strides: Sequence[int], pads: Pads,
    extra: Sequence[int], bias: Tensor | None,
) -> Tensor:  # fmt: skip
    """The part of VALID's result that ONNX wants; output_padding can reach beyond it, where only the bias is."""
    begin, size, grow = [0], [-1], [(0, 0)]
    for axis, extent in enumerate(x.static_shape[1:-1]):
        low, high = pads[axis]
        target = (extent - 1) * strides[axis] + kernel[axis] + extra[axis] - low - high
        available = (full.static_shape[axis + 1]) - low
        begin.append(low)
        size.append(min(target, available))
        grow.append((0, max(target - available, 0)))
    kept = ctx.b.slice(full, [*begin, 0], [*size, -1])
    if not any(map(any, grow)):
        return kept
    if bias is None:
        return ctx.b.pad(kept, [*grow, (0, 0)])
    return ctx.b.add(ctx.b.pad(ctx.b.sub(kept, bias), [*grow, (0, 0)]), bias)
