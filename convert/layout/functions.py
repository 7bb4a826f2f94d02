"""The operators of the domain ``edgeworthy.nhwc``: ONNX's spatial operators with channels-last activations.

A node ``edgeworthy.nhwc::Conv`` with overload ``2d`` takes the inputs and attributes of ONNX's Conv, but its
input 0 and output 0 are NHWC (``1d``: NLC, ``3d``: NDHWC). All else is ONNX's: weights are OIHW, the scales and
sizes of a Resize are in NCHW order, a GroupNormalization's scale is per channel. The version of the operator is
that of the model's default opset. Each (operator, overload) is a function of the model whose body is
Transpose–operator–Transpose, with attributes passed by reference, so any ONNX runtime can run the model.
Overloads need IR version 10 or newer.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import onnx
import onnx_ir as ir

from ...vocabulary import NHWC_DOMAIN
from .layouts import TO_CHANNELS_LAST, inverse


def define(model: ir.Model, operators: Iterable[tuple[str, int]]) -> None:
    """Add the functions of ``operators`` (name, rank of input 0 and output 0) to ``model``, in place."""
    opset = model.graph.opset_imports[""]
    for op, rank in sorted(operators):
        function = _function(op, rank, opset)
        model.functions[function.identifier()] = function
        model.graph.opset_imports[NHWC_DOMAIN] = 1
        model.ir_version = max(model.ir_version, 10)


def _function(op: str, rank: int, opset: int) -> ir.Function:
    schema = onnx.defs.get_schema(op, opset, "")
    inputs = [ir.Value(name=formal.name) for formal in schema.inputs]
    kinds = {name: ir.AttributeType(cast(int, spec.type)) for name, spec in schema.attributes.items()}
    perm = TO_CHANNELS_LAST[rank]
    entering = ir.node("Transpose", inputs[:1], {"perm": inverse(perm)}, name="to_channels_first")
    inner = ir.Node(
        "",
        op,
        (*entering.outputs, *inputs[1:]),
        [ir.RefAttr(name, name, kind) for name, kind in kinds.items()],
        name=op,
    )
    leaving = ir.node("Transpose", inner.outputs, {"perm": perm}, name="to_channels_last")
    for node, name in ((entering, "channels_first"), (inner, "result"), (leaving, "channels_last")):
        node.outputs[0].name = name
    graph = ir.Graph(inputs, leaving.outputs, nodes=(entering, inner, leaving), opset_imports={"": opset}, name=op)
    attributes = [ir.Attr(name, kind, None) for name, kind in kinds.items()]
    return ir.Function(NHWC_DOMAIN, op, f"{rank - 2}d", graph=graph, attributes=attributes)
