"""Expressions of one variable: find them in a graph, and recognise a function by its values.

An expression is a tree of elementwise operators whose leaves are one value ``x``, at as many places as it likes, and
scalar constants. Two expressions that agree on a grid of numbers to the precision of the constants' type are the same
function, in whatever order an exporter wrote it: that is how ``fuse_gelu`` and ``fuse_hard_swish`` match.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from ...artifact import Array
from ..graph.reading import attribute, is_constant, rank, scalar

Function = Callable[[Array], Array]

_DEPTH = 8
"""Operators between the anchor and the end of an expression, or its variable, at most."""

_SIZE = 32
"""Operators in an expression, at most."""

_EPSILON = {ir.DataType.FLOAT: 2.0**-23, ir.DataType.FLOAT16: 2.0**-10, ir.DataType.DOUBLE: 2.0**-52}
"""The precision of a constant of each type; exporters give those of float64 models in float32 as well."""

_ROUNDINGS = 8
"""Roundings of its constants by which an expression may differ from the function it stands for."""

_GRID: Array = np.concatenate([np.linspace(-12.0, 12.0, 241), [-1e3, -50.0, 50.0, 1e3]])
"""Where functions are compared: finely where they bend, and far out."""


@dataclass(frozen=True)
class Match:
    """An expression that is a known function: its name, its last node, and its variable."""

    name: str
    root: ir.Node
    variable: ir.Value


def recognise(anchor: ir.Node, functions: Mapping[str, Function], version: int) -> Match | None:
    """The largest expression around ``anchor`` that is one of ``functions``, or None."""
    if anchor.outputs[0].dtype not in _EPSILON:
        return None
    wanted = {name: function(_GRID) for name, function in functions.items()}
    variables = list(_variables(anchor))
    for root in reversed(list(_roots(anchor))):
        for variable in variables:
            values = _Evaluation(variable, version).of(root.outputs[0])
            if values is None:
                continue
            name = _nearest(values, wanted, _ROUNDINGS * max(_EPSILON[anchor.outputs[0].dtype], 2.0**-23))
            if name is not None:
                return Match(name, root, variable)
    return None


def _roots(anchor: ir.Node) -> Iterator[ir.Node]:
    """Where the expression may end: the anchor, and along its users as long as there is one."""
    node = anchor
    for _ in range(_DEPTH):
        yield node
        consumers = node.outputs[0].consumers()
        if len(consumers) != 1 or node.outputs[0].is_graph_output() or not _is_elementwise(consumers[0]):
            return
        node = consumers[0]


def _variables(anchor: ir.Node) -> Iterator[ir.Value]:
    """What the expression may be a function of, the values nearest to the anchor first."""
    seen: set[ir.Value] = set()
    level = [v for v in anchor.inputs if v is not None]
    for _ in range(_DEPTH):
        level = [v for v in dict.fromkeys(level) if v not in seen and not is_constant(v)]
        seen.update(level)
        yield from level
        makers = [m for v in level if (m := v.producer()) is not None and _is_elementwise(m)]
        level = [v for m in makers for v in m.inputs if v is not None]


def _is_elementwise(node: ir.Node) -> bool:
    return node.domain == "" and node.op_type in _OPERATORS


def _nearest(values: Array, wanted: Mapping[str, Array], tolerance: float) -> str | None:
    """The name of the function that a row of values is, to within a tolerance relative to 1 + |f|."""
    errors = {name: float(np.max(np.abs(values - f) / (1 + np.abs(f)))) for name, f in wanted.items()}
    best = min(errors, key=lambda name: errors[name] if not math.isnan(errors[name]) else math.inf)
    return best if errors[best] <= tolerance else None


class _Evaluation:
    """The values of expressions of one variable on the grid, in float64."""

    def __init__(self, variable: ir.Value, version: int) -> None:
        self._variable = variable
        self._version = version
        self._known: dict[ir.Value, Array | None] = {variable: _GRID}
        self._nodes = 0

    def of(self, value: ir.Value | None) -> Array | None:
        """The values, or None if the expression has another leaf than the variable and scalars, or is too large."""
        if value is None:
            return None
        if value not in self._known:
            self._known[value] = self._constant(value) if is_constant(value) else self._made(value.producer())
        return self._known[value]

    def _constant(self, value: ir.Value) -> Array | None:
        number, own, others = scalar(value), rank(value), rank(self._variable)
        keeps_shape = own == 0 or (own is not None and others is not None and own <= others)
        return None if number is None or not keeps_shape else np.asarray(number)

    def _made(self, node: ir.Node | None) -> Array | None:
        self._nodes += 1
        if node is None or self._nodes > _SIZE or not _is_elementwise(node):
            return None
        operands = [self.of(v) for v in node.inputs if v is not None]
        arrays = [a for a in operands if a is not None]
        if len(arrays) < len(operands):
            return None
        with np.errstate(all="ignore"):
            result: Array = _OPERATORS[node.op_type](node, self._version, *arrays)
        return result


def _plain(function: Callable[..., Array]) -> Callable[..., Array]:
    """An operator without attributes."""
    return lambda node, version, *operands: function(*operands)


def _clip(node: ir.Node, version: int, x: Array, *bounds: Array) -> Array:
    if "min" in node.attributes or "max" in node.attributes or version < 11:
        low, high = attribute(node, "min", version), attribute(node, "max", version)
    else:
        given = iter(bounds)
        low, high = (next(given) if i < len(node.inputs) and node.inputs[i] is not None else None for i in (1, 2))
    return np.asarray(np.clip(x, -np.inf if low is None else low, np.inf if high is None else high))


def _hard_sigmoid(node: ir.Node, version: int, x: Array) -> Array:
    return np.asarray(np.clip(attribute(node, "alpha", version) * x + attribute(node, "beta", version), 0, 1))


def erf(x: Array) -> Array:
    return np.array([math.erf(v) for v in np.atleast_1d(x)]).reshape(np.shape(x))


def sigmoid(x: Array) -> Array:
    return np.asarray(0.5 * (1 + np.tanh(0.5 * x)))


_OPERATORS: dict[str, Callable[..., Array]] = {
    "Add": _plain(np.add),
    "Sub": _plain(np.subtract),
    "Mul": _plain(np.multiply),
    "Div": _plain(np.divide),
    "Pow": _plain(np.power),
    "Neg": _plain(np.negative),
    "Reciprocal": _plain(np.reciprocal),
    "Sqrt": _plain(np.sqrt),
    "Exp": _plain(np.exp),
    "Erf": _plain(erf),
    "Tanh": _plain(np.tanh),
    "Sigmoid": _plain(sigmoid),
    "Relu": _plain(lambda x: np.maximum(x, 0)),
    "Min": _plain(lambda *xs: np.minimum.reduce(np.broadcast_arrays(*xs))),
    "Max": _plain(lambda *xs: np.maximum.reduce(np.broadcast_arrays(*xs))),
    "Clip": _clip,
    "HardSigmoid": _hard_sigmoid,
}
