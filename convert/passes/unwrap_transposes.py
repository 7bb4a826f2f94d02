"""Write a Transpose between two Reshapes as one Transpose, if that is what the three are.

Before (how ``torch.onnx`` writes Kᵀ in an attention)::

    k:[1,12,S,D] ── Reshape ── [12,S,D] ── Transpose(0,2,1) ── [12,D,S] ── Reshape ── y:[1,12,D,S]

After::

    k ── Transpose(0,1,3,2) ── y

Leaves alone: reshapes that split an axis, or join axes for good; results that something else uses in between;
dimensions that can't be told apart, because they are neither numbers nor named.
"""

from __future__ import annotations

import math

import onnx_ir as ir

from ..graph.reading import permutation, producer, sole_consumer
from ..graph.rewriter import Rewriter
from .contract import Pass
from .properties import CONSTANTS_LIFTED, NO_LOCAL_FUNCTIONS, TYPED
from .shape_values import UNKNOWN, shape_value

_RESHAPING = ("Reshape", "Squeeze", "Unsqueeze", "Flatten")


def unwrap_transposes(rw: Rewriter) -> None:
    for last in rw.nodes(*_RESHAPING):
        transpose = producer(last.inputs[0], "Transpose")
        first = None if transpose is None else producer(transpose.inputs[0], *_RESHAPING)
        if transpose is None or first is None or first.graph is not last.graph:
            continue
        if sole_consumer(transpose.outputs[0]) is not last or sole_consumer(first.outputs[0]) is not transpose:
            continue
        perm = _as_one(first, transpose, last)
        if perm is not None:
            rw.fuse(last, "Transpose", first.inputs[:1], {"perm": perm}, main=transpose)


def _as_one(first: ir.Node, transpose: ir.Node, last: ir.Node) -> tuple[int, ...] | None:
    """The permutation of the axes of ``first``'s input that the three nodes are together, or None."""
    before, between, after = shape_value(first.inputs[0]), shape_value(first.outputs[0]), shape_value(last.outputs[0])
    perm = permutation(transpose)
    if before is None or between is None or after is None or perm is None:
        return None
    groups = _grouped(list(before), list(between))
    if groups is None or UNKNOWN in list(after):
        return None
    # The axes a group joins stay side by side and in order, so `last` undoes the joining if its shape says so; axes of
    # extent 1 may be put anywhere.
    axes = iter([axis for p in perm for axis in groups[p]])
    units = iter([axis for axis, extent in enumerate(before) if extent == 1])
    order = tuple(next(units if extent == 1 else axes, -1) for extent in after)
    fits = len(order) == len(before) and -1 not in order
    return order if fits and [before[axis] for axis in order] == list(after) else None


def _grouped(fine: list[object], coarse: list[object]) -> list[list[int]] | None:
    """For each dimension of ``coarse``, the axes of ``fine`` that it joins, leaving out those of extent 1.

    None if ``coarse`` doesn't just join axes.
    """
    left = [axis for axis, extent in enumerate(fine) if extent != 1]
    groups: list[list[int]] = []
    for extent in coarse:
        group: list[int] = []
        while left and _product(fine, group) != extent:
            group.append(left.pop(0))
        if _product(fine, group) != extent:
            return None
        groups.append(group)
    return None if left else groups


def _product(dims: list[object], axes: list[int]) -> object:
    numbers = [d for axis in axes if isinstance(d := dims[axis], int)]
    if len(numbers) == len(axes):
        return math.prod(numbers)
    return dims[axes[0]] if len(axes) == 1 else UNKNOWN


PASS = Pass(
    name="unwrap_transposes",
    run=unwrap_transposes,
    requires=frozenset({NO_LOCAL_FUNCTIONS, CONSTANTS_LIFTED, TYPED}),
    must_follow=("fold_shapes",),
)
