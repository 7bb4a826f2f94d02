"""Let operators broadcast that can, in place of an Expand before them.

Before (``torch.nn.functional.normalize``)::

    x ─────────────────────────┐
    x ── ReduceL2 ── Expand ── Div ── y

After::

    x ────────────┐
    x ── ReduceL2 ── Div ── y

So does what lies between, which is computed once where it is the same along an axis: a mask of keys, before and after::

    m [N,1,1,K] ── And(true [N,1,Q,1]) ── Where(·, 0, low) [N,1,Q,K] ── Add(s [N,H,Q,K]) ── y

    m [N,1,1,K] ── Where(·, 0, low) [N,1,1,K] ── Add(s [N,H,Q,K]) ── y

Leaves alone: an operand whose expanded extents no other operand surely has; ranks above 4, up to which all of TFLite's
kernels broadcast; an Expand that other operators need, for those.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnx_ir as ir

from ..graph.reading import constant, producer, rank
from ..graph.rewriter import Rewriter
from .contract import Pass
from .properties import CONSTANTS_LIFTED, NO_LOCAL_FUNCTIONS

_BROADCASTING = (
    "Add", "And", "Div", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Max", "Min", "Mul", "Or", "Pow",
    "Sub", "Sum", "Where", "Xor",
)  # fmt: skip

_BETWEEN = (*_BROADCASTING, "Cast", "Identity", "Neg", "Not")
"""What may be computed before it is expanded."""

_NEUTRAL = {"And": True, "Or": False}

_MOST_AXES, _MOST_NODES = 4, 64

_Extents = list[int | str]


def drop_expands(rw: Rewriter) -> None:
    for node in rw.nodes(*_BROADCASTING):
        for index, value in enumerate(node.inputs):
            expand = producer(value, "Expand")
            if expand is None or (rank(node.outputs[0]) or _MOST_AXES + 1) > _MOST_AXES:
                continue
            others = [other for at, other in enumerate(node.inputs) if at != index]
            if _shape([expand.inputs[0], *others]) == _shape(node.inputs) is not None:
                rw.set_input(node, index, expand.inputs[0])
                rw.remove_dead([expand])
                rw.changed += 1
    for node in rw.nodes("Expand", *_NEUTRAL):
        kept = _only_expands(node)
        smaller = None if kept is None else _smaller(node, kept)
        if kept is not None and smaller is not None and rw.bypass(node, kept):
            for value, extents in smaller.items():
                value.shape = ir.Shape(extents)


def _only_expands(node: ir.Node) -> int | None:
    """Which operand a node gives back, but for its extents."""
    if node.op_type == "Expand":
        return 0
    for index, other in ((0, 1), (1, 0)):
        array = constant(node.inputs[other])
        if array is not None and bool((array == _NEUTRAL[node.op_type]).all()):
            return index
    return None


def _smaller(node: ir.Node, index: int) -> dict[ir.Value, _Extents] | None:
    """The extents of the values between ``node`` and operators that broadcast, without what it adds.

    None where there is something that doesn't broadcast, or the extents aren't sure.
    """
    made, least = node.outputs[0], _shape(node.inputs[index : index + 1])
    if least is None or made.is_graph_output():
        return None
    found, waiting = {made: least}, [made]
    while waiting and len(found) <= _MOST_NODES:
        for user in waiting.pop().consumers():
            given = user.outputs[0]
            if user.domain != "" or user.op_type not in _BETWEEN or (rank(given) or _MOST_AXES + 1) > _MOST_AXES:
                return None
            before, after = _shape(user.inputs), _shape(user.inputs, found)
            if before is None or after is None:
                return None
            if after not in (before, found.get(given)):
                if given.is_graph_output():
                    return None
                found[given] = after
                waiting.append(given)
    del found[made]
    return None if waiting else found


def _shape(operands: Sequence[ir.Value | None], known: Mapping[ir.Value, _Extents] | None = None) -> _Extents | None:
    """The shape that operands broadcast to, in numbers and names; None where it isn't sure.

    Args:
        known: Extents that count in place of an operand's own.
    """
    found: _Extents = []
    shapes = [None if value is None else (known or {}).get(value, value.shape) for value in operands]
    for place in range(1, 1 + max(len(shape or ()) for shape in shapes)):
        extents = {shape[-place] for shape in shapes if shape is not None and len(shape) >= place} - {1}
        names = {extent.value if isinstance(extent, ir.SymbolicDim) else extent for extent in extents}
        if None in shapes or len(names) > 1 or None in names:
            return None
        found.append(next((name for name in names if name is not None), 1))
    return found[::-1]


PASS = Pass(
    name="drop_expands",
    run=drop_expands,
    requires=frozenset({NO_LOCAL_FUNCTIONS, CONSTANTS_LIFTED}),
    must_follow=("fold_shapes",),
)
