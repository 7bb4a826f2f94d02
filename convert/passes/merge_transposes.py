"""Merge transposes that follow each other, and drop those that move nothing.

Before::

    x ── Transpose(0,2,3,1) ── Transpose(0,3,1,2) ── Relu ── Transpose(0,1,2,3) ── y

After::

    x ── Relu ── y

Leaves alone: transposes with anything between them: where these go is the layout's to decide, by minimum cut. A
transpose that other nodes use as well stays for them.
"""

from __future__ import annotations

import onnx_ir as ir

from ..graph.reading import permutation, producer
from ..graph.rewriter import Rewriter
from .contract import Pass
from .properties import CONSTANTS_LIFTED, NO_LOCAL_FUNCTIONS, TYPED


def merge_transposes(rw: Rewriter) -> None:
    for node in rw.nodes("Transpose"):
        perm = permutation(node)
        before = producer(node.inputs[0], "Transpose")
        first = None if before is None else permutation(before)
        if perm is None:
            rw.refuse(node, "the rank of its input is not known")
        elif before is not None and first is not None:
            _merge(rw, node, before, tuple(first[p] for p in perm))
        elif perm == tuple(range(len(perm))):
            rw.bypass(node)


def _merge(rw: Rewriter, node: ir.Node, before: ir.Node, perm: tuple[int, ...]) -> None:
    node.replace_input_with(0, before.inputs[0])
    node.attributes["perm"] = ir.AttrInt64s("perm", perm)
    rw.changed += 1
    if perm == tuple(range(len(perm))):
        rw.bypass(node)
    rw.remove_dead([before])


PASS = Pass(
    name="merge_transposes",
    run=merge_transposes,
    requires=frozenset({NO_LOCAL_FUNCTIONS, CONSTANTS_LIFTED, TYPED}),
    must_follow=("fold_constants", "concat_scatters", "unwrap_transposes", "shuffle_channels_last"),
)
