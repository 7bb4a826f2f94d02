"""What floats an accelerator computes in, told by what it makes of a product: options and logs promise, this shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from ..formats.tflite import edit

if TYPE_CHECKING:
    from ..artifact import Array

INPUT, OUTPUT = "x", "y"

_MANTISSA = {"float32": 23, "float16": 10, "bfloat16": 7}
_PROBED = (7, 8, 9, 10, 11, 12, 13, 14)
FEED: Array = (1 + 2.0 ** -np.array([_PROBED])).astype(np.float32)
"""Numbers just above 1, each with one bit of the mantissa set, float32[1, 8]."""

_FACTOR = np.float32(0.5)


def judge(product: Array) -> str:
    """The dtype whose mantissa is as long as that of ``FEED`` · 0.5 as it was computed."""
    whole = FEED * _FACTOR
    for dtype, mantissa in _MANTISSA.items():
        if np.array_equal(product.reshape(whole.shape), np.where(np.array(_PROBED) <= mantissa, whole, _FACTOR)):
            return dtype
    return "unknown"


def model() -> bytes:
    """A TFLite file that multiplies ``FEED`` by half the identity: FULLY_CONNECTED, for which accelerators are made."""
    made = schema.ModelT()
    made.version, made.description, made.operatorCodes = 3, b"", []
    made.buffers = [schema.BufferT()]
    size = FEED.size
    weights = edit.add_buffer(made, np.eye(size, dtype=np.float32) * _FACTOR)
    graph = schema.SubGraphT()
    graph.tensors = [
        _tensor(INPUT, [1, size], 0),
        _tensor("weights", [size, size], weights),
        _tensor(OUTPUT, [1, size], 0),
    ]
    op = schema.OperatorT()
    op.opcodeIndex = edit.op_code(made, edit.BuiltinOperator.FULLY_CONNECTED)
    op.inputs, op.outputs = [0, 1, -1], [2]
    op.builtinOptionsType = schema.BuiltinOptions.FullyConnectedOptions
    op.builtinOptions = schema.FullyConnectedOptionsT()
    graph.operators, graph.inputs, graph.outputs = [op], [0], [2]
    made.subgraphs = [graph]
    return edit.write(made)


def _tensor(name: str, shape: list[int], buffer: int) -> Any:
    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.buffer, tensor.type = name.encode(), shape, buffer, edit.TensorType.FLOAT32
    return tensor
