"""Slices and pads."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from ...builders.ranks import MOST_AXES
from ...builders.remedies import FIXED_SIZE
from ...builders.tensor import Tensor, Unsupported, normalize_axis, static
from ...layout.axes import pad, slices
from ..context import Context
from ..extents import cropped_or_padded
from ..registry import lowers


@lowers("Slice", layout=slices)
def lower_slice(ctx: Context, node: ir.Node) -> Tensor:
    """X[starts:ends:steps] on ``axes``; attributes until opset 9, inputs after. TFLite: SLICE, STRIDED_SLICE."""
    x = ctx.input(node, 0)
    if ctx.version(node) < 10:
        starts, ends = list(node.attributes["starts"].as_ints()), list(node.attributes["ends"].as_ints())
        axes = ctx.attribute(node, "axes") or range(len(starts))
        steps = [1] * len(starts)
    else:
        bounds, others = [ctx.input(node, i) for i in (1, 2)], [ctx.optional(node, i) for i in (3, 4)]
        if any(t is not None and t.value is None for t in (*bounds, *others)):
            return _runtime_slice(ctx, x, *bounds, *others)
        starts, ends = (ctx.constant(node, i).reshape(-1).tolist() for i in (1, 2))
        axes_steps = [ctx.optional_constant(node, i) for i in (3, 4)]
        axes = range(len(starts)) if axes_steps[0] is None else axes_steps[0].reshape(-1).tolist()
        steps = [1] * len(starts) if axes_steps[1] is None else axes_steps[1].reshape(-1).tolist()
    return _static_slice(ctx, x, list(zip(axes, starts, ends, steps, strict=True)))


def _static_slice(ctx: Context, x: Tensor, cuts: list[tuple[int, int, int, int]]) -> Tensor:
    b = ctx.b
    begin, end, strides = [0] * x.rank, [0] * x.rank, [1] * x.rank
    shape = list(x.shape)
    open_begin = open_end = (1 << x.rank) - 1
    for axis, start, stop, step in cuts:
        axis = normalize_axis(int(axis), x.rank)
        extent = x.shape[axis]
        if extent is None:
            if step < 0 and start < -1:  # ONNX begins at the first element where that is beyond it, TFLite nowhere
                raise Unsupported("a backward slice of a dynamic axis, from a place before its end", FIXED_SIZE)
            # TFLite counts and clamps bounds as ONNX does, but takes no bound for "to the end".
            begin[axis], end[axis], strides[axis] = _clipped(start), _clipped(stop), int(step)
            shape[axis] = None
            if step > 0 or start < 2**31 - 1:
                open_begin &= ~(1 << axis)
            if -(2**31) < stop < 2**31 - 1:
                open_end &= ~(1 << axis)
            continue
        start = max(start, -extent) if step < 0 else start  # ONNX begins at the first element, Python before it
        first, last, _ = slice(int(start), int(stop), int(step)).indices(extent)
        count = len(range(first, last, int(step)))
        begin[axis], end[axis], strides[axis] = first, last, int(step)
        shape[axis] = count
        open_begin &= ~(1 << axis)
        # Going backwards through the first element has no other end than an open one.
        if not (step < 0 and last < 0):
            open_end &= ~(1 << axis)
        if count == 0:
            begin[axis], end[axis], strides[axis] = 0, 0, 1
            open_end &= ~(1 << axis)
    if all(s == 1 for s in strides) and x.is_static:
        return b.slice(x, begin, [d or 0 for d in shape])
    blocks = _blocks(static(x.shape), static(tuple(shape)), begin, strides) if x.is_static else None
    if blocks is not None and b.forms.takes("steps_by_blocks"):
        extents, at, size = blocks
        b.because("its steps go into blocks, of which a slice is taken")
        return b.reshape(b.slice(b.reshape(x, extents), at, size), tuple(shape))
    return b.strided_slice(
        x, b.int32s(begin), b.int32s(end), b.int32s(strides), tuple(shape),
        begin_mask=open_begin, end_mask=open_end,
    )  # fmt: skip


def _blocks(
    extents: Sequence[int], counts: Sequence[int], begin: Sequence[int], strides: Sequence[int]
) -> tuple[tuple[int, ...], list[int], list[int]] | None:
    """A slice with steps as one without: of the extents (number of blocks, step) in the place of a stepped axis.

    The whole axes behind a step go into it, as they lie side by side. Shape, begin and size; None where an axis isn't
    whole blocks, goes backwards, or there are too many axes.
    """
    axes: list[tuple[int, int, int]] = []
    inside = False
    for extent, count, first, step in zip(extents, counts, begin, strides, strict=True):
        if step < 1 or extent % step or not count:
            return None
        if step > 1:
            axes += [(extent // step, first // step, count), (step, first % step, 1)]
        elif inside and count == extent:
            axes[-1] = (axes[-1][0] * extent, axes[-1][1] * extent, axes[-1][2] * extent)
        else:
            axes.append((extent, first, count))
        inside = step > 1 or (inside and count == extent)
    if len(axes) > MOST_AXES:
        return None
    shape, first_of, size = ([axis[i] for axis in axes] for i in range(3))
    return tuple(shape), first_of, size


def _clipped(value: int) -> int:
    return int(max(min(value, 2**31 - 1), -(2**31)))


def _runtime_slice(
    ctx: Context, x: Tensor, starts: Tensor, ends: Tensor, axes: Tensor | None, steps: Tensor | None
) -> Tensor:
    """Bounds, axes or steps come at run time: they are laid into vectors that cover every axis."""
    b, count = ctx.b, starts.static_shape[0]
    if count == 0:
        return x
    steps = b.int32s([1] * count) if steps is None else b.cast(steps, "int32")
    backward = steps.value is None or bool((steps.value < 0).any())
    given = [_clamped(ctx, bounds, backward) for bounds in (starts, ends)]
    if axes is not None and axes.value is None:
        begin = _laid(ctx, axes, given[0], b.int32s([0] * x.rank))
        end = _laid(ctx, axes, given[1], b.shape_of(x))
        strides = _laid(ctx, axes, steps, b.int32s([1] * x.rank))
        return b.strided_slice(x, begin, end, strides, (None,) * x.rank)
    at = range(count) if axes is None or axes.value is None else axes.value.reshape(-1).tolist()
    where = {normalize_axis(int(a), x.rank): i for i, a in enumerate(at)}

    def laid(values: Tensor, other: int) -> Tensor:
        parts = [b.slice(values, [where[a]], [1]) if a in where else b.int32s([other]) for a in range(x.rank)]
        return b.concat(parts, 0)

    begin, end = (laid(bounds, 0) for bounds in given)
    mask = sum(1 << a for a in range(x.rank) if a not in where)
    shape = tuple(None if a in where else d for a, d in enumerate(x.shape))
    return b.strided_slice(x, begin, end, laid(steps, 1), shape, begin_mask=mask, end_mask=mask)


def _laid(ctx: Context, axes: Tensor, values: Tensor, others: Tensor) -> Tensor:
    """``values`` [count, ...] at the ``axes`` that come at run time, and ``others`` [rank, ...] (int32) elsewhere.

    TFLite: SCATTER_ND of how much each value is more than what it takes the place of.
    """
    b, rank = ctx.b, static(others.shape)[0]
    axes = b.cast(axes, "int32")
    at = b.select(b.compare("less", axes, b.like(axes, 0)), b.add(axes, b.like(axes, rank)), axes)
    more = values if others.is_all(0) else b.sub(values, b.gather(others, at, 0))
    laid = b.scatter_nd(b.expand_dims(at, [1]), more, b.shape_of(others), others.shape)
    return laid if others.is_all(0) else b.add(others, laid)


def _clamped(ctx: Context, bounds: Tensor, backward: bool) -> Tensor:
    """Bounds as int32; ONNX writes "to the end" as the largest int64, and going backward as the smallest."""
    b = ctx.b
    if bounds.dtype == "int64":
        bounds = b.binary("minimum", bounds, b.const(2**31 - 1, "int64"))
        if backward:
            bounds = b.binary("maximum", bounds, b.const(-(2**31), "int64"))
    return b.cast(bounds, "int32")


@lowers("Pad", since=2, layout=pad)
def lower_pad(ctx: Context, node: ir.Node) -> Tensor:
    """X padded by ``pads`` (all befores, then all afters; on ``axes``) in mode constant, reflect, edge or wrap.

    TFLite: PAD, PADV2, MIRROR_PAD; edge and wrap by GATHER, and reflect along a dynamic axis. Negative pads crop.
    """
    b, x = ctx.b, ctx.input(node, 0)
    if ctx.version(node) >= 11 and _is_computed(ctx, node):
        return _runtime_pad(ctx, node, x)
    pads, value = _pad_arguments(ctx, node, x.rank)
    mode = ctx.attribute(node, "mode")
    if mode == "constant":
        return cropped_or_padded(ctx, x, pads, value)
    x = cropped_or_padded(ctx, x, [(min(low, 0), min(high, 0)) for low, high in pads])
    pads = [(max(low, 0), max(high, 0)) for low, high in pads]
    if mode == "reflect":
        # Before an input is resized a dynamic extent is 1, and MIRROR_PAD refuses to be prepared for that.
        known = [pair if extent is not None else (0, 0) for pair, extent in zip(pads, x.shape, strict=True)]
        x = b.mirror_pad(x, known, "REFLECT") if any(map(any, known)) else x
        pads = [pair if extent is None else (0, 0) for pair, extent in zip(pads, x.shape, strict=True)]
    for axis, (low, high) in enumerate(pads):
        if low or high:
            amounts = b.const(np.int32(low)), b.const(np.int32(high))
            x = b.gather(x, _picked(ctx, x, axis, *amounts, mode), axis)
    return x


def _is_computed(ctx: Context, node: ir.Node) -> bool:
    """Whether the amounts or the axes come at run time, or the value of a Pad that crops nothing."""
    pads, value, axes = ctx.known(node, 1), ctx.optional(node, 2), ctx.optional(node, 3)
    if pads is None or (axes is not None and axes.value is None):
        return True
    return value is not None and value.value is None and bool((pads >= 0).all())


def _pad_arguments(ctx: Context, node: ir.Node, rank: int) -> tuple[list[tuple[int, int]], float]:
    if ctx.version(node) < 11:
        flat = [int(p) for p in node.attributes["pads"].as_ints()]
        return [(flat[i], flat[i + rank]) for i in range(rank)], float(ctx.attribute(node, "value") or 0)
    flat = [int(p) for p in ctx.constant(node, 1).reshape(-1)]
    constant, axes = ctx.optional_constant(node, 2), ctx.optional_constant(node, 3)
    at = range(rank) if axes is None else [normalize_axis(int(a), rank) for a in axes.reshape(-1)]
    pads = [(0, 0)] * rank
    for i, axis in enumerate(at):
        pads[axis] = (flat[i], flat[i + len(flat) // 2])
    return pads, 0 if constant is None or constant.size == 0 else constant.reshape(-1)[0].item()


def _runtime_pad(ctx: Context, node: ir.Node, x: Tensor) -> Tensor:
    """The amounts or the axes come at run time; amounts are not negative: [2·count] → [rank, 2]."""
    b, mode, named = ctx.b, str(ctx.attribute(node, "mode")), ctx.optional(node, 3)
    given = b.cast(ctx.input(node, 1), "int32")
    count = x.rank if named is None else static(named.shape)[0]
    amounts = b.transpose(b.reshape(given, (2, count)), (1, 0))
    axes = list(range(x.rank))
    if named is not None and named.value is None:
        amounts = _laid(ctx, named, amounts, b.const(np.zeros((x.rank, 2), np.int32)))
    elif named is not None and named.value is not None:
        axes = [normalize_axis(int(a), x.rank) for a in named.value.reshape(-1)]
    if mode != "constant":
        for row, axis in enumerate(axes):
            low, high = (b.reshape(b.slice(amounts, [row, i], [1, 1]), ()) for i in (0, 1))
            x = b.gather(x, _picked(ctx, x, axis, low, high, mode), axis)
        return x
    if axes != list(range(x.rank)):
        with_none = b.concat([amounts, b.const(np.zeros((1, 2), np.int32))], 0)
        order = [axes.index(a) if a in axes else len(axes) for a in range(x.rank)]
        amounts = b.gather(with_none, b.int32s(order), 0)
    value = ctx.optional(node, 2)
    fill = b.const(np.zeros((), x.dtype)) if value is None else b.reshape(value, ())
    return b.pad_by(x, amounts, fill, ctx.output(node).shape)


def _picked(ctx: Context, x: Tensor, axis: int, low: Tensor, high: Tensor, mode: str) -> Tensor:
    """Which element of ``axis`` each element of the padded one is: the nearest (edge), mirrored, or a period off."""
    b, size = ctx.b, ctx.b.extent_of(x, axis)
    one, zero = b.like(size, 1), b.like(size, 0)
    at = b.range(b.unary("neg", low), b.add(size, high), one, None)
    if mode == "wrap":
        return b.binary("floor_mod", at, size)
    last = b.sub(size, one)
    if mode == "reflect":
        period = b.binary("maximum", b.add(last, last), one)
        rest = b.binary("floor_mod", at, period)
        return b.binary("minimum", rest, b.sub(period, rest))
    return b.binary("minimum", b.binary("maximum", at, zero), last)
