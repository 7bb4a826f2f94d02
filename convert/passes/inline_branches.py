"""Take the branch that an If with a constant condition always takes.

Before::

    true ── If { then: x ── Relu ── a;  else: x ── Neg ── b } ── y

After::

    x ── Relu ── y

Leaves alone: conditions that depend on the inputs.
"""

from __future__ import annotations

import onnx_ir as ir

from ..graph.reading import scalar
from ..graph.rewriter import Rewriter, graph_of
from .contract import Pass
from .properties import CONSTANTS_LIFTED, NO_LOCAL_FUNCTIONS, TYPED


def inline_branches(rw: Rewriter) -> None:
    for node in rw.nodes("If"):
        condition = scalar(node.inputs[0])
        if condition is not None:
            _inline(rw, node, node.attributes["then_branch" if condition else "else_branch"].as_graph())


def _inline(rw: Rewriter, node: ir.Node, branch: ir.Graph) -> None:
    """Move a branch's constants and nodes before the If; its outputs take over."""
    outer = graph_of(node)
    results = list(branch.outputs)
    branch.outputs.clear()
    for value in list(branch.initializers.values()):
        branch.initializers.pop(str(value.name))
        value.name = rw.unique(f"{value.name}/inlined")
        outer.register_initializer(value)
    moved = list(branch)
    branch.remove(moved)
    for inner in moved:
        inner.metadata_props.update({k: v for k, v in node.metadata_props.items() if k not in inner.metadata_props})
        inner.name = rw.unique(f"{inner.name}/inlined")
        for value in inner.outputs:
            if value.name:
                value.name = rw.unique(f"{value.name}/inlined")
    node.prepend(moved)
    free = {value for inner in moved for value in inner.outputs}
    takers = []
    for value in results:
        if value not in free:  # a constant, or the second use of one value: it can't take the name of this output
            copy = rw.node("Identity", [value], main=node)
            rw.insert(node, copy)
            copy.outputs[0].type, copy.outputs[0].shape = value.type, value.shape
            value = copy.outputs[0]
        free.discard(value)
        takers.append(value)
    rw.replace(node, *takers)


PASS = Pass(
    name="inline_branches",
    run=inline_branches,
    requires=frozenset({NO_LOCAL_FUNCTIONS}),
    breaks=frozenset({CONSTANTS_LIFTED, TYPED}),
    must_follow=("lift_constants", "fold_constants"),
)
