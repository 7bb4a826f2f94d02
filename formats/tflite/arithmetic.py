"""How much an operator computes, counted from the shapes of its tensors."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from . import edit as fb
from .operations import Operation

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
    inputs, outputs = ([_shape(t) for t in fb.tensors(graph, side)] for side in (op.inputs, op.outputs))
    return _count(fb.op_name(model, op), inputs, outputs, lambda: bool(op.builtinOptions.adjX))


def flops_of(operation: Operation) -> int:
    """As :func:`flops`, of an operator that was read."""
    inputs, outputs = ([[d or 1 for d in t.shape] for t in s] for s in (operation.inputs, operation.outputs))
    return _count(operation.op, inputs, outputs, lambda: bool(operation.attributes.get("adj_x")))


def _count(
    kind: str, inputs: Sequence[Sequence[int]], outputs: Sequence[Sequence[int]], turned: Callable[[], bool]
) -> int:
    """``turned``: whether the first operand of a BATCH_MATMUL is transposed."""
    if kind in _MOVES or not outputs:
        return 0
    if kind in ("CONV_2D", "FULLY_CONNECTED"):
        return 2 * math.prod(outputs[0]) * math.prod(inputs[1][1:])
    if kind == "DEPTHWISE_CONV_2D":
        return 2 * math.prod(outputs[0]) * math.prod(inputs[1][1:3])
    if kind == "CONV_3D":
        return 2 * math.prod(outputs[0]) * math.prod(inputs[1][:4])
    if kind == "TRANSPOSE_CONV":  # shape, weights [out, height, width, in], input
        return 2 * math.prod(inputs[2]) * math.prod(inputs[1][:3])
    if kind == "BATCH_MATMUL":
        return 2 * math.prod(outputs[0]) * inputs[0][-2 if turned() else -1]
    return max(math.prod(shape) for shape in (*inputs, *outputs))


def _shape(tensor: Any) -> list[int]:
    return [] if tensor.shape is None else [max(1, int(d)) for d in tensor.shape]
