"""The float type that a graph computes in."""

from __future__ import annotations

from collections.abc import Iterator

import onnx

_COARSEST = {"bfloat16": onnx.TensorProto.BFLOAT16, "float16": onnx.TensorProto.FLOAT16}


def float_type(graph: onnx.GraphProto) -> str:
    """The coarsest float type of the inputs, weights and casts of a valid graph, at least ``float32``."""
    found = set(_types(graph))
    return next((name for name, kind in _COARSEST.items() if kind in found), "float32")


def _types(graph: onnx.GraphProto) -> Iterator[int]:
    yield from (value.type.tensor_type.elem_type for value in (*graph.input, *graph.value_info, *graph.output))
    yield from (tensor.data_type for tensor in graph.initializer)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.name == "to":
                yield attribute.i
            if attribute.HasField("t"):
                yield attribute.t.data_type
            if attribute.HasField("g"):
                yield from _types(attribute.g)
