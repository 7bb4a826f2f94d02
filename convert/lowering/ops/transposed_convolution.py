"""Transposed convolutions on channels-last activations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import onnx_ir as ir

from ....artifact import Array
from ....vocabulary import NHWC_DOMAIN
from ...builders.remedies import FIXED_SIZE
from ...builders.tensor import Tensor, Unsupported
from ...layout.spatial import spatial
from ..context import Context
from ..extents import affine_extents, affine_shape, cropped, cropped_or_padded, reshape_affine
from ..phases import PhasePair, phases, places, surplus, weights_at
from ..registry import lowers
from .convolution import Pads, depthwise, geometry, padded, with_batch_and_channels


@dataclass(frozen=True)
class _Geometry:
    """Of every spatial axis: the stride, the extent of the (dilated) kernel, and what the result gains or loses.

    ``cuts`` is what ONNX takes away in front and behind of all that the kernel reaches, (H-1)·stride + kernel;
    output_padding makes the second number smaller, below 0 where zeros (and the bias) come behind.
    """

    strides: list[int]
    kernel: tuple[int, ...]
    cuts: Pads


@lowers("ConvTranspose", domain=NHWC_DOMAIN, layout=spatial)
def lower_conv_transpose(ctx: Context, node: ir.Node) -> Tensor:
    """X [N,H,W,C], W [C,O/groups,kH,kW], B [O] → Y [N,H',W',O] with
    H' = (H-1)·stride + (kH-1)·dilation + 1 + output_padding - pads; volumes likewise (ONNX ConvTranspose 1-22).

    TFLite: TRANSPOSE_CONV (CONV_3D_TRANSPOSE), whose VALID gives everything, of which the pads are cut off.
    Dilation goes into the kernel. One channel a group: DEPTHWISE_CONV_2D on X with zeros in between.
    On images, by the form ``transposed_by_blocks``, CONV_2D or DEPTHWISE_CONV_2D for each place of a block.
    Weights that are computed at run time are rearranged then. Raises Unsupported for ranks other than 4 and 5.
    """
    x = ctx.input(node, 0)
    if x.rank not in (4, 5):
        raise Unsupported(
            f"a transposed convolution over {x.rank - 2} spatial dimensions",
            "convolve over 1, 2 or 3: reshape the others into the batch",
        )
    weights, groups = ctx.input(node, 1), int(ctx.attribute(node, "group"))
    strides, dilations = geometry(ctx, node, weights.static_shape[2:])
    weights = _dilated(ctx, weights, dilations)
    channels, _, *kernel = weights.static_shape
    shape = _Geometry(strides, tuple(kernel), _cuts(ctx, node, x, kernel, strides))
    bias = ctx.optional(node, 2)
    known = weights.value if x.rank == 4 else None
    if known is not None and (together := _blocks(ctx, shape, groups)) is not None:
        return _in_blocks(ctx, x, known, bias, shape, groups, together)
    if groups == channels > 1 and x.rank == 4:
        return _depthwise(ctx, x, weights, bias, shape)
    if groups == 1 and _is_same(shape):
        return _transposed(ctx, x, weights, bias, strides, "SAME")
    # Where the result grows beyond what the kernel reaches, the bias must come last.
    early = bias if groups == 1 and all(high >= 0 for _, high in shape.cuts) else None
    sizes = [channels // groups] * groups
    parts, kernels = ctx.b.split(x, sizes, x.rank - 1), ctx.b.split(weights, sizes, 0)
    full = ctx.b.concat(
        [_transposed(ctx, part, k, early, strides, "VALID") for part, k in zip(parts, kernels, strict=True)], -1
    )
    # VALID gives at least H·stride.
    cuts = [(lo, hi + max(s - k, 0)) for (lo, hi), s, k in zip(shape.cuts, strides, kernel, strict=True)]
    result = cropped_or_padded(ctx, full, with_batch_and_channels([(-low, -high) for low, high in cuts]))
    return result if bias is None or early is not None else ctx.b.add(result, bias)


def _blocks(ctx: Context, shape: _Geometry, groups: int) -> list[list[PhasePair]] | None:
    """The places of the blocks that the elements of an image become, those together that see the same of it.

    None where that form isn't taken, or not for so many; where an element becomes none or no whole block; where nothing
    joins blocks of another form.
    """
    bound, (high, wide) = ctx.b.forms.numbers("transposed_by_blocks"), shape.strides
    joined = high in (1, wide) and all(k >= s for k, s in zip(shape.kernel, shape.strides, strict=True))
    if bound is None or not joined:
        return None
    rows, columns = (phases(k, s, *cut) for k, s, cut in zip(shape.kernel, shape.strides, shape.cuts, strict=True))
    found = places(rows, columns, apart=groups > 1)
    return found if len(found) <= bound["convolutions"] else None


def _in_blocks(
    ctx: Context, x: Tensor, weights: Array, bias: Tensor | None, shape: _Geometry, groups: int,
    together: Sequence[Sequence[PhasePair]],
) -> Tensor:  # fmt: skip
    """A convolution for all places that see the same; their channels, [N,H,W,stride·stride·O], become space."""
    b = ctx.b
    b.because("each element becomes a block of its own")
    parts = []
    for same in together:
        taps = np.concatenate([weights_at(weights, place, groups) for place in same])
        around = [phase.pads for phase in same[0]]
        more = None if bias is None else b.concat([bias] * len(same), 0)
        parts.append(_convolved(ctx, x, taps, more, groups, around))
    made, (high, wide) = b.concat(parts, -1), shape.strides
    if high == wide:
        whole = b.depth_to_space(made, wide)
    else:
        whole = reshape_affine(ctx, made, made, (1, 1, wide, 0), (0, 0, 0, weights.shape[1] * groups))
    ends = [surplus(k, s, *cut) for k, s, cut in zip(shape.kernel, shape.strides, shape.cuts, strict=True)]
    return cropped(ctx, whole, with_batch_and_channels([(0, end) for end in ends]))


def _convolved(ctx: Context, x: Tensor, weights: Array, bias: Tensor | None, groups: int, pads: Pads) -> Tensor:
    """A convolution of x with weights [O, kH, kW, C/groups]."""
    ones = (1, 1)
    if groups == x.shape[-1] and groups > 1:
        return depthwise(ctx, x, weights.transpose(3, 1, 2, 0), bias, ones, ones, pads)
    source, padding = padded(ctx, x, pads, weights.shape[1:3], ones, ones)
    return ctx.b.conv_2d(source, ctx.b.const(weights), bias, strides=ones, dilations=ones, padding=padding)


def _dilated(ctx: Context, weights: Tensor, dilations: Sequence[int]) -> Tensor:
    """Weights [C,O,k...] with dilation - 1 zeros between the elements of the kernel."""
    b = ctx.b
    for axis, dilation in enumerate(dilations, 2):
        shape = weights.static_shape
        before, extent, behind = prod(shape[:axis]), shape[axis], prod(shape[axis + 1 :])
        apart = b.pad(b.reshape(weights, (before, extent, 1, behind)), [(0, 0), (0, 0), (0, dilation - 1), (0, 0)])
        spread = b.reshape(apart, (before, extent * dilation, behind))
        kept = b.slice(spread, [0, 0, 0], [before, (extent - 1) * dilation + 1, behind])
        weights = b.reshape(kept, (*shape[:axis], (extent - 1) * dilation + 1, *shape[axis + 1 :]))
    return weights


def _cuts(ctx: Context, node: ir.Node, x: Tensor, kernel: Sequence[int], strides: Sequence[int]) -> Pads:
    extra = [int(p) for p in ctx.attribute(node, "output_padding") or (0,) * len(kernel)]
    wanted = ctx.attribute(node, "output_shape")
    mode = ctx.attribute(node, "auto_pad") or "NOTSET"
    if wanted is None and mode in ("NOTSET", "VALID"):
        given = ctx.attribute(node, "pads") if mode == "NOTSET" else None
        pads = given or (0,) * (2 * len(kernel))
        return [(int(pads[i]), int(pads[i + len(kernel)]) - e) for i, e in enumerate(extra)]
    result: Pads = []
    for axis, (extent, k, s) in enumerate(zip(x.shape[1:-1], kernel, strides, strict=True)):
        if wanted is None:
            surplus = max(k - s + extra[axis], 0)  # auto_pad wants H·stride
        elif extent is None:
            raise Unsupported("output_shape needs static spatial dimensions", FIXED_SIZE)
        else:
            surplus = (extent - 1) * s + k + extra[axis] - int(wanted[axis])
        total = max(surplus, 0)
        low = total // 2 if mode == "SAME_UPPER" else total - total // 2
        result.append((low, surplus - low - extra[axis]))
    return result


def _is_same(shape: _Geometry) -> bool:
    """SAME gives H·stride and cuts (k-stride)//2 off the front."""
    return all(
        k >= s and low + high == k - s and low == (k - s) // 2
        for k, s, (low, high) in zip(shape.kernel, shape.strides, shape.cuts, strict=True)
    )


def _transposed(
    ctx: Context, x: Tensor, weights: Tensor, bias: Tensor | None, strides: Sequence[int], padding: str
) -> Tensor:
    """SAME gives H·stride, VALID (H-1)·stride + max(k, stride)."""
    b, (_, made, *extents) = ctx.b, weights.static_shape
    grow = [0 if padding == "SAME" else max(k - s, 0) for k, s in zip(extents, strides, strict=True)]
    factors, offsets = [1, *strides, 0], [0, *grow, made]
    output, shape = affine_shape(ctx, x, factors, offsets), affine_extents(x.shape, factors, offsets)
    if x.rank == 4:
        kernel = b.transpose(weights, (1, 2, 3, 0))
        return b.transpose_conv(x, kernel, bias, output=output, shape=shape, strides=strides, padding=padding)
    kernel = b.transpose(weights, (2, 3, 4, 1, 0))
    full = b.conv_3d_transpose(x, kernel, output=output, shape=shape, strides=strides, padding=padding)
    return full if bias is None else b.add(full, bias)


def _depthwise(ctx: Context, x: Tensor, weights: Tensor, bias: Tensor | None, shape: _Geometry) -> Tensor:
    """The convolution with the mirrored kernel of X with stride - 1 zeros behind every element."""
    b, (high, wide) = ctx.b, shape.strides
    spread = x
    if wide > 1:
        columns = b.pad(b.expand_dims(x, [3]), [(0, 0), (0, 0), (0, 0), (0, wide - 1), (0, 0)])
        spread = reshape_affine(ctx, columns, x, (1, 1, wide, 1), (0,) * 4)
    if high > 1:
        rows = b.pad(b.expand_dims(spread, [2]), [(0, 0), (0, 0), (0, high - 1), (0, 0), (0, 0)])
        spread = reshape_affine(ctx, rows, x, (1, high, wide, 1), (0,) * 4)
    around = [
        (k - 1 - lo, k - 1 - hi - (s - 1))
        for k, s, (lo, hi) in zip(shape.kernel, shape.strides, shape.cuts, strict=True)
    ]
    mirrored = b.reverse(b.reverse(b.transpose(weights, (2, 3, 0, 1)), 0), 1)
    kernel = b.reshape(mirrored, (1, *shape.kernel, prod(weights.static_shape[:2])))
    source = cropped_or_padded(ctx, spread, with_batch_and_channels(around))
    return b.depthwise_conv_2d(source, kernel, bias, strides=(1, 1), dilations=(1, 1), padding="VALID")
