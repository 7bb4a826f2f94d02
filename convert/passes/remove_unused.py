"""Remove what no output depends on.

Before::

    x ── Relu ── y (an output)        x ── Exp ── a ── Log ── b          initializers: w (unused)

After::

    x ── Relu ── y

Leaves alone: inputs of the graph, even unused ones: they are the model's signature.
"""

from __future__ import annotations

from ..graph.rewriter import Rewriter
from .contract import Pass
from .properties import NO_LOCAL_FUNCTIONS


def remove_unused(rw: Rewriter) -> None:
    for node in reversed(list(rw.nodes())):
        rw.changed += rw.remove_dead([node])
    for graph in rw.model.graphs():
        for value in list(graph.initializers.values()):
            rw.changed += rw.drop_unused(value)


PASS = Pass(
    name="remove_unused",
    run=remove_unused,
    requires=frozenset({NO_LOCAL_FUNCTIONS}),
    must_follow=("inline_functions",),
)
