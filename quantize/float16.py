"""Float constants stored in half precision, each followed by a DEQUANTIZE.

Delegates that compute in float16 (GPU) drop the DEQUANTIZE; XNNPACK and the plain kernels unfold a constant once,
when the model is loaded.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from ..formats.tflite import edit as fb

MIN_ELEMENTS = 64
"""Smaller constants stay: the DEQUANTIZE would weigh more than it saves."""

_SUFFIX = b"_float16"


def store_halves(model: Any, results: Collection[str]) -> None:
    """Store the large constants of the operators with these first results as float16 (``ModelT``, edited in place).

    A constant that another operator reads too stays as it is.
    """
    graph = model.subgraphs[0]
    mine, others = set[int](), set(map(int, graph.outputs))
    for op in graph.operators:
        meant = len(op.outputs) and fb.name(graph.tensors[op.outputs[0]]) in results
        (mine if meant else others).update(int(i) for i in op.inputs)
    to_float16(model, only={fb.name(graph.tensors[i]) for i in mine - others if i >= 0})


def to_float16(
    model: Any, keep: Mapping[str, str] | None = None, *, only: Collection[str] | None = None
) -> dict[str, str]:
    """Store the large float32 constants of ``model`` (a ``ModelT``, edited in place) as float16.

    Args:
        keep: Tensor name → why it is to stay as it is.
        only: Names of the tensors that are meant; None: all.

    Returns:
        Tensor name → why it stayed float32.
    """
    kept: dict[str, str] = {}
    halves: dict[int, int] = {}
    for graph in model.subgraphs:
        dequantize = []
        for index in range(len(graph.tensors)):
            tensor = graph.tensors[index]
            meant = fb.is_float(tensor) and (only is None or fb.name(tensor) in only)
            constant = fb.values(model, tensor) if meant else None
            if constant is None or constant.size < MIN_ELEMENTS:
                continue
            if keep and fb.name(tensor) in keep:
                kept[fb.name(tensor)] = keep[fb.name(tensor)]
                continue
            largest = np.abs(constant[np.isfinite(constant)]).max(initial=0.0)
            if largest > np.finfo(np.float16).max:
                kept[fb.name(tensor)] = f"it reaches ±{largest:.1e}, beyond float16"
                continue
            if tensor.buffer not in halves:
                halves[tensor.buffer] = fb.add_buffer(model, constant.astype(np.float16))
            dequantize.append(_unfold(model, graph, index, halves[tensor.buffer]))
        graph.operators[:0] = dequantize
    fb.drop_unused_buffers(model)
    return kept


def _unfold(model: Any, graph: Any, index: int, buffer: int) -> Any:
    """Make tensor ``index`` the result of a DEQUANTIZE of its half-precision values; returns the operator."""
    tensor = graph.tensors[index]
    half = schema.TensorT()
    half.name = tensor.name + _SUFFIX
    half.type = fb.TensorType.FLOAT16
    half.shape = tensor.shape
    half.buffer = buffer
    graph.tensors.append(half)
    tensor.buffer = 0
    op = schema.OperatorT()
    op.opcodeIndex = fb.op_code(model, fb.BuiltinOperator.DEQUANTIZE, version=3)
    op.inputs = [len(graph.tensors) - 1]
    op.outputs = [index]
    op.builtinOptionsType = schema.BuiltinOptions.DequantizeOptions
    op.builtinOptions = schema.DequantizeOptionsT()
    return op
