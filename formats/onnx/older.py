"""Models of opset 1 to 7 in the terms of opset 8, the first in which all operators that spread operands do so alike.

What changed until then (ONNX's change log): operators spread their second operand by attributes, ``broadcast`` and
``axis``, where they now follow NumPy; a few operands were attributes, or of another type; ``is_test`` told inference
from training; ``consumed_inputs`` was a hint to allocators. What has no entry here means the same in all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import onnx
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, helper

from .names import called
from .nesting import graphs_of
from .rules import INFERENCE_ERRORS, leave_out_crashing

OPSET = 8
"""What models of lower opsets become."""

_SPREADING = frozenset({"Add", "And", "Div", "Equal", "Greater", "Less", "Mul", "Or", "Pow", "Sub", "Xor"})
_GONE = ("broadcast", "axis")
_HINTS = frozenset({"consumed_inputs", "is_test", "output_sequence"})

NodeAttributes = Mapping[str, AttributeProto]


def modernize(proto: ModelProto) -> list[str]:
    """Write a model of an opset below ``OPSET`` as one of that opset, in place; returns a sentence if it was one.

    A model with a node for which that can't be done (Tile-1; an operand to be spread over one of unknown rank) stays.

    Args:
        proto: The model, whose nodes have the form that their operators ask for; large weights may be without data.
    """
    entry = next((entry for entry in proto.opset_import if entry.domain == ""), None)
    if entry is None or entry.version >= OPSET:
        return []
    was, notes = entry.version, []
    made = ModelProto()
    made.CopyFrom(proto)
    next(entry for entry in made.opset_import if entry.domain == "").version = OPSET
    for graph in graphs_of(made.graph):
        for node in graph.node:
            if node.domain == "":
                notes += _rewrite(graph, node, was)
    if not _spread(made, was):
        return []
    proto.CopyFrom(made)
    return [f"the file is of opset {was}: its operators were written as opset {OPSET} has them", *notes]


def _rewrite(graph: GraphProto, node: NodeProto, version: int) -> list[str]:
    """Give a node the attributes and operands of opset 8, as far as that needs no shapes; what to tell of it."""
    given = {attribute.name: attribute for attribute in node.attribute}
    notes = []
    if node.op_type == "Dropout" and "is_test" in given and not given["is_test"].i:
        name = called(node.name, node.output)
        notes.append(f"Dropout {name!r} is in training mode in the file: it was taken for one that hands its input on")
    since, change = _CHANGES.get(node.op_type, (0, _otherwise()))
    new = change(graph, node, given) if version < since else {}
    dropped = _HINTS | new.keys() | ({"broadcast"} if node.op_type == "Gemm" else set())
    kept = [attribute for attribute in node.attribute if attribute.name not in dropped]
    del node.attribute[:]
    node.attribute.extend(kept)
    node.attribute.extend(helper.make_attribute(name, value) for name, value in new.items() if value is not None)
    return notes


Change = Callable[[GraphProto, NodeProto, NodeAttributes], dict[str, object]]
"""What an operator's attributes become; None takes one away. It may add operands."""


def _cast(graph: GraphProto, node: NodeProto, given: NodeAttributes) -> dict[str, object]:
    to = given["to"]
    return {"to": TensorProto.DataType.Value(to.s.decode().upper())} if to.type == AttributeProto.STRING else {}


def _whole_norm(graph: GraphProto, node: NodeProto, given: NodeAttributes) -> dict[str, object]:
    return {"p": round(given["p"].f)} if "p" in given and given["p"].type == AttributeProto.FLOAT else {}


def _pad(graph: GraphProto, node: NodeProto, given: NodeAttributes) -> dict[str, object]:
    return {"pads": list(given["paddings"].ints), "paddings": None} if "paddings" in given else {}


def _reshape(graph: GraphProto, node: NodeProto, given: NodeAttributes) -> dict[str, object]:
    if "shape" not in given:
        return {}
    shape = helper.make_tensor(f"{node.output[0]}/shape", TensorProto.INT64, [len(given["shape"].ints)],
                               given["shape"].ints)  # fmt: skip
    graph.initializer.append(shape)
    node.input.append(shape.name)
    return {"shape": None}


def _upsample(graph: GraphProto, node: NodeProto, given: NodeAttributes) -> dict[str, object]:
    if "scales" in given:
        return {}
    height, width = given["height_scale"].f, given["width_scale"].f
    return {"scales": [1.0, 1.0, height, width], "height_scale": None, "width_scale": None}


def _otherwise(**defaults: object) -> Change:
    """What an operator's defaults were, written out."""
    return lambda graph, node, given: {name: value for name, value in defaults.items() if name not in given}


_CHANGES: dict[str, tuple[int, Change]] = {
    "Cast": (6, _cast),
    "Concat": (4, _otherwise(axis=1)),
    "GlobalLpPool": (2, _whole_norm),
    "LpPool": (2, _whole_norm),
    "Pad": (2, _pad),
    "Reshape": (5, _reshape),
    "Selu": (6, _otherwise(alpha=1.6732, gamma=1.0507)),
    "Upsample": (7, _upsample),
}
"""Operator → the first opset in which it has the form of opset 8, and what gives it to those before."""

_PRELU_LIKE_NUMPY = 7
"""The first opset in which a PRelu's slopes follow NumPy; before, they are one for each channel."""


def _spread(proto: ModelProto, version: int) -> bool:
    """Let operands that are spread from an axis on end in axes of extent 1; False if a rank isn't known."""
    waiting = [node for node in proto.graph.node if _spreads(node, version)]
    below = (node for graph in graphs_of(proto.graph) if graph is not proto.graph for node in graph.node)
    if any(_spreads(node, version) for node in below):
        return False
    if any(node.op_type == "Tile" and len(node.input) == 3 for node in proto.graph.node):
        return False
    ranks = _ranks(proto, version) if waiting else {}
    nodes = list(proto.graph.node)
    for node in waiting:
        whole, part = (ranks.get(name) for name in node.input)
        if whole is None or part is None:
            return False
        axis = next((a.i for a in node.attribute if a.name == "axis"), whole - part)
        behind = whole - part - (1 if node.op_type == "PRelu" else axis + whole if axis < 0 else axis)
        kept = [attribute for attribute in node.attribute if attribute.name not in _GONE]
        del node.attribute[:]
        node.attribute.extend(kept)
        if behind > 0:
            name = f"{node.input[1]}/{node.output[0]}"
            axes = list(range(part, part + behind))
            wider = helper.make_node("Unsqueeze", [node.input[1]], [name], name=name, axes=axes)
            nodes.insert(nodes.index(node), wider)
            node.input[1] = name
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)
    return True


def _spreads(node: NodeProto, version: int) -> bool:
    """Whether the shape of a node's second operand may have to change; ``version``: of the opset that it is of."""
    by_axis = node.op_type in _SPREADING and any(attribute.name in _GONE for attribute in node.attribute)
    by_channel = node.op_type == "PRelu" and version < _PRELU_LIKE_NUMPY
    return node.domain == "" and (by_axis or by_channel)


def _ranks(proto: ModelProto, version: int) -> dict[str, int]:
    """Value → its rank, where ONNX infers it; a node whose second operand is spread keeps the shape of its first."""
    bare = ModelProto()
    bare.CopyFrom(proto)
    leave_out_crashing(bare.graph)
    for node in bare.graph.node:
        if _spreads(node, version):
            kind = None if node.op_type in ("Add", "Div", "Mul", "Pow", "PRelu", "Sub") else TensorProto.BOOL
            del node.input[1:], node.attribute[:]
            node.op_type = "Identity" if kind is None else "Cast"
            if kind is not None:
                node.attribute.append(helper.make_attribute("to", kind))
    try:
        bare = onnx.shape_inference.infer_shapes(bare, check_type=False, strict_mode=False, data_prop=True)
    except INFERENCE_ERRORS:
        return {}  # what is wrong with the graph, its checks say
    infos = (*bare.graph.input, *bare.graph.value_info, *bare.graph.output)
    ranks = {i.name: len(i.type.tensor_type.shape.dim) for i in infos if i.type.tensor_type.HasField("shape")}
    return ranks | {tensor.name: len(tensor.dims) for tensor in bare.graph.initializer}
