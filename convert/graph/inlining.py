"""Moving the body of an If, a Loop or a Scan into the graph around it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from .rewriter import Rewriter, graph_of


@dataclass(frozen=True)
class Inlined:
    """What stands for the outputs of a body that was inlined, and the nodes that came with it."""

    outputs: list[ir.Value]
    nodes: list[ir.Node]


def inline(rw: Rewriter, node: ir.Node, body: ir.Graph, arguments: Sequence[ir.Value] = ()) -> Inlined:
    """Move a body's constants and nodes before ``node``, with ``arguments`` in the place of its inputs.

    The body is empty afterwards: one that is wanted again is cloned first.
    """
    given = dict(zip(body.inputs, arguments, strict=True))
    results = [given.get(value, value) for value in body.outputs]
    body.outputs.clear()
    for formal, value in given.items():
        formal.replace_all_uses_with(value)
    lift_weights(rw, node, body)
    moved = list(body)
    body.remove(moved)
    for inner in moved:
        inner.metadata_props.update({k: v for k, v in node.metadata_props.items() if k not in inner.metadata_props})
        inner.name = rw.unique(f"{inner.name}/inlined")
        for value in inner.outputs:
            if value.name:
                value.name = rw.unique(f"{value.name}/inlined")
    node.prepend(moved)
    return Inlined(results, moved)


def lift_weights(rw: Rewriter, node: ir.Node, body: ir.Graph) -> None:
    """Move the constants of a body of ``node`` to the graph that the node is in."""
    for value in list(body.initializers.values()):
        body.initializers.pop(str(value.name))
        value.name = rw.unique(f"{value.name}/inlined")
        graph_of(node).register_initializer(value)


def replace_by(rw: Rewriter, node: ir.Node, results: Sequence[ir.Value], made: Iterable[ir.Node]) -> None:
    """Let values take over the outputs of ``node``, in whose place the nodes ``made`` have come.

    What these don't make (a constant, an outer value) or have given already can't take an output's name: it goes
    through an Identity.
    """
    free = {value for inner in made for value in inner.outputs}
    takers = []
    for value in results:
        if value not in free:
            copy = rw.node("Identity", [value], main=node)
            rw.insert(node, copy)
            copy.outputs[0].type, copy.outputs[0].shape = value.type, value.shape
            value = copy.outputs[0]
        free.discard(value)
        takers.append(value)
    rw.replace(node, *takers)
