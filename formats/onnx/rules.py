"""Holds an ONNX graph against ONNX's own rules for operators, as a runtime does when it loads a model."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import onnx

from ...errors import BadInput

_SHOWN = 10
_FAILURE = re.compile(r"\(op_type:(?P<op>[^,)]+)(?:, node name: (?P<node>[^)]*))?\): (?:\[\w+\] )?(?P<reason>.+)")
"""A node in the message of a failed inference."""


def check_rules(proto: onnx.ModelProto, path: Path) -> None:
    """Check operands and attributes of every node whose operator ONNX knows.

    Args:
        proto: The model; large weights may be without data.
        path: Its file, for errors.

    Raises:
        BadInput: the shapes or types of a node's operands don't go together, or it has an attribute that its
            operator doesn't have.
    """
    broken = list(_unknown_attributes(proto, proto.graph.node)) or _failed_inference(proto)
    if broken:
        raise BadInput(
            "the ONNX graph is not valid: no runtime can run it",
            where=str(path),
            details=[*broken[:_SHOWN], *(["…"] if len(broken) > _SHOWN else [])],
            remedy="export the model again; the file may have been edited",
        )


def _unknown_attributes(proto: onnx.ModelProto, nodes: Sequence[onnx.NodeProto]) -> Iterator[str]:
    opsets = {entry.domain: entry.version for entry in proto.opset_import}
    for node in nodes:
        version = opsets.get(node.domain, 0)
        if onnx.defs.has(node.op_type, version, node.domain):
            known = onnx.defs.get_schema(node.op_type, version, node.domain).attributes
            for attribute in node.attribute:
                if attribute.name not in known:
                    yield f"{node.op_type} {node.name!r}: the operator has no attribute {attribute.name!r}"
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                yield from _unknown_attributes(proto, graph.node)


def _failed_inference(proto: onnx.ModelProto) -> list[str]:
    """The node at which ONNX's inference of types and shapes fails first; empty if there is none.

    Shapes that the file states inside the graph and of its outputs are left out: exporters get them wrong, and
    runtimes go by what they infer. A node whose operand has no type yet is no failure: nodes may come in any order.
    """
    bare = onnx.ModelProto()
    bare.CopyFrom(proto)
    del bare.graph.value_info[:]
    for output in bare.graph.output:
        if output.type.HasField("tensor_type"):
            output.type.tensor_type.ClearField("shape")
    try:
        onnx.shape_inference.infer_shapes(bare, check_type=True, strict_mode=True)
    except onnx.shape_inference.InferenceError as error:
        text = str(error)
        if text.count("Inference error(s)") > 1:  # inside the function body that ONNX has for an operator
            return []
        found = [m for m in _FAILURE.finditer(text) if "instead is null" not in m["reason"]]
        return [f"{m['op']} {m['node'] or ''!r}: {m['reason']}" for m in found[:1]]
    return []
