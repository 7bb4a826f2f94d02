"""Holds an ONNX graph against ONNX's own rules for operators, as a runtime does when it loads a model."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import onnx
import onnx_ir as ir
from google.protobuf.descriptor import FieldDescriptor  # type: ignore[import-untyped]

from ...errors import BadInput
from .names import called
from .signatures import violations

_SHOWN = 10
_LISTS = {"Range": 3, "BlackmanWindow": 1, "HammingWindow": 1, "HannWindow": 1}
"""Operators that make as many numbers as their inputs say, and how many inputs say it."""
_LONGEST = 1 << 24
_CRASHING = frozenset({
    ("", "RegexFullMatch"), ("ai.onnx.ml", "DictVectorizer"), ("ai.onnx.ml", "LabelEncoder"),
    ("ai.onnx.ml", "TreeEnsemble"),
})  # fmt: skip
"""Found by running every operator of onnx 1.23 on operands that an unknown operator makes; none can be lowered."""
_SMALL = 4096
"""Bytes up to which a constant may be a shape or axes that inference wants to read."""
_FAILURE = re.compile(r"\(op_type:(?P<op>[^,)]+)(?:, node name: (?P<node>[^)]*))?\): (?:\[\w+\] )?(?P<reason>.+)")
"""A node in the message of a failed inference."""
INFERENCE_ERRORS = (
    onnx.shape_inference.InferenceError,
    ArithmeticError,
    IndexError,
    MemoryError,
    RuntimeError,
    ValueError,
)
"""What ONNX's inference raises on graphs that break its rules: some of its functions trust their operands."""


def _check_names(proto: onnx.ModelProto, path: Path) -> None:
    """Every value that is used is an input, a constant, or computed: some of ONNX's inference crashes on others."""
    orphans = dict(_orphans(proto.graph, frozenset()))
    for function in proto.functions:
        orphans |= _orphans(function, frozenset())
    if orphans:
        raise BadInput(
            "the graph uses values that nothing computes",
            where=str(path),
            details=[f"{name!r}, used by {user}" for name, user in list(orphans.items())[:_SHOWN]],
            remedy="export the model again; the file may have been edited or cut out of a larger graph",
        )


def _orphans(body: onnx.GraphProto | onnx.FunctionProto, outer: frozenset[str]) -> Iterator[tuple[str, str]]:
    """Names that are used in a graph or a function and known neither there nor around it, each with who uses it."""
    made = {name for node in body.node for name in node.output}
    if isinstance(body, onnx.GraphProto):
        stored = (*body.initializer, *(tensor.values for tensor in body.sparse_initializer))
        known = outer.union(made, (value.name for value in body.input), (tensor.name for tensor in stored))
        results = [value.name for value in body.output]
    else:
        known, results = outer.union(made, body.input), list(body.output)
    for node in body.node:
        for name in node.input:
            if name and name not in known:
                yield name, f"{node.op_type} {called(node.name, node.output)!r}"
        for attribute in node.attribute:
            for graph in (*((attribute.g,) if attribute.HasField("g") else ()), *attribute.graphs):
                yield from _orphans(graph, known)
    yield from ((name, "an output of the graph") for name in results if name not in known)


def check_form(proto: onnx.ModelProto, path: Path) -> None:
    """Check that every name is a text, and that every node has operands and attributes as its operator has them.

    Args:
        proto: The model; large weights may be without data.
        path: Its file, for errors.

    Raises:
        BadInput: one isn't so.
    """
    _refuse(list(_broken_texts(proto)), path)
    _check_names(proto, path)
    _refuse(list(_broken_nodes(proto)), path)


def check_inference(proto: onnx.ModelProto, model: ir.Model, path: Path) -> None:
    """Check that the types and shapes of every node's operands go together; :func:`check_form` comes first.

    Args:
        proto: The model as its file has it.
        model: The same with its external data, which may hold a shape or axes.
        path: Its file, for errors.

    Raises:
        BadInput: they don't.
    """
    _refuse(_failed_inference(proto, model), path)


def leave_out_crashing(graph: onnx.GraphProto) -> None:
    """Put what ONNX's inference crashes on, or never comes to the end of, out of its sight.

    Operators that crash on an operand of unknown type get a domain that it doesn't know. A vector may be a shape, and
    inference keeps a number for each of its elements: one as long as none is becomes of unknown length.
    """
    for value in graph.input:
        dims = value.type.tensor_type.shape.dim
        if len(dims) == 1 and dims[0].dim_value > _LONGEST:
            dims[0].ClearField("dim_value")
    for node in graph.node:
        if (node.domain, node.op_type) in _CRASHING:
            node.domain = "not.inferred"
        for attribute in node.attribute:
            for below in (attribute.g, *attribute.graphs):
                leave_out_crashing(below)


def _refuse(broken: list[str], path: Path) -> None:
    if broken:
        raise BadInput(
            "the ONNX graph is not valid: no runtime can run it",
            where=str(path),
            details=[*broken[:_SHOWN], *(["…"] if len(broken) > _SHOWN else [])],
            remedy="export the model again; the file may have been edited",
        )


def _broken_texts(message: Any) -> Iterator[str]:
    """Names and other texts that aren't UTF-8, in a message or in those below it."""
    for field, value in message.ListFields():
        if field.type == FieldDescriptor.TYPE_STRING:
            for text in (value,) if isinstance(value, str | bytes) else value:
                if isinstance(text, bytes):
                    yield f"{message.DESCRIPTOR.name}.{field.name} is {text!r}, which is not UTF-8"
        elif field.type == FieldDescriptor.TYPE_MESSAGE:
            for below in (value,) if hasattr(value, "ListFields") else value:
                yield from _broken_texts(below)


def _broken_nodes(proto: onnx.ModelProto) -> Iterator[str]:
    for what, values in (("input", proto.graph.input), ("output", proto.graph.output)):
        counts = Counter(value.name for value in values)
        yield from (f"the graph has {n} {what}s {name!r}" for name, n in counts.items() if n > 1)
    yield from (f"input {v.name!r} has no type" for v in proto.graph.input if not v.type.WhichOneof("value"))
    small = {tensor.name: tensor for tensor in proto.graph.initializer if math.prod(tensor.dims) == 1}
    parameters = {(f.domain, f.name): _parameters(f.node) for f in proto.functions}
    for body, in_function in ((proto, False), *((function, True) for function in proto.functions)):
        versions = {entry.domain: entry.version for entry in body.opset_import}
        for node in _below(body.node if in_function else body.graph.node):
            form = violations(node, versions, in_function=in_function)
            for reason in (*form, *_misfits(node, parameters), *_endless(node, small)):
                yield f"{node.op_type or 'a node'} {called(node.name, node.output)!r}: {reason}"


def _below(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    """Nodes, and those of the graphs in their attributes."""
    for node in nodes:
        yield node
        for attribute in node.attribute:
            for graph in (*((attribute.g,) if attribute.HasField("g") else ()), *attribute.graphs):
                yield from _below(graph.node)


def _parameters(nodes: Iterable[onnx.NodeProto]) -> dict[str, int]:
    """The attributes of a function that its nodes refer to, with the types that they need."""
    return {a.ref_attr_name: a.type for node in _below(nodes) for a in node.attribute if a.ref_attr_name}


def _misfits(node: onnx.NodeProto, parameters: Mapping[tuple[str, str], Mapping[str, int]]) -> Iterator[str]:
    """Attributes of a call that are of another type than the function needs."""
    wanted = parameters.get((node.domain, node.op_type), {})
    for attribute in node.attribute:
        if attribute.type != wanted.get(attribute.name, attribute.type):
            yield f"attribute {attribute.name!r} is of another type than the function needs"


def _endless(node: onnx.NodeProto, constants: Mapping[str, onnx.TensorProto]) -> Iterator[str]:
    """A list of so many numbers that ONNX's inference, which makes some of them, would never come to its end."""
    if node.domain or node.op_type not in _LISTS:
        return
    stored = [constants.get(name) for name in node.input]
    numbers = [onnx.numpy_helper.to_array(t).item() for t in stored if t is not None and not t.external_data]
    if len(numbers) == len(node.input) == _LISTS[node.op_type]:
        start, limit, step = numbers if len(numbers) == 3 else (0, numbers[0], 1)
        if step and abs((limit - start) / step) > _LONGEST:
            yield f"it makes more than {_LONGEST} numbers"


def _failed_inference(proto: onnx.ModelProto, model: ir.Model) -> list[str]:
    """The node at which ONNX's inference of types and shapes fails first; empty if there is none.

    Shapes that the file states inside the graph and of its outputs are left out: exporters get them wrong, and
    runtimes go by what they infer. A node whose operand has no type yet is no failure: nodes may come in any order.
    """
    bare = onnx.ModelProto()
    bare.CopyFrom(proto)
    for stored in bare.graph.initializer:
        value = model.graph.initializers.get(stored.name)
        tensor = None if value is None else value.const_value
        if stored.data_location == onnx.TensorProto.EXTERNAL and tensor is not None and tensor.nbytes <= _SMALL:
            stored.CopyFrom(ir.serde.serialize_tensor(tensor))
    leave_out_crashing(bare.graph)
    del bare.graph.value_info[:]
    for output in bare.graph.output:
        if output.type.HasField("tensor_type"):
            output.type.tensor_type.ClearField("shape")
    try:
        onnx.shape_inference.infer_shapes(bare, check_type=True, strict_mode=True)
    except INFERENCE_ERRORS as error:
        text = str(error)
        if text.count("Inference error(s)") > 1:  # inside the function body that ONNX has for an operator
            return []
        found = [m for m in _FAILURE.finditer(text) if "instead is null" not in m["reason"]]
        if not isinstance(error, onnx.shape_inference.InferenceError):
            return [f"ONNX's inference of shapes stops: {text}"]
        return [f"{m['op']} {m['node'] or ''!r}: {m['reason']}" for m in found[:1]]
    return []
