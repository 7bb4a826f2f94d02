"""Biases that don't fit into int32.

A bias is stored in steps of input scale × weight scale. In a channel whose weights are (nearly) zero, as pruning and
folded batch norms leave them, the weight scale is tiny and the bias would need more than 32 bits; the engine
saturates it, and the channel loses its bias. Such a channel gets a larger weight scale instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from ..formats.tflite import edit as fb

LIMIT = 2.0**30
"""Largest bias in steps; the other half of int32 is left to the products that are added to it."""

_INT4_LIMIT = LIMIT / 16
"""XNNPACK computes with int4 weights in the upper half of a byte, and so with sums sixteen times as large."""

DTYPES = {fb.TensorType.INT32: np.int32, fb.TensorType.INT64: np.int64}
"""Of biases. Beside int16 activations they have 64 bits, and such a scale is lost all the same: kernels shift by 31."""

BIASED = {
    "CONV_2D": (0, 1, 2),
    "DEPTHWISE_CONV_2D": (0, 1, 2),
    "FULLY_CONNECTED": (0, 1, 2),
    "TRANSPOSE_CONV": (2, 1, 3),
}
"""Operator → positions of input, weights and bias."""


@dataclass(frozen=True)
class _Layer:
    """A layer whose bias doesn't fit: its input's step, its real bias, and the weight scales that would hold it."""

    graph: Any
    op: Any
    step: float
    bias: Any
    scales: Any


def repair(quantized: Any, original: Any) -> list[str]:
    """Widen weight scales of ``quantized`` (a ``ModelT``, edited in place) where biases of ``original`` overflow.

    Layers that share weights, such as the steps of an unrolled recurrent one, go on sharing them: those whose bias
    overflows in the same channels get one copy for them all, and the others keep what they have.

    Returns:
        Names of the outputs of the operators that were changed.
    """
    biases = {}
    for _, graph, op in fb.operators(original):
        operands = _operands(original, graph, op)
        if operands:
            biases[fb.name(graph.tensors[op.outputs[0]])] = fb.values(original, operands[2])
    groups: dict[tuple[int, int, bytes], list[_Layer]] = {}
    for number, graph, op in fb.operators(quantized):
        operands = _operands(quantized, graph, op)
        bias = biases.get(fb.name(graph.tensors[op.outputs[0]])) if operands else None
        if operands is None or bias is None or (needs := _needs(operands, bias.astype(np.float64).reshape(-1))) is None:
            continue
        step, scales, wider = needs
        key = number, _position(graph, op, operands[1]), wider.tobytes()
        groups.setdefault(key, []).append(_Layer(graph, op, step, bias.astype(np.float64).reshape(-1), scales))
    for (_, weights, _), layers in groups.items():
        _widen(quantized, weights, layers)
    return [fb.name(layer.graph.tensors[layer.op.outputs[0]]) for layers in groups.values() for layer in layers]


def _operands(model: Any, graph: Any, op: Any) -> tuple[Any, Any, Any] | None:
    """Input, weights and bias of an operator that has constant weights and bias."""
    positions = BIASED.get(fb.op_name(model, op))
    if positions is None or len(op.inputs) <= positions[2] or op.inputs[positions[2]] < 0:
        return None
    source, weights, bias = (graph.tensors[op.inputs[p]] for p in positions)
    if not fb.is_constant(model, weights) or not fb.is_constant(model, bias):
        return None
    return source, weights, bias


def _needs(operands: tuple[Any, Any, Any], real: Any) -> tuple[float, Any, Any] | None:
    """The input's step, the weight scales that hold the bias, and where they are wider; None if none is."""
    source, weights, bias = operands
    if bias.type not in DTYPES or source.quantization is None or source.quantization.scale is None:
        return None
    step = float(source.quantization.scale[0])
    if weights.quantization.details is not None:  # blocks of a row
        return None
    old = np.asarray(weights.quantization.scale, np.float64)
    limit = _INT4_LIMIT if weights.type == fb.TensorType.INT4 else LIMIT
    needed = np.abs(real) / (step * limit)
    scales = np.maximum(old, needed if old.size > 1 else needed.max())
    wider = scales > old * (1 + 1e-6)
    return (step, scales, wider) if wider.any() else None


def _widen(quantized: Any, index: int, layers: list[_Layer]) -> None:
    """Rescale the weights that some layers share, in a copy if others read them too, and the bias of each."""
    graph = layers[0].graph
    values = fb.values(quantized, graph.tensors[index])
    if values is None:
        return
    old = np.asarray(graph.tensors[index].quantization.scale, np.float64)
    new = np.max([layer.scales for layer in layers], axis=0)
    axes = [1] * values.ndim
    axes[graph.tensors[index].quantization.quantizedDimension if old.size > 1 else 0] = old.size
    weights = own(graph, [layer.op for layer in layers], index)
    store(quantized, weights, np.rint(values * (old / new).reshape(axes)).astype(np.int8), new)
    for layer in layers:
        position = layer.op.inputs[BIASED[fb.op_name(quantized, layer.op)][2]]
        bias = own(graph, [layer.op], int(position))
        steps = np.rint(layer.bias / (layer.step * new))
        store(quantized, bias, steps.astype(DTYPES[bias.type]), layer.step * new)


def _position(graph: Any, op: Any, tensor: Any) -> int:
    return next(int(i) for i in op.inputs if graph.tensors[i] is tensor)


def own(graph: Any, ops: list[Any], index: int) -> Any:
    """The tensor, or a copy for ``ops`` alone if others read it too."""
    readers = [op for op in graph.operators if index in list(op.inputs)]
    tensor = graph.tensors[index]
    if len(readers) == len(ops):
        return tensor
    copy = schema.TensorT()
    vars(copy).update(vars(tensor))
    copy.name = tensor.name + f"_{len(graph.tensors)}".encode()
    if tensor.quantization is not None:  # a bias of a layer in float has none
        copy.quantization = schema.QuantizationParametersT()
        vars(copy.quantization).update(vars(tensor.quantization))
    graph.tensors.append(copy)
    for op in ops:
        op.inputs = [len(graph.tensors) - 1 if i == index else i for i in op.inputs]
    return copy


def store(model: Any, tensor: Any, values: Any, scale: Any) -> None:
    """Let a tensor hold these steps of this scale."""
    tensor.buffer = fb.add_buffer(model, values, tensor.type)
    tensor.quantization.scale = np.asarray(scale, np.float32)
