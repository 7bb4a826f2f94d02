"""What the rewriting leaves over: Identities, pairs of Transposes or Reshapes, constants that nobody reads."""

from __future__ import annotations

import onnx_ir as ir

from ..graph.reading import permutation
from .edit import LayoutEditor
from .layouts import compose, dims_of, natural, reshape_target


def clean_up(edit: LayoutEditor) -> None:
    """Remove what is left over in the graph of ``edit``."""
    for node in list(edit.graph):
        if node.domain != "" or not node.inputs or node.inputs[0] is None:
            continue
        if node.op_type == "Transpose":
            _merge_transposes(node, edit)
        elif node.op_type == "Reshape":
            _merge_reshapes(node, edit)
        if node.op_type == "Identity":
            _bypass(node, edit)
    edit.drop_replaced()


def _merge_transposes(node: ir.Node, edit: LayoutEditor) -> None:
    before = _producer(node, edit)
    if before is None or before.op_type != "Transpose":
        return
    rank = len(dims_of(node.outputs[0]) or ())
    perm = compose(permutation(before) or (), permutation(node) or ())
    if perm == natural(rank):
        edit.become(node, "Identity", before.inputs)
    else:
        edit.become(node, "Transpose", before.inputs, {"perm": perm})


def _merge_reshapes(node: ir.Node, edit: LayoutEditor) -> None:
    before = _producer(node, edit)
    if before is None or before.op_type != "Reshape":
        return
    source, target = dims_of(before.inputs[0]), dims_of(node.outputs[0])
    operand = None if source is None or target is None else reshape_target(source, target)
    if operand is not None and source == target:
        edit.become(node, "Identity", before.inputs[:1])
    elif operand is not None:
        edit.become(node, "Reshape", (before.inputs[0], edit.integers(operand)))


def _producer(node: ir.Node, edit: LayoutEditor) -> ir.Node | None:
    """The node of this graph, of the default domain, that makes input 0."""
    producer = node.inputs[0].producer() if node.inputs[0] is not None else None
    inside = producer is not None and producer.graph is edit.graph and producer.domain == ""
    return producer if inside else None


def _bypass(node: ir.Node, edit: LayoutEditor) -> None:
    """Let the readers of an Identity read its input; an output of the graph keeps its name."""
    source, result = node.inputs[0], node.outputs[0]
    was_output = result.is_graph_output()
    if not edit.bypass(node) or source is None or not was_output:
        return
    # Under the output's name the tensor has the output's layout.
    edit.layouts.pop(source, None)
    if result in edit.layouts:
        edit.layouts[source] = edit.layouts[result]
