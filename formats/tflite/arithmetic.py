"""How much an operator computes, counted from the shapes of its tensors."""

from __future__ import annotations

import math
from typing import Any

from . import edit as fb

_MOVES = frozenset(
    (
        "BATCH_TO_SPACE_ND", "BROADCAST_TO", "CONCATENATION", "DEPTH_TO_SPACE", "EXPAND_DIMS", "FILL", "GATHER",
        "GATHER_ND", "MIRROR_PAD", "PACK", "PAD", "PADV2", "RANGE", "RANK", "RESHAPE", "REVERSE_V2", "SHAPE", "SLICE",
        "SPACE_TO_BATCH_ND", "SPACE_TO_DEPTH", "SPLIT", "SPLIT_V", "SQUEEZE", "STRIDED_SLICE", "TILE", "TRANSPOSE",
        "UNPACK",
    )
)  # fmt: skip
"""Operators that compute nothing."""


def flops(model: Any, graph: Any, op: Any) -> int:
    """Additions and multiplications of one run; of a dynamic extent, 1 counts.

    A product of weights counts twice for each pair that is multiplied and added; anything else once for each element of
    its largest operand or result, and what only moves values not at all.
    """
    kind = fb.op_name(model, op)
    shapes = [_shape(tensor) for tensor in fb.tensors(graph, [*op.inputs, *op.outputs])]
    if kind in _MOVES or not len(op.outputs):
        return 0
    result = _shape(graph.tensors[op.outputs[0]])
    if kind in ("CONV_2D", "FULLY_CONNECTED"):
        return 2 * math.prod(result) * math.prod(shapes[1][1:])
    if kind == "DEPTHWISE_CONV_2D":
        return 2 * math.prod(result) * math.prod(shapes[1][1:3])
    if kind == "CONV_3D":
        return 2 * math.prod(result) * math.prod(shapes[1][:4])
    if kind == "TRANSPOSE_CONV":  # shape, weights [out, height, width, in], input
        return 2 * math.prod(shapes[2]) * math.prod(shapes[1][:3])
    if kind == "BATCH_MATMUL":
        return 2 * math.prod(result) * shapes[0][-2 if op.builtinOptions.adjX else -1]
    return max(math.prod(shape) for shape in shapes)


def _shape(tensor: Any) -> list[int]:
    return [] if tensor.shape is None else [max(1, int(d)) for d in tensor.shape]
