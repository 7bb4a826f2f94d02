"""Reading a graph: constants, attributes and shapes of its values, without changing anything."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import onnx
import onnx.defs
import onnx_ir as ir

from ...artifact import Array


def opset(model: ir.Model) -> int:
    """The version of the default ONNX domain that a model imports."""
    return model.opset_imports.get("", model.opset_imports.get("ai.onnx", onnx.defs.onnx_opset_version()))


def is_constant(value: ir.Value | None) -> bool:
    """Whether a value is an initializer that no caller can override."""
    return value is not None and value.is_initializer() and not value.is_graph_input()


def constant(value: ir.Value | None) -> Array | None:
    """The array of a constant; None if the value isn't one.

    Reading a large tensor may copy it: look at :func:`is_constant` and the shape first.
    """
    if value is None or not is_constant(value) or value.const_value is None:
        return None
    return np.asarray(value.const_value.numpy())


def scalar(value: ir.Value | None) -> float | None:
    """The number in a constant of one element, of whatever rank; None if the value isn't one."""
    if value is None or not is_constant(value) or value.const_value is None or value.const_value.size != 1:
        return None
    if value.const_value.dtype == ir.DataType.STRING:
        return None
    return float(value.const_value.numpy().reshape(()))


def integers(value: ir.Value | None) -> tuple[int, ...] | None:
    """The numbers in an integer constant, flattened; None if the value isn't one."""
    array = constant(value)
    if array is None or array.dtype.kind not in "iu":
        return None
    return tuple(int(n) for n in array.reshape(-1))


def rank(value: ir.Value | None) -> int | None:
    return None if value is None or value.shape is None else len(value.shape)


def static_shape(value: ir.Value | None) -> tuple[int, ...] | None:
    """The shape of a value if every dimension is a number."""
    if value is None or value.shape is None:
        return None
    dims = tuple(d for d in value.shape if isinstance(d, int))
    return dims if len(dims) == len(value.shape) else None


def same_shape(a: ir.Value | None, b: ir.Value | None) -> bool:
    """Whether two values surely have one shape: equal numbers and equal *names* of dynamic dimensions."""
    if a is None or b is None or a.shape is None or b.shape is None or len(a.shape) != len(b.shape):
        return False
    return all(x == y and (isinstance(x, int) or x.value is not None) for x, y in zip(a.shape, b.shape, strict=True))


def sole_consumer(value: ir.Value) -> ir.Node | None:
    """The node that alone uses a value, maybe at several inputs; None if there are others, or it is an output."""
    consumers = value.consumers()
    return consumers[0] if len(consumers) == 1 and not value.is_graph_output() else None


def permutation(node: ir.Node) -> tuple[int, ...] | None:
    """The permutation of a Transpose: axis i of its output is axis permutation[i] of its input."""
    given, dims = node.attributes.get("perm"), rank(node.inputs[0])
    if given is not None:
        return tuple(given.as_ints())
    return None if dims is None else tuple(reversed(range(dims)))


def producer(value: ir.Value | None, *op_types: str) -> ir.Node | None:
    """The ONNX node of one of these types that makes a value."""
    node = None if value is None else value.producer()
    return node if node is not None and node.domain == "" and node.op_type in op_types else None


def source(value: ir.Value) -> ir.Value:
    """What a value is a copy of."""
    copy = producer(value, "Identity")
    return value if copy is None or copy.inputs[0] is None else source(copy.inputs[0])


def attribute(node: ir.Node, name: str, version: int) -> Any:
    """An attribute of a node, or the default its schema states at opset ``version``; None if it has none.

    The operators of our own domains have the schemas of ONNX's of their names.
    """
    found = node.attributes.get(name)
    return _default(node.op_type, name, version, node.domain) if found is None else found.value


def nodes_below(node: ir.Node) -> Iterator[ir.Node]:
    """The nodes in the subgraphs of a node."""
    for attr in node.attributes.values():
        if attr.type == ir.AttributeType.GRAPH:
            yield from attr.as_graph().all_nodes()
        elif attr.type == ir.AttributeType.GRAPHS:
            for graph in attr.as_graphs():
                yield from graph.all_nodes()


def schema(op_type: str, version: int, domain: str = "") -> onnx.defs.OpSchema | None:
    """The ONNX schema of an operator as of an opset; None if there is none."""
    return _schema(op_type, version, domain)


def is_random(op_type: str, version: int, domain: str = "") -> bool:
    """Whether two runs of an operator may give different results; operators ONNX doesn't know may not."""
    found: Any = _schema(op_type, version, domain)
    return found is not None and bool(found.non_deterministic)


@cache
def _schema(op_type: str, version: int, domain: str) -> onnx.defs.OpSchema | None:
    return onnx.defs.get_schema(op_type, version, domain) if onnx.defs.has(op_type, version, domain) else None


@cache
def _default(op_type: str, name: str, version: int, domain: str) -> Any:
    found = _schema(op_type, version, domain) or _schema(op_type, version, "")
    if found is None or name not in found.attributes:
        return None
    proto = found.attributes[name].default_value
    if not proto.name:
        return None
    return ir.serde.deserialize_attribute(proto).value
