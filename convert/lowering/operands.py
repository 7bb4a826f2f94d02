"""Ranks and sizes that ONNX's operators ask of their operands in prose, and that its shape inference doesn't check."""

from __future__ import annotations

from collections.abc import Mapping

import onnx_ir as ir

from ...vocabulary import NHWC_DOMAIN
from ..builders.tensor import Unsupported, format_shape
from ..graph.reading import rank, static_shape
from .context import shape_of

Positions = tuple[int, ...]

_RANK_OF_FIRST: Mapping[str, Positions] = {
    "Conv": (1,), "ConvTranspose": (1,), "DeformConv": (1, 2), "GatherElements": (1,), "GridSample": (1,),
    "ScatterElements": (1, 2),
}  # fmt: skip
"""Operands that have as many axes as operand 0."""

_ONE_ELEMENT: Mapping[str, Positions] = {
    "Clip": (1, 2), "CumSum": (1,), "Dropout": (1, 2), "OneHot": (1,), "Pad": (2,), "Range": (0, 1, 2), "TopK": (1,),
    "Trilu": (1,), "DFT": (1, 2), "BlackmanWindow": (0,), "HammingWindow": (0,), "HannWindow": (0,),
    "STFT": (1, 3), "SequenceAt": (1,), "MelWeightMatrix": (0, 1, 2, 3, 4),
    "NonMaxSuppression": (2, 3, 4),
}  # fmt: skip

_VECTORS: Mapping[str, Positions] = {
    "BatchNormalization": (1, 2, 3, 4), "Conv": (2,), "ConstantOfShape": (0,), "ConvTranspose": (2,), "Expand": (1,),
    "InstanceNormalization": (1, 2), "Pad": (1, 3), "Reshape": (1,), "Resize": (2, 3), "Slice": (1, 2, 3, 4),
    "Split": (1,), "Tile": (1,),
}  # fmt: skip

_SOME_AXIS: Mapping[str, Positions] = {
    "Gather": (0,),
    "GatherND": (0, 1),
    "ScatterND": (0, 1),
    "Concat": (0,),
    "MatMul": (0, 1),
}
"""Operands that aren't scalars."""

_RANKS: Mapping[str, Mapping[int, int]] = {
    "EyeLike": {0: 2},
    "Gemm": {0: 2, 1: 2},
    "LSTM": {0: 3, 1: 3, 2: 3, 3: 2, 4: 1, 5: 3, 6: 3, 7: 2},
    "GRU": {0: 3, 1: 3, 2: 3, 3: 2, 4: 1, 5: 3},
    "RNN": {0: 3, 1: 3, 2: 3, 3: 2, 4: 1, 5: 3},
    "NonMaxSuppression": {0: 3, 1: 3},
    "OneHot": {2: 1},
    "RoiAlign": {1: 2, 2: 1},
}

_GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


def check_operands(node: ir.Node) -> None:
    """Hold a node's operands against what its operator asks of them.

    Raises:
        Unsupported: one has another rank or size.
    """
    op = node.op_type
    first = rank(node.inputs[0]) if node.inputs else None
    for index in _RANK_OF_FIRST.get(op, ()):
        have = _rank(node, index)
        if first is not None and have is not None and have != first:
            _refuse(node, index, f"as many axes as the data, {first}")
    for index in _ONE_ELEMENT.get(op, ()):
        shape = static_shape(node.inputs[index]) if index < len(node.inputs) else None
        if shape is not None and any(d != 1 for d in shape):
            _refuse(node, index, "one element")
    for index in _SOME_AXIS.get(op, ()):
        if _rank(node, index) == 0:
            _refuse(node, index, "at least one axis")
    for index in (1,) if op.startswith("Reduce") else _VECTORS.get(op, ()):
        if _rank(node, index) not in (None, 1):
            _refuse(node, index, "one axis")
    for index, wanted in _RANKS.get(op, {}).items():
        if _rank(node, index) not in (None, wanted):
            _refuse(node, index, f"{wanted} axes")
    if op in ("Conv", "ConvTranspose"):
        _check_channels(node)
    if op in _GATES:
        _check_recurrent(node, _GATES[op])


def _check_channels(node: ir.Node) -> None:
    """Conv's weights are [O, C/group, …] and ConvTranspose's [C, O/group, …], for data of C channels."""
    data, weights = (value.shape if value is not None else None for value in node.inputs[:2])
    if data is None or weights is None or len(data) < 3 or len(weights) < 2:
        return
    channels = data[-1 if node.domain == NHWC_DOMAIN else 1]
    group = node.attributes["group"].as_int() if "group" in node.attributes else 1
    taken = weights[0] if node.op_type == "ConvTranspose" else weights[1]
    factor = 1 if node.op_type == "ConvTranspose" else group
    if isinstance(channels, int) and isinstance(taken, int) and channels != taken * factor:
        _refuse(node, 1, f"weights for the {channels} channels of its data in {group} groups")


def _check_recurrent(node: ir.Node, gates: int) -> None:
    """W is [D, gates·H, I], R [D, gates·H, H], B [D, 2·gates·H], with X [S, N, I] (batch and time may be swapped)."""
    shapes = [static_shape(node.inputs[i]) if i < len(node.inputs) else None for i in range(4)]
    weights, recurrent, bias = shapes[1:]
    size = recurrent[2] if recurrent else None
    inputs = node.inputs[0].shape if node.inputs[0] is not None else None
    taken = inputs[2] if inputs is not None else None
    stated = node.attributes.get("hidden_size")
    if stated is not None and size is not None and stated.as_int() != size:
        _refuse(node, 2, f"{stated.as_int()} hidden units")
    if recurrent and size is not None and recurrent[1] != gates * size:
        _refuse(node, 2, f"{gates} gates")
    if weights and recurrent and (weights[:2] != recurrent[:2] or (isinstance(taken, int) and weights[2] != taken)):
        _refuse(node, 1, "weights for its input and its hidden units")
    if bias and recurrent and bias != (recurrent[0], 2 * recurrent[1]):
        _refuse(node, 3, "two biases for each gate")


def _rank(node: ir.Node, index: int) -> int | None:
    return rank(node.inputs[index]) if index < len(node.inputs) else None


def _refuse(node: ir.Node, index: int, wanted: str) -> None:
    value = node.inputs[index]
    shape = format_shape(shape_of(value.shape)) if value is not None and value.shape is not None else "?"
    raise Unsupported(f"input {index} is {shape}, and must have {wanted}", "export the model again")
