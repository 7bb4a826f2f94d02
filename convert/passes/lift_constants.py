"""Make every constant an initializer.

Before::

    Constant(value) ── c ── Add ── y           inputs: x, w        initializers: w   (ONNX IR 3: weights are inputs)

After::

    Add ── y                                   inputs: x           initializers: c, w

Leaves alone: Constant nodes that make an output of the graph, and those that hold strings or sparse tensors.
"""

from __future__ import annotations

import onnx_ir as ir

from ..graph.rewriter import Rewriter, graph_of
from .contract import Pass
from .properties import CONSTANTS_LIFTED, NO_LOCAL_FUNCTIONS, is_liftable

_IR_VERSION = 4
"""The first ONNX IR version whose initializers need not be inputs."""


def lift_constants(rw: Rewriter) -> None:
    graph = rw.model.graph
    kept = [value for value in graph.inputs if not value.is_initializer()]
    rw.changed += len(graph.inputs) - len(kept)
    if len(kept) < len(graph.inputs):
        graph.inputs[:] = kept
    for node in rw.nodes("Constant"):
        if is_liftable(node):
            _lift(rw, node)
    if rw.changed:
        rw.model.ir_version = max(rw.model.ir_version, _IR_VERSION)


def _lift(rw: Rewriter, node: ir.Node) -> None:
    tensor = ir.convenience.get_const_tensor(node.outputs[0])
    if tensor is None:
        return
    value = ir.Value(name=rw.unique("constant"), const_value=tensor)
    value.shape, value.type = ir.Shape(tensor.shape.numpy()), ir.TensorType(tensor.dtype)
    graph_of(node).register_initializer(value)
    rw.replace(node, value)


PASS = Pass(
    name="lift_constants",
    run=lift_constants,
    requires=frozenset({NO_LOCAL_FUNCTIONS}),
    ensures=frozenset({CONSTANTS_LIFTED}),
    must_follow=("inline_functions",),
)
