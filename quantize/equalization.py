"""Cross-layer equalisation: channels between two layers share one scale, so they are made alike in size.

Dividing a channel of the first layer's result by s > 0 and multiplying the second layer's weights for it by s changes
nothing that the model computes, as long as all between them commutes with a positive factor. With
``s = √(r₁ / r₂)``, of the largest weight r₁ that makes the channel and the largest r₂ that reads it, both get the same
range, and no channel takes the steps of the tensor's one scale from the others.

Source: M. Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction", 2019, section 4.1.
The paper replaces ReLU6 by ReLU first; that is another model, so ReLU6 is left alone here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from ..formats.tflite import edit as fb
from .bias import BIASED

if TYPE_CHECKING:
    from ..artifact import Array

ROUNDS = 20
"""Passes over all pairs: a layer in the middle of a chain belongs to two of them."""

STRONGEST = 64.0
"""Largest factor of one pass; dead channels would ask for any."""

_CLOSE = 1.01

_OUTPUT_AXIS = {"CONV_2D": 0, "TRANSPOSE_CONV": 0, "FULLY_CONNECTED": 0, "DEPTHWISE_CONV_2D": 3}
_INPUT_AXIS = {"CONV_2D": 3, "TRANSPOSE_CONV": 3, "FULLY_CONNECTED": 1, "DEPTHWISE_CONV_2D": 3}
"""Axis of the weights that counts the channels of the result, and of the input."""

_COMMUTES = ("RELU", "LEAKY_RELU", "PRELU", "MAX_POOL_2D", "AVERAGE_POOL_2D", "MEAN", "PAD", "RESIZE_BILINEAR",
             "RESIZE_NEAREST_NEIGHBOR")  # fmt: skip
"""Operators that keep channels apart, and for which f(x / s) = f(x) / s."""

_FUSED = (schema.ActivationFunctionType.NONE, schema.ActivationFunctionType.RELU)


@dataclass(frozen=True)
class _Pair:
    """Two layers and the channels between them."""

    first: Any
    second: Any
    channels: int


def equalize(model: Any) -> list[str]:
    """Equalise the main graph of a float model (a ``ModelT``, edited in place).

    Returns:
        Names of the results whose channels were scaled.
    """
    pairs = list(_pairs(model))
    weights = {id(layer): _weights(model, layer).copy() for pair in pairs for layer in (pair.first, pair.second)}
    scales = {id(pair): np.ones(pair.channels) for pair in pairs}
    for _ in range(ROUNDS):
        moved = False
        for pair in pairs:
            scale = _scale(model, pair, weights)
            moved |= bool((np.maximum(scale, 1 / scale) > _CLOSE).any())
            scales[id(pair)] *= scale
            weights[id(pair.first)] /= _along(model, pair.first, scale, _OUTPUT_AXIS)
            weights[id(pair.second)] *= _along(model, pair.second, scale, _INPUT_AXIS)
        if not moved:
            break
    changed = [pair for pair in pairs if (np.abs(scales[id(pair)] - 1) > _CLOSE - 1).any()]
    for pair in changed:
        _divide_bias(model, pair.first, scales[id(pair)])
    for layer in {id(layer): layer for pair in changed for layer in (pair.first, pair.second)}.values():
        tensor = _operand(model, layer, 1)
        tensor.buffer = fb.add_buffer(model, weights[id(layer)].astype(np.float32))
    graph = model.subgraphs[0]
    return [fb.name(graph.tensors[pair.first.outputs[0]]) for pair in changed]


def _pairs(model: Any) -> Iterator[_Pair]:
    """Layers that follow each other, with nothing between them that another reads or that minds a factor."""
    graph = model.subgraphs[0]
    readers = Counter(int(i) for op in graph.operators for i in op.inputs)
    readers.update(int(i) for i in graph.outputs)
    reading = {int(i): op for op in graph.operators for i in op.inputs}
    for first in graph.operators:
        if not _is_layer(model, first, readers) or _fused(first) not in _FUSED:
            continue
        index = int(first.outputs[0])
        shape = graph.tensors[index].shape
        while readers[index] == 1 and index in reading and _commutes(model, reading[index], index):
            index = int(reading[index].outputs[0])
        second = reading.get(index)
        if readers[index] != 1 or second is None or not _is_layer(model, second, readers):
            continue
        if _data(model, second) != index:
            continue
        channels = int(shape[-1]) if shape is not None and len(shape) else 0
        inputs = _weights(model, second).shape[_INPUT_AXIS[fb.op_name(model, second)]]
        outputs = _weights(model, first).shape[_OUTPUT_AXIS[fb.op_name(model, first)]]
        if channels == inputs == outputs and _multiplier(second) == 1:
            yield _Pair(first, second, channels)


def _is_layer(model: Any, op: Any, readers: Counter[int]) -> bool:
    """Whether it has float weights of its own, and a bias of its own or none."""
    kind = fb.op_name(model, op)
    if kind not in BIASED:
        return False
    weights = _operand(model, op, 1)
    if weights is None or not fb.is_float(weights) or not fb.is_constant(model, weights):
        return False
    bias = _operand(model, op, 2)
    if bias is not None and not fb.is_constant(model, bias):
        return False
    shared = [i for p in BIASED[kind][1:] if p < len(op.inputs) and (i := int(op.inputs[p])) >= 0 and readers[i] != 1]
    return not shared


def _operand(model: Any, op: Any, which: int) -> Any:
    """Input (0), weights (1) or bias (2) of a layer; None where there is none."""
    position = BIASED[fb.op_name(model, op)][which]
    if position >= len(op.inputs) or op.inputs[position] < 0:
        return None
    return model.subgraphs[0].tensors[op.inputs[position]]


def _data(model: Any, op: Any) -> int:
    return int(op.inputs[BIASED[fb.op_name(model, op)][0]])


def _weights(model: Any, op: Any) -> Array:
    values = fb.values(model, _operand(model, op, 1))
    assert values is not None  # noqa: S101 - _is_layer has seen that it is a constant
    return values.astype(np.float64)


def _commutes(model: Any, op: Any, source: int) -> bool:
    kind = fb.op_name(model, op)
    if kind not in _COMMUTES or int(op.inputs[0]) != source or _fused(op) not in _FUSED:
        return False
    if kind != "MEAN":
        return True
    graph = model.subgraphs[0]
    axes, rank = fb.values(model, graph.tensors[op.inputs[1]]), len(graph.tensors[source].shape)
    return axes is not None and all(int(axis) % rank != rank - 1 for axis in axes.reshape(-1))


def _fused(op: Any) -> int:
    return int(getattr(op.builtinOptions, "fusedActivationFunction", schema.ActivationFunctionType.NONE))


def _multiplier(op: Any) -> int:
    return int(getattr(op.builtinOptions, "depthMultiplier", 1))


def _scale(model: Any, pair: _Pair, weights: dict[int, Array]) -> Any:
    """√(r₁ / r₂) of each channel; 1 where one of them is zero."""
    made = _largest(weights[id(pair.first)], _OUTPUT_AXIS[fb.op_name(model, pair.first)])
    read = _largest(weights[id(pair.second)], _INPUT_AXIS[fb.op_name(model, pair.second)])
    live = (made > 0) & (read > 0)
    ratio = np.sqrt(np.where(live, made, 1.0) / np.where(live, read, 1.0))
    return np.clip(ratio, 1 / STRONGEST, STRONGEST)


def _largest(weights: Array, axis: int) -> Any:
    return np.abs(np.moveaxis(weights, axis, 0).reshape(weights.shape[axis], -1)).max(axis=1)


def _along(model: Any, op: Any, scale: Any, axes: dict[str, int]) -> Any:
    """The scale, shaped so that it meets its axis of the weights."""
    shape = [1] * _weights(model, op).ndim
    shape[axes[fb.op_name(model, op)]] = scale.size
    return scale.reshape(shape)


def _divide_bias(model: Any, op: Any, scale: Any) -> None:
    bias = _operand(model, op, 2)
    values = fb.values(model, bias) if bias is not None else None
    if values is not None:
        bias.buffer = fb.add_buffer(model, (values.astype(np.float64) / scale).astype(np.float32))
