"""Reshaping, and arithmetic on shapes."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ....artifact import Array
from ....vocabulary import NHWC_DOMAIN
from ...builders.remedies import BROKEN, FIXED_SIZE
from ...builders.tensor import Shape, Tensor, Unsupported, element_count, format_shape, normalize_axis
from ...layout.axes import one_axis
from ...layout.elementwise import elementwise, like_first
from ...layout.movement import expand, rearrangement, reshape, shape, size, tile
from ...layout.spatial import spatial
from ..context import Context, spec
from ..extents import are_among, extents_beside
from ..registry import lowers


@lowers("Shape", layout=shape)
def lower_shape(ctx: Context, node: ir.Node) -> Tensor:
    """The extents from ``start`` to ``end`` as int64; a constant where static."""
    b, x = ctx.b, ctx.input(node, 0)
    start, end = ctx.attribute(node, "start") or 0, ctx.attribute(node, "end")
    first, last, _ = slice(start, end).indices(x.rank)
    wanted = x.shape[first:last]
    if all(d is not None for d in wanted):
        return b.const(np.asarray(wanted, np.int64))
    extents = b.slice(b.shape_of(x), [first], [max(last - first, 0)])
    return b.cast(extents, "int64")


@lowers("Size", layout=size)
def lower_size(ctx: Context, node: ir.Node) -> Tensor:
    """The number of elements as an int64 scalar."""
    x = ctx.input(node, 0)
    count = element_count(x.shape)
    if count is not None:
        return ctx.b.const(count, "int64")
    extents = ctx.b.cast(ctx.b.shape_of(x), "int64")
    return ctx.b.reduce("reduce_prod", extents, [0], keep_dims=False)


@lowers("Reshape", since=5, layout=reshape)
def lower_reshape(ctx: Context, node: ir.Node) -> Tensor:
    """X with a new shape; 0 copies an extent (unless ``allowzero``), -1 is worked out. TFLite: RESHAPE."""
    b, x = ctx.b, ctx.input(node, 0)
    given = ctx.known(node, 1)
    if given is None:
        target_shape, static = b.cast(ctx.input(node, 1), "int32"), ctx.output(node).shape
        if not ctx.attribute(node, "allowzero") and _may_be_zero(node.inputs[1]):
            target_shape = _with_copies(ctx, x, target_shape, len(static))
        return b.reshape(x, static, target_shape)
    wanted = [int(d) for d in given.reshape(-1)]
    copies = not ctx.attribute(node, "allowzero")
    if copies and 0 in wanted[x.rank :]:
        raise Unsupported(
            f"the new shape {wanted} takes over an extent that {format_shape(x.shape)} doesn't have", BROKEN
        )
    target: list[int | None] = [
        x.shape[i] if d == 0 and copies else (None if d == -1 else d) for i, d in enumerate(wanted)
    ]
    if -1 in wanted:
        target[wanted.index(-1)] = _inferred(x.shape, target, wanted.index(-1), wanted, copies)
    if sum(d is None for d in target) > 1:
        return b.reshape(x, tuple(target), _runtime_shape(ctx, x, wanted, copies))
    return b.reshape(x, tuple(target))


_OF_FIRST = ("Cast", "Gather", "Identity", "Reshape", "Slice", "Squeeze", "Unsqueeze")


def _may_be_zero(value: ir.Value | None) -> bool:
    """Whether a shape may say 0, as far as can be seen: extents of what has elements don't."""
    if value is None:
        return True
    if value.const_value is not None:
        return bool((value.const_value.numpy() == 0).any())
    maker = value.producer()
    if maker is None or maker.domain:
        return True
    if maker.op_type in ("Shape", "Size"):
        return False
    if maker.op_type in ("Concat", "Mul", "ReduceProd"):
        return any(map(_may_be_zero, maker.inputs))
    return maker.op_type not in _OF_FIRST or _may_be_zero(maker.inputs[0])


def _with_copies(ctx: Context, x: Tensor, shape: Tensor, count: int) -> Tensor:
    """A shape of ``count`` extents (1-D int32) with those of ``x`` where it says 0."""
    b = ctx.b
    extents = b.concat([b.shape_of(x), b.int32s([1] * (count - x.rank))], 0) if count > x.rank else b.shape_of(x)
    own = b.slice(extents, [0], [count])
    return b.select(b.compare("equal", shape, b.like(shape, 0)), own, shape)


def _inferred(source: Shape, target: list[int | None], at: int, wanted: list[int], copies: bool) -> int | None:
    """The extent at -1; equal dynamic extents on both sides cancel."""
    left = [d for i, d in enumerate(source) if not (copies and i < len(wanted) and wanted[i] == 0)]
    right = [d for i, d in enumerate(target) if i != at and not (copies and wanted[i] == 0)]
    total, rest = element_count(left), element_count(right)
    if total is None or rest is None:
        return None
    return total // rest if rest else 0


def _runtime_shape(ctx: Context, x: Tensor, wanted: list[int], copies: bool) -> Tensor:
    b, extents = ctx.b, ctx.b.shape_of(x)
    parts = [b.slice(extents, [i], [1]) if d == 0 and copies else b.int32s([d]) for i, d in enumerate(wanted)]
    return b.concat(parts, 0)


@lowers("Flatten", layout=reshape)
def lower_flatten(ctx: Context, node: ir.Node) -> Tensor:
    """X as a matrix: the axes before ``axis``, and the others."""
    x, axis = ctx.input(node, 0), int(ctx.attribute(node, "axis"))
    axis = axis + x.rank if axis < 0 else axis
    rows, columns = element_count(x.shape[:axis]), element_count(x.shape[axis:])
    if rows is not None or columns is not None:
        return ctx.b.reshape(x, (rows, columns))
    before = ctx.b.slice(ctx.b.shape_of(x), [0], [axis])
    count = ctx.b.reduce("reduce_prod", before, [0], keep_dims=True)
    return ctx.b.reshape(x, (None, None), ctx.b.concat([count, ctx.b.int32s([-1])], 0))


@lowers("Squeeze", layout=reshape)
def lower_squeeze(ctx: Context, node: ir.Node) -> Tensor:
    """X without its extents of 1 at ``axes`` (all of them by default)."""
    x = ctx.input(node, 0)
    given = ctx.attribute(node, "axes")
    if given is None:
        constant = ctx.known(node, 1)
        if constant is None and len(node.inputs) > 1:
            axes = ctx.b.cast(ctx.input(node, 1), "int32")
            return ctx.b.reshape(x, ctx.output(node).shape, extents_beside(ctx, x, axes))
        given = [i for i, d in enumerate(x.shape) if d == 1] if constant is None else constant.reshape(-1).tolist()
    return ctx.b.squeeze(x, [int(a) for a in given])


@lowers("Unsqueeze", layout=reshape)
def lower_unsqueeze(ctx: Context, node: ir.Node) -> Tensor:
    """X with extents of 1 at ``axes`` of the result."""
    given = ctx.attribute(node, "axes")
    if given is None and ctx.known(node, 1) is None:
        return _unsqueeze_by(ctx, ctx.input(node, 0), ctx.b.cast(ctx.input(node, 1), "int32"), ctx.output(node).shape)
    axes = ctx.constant(node, 1).reshape(-1).tolist() if given is None else given
    return ctx.b.expand_dims(ctx.input(node, 0), [int(a) for a in axes])


def _unsqueeze_by(ctx: Context, x: Tensor, axes: Tensor, shape: Shape) -> Tensor:
    """X with extents of 1 at ``axes`` (1-D int32) of the result, which come at run time."""
    b, new = ctx.b, are_among(ctx, axes, len(shape))
    if x.rank == 0:
        return b.reshape(x, (1,) * len(shape))
    old = b.cast(b.unary("logical_not", new), "int32")
    # Each old axis is the number of old ones before it; a new one takes any place, and its extent is 1.
    places = b.cumsum(old, b.const(np.int32(0)), exclusive=True, reverse=False)
    places = b.binary("minimum", places, b.like(places, x.rank - 1))
    extents = b.gather(b.shape_of(x), places, 0)
    return b.reshape(x, shape, b.select(new, b.like(extents, 1), extents))


@lowers("Expand", since=8, layout=expand)
def lower_expand(ctx: Context, node: ir.Node) -> Tensor:
    """X broadcast with ``shape``, in both directions. TFLite: BROADCAST_TO."""
    b, x, static = ctx.b, ctx.input(node, 0), ctx.output(node).shape
    if all(d is not None for d in static):
        factor = _ones(x, tuple(d or 0 for d in static))
        if (1,) * (len(static) - x.rank) + x.shape == static:
            return b.reshape(x, static)
        most = b.forms.numbers("broadcast_by_product")
        if factor is not None and most is not None and factor.size <= most["elements"]:
            b.because("a product with ones broadcasts as well")
            return b.mul(x, b.const(factor))
        return b.broadcast_to(x, b.int32s([d or 0 for d in static]), static)
    target = b.cast(ctx.input(node, 1), "int32")
    if x.rank == 0:
        return b.fill(target, x, static)
    # An extent of 1 in the target keeps that of x: multiplying by ones broadcasts both ways.
    ones = b.fill(target, b.like(x, 1), (None,) * (len(static) if target.shape[0] is None else target.shape[0]))
    return b.binary("logical_and", x, ones) if x.dtype == "bool" else b.mul(x, ones)


def _ones(x: Tensor, target: tuple[int, ...]) -> Array | None:
    """Ones that broadcast a float ``x`` to ``target``; None where it isn't one, or its extents are dynamic."""
    extents = (1,) * (len(target) - x.rank) + x.shape
    if x.dtype != "float32" or x.value is not None or x.rank > len(target) or None in extents:
        return None
    return np.ones([1 if had == want else want for had, want in zip(extents, target, strict=True)], np.float32)


@lowers("Tile", since=6, layout=tile)
def lower_tile(ctx: Context, node: ir.Node) -> Tensor:
    """X repeated along each axis. TFLite: TILE."""
    repeats = ctx.b.cast(ctx.input(node, 1), "int32")
    return ctx.b.tile(ctx.input(node, 0), repeats, ctx.output(node).shape)


@lowers("Transpose", layout=rearrangement)
def lower_transpose(ctx: Context, node: ir.Node) -> Tensor:
    """X with its axes in the order of ``perm`` (reversed by default). TFLite: TRANSPOSE."""
    x = ctx.input(node, 0)
    return ctx.b.transpose(x, ctx.attribute(node, "perm") or tuple(reversed(range(x.rank))))


@lowers("Identity", layout=elementwise)
def lower_identity(ctx: Context, node: ir.Node) -> Tensor:
    """X itself."""
    return ctx.input(node, 0)


@lowers("Dropout", since=7, layout=like_first)
def lower_dropout(ctx: Context, node: ir.Node) -> tuple[Tensor, ...]:
    """X itself, and a mask that is all true; TFLite: nothing.

    Where an input says whether it trains: X / (1 - ratio) in random places of a share of 1 - ratio, which the mask
    tells, and 0 elsewhere (RANDOM_UNIFORM). What trains always was meant to be exported in eval mode.
    """
    b, x = ctx.b, ctx.input(node, 0)
    ratio, training = ctx.optional(node, 1), ctx.optional(node, 2)
    never = training is None or (training.value is not None and not training.value.item())
    if never or (ratio is not None and ratio.is_all(0)):
        if not ctx.has_output(node, 1):
            return (x,)
        true = b.const(np.ones(x.static_shape if x.is_static else (), ctx.output(node, 1).dtype))
        return x, true if x.is_static else b.fill(b.shape_of(x), true, x.shape)
    if training is None or training.value is not None:
        raise Unsupported("Dropout in training mode draws random numbers", "export the model in eval mode")
    share = b.const(np.float32(0.5)) if ratio is None else b.cast(b.reshape(ratio, ()), "float32")
    draws = b.random_uniform(b.shape_of(x), x.shape)
    evaluates = b.unary("logical_not", b.reshape(training, ()))
    kept = b.binary("logical_or", b.compare("greater_equal", draws, share), evaluates)
    scale = b.select(evaluates, b.like(share, 1), b.div(b.like(share, 1), b.sub(b.like(share, 1), share)))
    return b.select(kept, b.mul(x, b.cast(scale, x.dtype)), b.like(x, 0)), kept


@lowers("Cast", since=6, layout=elementwise)
def lower_cast(ctx: Context, node: ir.Node) -> Tensor:
    """X as another type; TFLite: CAST. To bool, everything but 0 is true."""
    return _cast(ctx, node)


def _cast(ctx: Context, node: ir.Node) -> Tensor:
    x, dtype = ctx.input(node, 0), ctx.output(node).dtype
    if dtype == "bool" and x.dtype != "bool" and x.value is None:
        return ctx.b.compare("not_equal", x, ctx.b.like(x, 0))
    return ctx.b.cast(x, dtype)


@lowers("CastLike", since=15, layout=like_first)
def lower_cast_like(ctx: Context, node: ir.Node) -> Tensor:
    """X as the second input's type."""
    return _cast(ctx, node)


@lowers("Concat", since=4, layout=one_axis())
def lower_concat(ctx: Context, node: ir.Node) -> Tensor:
    """The inputs joined along ``axis``. TFLite: CONCATENATION."""
    return ctx.b.concat(ctx.inputs(node), int(ctx.attribute(node, "axis")))


@lowers("Split", since=2, layout=one_axis(0))
def lower_split(ctx: Context, node: ir.Node) -> tuple[Tensor, ...]:
    """X cut along ``axis``: into ``split`` sizes, or ``num_outputs`` equal parts (the last may be smaller)."""
    x = ctx.input(node, 0)
    axis = normalize_axis(int(ctx.attribute(node, "axis")), x.rank)
    given = ctx.attribute(node, "split")
    if given is None and len(node.inputs) > 1:
        constant = ctx.known(node, 1)
        # Sizes that come at run time must be those of the outputs' own shapes.
        given = [s.shape[axis] for s in map(spec, node.outputs)] if constant is None else constant.reshape(-1).tolist()
        if None in given:
            return _split_by(ctx, x, ctx.b.cast(ctx.input(node, 1), "int32"), tuple(given), axis)
    if given is None:
        extent = x.shape[axis]
        if extent is None:
            raise Unsupported("a split into equal parts needs a static axis", FIXED_SIZE)
        count = ctx.attribute(node, "num_outputs") or len(node.outputs)
        part = -(-extent // count)
        given = [min(part, extent - i * part) for i in range(count)]
    return ctx.b.split(x, [int(s) for s in given], axis)


def _split_by(ctx: Context, x: Tensor, sizes: Tensor, known: Shape, axis: int) -> tuple[Tensor, ...]:
    """Parts of ``sizes`` (1-D int32), some of them ``known``. TFLite: STRIDED_SLICE, the last to the very end."""
    b, here, others = ctx.b, [int(a == axis) for a in range(x.rank)], (1 << x.rank) - 1 - (1 << axis)
    parts, begin = [], b.int32s([0] * x.rank)
    for index, extent in enumerate(known):
        length = b.int32s([extent]) if extent is not None else b.slice(sizes, [index], [1])
        end = b.add(begin, b.mul(length, b.int32s(here)))
        to_end = others if index + 1 < len(known) else (1 << x.rank) - 1
        shape = (*x.shape[:axis], extent, *x.shape[axis + 1 :])
        parts.append(b.strided_slice(x, begin, end, b.int32s([1] * x.rank), shape, begin_mask=others, end_mask=to_end))
        begin = end
    return tuple(parts)


@lowers("DepthToSpace", domain=NHWC_DOMAIN, layout=spatial)
def lower_depth_to_space(ctx: Context, node: ir.Node) -> Tensor:
    """X [N,H,W,C·b²] → [N,H·b,W·b,C]. TFLite: DEPTH_TO_SPACE, whose channel order is that of mode DCR.

    In mode CRD (PixelShuffle) the channels are put into that order first.
    """
    b, x, block = ctx.b, ctx.input(node, 0), int(ctx.attribute(node, "blocksize"))
    if ctx.attribute(node, "mode") == "CRD":
        channels = x.shape[3]
        if channels is None or channels % block**2:
            raise Unsupported(f"{channels or 'an unknown number of'} channels can't become blocks of {block}", BROKEN)
        order = np.arange(channels).reshape(-1, block * block).T.reshape(-1)
        x = b.gather(x, b.const(order.astype(np.int32)), 3)
    return b.depth_to_space(x, block)


@lowers("SpaceToDepth", domain=NHWC_DOMAIN, layout=spatial)
def lower_space_to_depth(ctx: Context, node: ir.Node) -> Tensor:
    """X [N,H,W,C] → [N,H/b,W/b,C·b²]. TFLite: SPACE_TO_DEPTH, whose channel order is that of mode DCR.

    In mode CRD (PixelUnshuffle, opset 28) the channels are put into its order after it.
    """
    b, x, block = ctx.b, ctx.input(node, 0), int(ctx.attribute(node, "blocksize"))
    y = b.space_to_depth(x, block)
    if ctx.attribute(node, "mode") != "CRD":
        return y
    order = np.arange(y.static_shape[3]).reshape(block * block, -1).T.reshape(-1)
    return b.gather(y, b.const(order.astype(np.int32)), 3)
