"""Compute once what is computed twice, and keep small constants once.

Before::

    x ── Shape ── Gather(0) ── a                 c1 = [2,3]   c2 = [2,3]
    x ── Shape ── Gather(0) ── b

After::

    x ── Shape ── Gather(0) ── a, b              c1 = [2,3]

Leaves alone: random operators; nodes with subgraphs or tensors as attributes; nodes in different subgraphs; constants
of more than a kilobyte, shared where the author shared them; a duplicate that makes an output of the graph.
"""

from __future__ import annotations

import onnx_ir as ir

from ..graph.reading import is_random
from ..graph.rewriter import Rewriter, graph_of
from .contract import Pass
from .properties import CONSTANTS_LIFTED, NO_LOCAL_FUNCTIONS

_SMALL = 1024
"""Bytes up to which equal constants are merged."""

_COMPARABLE = frozenset(
    getattr(ir.AttributeType, name) for name in ("FLOAT", "FLOATS", "INT", "INTS", "STRING", "STRINGS")
)


def merge_duplicates(rw: Rewriter) -> None:
    for graph in list(rw.model.graphs()):
        _merge_constants(rw, graph)
    first: dict[tuple[object, ...], ir.Node] = {}
    for node in rw.nodes():
        key = _key(rw, node)
        if key is None:
            continue
        twin = first.setdefault(key, node)
        if twin is not node and not any(v.is_graph_output() for v in node.outputs):
            for old, new in zip(node.outputs, twin.outputs, strict=True):
                old.replace_all_uses_with(new)
            rw.remove_dead([node])
            rw.changed += 1


def _merge_constants(rw: Rewriter, graph: ir.Graph) -> None:
    first: dict[tuple[object, ...], ir.Value] = {}
    for value in list(graph.initializers.values()):
        tensor = value.const_value
        if tensor is None or tensor.nbytes > _SMALL or value.is_graph_output() or value.is_graph_input():
            continue
        if tensor.dtype == ir.DataType.STRING:
            continue
        twin = first.setdefault((tensor.dtype, tuple(tensor.shape), tensor.tobytes()), value)
        if twin is not value:
            value.replace_all_uses_with(twin)
            rw.drop_unused(value)
            rw.changed += 1


def _key(rw: Rewriter, node: ir.Node) -> tuple[object, ...] | None:
    """What two nodes have in common if they compute the same; None for a node that must be left alone."""
    opaque = any(a.type not in _COMPARABLE for a in node.attributes.values())
    if opaque or is_random(node.op_type, rw.opset, node.domain):
        return None
    attributes = tuple(sorted((name, str(attr.type), attr.value) for name, attr in node.attributes.items()))
    return (graph_of(node), node.op_identifier(), node.inputs, attributes, tuple(bool(v.name) for v in node.outputs))


PASS = Pass(
    name="merge_duplicates",
    run=merge_duplicates,
    requires=frozenset({NO_LOCAL_FUNCTIONS, CONSTANTS_LIFTED}),
    must_follow=("fold_constants", "fold_shapes", "fold_affine", "merge_transposes"),
)
