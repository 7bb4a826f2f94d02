"""Write gathers of constant places that lie evenly as Reshape and Transpose, which XNNPACK takes, and gathers not.

Before (patches that touch, by ``torch.nn.functional.unfold``: the places are [[0, 2, 4], [1, 3, 5]])::

    x [N,C,6,W] ── Gather(axis 2, places [2,3]) ── y [N,C,2,3,W]

After::

    x ── (Slice) ── Reshape [N,C,3,2,W] ── Transpose ── y

So does GatherND (a mask by four indices), whose places are counted through the axes that they index. ``fold`` of
patches that touch, which goes the other way, before and after::

    x [N,C·b·b,h·w] ── Col2Im ── y [N,C,h·b,w·b]

    x ── Reshape [N,C,b,b,h,w] ── Transpose ── Reshape ── y

Leaves alone: places that are computed, that come twice (patches that overlap) or leave gaps; those along one axis, of
which the lowering makes slices; extents that aren't known.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
import onnx_ir as ir

from ...artifact import Array
from ..graph.reading import constant, integers
from ..graph.rewriter import Rewriter
from .contract import Pass
from .properties import CONSTANTS_LIFTED, NO_LOCAL_FUNCTIONS, TYPED

_SLICE_BY_INPUTS = 10


def straighten_gathers(rw: Rewriter) -> None:
    for node in rw.nodes(*_RULES):
        x = node.inputs[0]
        if x is not None and x.shape is not None:
            _RULES[node.op_type](rw, node, x)
    rw.drop_replaced()


def _gather(rw: Rewriter, node: ir.Node, x: ir.Value) -> None:
    places, axis = constant(node.inputs[1]), int(rw.attribute(node, "axis") or 0)
    axis += len(_dims(x)) if axis < 0 else 0
    extent = _dims(x)[axis]
    if places is not None and places.ndim > 1 and extent is not None:
        _take(rw, node, x, axis, [extent], np.where(places < 0, places + extent, places))


def _gather_nd(rw: Rewriter, node: ir.Node, x: ir.Value) -> None:
    places = constant(node.inputs[1])
    if places is None or rw.attribute(node, "batch_dims"):
        return
    indexed = _dims(x)[: places.shape[-1]]
    extents = [extent for extent in indexed if extent is not None]
    if len(extents) == len(indexed):
        counted = np.where(places < 0, places + extents, places)
        if ((counted >= 0) & (counted < extents)).all():
            _take(
                rw, node, x, 0, extents, np.asarray(np.ravel_multi_index(tuple(np.moveaxis(counted, -1, 0)), extents))
            )


def _take(rw: Rewriter, node: ir.Node, x: ir.Value, axis: int, extents: Sequence[int], places: Array) -> None:
    """``places`` of what the axes of ``extents`` from ``axis`` on are as one."""
    order, total = _order(places), prod(extents)
    behind = _dims(x)[axis + len(extents) :]
    if order is None or behind.count(None) > 1 or 0 in behind:
        return
    first, count = int(places.reshape(-1)[0]), places.size
    if count < total and (len(extents) > 1 or rw.opset < _SLICE_BY_INPUTS or first + count > total):
        return
    if count < total:
        ends = [rw.shape_constant(node, f"{node.name}/{of}", [at]) for of, at in
                (("first", first), ("end", first + count), ("axis", axis))]  # fmt: skip
        x = rw.value_before(node, "Slice", [x, *ends], [*_dims(x)[:axis], count, *behind])
    rest = [-1 if extent is None else extent for extent in behind]
    laid = [places.shape[at] for at in order]
    perm = [*range(axis), *(axis + order.index(at) for at in range(len(order)))]
    _write(rw, node, x, [0] * axis + laid + rest, [*perm, *range(len(perm), len(perm) + len(rest))])


def _order(places: Array) -> list[int] | None:
    """The axes of ``places`` from the one of the widest step to that of step 1; None where they don't lie evenly."""
    if not places.size:
        return None
    wide = [axis for axis, size in enumerate(places.shape) if size > 1]
    start = places.reshape(-1)[0]
    steps = {axis: int(places[tuple(int(at == axis) for at in range(places.ndim))] - start) for axis in wide}
    by_step = sorted(wide, key=lambda axis: -steps[axis])
    even = np.arange(places.size).reshape([places.shape[axis] for axis in by_step])
    order = list(range(places.ndim)) if by_step == wide else [*by_step, *(set(range(places.ndim)) - set(wide))]
    found = places.transpose(order).reshape(even.shape)
    return order if np.array_equal(found - start, even) else None


def _col2im(rw: Rewriter, node: ir.Node, x: ir.Value) -> None:
    image, block = (integers(value) for value in node.inputs[1:3])
    strides, dilations, pads = (rw.attribute(node, name) or () for name in ("strides", "dilations", "pads"))
    channels = _dims(x)[1]
    if not image or not block or channels is None or tuple(strides) != block or any(pads) or set(dilations) - {1}:
        return
    counts = [extent // size for extent, size in zip(image, block, strict=True)]
    if 0 in counts or any(extent % size for extent, size in zip(image, block, strict=True)):
        return
    axes, depth = len(image), channels // prod(block)
    pairs = [(2 + axes + axis, 2 + axis) for axis in range(axes)]
    _write(rw, node, x, [0, depth, *block, *counts], [0, 1, *(at for pair in pairs for at in pair)], [0, depth, *image])


def _write(
    rw: Rewriter, node: ir.Node, x: ir.Value, shape: list[int], perm: list[int], last: list[int] | None = None
) -> None:
    """``node`` becomes Reshape to ``shape``, where 0 and -1 are as ONNX has them, Transpose, Reshape to ``last``."""
    to = rw.shape_constant(node, f"{node.name}/shape", shape)
    if perm == sorted(perm):
        rw.become(node, "Reshape", [x, to])
    else:
        sizes = [_dims(x)[at] if size == 0 else None if size < 0 else size for at, size in enumerate(shape)]
        apart = rw.value_before(node, "Reshape", [x, to], sizes)
        if last is None:
            rw.become(node, "Transpose", [apart], {"perm": perm})
        else:
            moved = rw.value_before(node, "Transpose", [apart], [sizes[at] for at in perm], {"perm": perm})
            rw.become(node, "Reshape", [moved, rw.shape_constant(node, f"{node.name}/whole", last)])
    rw.changed += 1


def _dims(x: ir.Value) -> list[int | None]:
    return [extent if isinstance(extent, int) else None for extent in x.shape or ()]


_RULES = {"Gather": _gather, "GatherND": _gather_nd, "Col2Im": _col2im}

PASS = Pass(
    name="straighten_gathers",
    run=straighten_gathers,
    requires=frozenset({NO_LOCAL_FUNCTIONS, CONSTANTS_LIFTED, TYPED}),
    must_follow=("fold_constants", "fold_shapes"),
)
