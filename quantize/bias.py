"""Biases that don't fit into int32.

A bias is stored in steps of input scale × weight scale. In a channel whose weights are (nearly) zero, as pruning and
folded batch norms leave them, the weight scale is tiny and the bias would need more than 32 bits; the engine
saturates it, and the channel loses its bias. Such a channel gets a larger weight scale instead.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from ..formats.tflite import edit as fb

LIMIT = 2.0**30
"""Largest bias in steps; the other half of int32 is left to the products that are added to it."""

_INT4_LIMIT = LIMIT / 16
"""XNNPACK computes with int4 weights in the upper half of a byte, and so with sums sixteen times as large."""

_DTYPES = {fb.TensorType.INT32: np.int32, fb.TensorType.INT64: np.int64}
"""Beside int16 activations a bias has 64 bits, and such a scale is lost all the same: kernels shift by 31 at most."""

BIASED = {
    "CONV_2D": (0, 1, 2),
    "DEPTHWISE_CONV_2D": (0, 1, 2),
    "FULLY_CONNECTED": (0, 1, 2),
    "TRANSPOSE_CONV": (2, 1, 3),
}
"""Operator → positions of input, weights and bias."""


def repair(quantized: Any, original: Any) -> list[str]:
    """Widen weight scales of ``quantized`` (a ``ModelT``, edited in place) where biases of ``original`` overflow.

    Returns:
        Names of the outputs of the operators that were changed.
    """
    biases = {}
    for _, graph, op in fb.operators(original):
        operands = _operands(original, graph, op)
        if operands:
            biases[fb.name(graph.tensors[op.outputs[0]])] = fb.values(original, operands[2])
    changed = []
    for _, graph, op in fb.operators(quantized):
        operands = _operands(quantized, graph, op)
        result = fb.name(graph.tensors[op.outputs[0]]) if operands else ""
        bias = biases.get(result)
        if operands and bias is not None and _widen(quantized, graph, op, operands, bias.astype(np.float64)):
            changed.append(result)
    return changed


def _operands(model: Any, graph: Any, op: Any) -> tuple[Any, Any, Any] | None:
    """Input, weights and bias of an operator that has constant weights and bias."""
    positions = BIASED.get(fb.op_name(model, op))
    if positions is None or len(op.inputs) <= positions[2] or op.inputs[positions[2]] < 0:
        return None
    source, weights, bias = (graph.tensors[op.inputs[p]] for p in positions)
    if not fb.is_constant(model, weights) or not fb.is_constant(model, bias):
        return None
    return source, weights, bias


def _widen(quantized: Any, graph: Any, op: Any, operands: tuple[Any, Any, Any], real: Any) -> bool:
    """Rescale one operator's weights and bias; says whether it had to."""
    source, weights, bias = operands
    if bias.type not in _DTYPES or source.quantization is None or source.quantization.scale is None:
        return False
    step = float(source.quantization.scale[0])
    if weights.quantization.details is not None:  # blocks of a row
        return False
    old = np.asarray(weights.quantization.scale, np.float64)
    limit = _INT4_LIMIT if weights.type == fb.TensorType.INT4 else LIMIT
    needed = np.abs(real.reshape(-1)) / (step * limit)
    new = np.maximum(old, needed if old.size > 1 else needed.max())
    if (new <= old * (1 + 1e-6)).all():
        return False
    values = fb.values(quantized, weights)
    if values is None:
        return False
    axes = [1] * values.ndim
    axes[weights.quantization.quantizedDimension if old.size > 1 else 0] = old.size
    rescaled = np.rint(values * (old / new).reshape(axes)).astype(np.int8)
    weights, bias = (_own(graph, op, tensor) for tensor in (weights, bias))
    _store(quantized, weights, rescaled, new)
    _store(quantized, bias, np.rint(real.reshape(-1) / (step * new)).astype(_DTYPES[bias.type]), step * new)
    return True


def _own(graph: Any, op: Any, tensor: Any) -> Any:
    """The tensor, or a copy for ``op`` alone if others read it too."""
    index = next(i for i in op.inputs if graph.tensors[i] is tensor)
    readers = [other for other in graph.operators if index in list(other.inputs)]
    if len(readers) == 1:
        return tensor
    copy = schema.TensorT()
    vars(copy).update(vars(tensor))
    copy.name = tensor.name + f"_{len(graph.tensors)}".encode()
    copy.quantization = schema.QuantizationParametersT()
    vars(copy.quantization).update(vars(tensor.quantization))
    graph.tensors.append(copy)
    op.inputs = [len(graph.tensors) - 1 if i == index else i for i in op.inputs]
    return copy


def _store(model: Any, tensor: Any, values: Any, scale: Any) -> None:
    tensor.buffer = fb.add_buffer(model, values, tensor.type)
    tensor.quantization.scale = np.asarray(scale, np.float32)
