"""Write what is assigned to a slice by constant places as Concat, which XNNPACK takes, and scatters not.

Before (``x[..., :2] = new``, as exporters write it)::

    x [N,L,4] ── Transpose(2,1,0) ── ScatterND(places [[0], [1]], Transpose(2,1,0) of new) ── Transpose(2,1,0) ── y

After (``merge_transposes`` takes out those that cancel)::

    Concat(new, x[..., 2:], axis 2) ── y

So does ScatterElements (``x[:, 3] = new``). What lies beside a slice of a Concat along the same axis is taken of its
inputs, so that assignments one after the other become one Concat.

Leaves alone: places that are computed, have gaps, or lie along more than one axis; sums, products and extremes with
what was there; axes whose extent isn't a number.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from ...artifact import Array
from ..graph.reading import constant, integers, permutation, producer, rank
from ..graph.rewriter import Rewriter
from .contract import Pass
from .properties import CONSTANTS_LIFTED, NO_LOCAL_FUNCTIONS, TYPED

_MOST_JOINED = 5
"""Inputs of a CONCATENATION up to which XNNPACK takes it."""


def concat_scatters(rw: Rewriter) -> None:
    for node in rw.nodes("ScatterND", "ScatterElements"):
        x, updates = node.inputs[0], node.inputs[2]
        if x is None or updates is None or x.shape is None or (rw.attribute(node, "reduction") or "none") != "none":
            continue
        axis = 0 if node.op_type == "ScatterND" else int(rw.attribute(node, "axis")) % max(len(x.shape), 1)
        places = _rows(node) if node.op_type == "ScatterND" else _elements(node, x, updates, axis)
        extent = x.shape[axis] if len(x.shape) else None
        if places is None or not isinstance(extent, int):
            continue
        first = int(places[0]) + (extent if places[0] < 0 else 0)
        wanted = np.arange(first, first + places.size)
        if np.array_equal(np.where(places < 0, places + extent, places), wanted) and first + places.size <= extent:
            _write(rw, node, x, updates, axis, first, first + places.size)
        else:
            rw.refuse(node, "what it writes to is no slice without gaps")
    rw.drop_replaced()


def _rows(node: ir.Node) -> Array | None:
    """The places along axis 0 of a ScatterND that writes whole rows."""
    places = constant(node.inputs[1])
    return places[:, 0] if places is not None and places.size and places.shape[1:] == (1,) else None


def _elements(node: ir.Node, x: ir.Value, updates: ir.Value, axis: int) -> Array | None:
    """The places along ``axis`` of a ScatterElements that has the same ones at all places of the other axes."""
    indices, count = node.inputs[1], rank(x)
    expand = producer(indices, "Expand")
    places = constant(indices if expand is None else expand.inputs[0])
    if places is None or not places.size or x.shape is None or updates.shape is None or len(updates.shape) != count:
        return None
    for at, (whole, part) in enumerate(zip(x.shape, updates.shape, strict=True)):
        if at != axis and (whole != part or not (isinstance(whole, int) or whole.value)):
            return None
    places = places.reshape((1,) * (count - places.ndim) + places.shape)
    line = np.moveaxis(places, axis, -1).reshape(-1, places.shape[axis])
    return line[0] if line.shape[1] == updates.shape[axis] and (line == line[0]).all() else None


def _write(rw: Rewriter, node: ir.Node, x: ir.Value, updates: ir.Value, axis: int, begin: int, end: int) -> None:
    """``node`` becomes a Concat of what is before ``begin``, ``updates``, and what is from ``end`` on."""
    source, perm = _untransposed(x)
    if perm != sorted(perm) and _turned(updates) not in (perm, None):
        source, perm = x, sorted(perm)
    back = [perm.index(at) for at in range(len(perm))]
    dims = [extent if isinstance(extent, int) else None for extent in source.shape or ()]
    inner, extent = perm[axis], dims[perm[axis]]
    if extent is None:
        return
    if back != sorted(back):
        given = constant(updates)
        updates = (
            rw.constant(node, f"{node.name}/updates", np.ascontiguousarray(given.transpose(back)))
            if given is not None
            else rw.value_before(node, "Transpose", [updates], _with(dims, inner, end - begin), {"perm": back})
        )
    parts = [*_cut(rw, node, source, inner, 0, begin), updates, *_cut(rw, node, source, inner, end, extent)]
    if perm == sorted(perm):
        rw.become(node, "Concat", parts, {"axis": inner})
    else:
        joined = rw.value_before(node, "Concat", parts, dims, {"axis": inner})
        rw.become(node, "Transpose", [joined], {"perm": perm})
    rw.changed += 1


def _untransposed(value: ir.Value) -> tuple[ir.Value, list[int]]:
    """What a value is transposed of, and how: its axis i is axis ``perm[i]`` of that."""
    perm = list(range(rank(value) or 0))
    while (node := producer(value, "Transpose")) is not None and node.inputs[0] is not None:
        order = permutation(node)
        if order is None or node.inputs[0].shape is None:
            break
        value, perm = node.inputs[0], [order[at] for at in perm]
    return value, perm


def _turned(updates: ir.Value) -> list[int] | None:
    """How updates are transposed; None for constants, which lie as one likes."""
    return None if constant(updates) is not None else _untransposed(updates)[1]


def _cut(rw: Rewriter, node: ir.Node, x: ir.Value, axis: int, begin: int, end: int) -> Sequence[ir.Value]:
    """``x`` from ``begin`` to ``end`` along ``axis``, of the inputs of a Concat where it is one."""
    dims = [extent if isinstance(extent, int) else None for extent in x.shape or ()]
    if begin >= end:
        return []
    if (begin, end) == (0, dims[axis]):
        return [x]
    joined = producer(x, "Concat")
    if joined is not None and rw.attribute(joined, "axis") % len(dims) == axis:
        parts = [part for part in joined.inputs if part is not None and part.shape is not None]
        sizes = [size for part in parts if part.shape is not None and isinstance(size := part.shape[axis], int)]
        if len(sizes) == len(joined.inputs) < _MOST_JOINED:
            found: list[ir.Value] = []
            for part, size in zip(parts, sizes, strict=True):
                found += _cut(rw, node, part, axis, max(begin, 0), min(end, size))
                begin, end = begin - size, end - size
            return found
    cut = producer(x, "Slice")
    if cut is not None and cut.inputs[0] is not None and [integers(v) for v in cut.inputs[3:]] == [(axis,)]:
        starts = integers(cut.inputs[1])
        if starts is not None and starts[0] >= 0:  # of an extent that is known, and taken from there on
            x, begin, end = cut.inputs[0], begin + starts[0], end + starts[0]
    bounds = [rw.shape_constant(node, f"{node.name}/{of}", [at]) for of, at in
              (("begin", begin), ("end", end), ("axis", axis))]  # fmt: skip
    return [rw.value_before(node, "Slice", [x, *bounds], _with(dims, axis, end - begin))]


def _with(dims: Sequence[int | None], axis: int, extent: int) -> list[int | None]:
    return [extent if at == axis else size for at, size in enumerate(dims)]


PASS = Pass(
    name="concat_scatters",
    run=concat_scatters,
    requires=frozenset({NO_LOCAL_FUNCTIONS, CONSTANTS_LIFTED, TYPED}),
    must_follow=("fold_constants", "fold_shapes"),
)
