"""Take the branch that an If with a constant condition always takes.

Before::

    true ── If { then: x ── Relu ── a;  else: x ── Neg ── b } ── y

After::

    x ── Relu ── y

Leaves alone: conditions that depend on the inputs.
"""

from __future__ import annotations

from ..graph.inlining import inline, replace_by
from ..graph.reading import scalar
from ..graph.rewriter import Rewriter
from .contract import Pass
from .properties import CONSTANTS_LIFTED, NO_LOCAL_FUNCTIONS, TYPED


def inline_branches(rw: Rewriter) -> None:
    for node in rw.nodes("If"):
        condition = scalar(node.inputs[0])
        if condition is not None:
            branch = node.attributes["then_branch" if condition else "else_branch"].as_graph()
            inlined = inline(rw, node, branch)
            replace_by(rw, node, inlined.outputs, inlined.nodes)


PASS = Pass(
    name="inline_branches",
    run=inline_branches,
    requires=frozenset({NO_LOCAL_FUNCTIONS}),
    breaks=frozenset({CONSTANTS_LIFTED, TYPED}),
    must_follow=("lift_constants", "fold_constants"),
)
