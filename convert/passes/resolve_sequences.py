"""Take what a sequence of tensors holds for the sequence, where both ends of its life are in the graph.

Before::

    x ── SplitToSequence ── s ── SequenceAt(s, 1) ── y        a, b ── SequenceConstruct ── ConcatFromSequence ── z

After::

    x ── Slice ── y                                           a, b ── Concat ── z

Leaves alone: sequences that are inputs or outputs of the graph, or of a Loop; parts whose number, or the index that
picks one, is known at run time only. Their sizes may be: CumSum gives the bounds of each.
Source: ONNX SequenceEmpty, SequenceConstruct, SequenceInsert, SequenceErase, SequenceAt, SequenceLength,
ConcatFromSequence (all opset 11), SplitToSequence-11 and -24.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from ..graph.reading import constant, scalar, static_shape
from ..graph.rewriter import Rewriter
from .contract import Pass
from .properties import CONSTANTS_LIFTED, NO_LOCAL_FUNCTIONS, TYPED

Parts = list[ir.Value]
Held = dict[ir.Value, Parts]
"""A sequence → its tensors."""


def resolve_sequences(rw: Rewriter) -> None:
    held: Held = {}
    for node in rw.nodes():
        if node.domain == "" and node.op_type in _MAKERS:
            parts = _MAKERS[node.op_type](rw, node, held)
            if parts is not None:
                held[node.outputs[0]] = parts
        elif node.domain == "" and node.op_type in _TAKERS and node.inputs[0] in held:
            found = _TAKERS[node.op_type](rw, node, held[node.inputs[0]])
            if found is None:
                rw.refuse(node, "which part of the sequence it takes is known at run time only")
            else:
                rw.replace(node, found)
    unused = [*held, *(part for parts in held.values() for part in parts)]
    rw.remove_dead([maker for value in dict.fromkeys(unused) if (maker := value.producer()) is not None])


def _construct(rw: Rewriter, node: ir.Node, held: Held) -> Parts | None:
    return [value for value in node.inputs if value is not None]


def _split(rw: Rewriter, node: ir.Node, held: Held) -> Parts | None:
    """Parts are made only for those that take them."""
    x = node.inputs[0]
    if x is None or x.shape is None or not _is_taken(node.outputs[0]):
        return None
    axis = int(rw.attribute(node, "axis")) % max(len(x.shape), 1)
    extent, given = x.shape[axis], node.inputs[1] if len(node.inputs) > 1 else None
    sizes = None if given is None else constant(given)
    counted = static_shape(given)
    if given is not None and sizes is None and counted is not None and len(counted) == 1:
        return _split_by(rw, node, x, given, axis, counted[0])
    if not isinstance(extent, int) or (given is not None and sizes is None):
        rw.refuse(node, "the number of its parts is known at run time only")
        return None
    drops = sizes is None and not rw.attribute(node, "keepdims")
    if sizes is None or sizes.ndim == 0:
        size = 1 if sizes is None else int(sizes)
        ends = [*range(size, extent, size), extent]
    else:
        ends = np.cumsum(sizes).tolist()
    parts = []
    for start, end in zip([0, *ends], ends, strict=False):
        if drops:
            index = rw.constant(node, f"{node.name}/index", np.array(start))
            part = rw.node("Gather", [x, index], {"axis": axis}, main=node)
        else:
            bounds = [rw.shape_constant(node, f"{node.name}/bound", [bound]) for bound in (start, end, axis)]
            part = rw.node("Slice", [x, *bounds], main=node)
        rw.insert(node, part)
        made = part.outputs[0]
        dims = [d for i, d in enumerate(x.shape) if i != axis] if drops else list(x.shape)
        if not drops:
            dims[axis] = end - start
        made.type, made.shape = x.type, ir.Shape(dims)
        parts.append(made)
    return parts


def _split_by(rw: Rewriter, node: ir.Node, x: ir.Value, sizes: ir.Value, axis: int, count: int) -> Parts:
    """``count`` parts, whose ``sizes`` come at run time: each begins where those before it end."""
    along = rw.shape_constant(node, f"{node.name}/axis", [axis])
    bounds = []
    for exclusive in (1, 0):
        first = rw.constant(node, f"{node.name}/first", np.array(0, np.int64))
        sums = rw.node("CumSum", [sizes, first], {"exclusive": exclusive}, main=node)
        rw.insert(node, sums)
        bounds.append(sums.outputs[0])
    parts = []
    for index in range(count):
        at = rw.shape_constant(node, f"{node.name}/index", [index])
        start, end = (rw.node("Gather", [sums, at], main=node) for sums in bounds)
        rw.insert(node, start, end)
        part = rw.node("Slice", [x, start.outputs[0], end.outputs[0], along], main=node)
        rw.insert(node, part)
        made = part.outputs[0]
        made.type, made.shape = x.type, ir.Shape([None if i == axis else d for i, d in enumerate(x.shape or ())])
        parts.append(made)
    return parts


def _is_taken(sequence: ir.Value) -> bool:
    users, known = [user for user, _ in sequence.uses()], {*_TAKERS, *_MAKERS}
    return bool(users) and all(user.op_type in known for user in users) and not sequence.is_graph_output()


def _insert(rw: Rewriter, node: ir.Node, held: Held) -> Parts | None:
    sequence, tensor = node.inputs[0], node.inputs[1]
    if sequence not in held or tensor is None:
        return None
    parts = list(held[sequence])
    at = _position(node, 2, len(parts))
    return None if at is None else [*parts[:at], tensor, *parts[at:]]


def _erase(rw: Rewriter, node: ir.Node, held: Held) -> Parts | None:
    if node.inputs[0] not in held:
        return None
    parts = list(held[node.inputs[0]])
    at = _position(node, 1, len(parts) - 1)
    return None if at is None else [*parts[:at], *parts[at + 1 :]]


def _position(node: ir.Node, index: int, end: int) -> int | None:
    """A position that an input gives, counted from the front; ``end`` if it is left out; None if it isn't constant."""
    given = node.inputs[index] if index < len(node.inputs) else None
    if given is None:
        return end
    at = scalar(given)
    return None if at is None else int(at) + (end + (index == 1) if at < 0 else 0)


def _at(rw: Rewriter, node: ir.Node, parts: Parts) -> ir.Value | None:
    index = scalar(node.inputs[1])
    if index is None or not -len(parts) <= index < len(parts):
        return None
    copy = rw.node("Identity", [parts[int(index)]], main=node)  # which has the output's name
    rw.insert(node, copy)
    return copy.outputs[0]


def _length(rw: Rewriter, node: ir.Node, parts: Parts) -> ir.Value:
    made = rw.node("Identity", [rw.constant(node, f"{node.name}/length", np.array(len(parts)))], main=node)
    rw.insert(node, made)
    return made.outputs[0]


def _concat(rw: Rewriter, node: ir.Node, parts: Parts) -> ir.Value | None:
    axis, joined = int(rw.attribute(node, "axis")), list(parts)
    if rw.attribute(node, "new_axis"):
        for i, part in enumerate(parts):
            if rw.opset >= 13:
                wider = rw.node("Unsqueeze", [part, rw.shape_constant(node, f"{node.name}/axes", [axis])], main=node)
            else:
                wider = rw.node("Unsqueeze", [part], {"axes": [axis]}, main=node)
            rw.insert(node, wider)
            joined[i] = wider.outputs[0]
    if not joined:
        return None
    made = rw.node("Concat", joined, {"axis": axis}, main=node)
    rw.insert(node, made)
    return made.outputs[0]


_MAKERS: dict[str, Callable[[Rewriter, ir.Node, Held], Parts | None]] = {
    "SequenceEmpty": lambda rw, node, held: [],
    "SequenceConstruct": _construct,
    "SplitToSequence": _split,
    "SequenceInsert": _insert,
    "SequenceErase": _erase,
}
_TAKERS: dict[str, Callable[[Rewriter, ir.Node, Parts], ir.Value | None]] = {
    "SequenceAt": _at,
    "SequenceLength": _length,
    "ConcatFromSequence": _concat,
}

PASS = Pass(
    name="resolve_sequences",
    run=resolve_sequences,
    requires=frozenset({NO_LOCAL_FUNCTIONS, CONSTANTS_LIFTED, TYPED}),
    must_follow=("infer_shapes",),
)
