"""Layers whose operand was quantized at run time: int8 weights with the model's own scales, in TFLite's hybrid kernels.

Before::

    x ── FULLY_CONNECTED(float32 weights, whole numbers of steps)

After::

    x ── FULLY_CONNECTED(int8 weights, a scale for each output)     which finds the range of each row of x itself

ONNX Runtime takes one range for the whole operand. The SavedModel, and what isn't written so here, doesn't round it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...artifact import FloatOp
from ...formats.tflite import edit as fb
from . import grid
from .edit import quantization

_WEIGHTED = ("FULLY_CONNECTED", "CONV_2D")
"""Whose kernels are hybrid, in XNNPACK too. Their weights are operand 1, with the outputs along axis 0."""

_PRODUCTS = (*_WEIGHTED, "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "BATCH_MATMUL")


def to_hybrid(content: bytes) -> tuple[bytes, tuple[FloatOp, ...]]:
    """The flatbuffer with int8 weights wherever these are whole numbers of steps, in all its graphs.

    Returns the products that stay float, and why.
    """
    model = fb.read(content)
    floats: list[FloatOp] = []
    for graph in model.subgraphs:
        read: dict[int, set[bool]] = {}
        for op in graph.operators:
            for position, index in enumerate(map(int, op.inputs)):
                read.setdefault(index, set()).add(position == 1 and fb.op_name(model, op) in _WEIGHTED)
        done: set[int] = set()
        for op in graph.operators:
            kind = fb.op_name(model, op)
            if kind in _PRODUCTS and (why := _stays(model, graph, op, kind, read, done)):
                floats.append(FloatOp(kind, fb.name(graph.tensors[int(op.outputs[0])]), why))
    fb.drop_unused_buffers(model)
    return fb.write(model), tuple(floats)


def _stays(model: Any, graph: Any, op: Any, kind: str, read: dict[int, set[bool]], done: set[int]) -> str:
    """Give an operator int8 weights, or say why not; ``done``: the weights that are so already."""
    if kind not in _WEIGHTED:
        return "TFLite has no fast kernel of it for ranges that are found at run time"
    index = int(op.inputs[1])
    if index in done:
        return ""
    tensor = graph.tensors[index]
    values = fb.values(model, tensor) if fb.is_float(tensor) else None
    if values is None:
        return "its weights are no constant"
    found = grid.weights(values, 0)
    if found is None:
        return "its weights are no whole numbers of steps of an int8 scale"
    if read[index] != {True}:
        return "its weights are read by something else too"
    fb.set_constant(model, tensor, found.steps)
    tensor.type = fb.TensorType.INT8
    scales = np.broadcast_to(found.scale, values.shape[0])  # a scale for each output, as XNNPACK asks
    tensor.quantization = quantization(scales, 0)
    done.add(index)
    return ""
