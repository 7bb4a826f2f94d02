"""The properties that passes require and ensure, each with a way to tell whether a model has it."""

from __future__ import annotations

import onnx_ir as ir

from ...vocabulary import FUSED_DOMAIN
from ..graph.reading import attribute, is_constant, opset, rank, static_shape
from .contract import Property

_WINDOWS = ("Conv", "ConvTranspose", "MaxPool", "AveragePool", "LpPool", "Resize")


def _local_function(model: ir.Model) -> str | None:
    for node in model.graph.all_nodes():
        if node.op_identifier() in model.functions and node.domain != FUSED_DOMAIN:
            return f"{node.name} calls {node.domain}::{node.op_type}"
    return None


def _loose_constant(model: ir.Model) -> str | None:
    for value in model.graph.inputs:
        if value.is_initializer():
            return f"the initializer {value.name} is an input as well"
    for node in model.graph.all_nodes():
        if node.op_type == "Constant" and node.domain == "" and is_liftable(node):
            return f"{node.name} is a Constant node"
    return None


def _untyped(model: ir.Model) -> str | None:
    for node in model.graph.all_nodes():
        known = node.domain in ("", FUSED_DOMAIN)
        if known and all(v is None or v.type is not None for v in node.inputs):
            for value in node.outputs:
                if value.type is None and value.uses():
                    return f"{value.name}, made by {node.op_type} {node.name}, has no type"
    return None


def _batch_norm(model: ir.Model) -> str | None:
    for node in model.graph.all_nodes():
        if (
            node.op_type == "BatchNormalization"
            and node.domain == ""
            and batch_norm_objection(node, opset(model)) is None
        ):
            return f"{node.name} is a BatchNormalization"
    return None


def batch_norm_objection(node: ir.Node, version: int) -> str | None:
    """Why a BatchNormalization can't be written as a product and a sum along axis 1, or None."""
    if attribute(node, "training_mode", version):
        return "it is in training mode"
    if any(v.uses() or v.is_graph_output() for v in node.outputs[1:]):
        return "its running statistics are used, as in training"
    if attribute(node, "spatial", version) == 0:
        return "it normalizes every element by statistics of its own (spatial = 0)"
    if rank(node.inputs[0]) is None:
        return "the rank of its input is not known"
    types = {v.dtype for v in node.inputs if v is not None}
    if len(types) != 1 and any(not is_constant(v) for v in node.inputs[1:5]):
        return "its parameters depend on the inputs, and are of another type than its input"
    return None


def _window_1d(model: ir.Model) -> str | None:
    for node in model.graph.all_nodes():
        if window_objection(node) is None:
            return f"{node.name} is a {node.op_type} over one axis"
    return None


def window_objection(node: ir.Node) -> str | None:
    """Why a window over sequences can't be written as one over images; None if it can, "" if the node is none."""
    if node.domain != "" or node.op_type not in _WINDOWS or rank(node.inputs[0]) not in (None, 3):
        return ""
    if rank(node.inputs[0]) is None:
        return "the rank of its input is not known"
    if any(v.uses() or v.is_graph_output() for v in node.outputs[1:]):
        return "the indices of its maxima are used"
    if node.op_type == "Resize":
        mode = node.attributes.get("coordinate_transformation_mode")
        if "axes" in node.attributes or (mode is not None and mode.as_string() == "tf_crop_and_resize"):
            return "it crops, or names its axes"
        if not any(is_constant(v) and static_shape(v) == (3,) for v in node.inputs[1:]):
            return "its scales or sizes are not constants"
    return None


def is_liftable(node: ir.Node) -> bool:
    """Whether a Constant node can become an initializer: it holds a dense tensor, and its output is not the graph's."""
    kinds = {"value", "value_float", "value_floats", "value_int", "value_ints"}
    return not node.outputs[0].is_graph_output() and not node.attributes.keys().isdisjoint(kinds)


NO_LOCAL_FUNCTIONS = Property("functions of the model itself are inlined (but for private operators)", _local_function)
CONSTANTS_LIFTED = Property("constants are initializers, and initializers are no inputs", _loose_constant)
TYPED = Property("every value has a type if the values it is made of have one", _untyped)
NO_BATCH_NORM = Property("no BatchNormalization in inference form is left", _batch_norm)
NO_1D_WINDOWS = Property("convolutions, poolings and resizes are over images", _window_1d)
