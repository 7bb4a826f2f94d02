"""A sequence among a model's outputs becomes its tensors, one by one, where their number is known.

Neither TFLite nor a SavedModel's signature hands out a list of tensors: ``parts`` of three becomes the outputs
``parts_0``, ``parts_1`` and ``parts_2``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import onnx
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, TypeProto, ValueInfoProto, helper, numpy_helper

from .nesting import graphs_of
from .rules import INFERENCE_ERRORS, leave_out_crashing

_MOST = 256
"""Parts that an output may become."""


def take_apart(proto: ModelProto) -> list[str]:
    """Put the parts of sequences in their place among the outputs of ``proto``; returns a sentence for each of them.

    Sequences whose number of parts is known at run time only stay.
    """
    graph = proto.graph
    notes: list[str] = []
    if not any(output.type.HasField("sequence_type") for output in graph.output):
        return notes
    makers = _makers(graph)
    types = _types(proto)
    names = {*makers, *types}
    outputs = list(graph.output)
    del graph.output[:]
    for output in outputs:
        count = _count(makers, types, output.name) if output.type.HasField("sequence_type") else None
        if count is None or not 0 < count <= _MOST:
            graph.output.append(output)
            continue
        parts = [_unique(f"{output.name}_{index}", names) for index in range(count)]
        graph.output.extend(_made(graph, output, parts, names))
        notes.append(f"the output {output.name!r} is a sequence: its tensors are the outputs {', '.join(parts)}")
    return notes


def _made(graph: GraphProto, sequence: ValueInfoProto, parts: list[str], names: set[str]) -> list[ValueInfoProto]:
    """Let a graph make the ``parts`` of a sequence of its; an If, whose branches do, gives them in its place."""
    node = next(node for node in graph.node if sequence.name in node.output)
    branches = _branches(node)
    if branches and not any(sequence.name in user.input for each in graphs_of(graph) for user in each.node):
        index = list(node.output).index(sequence.name)
        for branch in branches:
            own = [_unique(f"{part}/{branch.name}", names) for part in parts]
            _splice(branch.output, index, _made(branch, branch.output[index], own, names))
        _splice(node.output, index, parts)
    else:
        for number, part in enumerate(parts):
            at = helper.make_tensor(f"{part}/index", TensorProto.INT64, [], [number])
            graph.initializer.append(at)
            operands, name = [sequence.name, at.name], f"{part}/SequenceAt"
            graph.node.append(helper.make_node("SequenceAt", operands, [part], name=name))
    kind = sequence.type.sequence_type.elem_type.tensor_type.elem_type
    return [helper.make_tensor_value_info(part, kind, None) for part in parts]


def _branches(node: NodeProto) -> list[GraphProto]:
    return [attribute.g for attribute in node.attribute] if node.op_type == "If" and node.domain == "" else []


def _splice(field: Any, index: int, values: Sequence[object]) -> None:
    """Put ``values`` in the place of one of a repeated field's."""
    kept = list(field)
    del field[:]
    field.extend([*kept[:index], *values, *kept[index + 1 :]])


def _unique(name: str, names: set[str]) -> str:
    while name in names:
        name += "_"
    names.add(name)
    return name


def _makers(graph: GraphProto) -> dict[str, NodeProto]:
    """Value → the node that makes it; of stored integers a Constant."""
    stored = (t for t in graph.initializer if _is_integer(t))
    constants = {t.name: helper.make_node("Constant", [], [t.name], value=t) for t in stored}
    return constants | {name: node for node in graph.node for name in node.output}


def _is_integer(tensor: TensorProto) -> bool:
    """Whether it is one integer, stored in the file itself."""
    kinds = (TensorProto.INT32, TensorProto.INT64)
    return tensor.data_type in kinds and math.prod(tensor.dims) == 1 and tensor.data_location != TensorProto.EXTERNAL


def _integer(node: NodeProto | None) -> int | None:
    """The integer that a Constant is, if it is one."""
    if node is None or node.op_type != "Constant":
        return None
    value = helper.get_attribute_value(node.attribute[0])
    if isinstance(value, TensorProto):
        return int(numpy_helper.to_array(value).item()) if _is_integer(value) else None
    return value if isinstance(value, int) else None


def _types(proto: ModelProto) -> dict[str, TypeProto]:
    """Value → its type, as far as ONNX infers it."""
    bare = ModelProto()
    bare.CopyFrom(proto)
    leave_out_crashing(bare.graph)
    try:
        bare = onnx.shape_inference.infer_shapes(bare, check_type=False, strict_mode=False, data_prop=True)
    except INFERENCE_ERRORS:
        return {}  # what is wrong with the graph, its checks say
    graph = bare.graph
    stored = {t.name: helper.make_tensor_type_proto(t.data_type, t.dims) for t in graph.initializer}
    return stored | {info.name: info.type for info in (*graph.input, *graph.value_info, *graph.output)}


def _count(makers: Mapping[str, NodeProto], types: Mapping[str, TypeProto], name: str) -> int | None:
    """Tensors in a sequence, or None."""
    node = makers.get(name)
    if node is None or node.domain != "":
        return None
    if node.op_type == "SequenceConstruct":
        return len(node.input)
    if node.op_type == "SequenceEmpty":
        return 0
    if node.op_type == "SplitToSequence":
        return _split_count(node, makers, types)
    if branches := _branches(node):
        index = list(node.output).index(name)
        counts = {_count({**makers, **_makers(branch)}, types, branch.output[index].name) for branch in branches}
        return counts.pop() if len(counts) == 1 else None
    change = {"Identity": 0, "SequenceErase": -1, "SequenceInsert": 1}.get(node.op_type)
    before = None if change is None else _count(makers, types, node.input[0])
    return None if before is None or change is None else before + change


def _split_count(node: NodeProto, makers: Mapping[str, NodeProto], types: Mapping[str, TypeProto]) -> int | None:
    given = node.input[1] if len(node.input) > 1 else ""
    sizes = _dims(types, given) if given else None
    if sizes:
        return sizes[0] if len(sizes) == 1 else None
    size = _integer(makers.get(given)) if given else 1  # of all parts, but the last may be smaller
    extents = _dims(types, node.input[0])
    axis = next((a.i for a in node.attribute if a.name == "axis"), 0)
    if extents is None or not -len(extents) <= axis < len(extents) or size is None or size < 1:
        return None
    extent = extents[axis]
    return None if extent is None else -(-extent // size)


def _dims(types: Mapping[str, TypeProto], name: str) -> list[int | None] | None:
    """The extents of a tensor, None for those that aren't numbers; None if its rank is unknown."""
    kind = types.get(name)
    if kind is None or not kind.tensor_type.HasField("shape"):
        return None
    return [dim.dim_value if dim.HasField("dim_value") else None for dim in kind.tensor_type.shape.dim]
