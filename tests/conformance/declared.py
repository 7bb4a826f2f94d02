"""Node tests whose model declares an output shape that only run-time values decide.

Such a declaration may stand in for an input such as ``axes``, ``shape`` or ``k``, which a real model wouldn't have: a
case that passes with it alone is counted apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import onnx
import onnx.shape_inference

from edgeworthy.validate.node_tests import NodeTestOutcome


@dataclass(frozen=True)
class DeclaredPass(NodeTestOutcome):
    """It passes only because the model declares the shape; ``detail`` says what becomes of it otherwise."""


def without_declared_shapes(model: bytes) -> bytes | None:
    """The model without the shapes of its outputs and inner values; None where ONNX infers the outputs' anyway."""
    proto = onnx.load_model_from_string(model)
    declared = [info.type.SerializeToString(deterministic=True) for info in proto.graph.output]
    _forget(proto.graph)
    try:
        inferred = onnx.shape_inference.infer_shapes(proto, data_prop=True).graph.output
    except onnx.shape_inference.InferenceError:
        inferred = proto.graph.output
    if [info.type.SerializeToString(deterministic=True) for info in inferred] == declared:
        return None
    return proto.SerializeToString()


def _forget(graph: onnx.GraphProto) -> None:
    for info in (*graph.output, *graph.value_info):
        if info.type.HasField("tensor_type"):
            info.type.tensor_type.ClearField("shape")
