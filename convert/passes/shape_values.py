"""What is known of the numbers that flow through shape computations, such as Shape → Gather → Concat → Reshape.

A shape value is a numpy array (0-D or 1-D, of objects) whose elements are numbers, a :class:`NamedDim` (an extent known
by name only), or :data:`UNKNOWN`. :class:`ShapeValues` follows them through the operators exporters build shapes with.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from ...artifact import Array
from ..graph.reading import attribute, constant, integers, rank, static_shape

_LIMIT = 1024
"""Elements above which a tensor is data, not a shape."""

_TYPES = (ir.DataType.INT64, ir.DataType.INT32, ir.DataType.BOOL)


@dataclass(frozen=True)
class NamedDim:
    """An extent that is known by its name only; never negative."""

    name: str


@dataclass(frozen=True)
class _Unknown:
    pass


UNKNOWN = _Unknown()


def is_number(element: object) -> bool:
    return isinstance(element, int | bool)


def shape_value(value: ir.Value | None) -> Array | None:
    """The shape of a value as a shape value; None if its rank is unknown."""
    if value is None or value.shape is None:
        return None
    named = (d if isinstance(d, int) else UNKNOWN if d.value is None else NamedDim(d.value) for d in value.shape)
    return _objects(list(named))


class ShapeValues:
    """The shape values of a model; ask for a node's output with :meth:`evaluate`, in the order of the graph."""

    def __init__(self, version: int) -> None:
        self._version = version
        self._known: dict[ir.Value, Array] = {}

    def get(self, value: ir.Value | None) -> Array | None:
        """The shape value of an input of a node, if it has one."""
        if value is None:
            return None
        if value in self._known:
            return self._known[value]
        shape = static_shape(value)
        if value.dtype not in _TYPES or shape is None or len(shape) > 1 or sum(shape) > _LIMIT:
            return None
        array = constant(value)
        return None if array is None else _objects(array.tolist())

    def evaluate(self, node: ir.Node) -> Array | None:
        """The shape value a node makes, or None; remembered for the nodes that use it."""
        rule = _RULES.get(node.op_type) if node.domain == "" else None
        result = None if rule is None else rule(self, node)
        if result is not None:
            self._known[node.outputs[0]] = result
        return result

    def _operands(self, node: ir.Node) -> list[Array] | None:
        """The shape values of all inputs of a node, or None if one of them has none."""
        found = [self.get(v) for v in node.inputs]
        operands = [v for v in found if v is not None]
        return operands if len(operands) == len(found) else None

    def _attribute(self, node: ir.Node, name: str) -> Any:
        return attribute(node, name, self._version)

    def _shape(self, node: ir.Node) -> Array | None:
        dims = shape_value(node.inputs[0])
        if dims is None:
            return None
        start, end = self._attribute(node, "start"), self._attribute(node, "end")
        return dims[slice(start, end)]

    def _size(self, node: ir.Node) -> Array | None:
        dims = shape_value(node.inputs[0])
        return None if dims is None else _product(dims)

    def _same(self, node: ir.Node) -> Array | None:
        return self.get(node.inputs[0])

    def _cast(self, node: ir.Node) -> Array | None:
        source = self.get(node.inputs[0])
        integral = node.attributes["to"].as_int() in (ir.DataType.INT64, ir.DataType.INT32)
        return source if integral and node.inputs[0] is not None and node.inputs[0].dtype in _TYPES[:2] else None

    def _gather(self, node: ir.Node) -> Array | None:
        data, indices = self.get(node.inputs[0]), integers(node.inputs[1])
        if data is None or data.ndim != 1 or indices is None or rank(node.inputs[1]) not in (0, 1):
            return None
        if any(not -data.size <= i < data.size for i in indices):
            return None
        picked = [data[i] for i in indices]
        return _objects(picked if rank(node.inputs[1]) == 1 else picked[0])

    def _slice(self, node: ir.Node) -> Array | None:
        data = self.get(node.inputs[0])
        bounds = slice_bounds(node, self._version)
        if data is None or data.ndim != 1 or bounds is None:
            return None
        starts, ends, axes, steps = bounds
        if len(starts) != 1 or axes not in ((0,), (-1,)) or not is_number(ends[0]):
            return None
        # A negative step that stops before the first element has no Python spelling but None.
        end = None if steps[0] < 0 and ends[0] < -data.size else ends[0]
        return data[slice(starts[0], end, steps[0])]

    def _concat(self, node: ir.Node) -> Array | None:
        parts = self._operands(node)
        return np.concatenate(parts) if parts is not None and all(p.ndim == 1 for p in parts) else None

    def _reshape(self, node: ir.Node) -> Array | None:
        source, dims = self.get(node.inputs[0]), rank(node.outputs[0])
        if source is None or dims is None or dims > 1 or (dims == 0 and source.size != 1):
            return None
        return source.reshape(() if dims == 0 else (-1,))

    def _where(self, node: ir.Node) -> Array | None:
        operands = self._operands(node)
        return (
            None
            if operands is None
            else _broadcast(lambda c, x, y: UNKNOWN if c is UNKNOWN else x if c else y, operands)
        )

    def _constant_of_shape(self, node: ir.Node) -> Array | None:
        dims, fill = self.get(node.inputs[0]), node.attributes.get("value")
        if dims is None or dims.size > 1 or not all(is_number(d) for d in dims) or fill is None:
            return None
        array = fill.as_tensor().numpy().reshape(-1)
        if array.dtype.kind not in "ib" or any(d > _LIMIT for d in dims):
            return None
        return _objects(array.tolist() * dims[0] if dims.size else array.tolist()[0])

    def _reduce_prod(self, node: ir.Node) -> Array | None:
        source, dims = self.get(node.inputs[0]), rank(node.outputs[0])
        return None if source is None or dims is None else _product(source).reshape((1,) * dims)

    def _elementwise(self, node: ir.Node) -> Array | None:
        operands = self._operands(node)
        return None if operands is None or len(operands) != 2 else _broadcast(_BINARY[node.op_type], operands)


def slice_bounds(
    node: ir.Node, version: int
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], tuple[int, ...]] | None:
    """Starts, ends, axes and steps of a Slice node of any opset, if all are constants."""
    if "starts" in node.attributes:
        starts, ends = node.attributes["starts"].as_ints(), node.attributes["ends"].as_ints()
        axes = attribute(node, "axes", version) or range(len(starts))
        return tuple(starts), tuple(ends), tuple(axes), (1,) * len(starts)
    given = [*node.inputs, None, None][1:5]
    first, last = integers(given[0]), integers(given[1])
    if first is None or last is None:
        return None
    axes = tuple(range(len(first))) if given[2] is None else integers(given[2])
    steps = (1,) * len(first) if given[3] is None else integers(given[3])
    return None if axes is None or steps is None else (first, last, axes, steps)


def _objects(elements: Any) -> Array:
    """An array of objects from one element or a list of them."""
    array = np.empty(len(elements) if isinstance(elements, list) else (), dtype=object)
    array[...] = elements
    return array


def _product(dims: Array) -> Array:
    total: Any = 1
    for dim in dims.reshape(-1):
        total = _BINARY["Mul"](total, dim)
    return _objects(total)


def _broadcast(function: Callable[..., Any], operands: list[Array]) -> Array:
    arrays = np.broadcast_arrays(*operands)
    results = [function(*elements) for elements in zip(*(a.reshape(-1) for a in arrays), strict=True)]
    return _objects(results).reshape(arrays[0].shape)


def _arithmetic(function: Callable[[int, int], int], neutral: int | None, *, either: bool) -> Callable[[Any, Any], Any]:
    """A binary operator on elements: numbers are computed, a neutral element passes the other one through."""

    def apply(x: Any, y: Any) -> Any:
        if is_number(x) and is_number(y):
            return function(x, y)
        if is_number(y) and y == neutral:
            return x
        if either and is_number(x) and x == neutral:
            return y
        return UNKNOWN

    return apply


def _quotient(x: int, y: int) -> Any:
    """Integer division as ONNX does it, towards zero."""
    return UNKNOWN if y == 0 else abs(x) // abs(y) * (1 if (x < 0) == (y < 0) else -1)


def _equal(x: Any, y: Any) -> Any:
    if is_number(x) and is_number(y):
        return x == y
    for dim, number in ((x, y), (y, x)):
        if isinstance(dim, NamedDim) and is_number(number) and number < 0:
            return False
    return True if isinstance(x, NamedDim) and x == y else UNKNOWN


_BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "Add": _arithmetic(operator.add, 0, either=True),
    "Sub": _arithmetic(operator.sub, 0, either=False),
    "Mul": _arithmetic(operator.mul, 1, either=True),
    "Div": _arithmetic(_quotient, 1, either=False),
    "Max": _arithmetic(max, None, either=False),
    "Min": _arithmetic(min, None, either=False),
    "Equal": _equal,
}

_RULES: dict[str, Callable[[ShapeValues, ir.Node], Array | None]] = {
    "Shape": ShapeValues._shape,
    "Size": ShapeValues._size,
    "Identity": ShapeValues._same,
    "Cast": ShapeValues._cast,
    "Gather": ShapeValues._gather,
    "Slice": ShapeValues._slice,
    "Concat": ShapeValues._concat,
    "Squeeze": ShapeValues._reshape,
    "Unsqueeze": ShapeValues._reshape,
    "Reshape": ShapeValues._reshape,
    "Where": ShapeValues._where,
    "ConstantOfShape": ShapeValues._constant_of_shape,
    "ReduceProd": ShapeValues._reduce_prod,
    **dict.fromkeys(_BINARY, ShapeValues._elementwise),
}
