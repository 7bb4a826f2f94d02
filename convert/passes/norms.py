"""What ``fuse_layer_norm`` and ``fuse_rms_norm`` share: the parts of a normalization over the last axes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from ...vocabulary import FUSED_DOMAIN
from ..graph.reading import constant, integers, is_constant, producer, rank, scalar, sole_consumer, static_shape
from ..graph.rewriter import Rewriter


@dataclass(frozen=True)
class Quotient:
    """``numerator / √(mean(base²) + epsilon)``, made by ``node``; the mean over ``axes``, its dimensions kept.

    ``axes`` are counted from the end and go up to the last one: (-1,), (-2, -1), …
    """

    node: ir.Node
    numerator: ir.Value
    base: ir.Value
    axes: tuple[int, ...]
    epsilon: float


def quotient(rw: Rewriter, node: ir.Node) -> Quotient | None:
    """Read a Div or Mul as a quotient by the root of a mean square."""
    for numerator, radicand in _by_root(node):
        added = producer(radicand, "Add")
        if added is None:
            continue
        for mean, other in (added.inputs, added.inputs[::-1]):
            square, axes = mean_over_last(rw, mean)
            base, epsilon = _squared(square), scalar(other)
            # Past 1 the private operators' epsilon would be cut off, see private_ops.
            if numerator is not None and base is not None and epsilon is not None and 0 <= epsilon <= 1:
                return Quotient(node, numerator, base, axes, epsilon)
    return None


def mean_over_last(rw: Rewriter, value: ir.Value | None) -> tuple[ir.Value | None, tuple[int, ...]]:
    """What a value is the mean of, and over which last axes, kept in the result; (None, ()) if it is no such mean."""
    node = producer(value, "ReduceMean")
    dims = None if node is None else rank(node.inputs[0])
    if node is None or dims is None or not rw.attribute(node, "keepdims"):
        return None, ()
    given = integers(node.inputs[1]) if len(node.inputs) > 1 else rw.attribute(node, "axes")
    axes = tuple(sorted(a - dims if a >= 0 else a for a in given or ()))
    return (node.inputs[0], axes) if axes and axes == tuple(range(-len(axes), 0)) else (None, ())


def fuse_norm(rw: Rewriter, found: Quotient, variable: ir.Value, op_type: str, *, since: int, bias: bool) -> None:
    """Put a normalization operator in the place of a quotient and of the scale (and bias) after it."""
    domain, shape = rw.fused_domain(op_type, since), _last_dims(variable, len(found.axes))
    if domain is None:
        rw.refuse(found.node, f"it is a {op_type}, which can't be lowered as one operator")
    elif variable.dtype != ir.DataType.FLOAT:
        rw.refuse(found.node, f"it is a {op_type}, but not in float32")
    elif domain == FUSED_DOMAIN and found.axes != (-1,):
        rw.refuse(found.node, f"it is a {op_type} over several axes, and opset {rw.opset} has no such operator")
    elif shape is None:
        rw.refuse(found.node, f"it is a {op_type} over an axis of unknown size")
    else:
        root, scale = _constant_operand(rw, found.node, "Mul", shape)
        inputs = [variable, scale or rw.constant(found.node, f"{found.node.name}/scale", np.ones(shape, np.float32))]
        if bias:
            root, shift = _constant_operand(rw, root, "Add", shape)
            inputs.append(shift or rw.constant(found.node, f"{found.node.name}/bias", np.zeros(shape, np.float32)))
        attributes = {"axis": -len(found.axes), "epsilon": found.epsilon}
        rw.fuse(root, op_type, inputs, attributes, domain=domain, main=found.node)


def _by_root(node: ir.Node) -> Iterator[tuple[ir.Value | None, ir.Value]]:
    """The readings of a node as ``numerator / √radicand``."""
    if node.op_type == "Div":
        radicand = _power(node.inputs[1], 0.5)
        if radicand is not None:
            yield node.inputs[0], radicand
    else:
        for numerator, factor in (node.inputs, node.inputs[::-1]):
            radicand = _inverse_root(factor)
            if radicand is not None:
                yield numerator, radicand


def _inverse_root(value: ir.Value | None) -> ir.Value | None:
    """v if a value is 1/√v."""
    inverse = producer(value, "Reciprocal", "Div")
    if inverse is not None and (inverse.op_type == "Reciprocal" or scalar(inverse.inputs[0]) == 1):
        return _power(inverse.inputs[-1], 0.5)
    return _power(value, -0.5)


def _power(value: ir.Value | None, exponent: float) -> ir.Value | None:
    """v if a value is v to the power of ``exponent``."""
    node = producer(value, "Pow", "Sqrt")
    if node is None:
        return None
    found = 0.5 if node.op_type == "Sqrt" else scalar(node.inputs[1])
    return node.inputs[0] if found == exponent else None


def _squared(value: ir.Value | None) -> ir.Value | None:
    """v if a value is v²."""
    product = producer(value, "Mul")
    if product is not None:
        return product.inputs[0] if product.inputs[0] is product.inputs[1] else None
    return _power(value, 2.0)


def _last_dims(value: ir.Value, count: int) -> tuple[int, ...] | None:
    """The last dimensions of a value if they are numbers."""
    dims = () if value.shape is None else value.shape[-count:]
    numbers = tuple(d for d in dims if isinstance(d, int))
    return numbers if len(numbers) == count else None


def _constant_operand(
    rw: Rewriter, node: ir.Node, op_type: str, shape: tuple[int, ...]
) -> tuple[ir.Node, ir.Value | None]:
    """The product or sum of a node's result with a constant of ``shape``, and the constant; else the node, and None."""
    consumer = sole_consumer(node.outputs[0])
    if consumer is None or consumer.op_type != op_type or consumer.domain != "" or consumer.graph is not node.graph:
        return node, None
    other = consumer.inputs[1] if consumer.inputs[0] is node.outputs[0] else consumer.inputs[0]
    dims, own = static_shape(other), rank(node.outputs[0])
    if other is None or not is_constant(other) or dims is None or own is None or len(dims) > own:
        return node, None
    if dims == shape:
        return consumer, other
    if dims[-len(shape) :] == shape and all(d == 1 for d in dims[: -len(shape)]):
        return consumer, rw.constant(node, f"{other.name}/flat", np.asarray(constant(other)).reshape(shape))
    return node, None
