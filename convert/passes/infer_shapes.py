"""Let ONNX infer the type and shape of every value, propagating the data of shape computations.

Before::

    x:float[N,3,8,8] ── Conv ── y ── Relu ── z

After::

    x:float[N,3,8,8] ── Conv ── y:float[N,16,8,8] ── Relu ── z:float[N,16,8,8]

Leaves alone: the nodes; values whose shape ONNX can't infer; a model on which inference fails (the refusal says why).

The model goes to ONNX as a skeleton: weights above a kilobyte go as a shape only, so size doesn't matter. Names that an
exporter gave to dynamic dimensions inside the graph are hints, which give way to a number or to the name of an input's
dimension; those that ONNX makes up (``unk__0``) hold for one run only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial

import onnx
import onnx.shape_inference
import onnx_ir as ir

from ...formats.onnx.rules import leave_out_crashing
from ..graph.rewriter import Refusal, Rewriter
from .contract import WHOLE_MODEL, Pass
from .properties import CONSTANTS_LIFTED, NO_LOCAL_FUNCTIONS, TYPED
from .settle_shapes import infer_settled

_SMALL = 1024
"""Bytes up to which a constant may be a shape, an axis or a pad that inference wants to read."""


def infer_shapes(rw: Rewriter) -> None:
    with _hollow_weights(rw.model):
        skeleton = ir.to_proto(rw.model)
    _forget_shapes(skeleton.graph)
    leave_out_crashing(skeleton.graph)
    _share_constants(skeleton.graph, {})
    infer = partial(onnx.shape_inference.infer_shapes, check_type=False, strict_mode=False, data_prop=True)
    try:
        inferred = infer_settled(skeleton, infer)
    except (onnx.shape_inference.InferenceError, IndexError, MemoryError, RuntimeError, ValueError) as error:
        rw.refusals.append(Refusal(WHOLE_MODEL, f"ONNX can't infer its shapes: {error}"))
        return
    rw.changed += _take_over(rw.model.graph, inferred.graph)


@contextmanager
def _hollow_weights(model: ir.Model) -> Iterator[None]:
    """Within, large initializers are stand-ins without data, and small ones are in memory wherever they are stored."""
    tensors = [(v, v.const_value) for g in model.graphs() for v in g.initializers.values() if v.const_value is not None]
    try:
        for value, tensor in tensors:
            if tensor.nbytes > _SMALL:
                value.const_value = ir.ExternalTensor(
                    "left-out", None, None, tensor.dtype, shape=ir.Shape(tensor.shape.numpy()), name=value.name or ""
                )
            elif isinstance(tensor, ir.ExternalTensor):
                value.const_value = ir.Tensor(tensor.numpy(), name=value.name)
        yield
    finally:
        for value, tensor in tensors:
            value.const_value = tensor


def _forget_shapes(graph: onnx.GraphProto) -> None:
    """Take the shapes off what ONNX's own operators make: ONNX would not infer a number in the place of a name, and
    what a file states of them may be wrong.
    """
    inferred = {name for node in graph.node if node.domain == "" for name in node.output}
    for info in (*graph.value_info, *graph.output):
        if info.name in inferred and info.type.HasField("tensor_type"):
            info.type.tensor_type.ClearField("shape")
        for dim in info.type.tensor_type.shape.dim:
            dim.ClearField("dim_param")
    for node in graph.node:
        for attr in node.attribute:
            for below in (attr.g, *attr.graphs):
                _forget_shapes(below)


def _share_constants(graph: onnx.GraphProto, around: Mapping[str, onnx.TensorProto]) -> None:
    """Give bodies the small constants from around them that they use: inference reads none but a graph's own."""
    used = {name for node in graph.node for name in node.input}
    mine = {tensor.name: tensor for tensor in graph.initializer}
    graph.initializer.extend(tensor for name, tensor in around.items() if name in used and name not in mine)
    small = {name: t for name, t in mine.items() if t.data_location != onnx.TensorProto.EXTERNAL}
    for attr in (a for node in graph.node for a in node.attribute):
        for below in (*([attr.g] if attr.HasField("g") else []), *attr.graphs):
            _share_constants(below, {**around, **small})


def _take_over(graph: ir.Graph, proto: onnx.GraphProto) -> int:
    """Give the values of a graph, and of the graphs below it, what inference found; returns how many changed."""
    found = {info.name: info.type for info in (*proto.value_info, *proto.output)}
    changed = 0
    for node, node_proto in zip(graph, proto.node, strict=True):
        for value in node.outputs:
            if value.name in found:
                changed += _update(value, found[value.name])
        loops = node.domain == "" and node.op_type in ("Loop", "Scan")
        subgraphs = {a.name: a for a in node_proto.attribute if a.type in (a.GRAPH, a.GRAPHS)}
        for name, attr_proto in subgraphs.items():
            attr = node.attributes[name]
            if loops:
                changed += _give(attr.as_graph(), attr_proto.g)
            if attr.type == ir.AttributeType.GRAPH:
                changed += _take_over(attr.as_graph(), attr_proto.g)
            else:
                pairs = zip(attr.as_graphs(), attr_proto.graphs, strict=True)
                changed += sum(_take_over(below, below_proto) for below, below_proto in pairs)
    return changed


def _give(body: ir.Graph, proto: onnx.GraphProto) -> int:
    """Let the inputs of a loop's body have the types that were settled, whatever the file said."""
    changed = 0
    for value, info in zip(body.inputs, proto.input, strict=True):
        kind = ir.serde.deserialize_type_proto_for_type(info.type)
        shape = ir.serde.deserialize_type_proto_for_shape(info.type)
        if value.type != kind or value.shape != shape:
            value.type, value.shape = kind, shape
            changed += 1
    return changed


def _update(value: ir.Value, proto: onnx.TypeProto) -> bool:
    kind = ir.serde.deserialize_type_proto_for_type(proto)
    shape = ir.serde.deserialize_type_proto_for_shape(proto)
    if shape is not None and value.shape is not None and len(shape) == len(value.shape):
        shape = ir.Shape([_better(new, old) for new, old in zip(shape, value.shape, strict=True)])
    changed = False
    if kind is not None and value.type != kind:
        value.type, changed = kind, True
    if shape is not None and value.shape != shape:
        value.shape, changed = shape, True
    return changed


def _better(new: int | ir.SymbolicDim, old: int | ir.SymbolicDim) -> int | ir.SymbolicDim:
    """What is known of a dimension, given what was inferred and what was known: a number before a name."""
    if isinstance(new, int) or isinstance(old, int):
        return new if isinstance(new, int) else old
    return old if _is_made_up(new.value) and not _is_made_up(old.value) else new


def _is_made_up(name: str | None) -> bool:
    return name is None or name.startswith("unk__")


PASS = Pass(
    name="infer_shapes",
    run=infer_shapes,
    requires=frozenset({NO_LOCAL_FUNCTIONS, CONSTANTS_LIFTED}),
    ensures=frozenset({TYPED}),
    must_follow=("lift_constants",),
)
