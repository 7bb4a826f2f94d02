"""Convolutions on channels-last activations; weights come as ONNX has them, [O, I/groups, k...]."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import numpy as np
import onnx_ir as ir

from ....artifact import Array
from ....vocabulary import NHWC_DOMAIN
from ...builders.remedies import FIXED_SIZE
from ...builders.tensor import Shape, Tensor, Unsupported
from ...layout.spatial import spatial
from ..context import Context
from ..depthwise import pieces, weights_of
from ..extents import cropped_or_padded
from ..registry import lowers

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
        if extent is not None:
            total = max((-(-extent // s) - 1) * s + (k - 1) * d + 1 - extent, 0)
        elif s == 1:  # as many results as there are values, however many these are
            total = (k - 1) * d
        else:
            raise Unsupported(f"auto_pad={mode} with a stride needs static spatial dimensions", FIXED_SIZE)
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
    if any(map(any, pads)):
        ctx.b.because("SAME would pad otherwise")
    return cropped_or_padded(ctx, x, with_batch_and_channels(pads)), "VALID"


def geometry(ctx: Context, node: ir.Node, kernel: Sequence[int]) -> tuple[list[int], list[int]]:
    """Strides and dilations of every spatial axis."""
    ones = (1,) * len(kernel)
    strides = [int(s) for s in ctx.attribute(node, "strides") or ones]
    return strides, [int(d) for d in ctx.attribute(node, "dilations") or ones]


@lowers("Conv", domain=NHWC_DOMAIN, layout=spatial)
def lower_conv(ctx: Context, node: ir.Node) -> Tensor:
    """X [N,H,W,C], W [O,C/groups,kH,kW], B [O] → Y [N,H',W',O]; volumes likewise (ONNX Conv 1-22).

    TFLite: CONV_2D, DEPTHWISE_CONV_2D (groups = C) or CONV_3D, with PAD before where SAME would pad otherwise.
    Raises Unsupported for weights that are computed at run time in 3-D, and for ranks other than 4 and 5.
    """
    x, groups = ctx.input(node, 0), int(ctx.attribute(node, "group"))
    weights = ctx.input(node, 1)
    kernel = weights.static_shape[2:]
    strides, dilations = geometry(ctx, node, kernel)
    pads = explicit_pads(ctx, node, x.shape[1:-1], kernel, strides, dilations)
    bias = ctx.optional(node, 2)
    known = ctx.known(node, 1)
    by_channel = groups == weights.static_shape[1] * groups and groups > 1
    grouped = weights.static_shape[0] > groups and ctx.b.forms.takes("multiplied_as_grouped")
    if by_channel and x.rank == 4 and known is not None and not grouped:
        return depthwise(ctx, x, np.transpose(known, (1, 2, 3, 0)), bias, strides, dilations, pads)
    if groups == 1 and known is not None and _is_of_patches(ctx, x, kernel, strides, dilations, pads):
        ctx.b.because("its patches lie beside each other")
        patches, made = ctx.b.space_to_depth(x, kernel[0]), len(known)
        each = ctx.b.const(np.transpose(known, (0, 2, 3, 1)).reshape(made, 1, 1, -1))
        return ctx.b.conv_2d(patches, each, bias, strides=(1, 1), dilations=(1, 1), padding="VALID")
    x, padding = padded(ctx, x, pads, kernel, strides, dilations)
    if x.rank == 5:
        return _conv_3d(ctx, x, weights, bias, groups, strides, dilations, padding)
    if x.rank != 4:
        raise Unsupported(
            f"a convolution over {x.rank - 2} spatial dimensions",
            "convolve over 1, 2 or 3: reshape the others into the batch",
        )
    if by_channel and not grouped:
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


def _is_of_patches(
    ctx: Context, x: Tensor, kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int], pads: Pads
) -> bool:
    """Whether an image is cut into square patches, of so few channels that the form for these is taken."""
    bound = ctx.b.forms.numbers("patches_by_blocks")
    if bound is None or x.rank != 4 or any(map(any, pads)) or len({*kernel, *strides}) > 1 or max(dilations) > 1:
        return False
    *extents, channels = x.shape[1:]
    whole = all(extent is not None and extent % kernel[0] == 0 for extent in extents)
    return whole and channels is not None and channels <= bound["channels"] and kernel[0] > 1


def depthwise(
    ctx: Context, x: Tensor, weights: Array, bias: Tensor | None, strides: Sequence[int], dilations: Sequence[int],
    pads: Pads,
) -> Tensor:  # fmt: skip
    """A depthwise convolution with weights [1, kH, kW, O], by ``multiplied_apart`` and ``depthwise_in_pieces``."""
    b, kernel, channels = ctx.b, weights.shape[1:3], x.shape[3]
    each = weights.shape[3] // channels if channels else 1
    biases = None if bias is None else bias.value
    known = None not in x.shape[1:3] and (bias is None or biases is not None)
    if each > 1 and known and b.forms.takes("multiplied_apart"):
        b.because(f"it makes {each} channels of each")
        parts = []
        for k in range(each):
            own = None if biases is None else b.const(biases[k::each])
            parts.append(depthwise(ctx, x, weights[..., k::each], own, strides, dilations, pads))
        joined = b.concat(parts, -1)
        apart = b.transpose(b.reshape(joined, (*joined.shape[:3], each, channels)), (0, 1, 2, 4, 3))
        return b.reshape(apart, joined.shape)
    pieced = b.forms.numbers("depthwise_in_pieces")
    if pieced and np.prod(kernel) > (most := pieced["taps"]):
        b.because(f"its kernel has {np.prod(kernel)} elements, and XNNPACK is fast up to {most}")
        return _depthwise_sum(ctx, x, weights, bias, strides, dilations, pads, most)
    x, padding = padded(ctx, x, pads, kernel, strides, dilations)
    return b.depthwise_conv_2d(x, b.const(weights), bias, strides=strides, dilations=dilations, padding=padding)


def _depthwise_sum(
    ctx: Context, x: Tensor, weights: Array, bias: Tensor | None, strides: Sequence[int], dilations: Sequence[int],
    pads: Pads, most: int,
) -> Tensor:  # fmt: skip
    """A depthwise convolution with weights [1, kH, kW, O], as a sum of such with at most ``most`` taps."""
    kernel, parts = weights.shape[1:3], []
    for piece in pieces(kernel, most):
        size = [p.count for p in piece]
        spread = [p.step * d for p, d in zip(piece, dilations, strict=True)]
        around = [p.pads(*pad, k, d) for p, pad, k, d in zip(piece, pads, kernel, dilations, strict=True)]
        source, padding = padded(ctx, x, around, size, strides, spread)
        taps = ctx.b.const(weights_of(weights, *piece))
        parts.append(ctx.b.depthwise_conv_2d(source, taps, bias, strides=strides, dilations=spread, padding=padding))
        bias = None
    return reduce(ctx.b.add, parts)


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
