"""Let operators broadcast that can, in place of an Expand before them.

Before (``torch.nn.functional.normalize``)::

    x ─────────────────────────┐
    x ── ReduceL2 ── Expand ── Div ── y

After::

    x ────────────┐
    x ── ReduceL2 ── Div ── y

Leaves alone: an operand whose expanded extents no other operand surely has; ranks above 4, up to which all of TFLite's
kernels broadcast; an Expand that other operators need, for those.
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from ..graph.reading import producer, rank
from ..graph.rewriter import Rewriter
from .contract import Pass
from .properties import CONSTANTS_LIFTED, NO_LOCAL_FUNCTIONS

_BROADCASTING = (
    "Add", "And", "Div", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Max", "Min", "Mul", "Or", "Pow",
    "Sub", "Sum", "Where", "Xor",
)  # fmt: skip

_MOST_AXES = 4


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


def _shape(operands: Sequence[ir.Value | None]) -> list[int | str] | None:
    """The shape that operands broadcast to, in numbers and names; None where it isn't sure."""
    found: list[int | str] = []
    shapes = [None if value is None else value.shape for value in operands]
    for place in range(1, 1 + max(len(shape or ()) for shape in shapes)):
        extents = {shape[-place] for shape in shapes if shape is not None and len(shape) >= place} - {1}
        names = {extent if isinstance(extent, int) else extent.value for extent in extents}
        if None in shapes or len(names) > 1 or None in names:
            return None
        found.append(next((name for name in names if name is not None), 1))
    return found


PASS = Pass(
    name="drop_expands",
    run=drop_expands,
    requires=frozenset({NO_LOCAL_FUNCTIONS, CONSTANTS_LIFTED}),
    must_follow=("fold_shapes",),
)
