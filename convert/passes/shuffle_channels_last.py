"""Shuffle channels where they are last.

Before (ShuffleNet's channel shuffle, and the like)::

    x:[N,C,H,W] ── Reshape ── [N,g,c,H,W] ── Transpose(0,2,1,3,4) ── [N,c,g,H,W] ── Reshape ── y:[N,C,H,W]

After::

    x ── Transpose(0,2,3,1) ── Reshape [N,H,W,g,c] ── Transpose(0,1,2,4,3) ── Reshape [N,H,W,C]
      ── Transpose(0,3,1,2) ── y

The outer transposes only say where the channels are; in a model laid out NHWC they cancel, while the five-dimensional
one in the middle of NCHW would tear the layout apart.

Leaves alone: anything that moves the batch or a spatial axis (such as pixel shuffle); unknown channels or image sizes;
results that something else uses in between.
"""

from __future__ import annotations

import onnx_ir as ir

from ..graph.reading import permutation, producer, sole_consumer, static_shape
from ..graph.rewriter import Rewriter
from .contract import Pass
from .properties import CONSTANTS_LIFTED, NO_LOCAL_FUNCTIONS, TYPED


def shuffle_channels_last(rw: Rewriter) -> None:
    for last in rw.nodes("Reshape"):
        transpose = producer(last.inputs[0], "Transpose")
        first = None if transpose is None else producer(transpose.inputs[0], "Reshape")
        if transpose is None or first is None or first.graph is not last.graph:
            continue
        if sole_consumer(transpose.outputs[0]) is not last or sole_consumer(first.outputs[0]) is not transpose:
            continue
        if _is_channel_shuffle(first, transpose, last):
            _rewrite(rw, first, transpose, last)


def _is_channel_shuffle(first: ir.Node, transpose: ir.Node, last: ir.Node) -> bool:
    source, split = static_shape(first.inputs[0]), static_shape(first.outputs[0])
    joined, perm = static_shape(last.outputs[0]), permutation(transpose)
    if source is None or split is None or joined is None or perm is None or len(split) < 5 or len(joined) != 4:
        return False
    size = len(split)
    stays = perm[0] == 0 and perm[-2:] == (size - 2, size - 1)
    around = len(source) == 4 and {(s[0], *s[-2:]) for s in (source, split, joined)} == {(source[0], *source[-2:])}
    return stays and around and joined[1] == source[1]


def _rewrite(rw: Rewriter, first: ir.Node, transpose: ir.Node, last: ir.Node) -> None:
    n, c, h, w = static_shape(first.inputs[0]) or (0, 0, 0, 0)
    parts = (static_shape(first.outputs[0]) or ())[1:-2]
    inner = [axis - 1 for axis in permutation(transpose) or ()][1:-2]  # among the parts of the channels
    dims = [(n, h, w, c), (n, h, w, *parts), (n, h, w, *(parts[i] for i in inner)), (n, h, w, c)]

    to_last = rw.node("Transpose", first.inputs[:1], {"perm": (0, 2, 3, 1)}, main=transpose)
    split = rw.node(
        "Reshape", [to_last.outputs[0], rw.shape_constant(first, f"{first.name}/shape", dims[1])], main=first
    )
    order = (0, 1, 2, *(3 + i for i in inner))
    shuffle = rw.node("Transpose", split.outputs, {"perm": order}, main=transpose)
    join = rw.node("Reshape", [shuffle.outputs[0], rw.shape_constant(last, f"{last.name}/shape", dims[3])], main=last)
    to_first = rw.node("Transpose", join.outputs, {"perm": (0, 3, 1, 2)}, main=transpose)
    rw.insert(last, to_last, split, shuffle, join, to_first)
    for node, shape in zip((to_last, split, shuffle, join), dims, strict=True):
        node.outputs[0].type, node.outputs[0].shape = last.outputs[0].type, ir.Shape(shape)
    rw.replace(last, to_first.outputs[0])


PASS = Pass(
    name="shuffle_channels_last",
    run=shuffle_channels_last,
    requires=frozenset({NO_LOCAL_FUNCTIONS, CONSTANTS_LIFTED, TYPED}),
    must_follow=("fold_shapes", "unwrap_transposes"),
)
