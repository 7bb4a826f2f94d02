"""What is known of the numbers that a value can hold, from the operators that make it."""

from __future__ import annotations

from collections.abc import Iterable

import onnx_ir as ir

from ...vocabulary import FUSED_DOMAIN, NHWC_DOMAIN
from .reading import constant, is_constant, scalar

_MOST_NODES = 128
"""Values that one question looks at before it gives up: graphs that add and concatenate branch at every step."""

_UNSIGNED = frozenset({
    ir.DataType.BOOL, ir.DataType.UINT8, ir.DataType.UINT16, ir.DataType.UINT32, ir.DataType.UINT64,
})  # fmt: skip

_ALWAYS = frozenset({
    "Abs", "Acos", "Acosh", "Cosh", "Exp", "GlobalLpPool", "HardSigmoid", "Hardmax", "LpPool", "ReduceL1", "ReduceL2",
    "ReduceSumSquare", "Relu", "Sigmoid", "Softmax", "Softplus", "Sqrt",
})  # fmt: skip
"""Operators whose results are never negative."""

_IF_FIRST = frozenset({
    "AveragePool", "Cast", "Ceil", "CumSum", "DepthToSpace", "Dropout", "Elu", "Erf", "Expand", "Flatten", "Floor",
    "Gather", "GatherElements", "GatherND", "Gelu", "GlobalAveragePool", "GlobalMaxPool", "HardSwish", "Identity",
    "LeakyRelu", "MaxPool", "Mish", "PRelu", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum", "Reshape", "Round",
    "Slice", "Softsign", "SpaceToDepth", "Split", "Squeeze", "Swish", "Tanh", "Tile", "TopK", "Transpose", "Unsqueeze",
})  # fmt: skip
"""Operators of which no result is negative if nothing in input 0 is. (ReduceMax isn't: of no elements it is -inf.)"""

_IF_ALL = frozenset({"Add", "Concat", "Mean", "Min", "Mul", "Sum"})
"""Operators of which no result is negative if nothing in any input is."""


def is_not_negative(value: ir.Value | None) -> bool:
    """Whether a float or unsigned value surely holds no number below 0; NaN and -0 it may hold.

    Follows operators of ONNX, of the fusions and of the channels-last domain up to those that are never negative.
    Signed integers are left alone, since their sums and products overflow.
    """
    return _Question().holds(value)


class _Question:
    """One walk up the graph; every value is looked at once."""

    def __init__(self) -> None:
        self._known: dict[ir.Value, bool] = {}

    def holds(self, value: ir.Value | None) -> bool:
        if value is None or value.dtype is None or not value.dtype.is_floating_point():
            return value is not None and value.dtype in _UNSIGNED
        if value not in self._known:
            if len(self._known) >= _MOST_NODES:
                return False
            self._known[value] = False
            self._known[value] = self._constant(value) if is_constant(value) else self._made(value)
        return self._known[value]

    @staticmethod
    def _constant(value: ir.Value) -> bool:
        array = constant(value)
        return array is not None and not bool((array < 0).any())

    def _made(self, value: ir.Value) -> bool:
        node = value.producer()
        if node is None or node.domain not in ("", FUSED_DOMAIN, NHWC_DOMAIN):
            return False
        if value is not node.outputs[0] and node.op_type != "Split":
            return False  # training statistics, and the like
        return self._by_operator(node)

    def _by_operator(self, node: ir.Node) -> bool:
        op, inputs = node.op_type, node.inputs
        if op in _ALWAYS or (op == "Mul" and inputs[0] is inputs[1]):
            return True
        if op in _IF_FIRST:
            return self.holds(inputs[0])
        if op in _IF_ALL:
            return self._all(inputs)
        match op:
            case "Max":
                return any(self.holds(v) for v in inputs)
            case "Where":
                return self._all(inputs[1:])
            case "Div":
                return self.holds(inputs[0]) and (scalar(inputs[1]) or 0) > 0
            case "Pow":
                power = scalar(inputs[1])
                return power is not None and (power % 2 == 0 or (power > 0 and self.holds(inputs[0])))
            case "Clip":
                return _number(node, 1, "min", -1) >= 0
            case "Pad":
                is_constant_fill = _text(node, "mode", "constant") == "constant"
                fill = _number(node, 2, "value", 0) if is_constant_fill else 0
                return fill >= 0 and self.holds(inputs[0])
            case "Resize" | "Upsample":
                outside = _number(node, len(inputs), "extrapolation_value", 0)
                return _text(node, "mode", "nearest") != "cubic" and outside >= 0 and self.holds(inputs[0])
        return False

    def _all(self, values: Iterable[ir.Value | None]) -> bool:
        return all(self.holds(v) for v in values)


def _number(node: ir.Node, index: int, name: str, default: float) -> float:
    """Attribute ``name`` of older versions, constant input ``index`` of newer ones; -1 if it isn't constant."""
    if name in node.attributes:
        return node.attributes[name].as_float()
    given = node.inputs[index] if index < len(node.inputs) else None
    if given is None:
        return default
    found = scalar(given)
    return -1 if found is None else found


def _text(node: ir.Node, name: str, default: str) -> str:
    found = node.attributes.get(name)
    return default if found is None else found.as_string()
