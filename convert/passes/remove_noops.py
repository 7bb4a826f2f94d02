"""Take out nodes that return their input.

Before::

    x ── Identity ── Dropout ── Cast(to x's type) ── Reshape(to x's shape) ── Add(0) ── Relu ── y

After::

    x ── Relu ── y

Leaves alone: a node between an input and an output of the graph, or two outputs (each must keep its name);
Dropout in training mode, or whose mask is used; shapes that aren't surely equal.
"""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir

from ..graph.reading import integers, same_shape, scalar
from ..graph.rewriter import Rewriter
from .contract import Pass
from .properties import CONSTANTS_LIFTED, NO_LOCAL_FUNCTIONS


def remove_noops(rw: Rewriter) -> None:
    for node in rw.nodes(*_RULES):
        index = _RULES[node.op_type](rw, node)
        if index is not None:
            rw.bypass(node, index)


def _identity(rw: Rewriter, node: ir.Node) -> int | None:
    return 0


def _dropout(rw: Rewriter, node: ir.Node) -> int | None:
    if len(node.outputs) > 1 and (node.outputs[1].uses() or node.outputs[1].is_graph_output()):
        rw.refuse(node, "its mask is used")
        return None
    training = node.inputs[2] if len(node.inputs) > 2 else None
    if training is not None and scalar(training) != 0:
        rw.refuse(node, "it may be in training mode")
        return None
    return 0


def _cast(rw: Rewriter, node: ir.Node) -> int | None:
    source = node.inputs[0]
    return 0 if source is not None and source.dtype == node.attributes["to"].as_int() else None


def _same_shape(rw: Rewriter, node: ir.Node) -> int | None:
    """Operators that, if they keep the shape, keep the elements and their order."""
    return 0 if same_shape(node.inputs[0], node.outputs[0]) else None


def _reshape(rw: Rewriter, node: ir.Node) -> int | None:
    """One whose numbers are the extents that are there; what a single -1 stands for is the one that is left."""
    source, wanted = node.inputs[0], integers(node.inputs[1])
    if wanted is None or source is None or source.shape is None or len(source.shape) != len(wanted):
        return _same_shape(rw, node)
    kept = 0 if not rw.attribute(node, "allowzero") else None
    is_left = sum(new not in (kept, old) for new, old in zip(wanted, source.shape, strict=True))
    return 0 if is_left == wanted.count(-1) <= 1 else _same_shape(rw, node)


def _slice(rw: Rewriter, node: ir.Node) -> int | None:
    steps = (1,) if len(node.inputs) < 5 or node.inputs[4] is None else integers(node.inputs[4])
    forward = steps is not None and all(step > 0 for step in steps)
    return _same_shape(rw, node) if forward else None


def _pad(rw: Rewriter, node: ir.Node) -> int | None:
    pads = integers(node.inputs[1]) if len(node.inputs) > 1 else rw.attribute(node, "pads")
    return 0 if pads is not None and not any(pads) else None


def _only_input(rw: Rewriter, node: ir.Node) -> int | None:
    return 0 if len(node.inputs) == 1 else None


def _neutral(number: float, *, either: bool) -> Callable[[Rewriter, ir.Node], int | None]:
    """A binary operator with its neutral element on the right (or on either side)."""

    def rule(rw: Rewriter, node: ir.Node) -> int | None:
        for index, other in ((0, 1), (1, 0)) if either else ((0, 1),):
            neutral = scalar(node.inputs[other]) == number
            if neutral and same_shape(node.inputs[index], node.outputs[0]):
                return index
        return None

    return rule


_RULES: dict[str, Callable[[Rewriter, ir.Node], int | None]] = {
    "Identity": _identity,
    "Dropout": _dropout,
    "Cast": _cast,
    "Reshape": _reshape,
    "Flatten": _same_shape,
    "Squeeze": _same_shape,
    "Unsqueeze": _same_shape,
    "Expand": _same_shape,
    "Tile": _same_shape,
    "Slice": _slice,
    "Pad": _pad,
    "Concat": _only_input,
    "Sum": _only_input,
    "Mean": _only_input,
    "Max": _only_input,
    "Min": _only_input,
    "Add": _neutral(0, either=True),
    "Sub": _neutral(0, either=False),
    "Mul": _neutral(1, either=True),
    "Div": _neutral(1, either=False),
    "Pow": _neutral(1, either=False),
}

PASS = Pass(
    name="remove_noops",
    run=remove_noops,
    requires=frozenset({NO_LOCAL_FUNCTIONS, CONSTANTS_LIFTED}),
    must_follow=("lift_constants",),
)
