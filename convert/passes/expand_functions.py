"""Put ONNX's own definition in the place of operators that the lowering doesn't take as they are.

Before::

    x ── Shrink(bias, lambd) ── y                        is_lowered("", "Shrink", 13) is False

After::

    x ── Less / Sub / Add / Where / … ── y               the operator's official function body

FlexAttention's body takes in the graphs that modify its scores and probabilities; what these use from around them are
inputs of the body.

Leaves alone: operators without a body; bodies written for a later opset than the model's that use an operator which
differs there; bodies that end in operators which can't be lowered either (better to name the one in the user's model).

Source: the function bodies in the ONNX operator schemas (plain and context-dependent).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import onnx
import onnx_ir as ir
from onnx_ir.passes.common import InlinePass

from ..graph.reading import nodes_below, schema
from ..graph.rewriter import Rewriter
from .contract import Pass
from .infer_shapes import infer_shapes
from .properties import CONSTANTS_LIFTED, NO_LOCAL_FUNCTIONS, TYPED

_FOLDED = frozenset({"Constant", "Identity"})
"""Operators that need no lowering: other passes remove them."""

_DOMAINS = frozenset({"", "ai.onnx.preview"})
"""ONNX's own domains that have operators with a body."""


def expand_functions(rw: Rewriter) -> None:
    while _expand_once(rw):
        # Bodies use operators with bodies, and some of these depend on types.
        expanded = rw.changed
        infer_shapes(rw)
        rw.changed = expanded


def _expand_once(rw: Rewriter) -> bool:
    """Expand the nodes there are; whether there were any."""
    before = rw.changed
    rw.refusals.clear()
    bodies: dict[ir.OperatorIdentifier, ir.Function] = {}
    for node in rw.nodes():
        if node.domain not in _DOMAINS or node.op_type in _FOLDED or rw.is_lowered(node.op_type, node.domain):
            continue
        if node.op_type == "CastLike":
            _cast_like(rw, node)
            continue
        body = _body_of(rw, node)
        if isinstance(body, str):
            rw.refuse(node, body)
            continue
        # A body may depend on the node's attributes and types, so every node calls one of its own.
        node.overload = body.overload = f"expanded_{len(bodies)}"
        _prepare(rw, node, body)
        bodies[body.identifier()] = body
    if bodies:
        rw.model.functions.update(bodies)
        InlinePass(criteria=lambda function: function.identifier() in bodies)(rw.model)
        rw.changed += len(bodies)
        rw.remove_dead(rw.nodes())  # what made outputs that this model doesn't use
    return rw.changed > before


def _cast_like(rw: Rewriter, node: ir.Node) -> None:
    like = node.inputs[1]
    if like is None or like.dtype is None:
        rw.refuse(node, "the type to cast to is not known")
        return
    rw.fuse(node, "Cast", node.inputs[:1], {"to": int(like.dtype)}, main=node)


def _body_of(rw: Rewriter, node: ir.Node) -> ir.Function | str:
    """The function body of a node as the model's opset can run it, or why there is none."""
    version = rw.model.opset_imports.get(node.domain, rw.opset)
    found = schema(node.op_type, version, node.domain)
    if found is None:
        return f"opset {version} has no such operator"
    if any(v is not None and v.type is None for v in node.inputs):
        return "the types of its inputs are not known"
    try:
        proto = _function(found, node, version)
    except (RuntimeError, ValueError) as error:
        return f"ONNX can't make its function body: {error}"
    if proto is None:
        return "ONNX defines no function body for it"
    version = next((o.version for o in proto.opset_import if o.domain == ""), rw.opset)
    used = sorted({n.op_type for n in _nodes(proto.node)})
    late = [op for op in used if version > rw.opset and not _same(op, version, rw.opset)]
    if late:
        return f"its function body is written for opset {version}, where {', '.join(late)} differ from opset {rw.opset}"
    stuck = [op for op in used if not _may_be_lowered(rw, op)]
    if stuck:
        return f"its function body uses {', '.join(stuck)}, which can't be lowered"
    wanted = max(i + 1 for i, v in enumerate(node.outputs) if v.name)
    node.resize_outputs(wanted)
    del proto.output[wanted:]
    made = {name for n in proto.node for name in n.output}
    for value, name in zip(node.outputs, proto.output, strict=True):
        if name not in made and (value.uses() or value.is_graph_output()):
            return "its function body doesn't make all of its outputs"
        if name not in made:  # and nobody wants it
            proto.node.add(op_type="Identity", input=proto.input[:1], output=[name])
    captured = _captured(node)
    if {str(value.name) for value in captured} & {*made, *proto.input}:
        return "a value that its graphs use has the name of one in its function body"
    node.resize_inputs(len(proto.input) + len(captured))
    for index, value in enumerate(captured, len(proto.input)):
        node.replace_input_with(index, value)
    proto.input.extend(str(value.name) for value in captured)
    function = ir.serde.deserialize_function(proto)
    function.opset_imports[""] = rw.opset
    return function


def _captured(node: ir.Node) -> list[ir.Value]:
    """What the subgraphs of a node use from around them."""
    below = list(nodes_below(node))
    own = {id(value) for inner in below for value in inner.outputs}
    graphs = {id(inner.graph): inner.graph for inner in below}
    own |= {id(v) for g in graphs.values() if g is not None for v in (*g.inputs, *g.initializers.values())}
    used = {v: None for inner in below for v in inner.inputs if v is not None and id(v) not in own}
    return list(used)


def _function(found: Any, node: ir.Node, version: int) -> onnx.FunctionProto | None:
    """The newest function body of a schema up to opset ``version``, else the oldest after it."""
    if found.has_function:
        body = found.get_function_with_opset_version(_nearest(found.function_opset_versions, version))
    elif found.has_context_dependent_function:
        types = [_type_proto(v).SerializeToString() for v in node.inputs]
        chosen = _nearest(found.context_dependent_function_opset_versions, version)
        proto = ir.to_proto(node).SerializeToString()
        body = found.get_context_dependent_function_with_opset_version(chosen, proto, types)
    else:
        return None
    function = onnx.FunctionProto()
    function.ParseFromString(body)
    return function if function.node else None


def _nearest(versions: Sequence[int], version: int) -> int:
    return max((v for v in versions if v <= version), default=min(versions))


def _type_proto(value: ir.Value | None) -> onnx.TypeProto:
    proto = onnx.TypeProto()
    if value is not None and value.type is not None:
        ir.serde.serialize_type_into(proto, value.type)
        if value.shape is not None:
            ir.serde.serialize_shape_into(proto, value.shape)
    return proto


def _nodes(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    for node in nodes:
        yield node
        for attr in node.attribute:
            yield from _nodes(attr.g.node)


def _same(op_type: str, one: int, other: int) -> bool:
    mine, models = schema(op_type, one), schema(op_type, other)
    return mine is not None and models is not None and mine.since_version == models.since_version


def _may_be_lowered(rw: Rewriter, op_type: str) -> bool:
    found: Any = schema(op_type, rw.opset)
    has_body = found is not None and (found.has_function or found.has_context_dependent_function)
    return op_type in _FOLDED or rw.is_lowered(op_type) or has_body


def _prepare(rw: Rewriter, node: ir.Node, body: ir.Function) -> None:
    """Give the call the attributes it leaves to their defaults, and everything a name of its own."""
    found = schema(node.op_type, rw.model.opset_imports.get(node.domain, rw.opset), node.domain)
    for name, formal in ({} if found is None else found.attributes).items():
        if name not in node.attributes and formal.default_value.name:
            node.attributes[name] = ir.serde.deserialize_attribute(formal.default_value)
    for inner in nodes_below(node):  # the body has these nodes already
        for index in range(len(inner.inputs)):
            inner.replace_input_with(index, None)
    for name in [name for name, attr in node.attributes.items() if attr.type == ir.AttributeType.GRAPH]:
        del node.attributes[name]
        body.attributes.pop(name, None)
    for value in node.outputs:
        value.name = value.name or rw.unique(f"{node.name}/unused")
    for inner in body.all_nodes():
        inner.name = rw.unique(f"{node.name}/{inner.op_type}")
        for value in inner.outputs:
            if value.name:
                value.name = rw.unique(f"{node.name}/{value.name}")


PASS = Pass(
    name="expand_functions",
    run=expand_functions,
    requires=frozenset({NO_LOCAL_FUNCTIONS, TYPED}),
    breaks=frozenset({CONSTANTS_LIFTED}),
    must_follow=("inline_functions", "infer_shapes"),
)
