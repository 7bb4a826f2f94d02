"""Conditions on an operator, as text: Python expressions of a few forms, over a few names."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from types import CodeType
from typing import Any

from ...errors import InternalFault
from .operations import Operand, Operation

FACTS = ("op", "x", "y", "inputs", "outputs", "tensors", "weights", "bias", "kernel", "axes", "pads", "permutation")
"""Names of :class:`Operation` that a condition may use."""

DEFAULTS: dict[str, Any] = {
    "align_corners": False, "axis": 0, "batch_dims": 0, "beta": 1.0, "block_size": 1, "depth_multiplier": 1,
    "dilation_h_factor": 1, "dilation_w_factor": 1, "ellipsis_mask": 0, "fused_activation_function": "NONE",
    "half_pixel_centers": False, "keep_num_dims": False, "mode": "REFLECT", "new_axis_mask": 0, "padding": "VALID",
    "shrink_axis_mask": 0, "stride_h": 1, "stride_w": 1, "weights_format": "DEFAULT",
}  # fmt: skip
"""Attributes of operators that a condition may use, and what holds of operators without them."""

_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": abs, "all": all, "any": any, "len": len, "max": max, "min": min, "prod": math.prod, "range": range,
    "set": set, "sorted": sorted, "zip": zip,
}  # fmt: skip

_FORMS = (
    ast.Expression, ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Not, ast.USub, ast.BinOp, ast.Add, ast.Sub, ast.Mult,
    ast.Mod, ast.FloorDiv, ast.BitAnd, ast.Compare, ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.In,
    ast.NotIn, ast.Is, ast.IsNot, ast.IfExp, ast.Constant, ast.Name, ast.Load, ast.Store, ast.Tuple, ast.Starred,
    ast.Subscript, ast.Slice, ast.Attribute, ast.Call, ast.GeneratorExp, ast.comprehension,
)  # fmt: skip
_FIELDS = {*Operand.__dataclass_fields__, *(n for n, v in vars(Operand).items() if isinstance(v, property))}


@dataclass(frozen=True)
class Condition:
    """A condition that was read.

    Attributes:
        text: As it is written.
        names: Facts and attributes that it uses.
    """

    text: str
    names: frozenset[str]
    _code: CodeType

    @staticmethod
    @cache
    def of(text: str) -> Condition:
        """Read a condition.

        Raises:
            InternalFault: it has another form than conditions have, or uses what there isn't.
        """
        try:
            tree = ast.parse(text, mode="eval")
        except SyntaxError as error:
            raise InternalFault(f"{text!r} is no condition: {error}") from error
        nodes = list(ast.walk(tree))
        wrong = [type(n).__name__ for n in nodes if not isinstance(n, _FORMS)]
        wrong += [n.attr for n in nodes if isinstance(n, ast.Attribute) and n.attr not in _FIELDS]
        bound = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        used = {n.id for n in nodes if isinstance(n, ast.Name)} - bound - set(_FUNCTIONS)
        wrong += sorted(used - {*FACTS, *DEFAULTS})
        if wrong:
            raise InternalFault(f"a condition may not use {', '.join(wrong)}: {text!r}")
        return Condition(text, frozenset(used), compile(tree, f"<{text}>", "eval"))

    def holds(self, operation: Operation) -> bool:
        """Whether it holds of an operator.

        Raises:
            InternalFault: it can't be asked of this operator.
        """
        facts = {n: getattr(operation, n) for n in self.names if n in FACTS}
        attributes = {n: operation.attributes.get(n, DEFAULTS[n]) for n in self.names if n in DEFAULTS}
        try:
            return bool(eval(self._code, {"__builtins__": {}, **_FUNCTIONS, **facts, **attributes}))
        except (IndexError, KeyError, TypeError, ValueError, ZeroDivisionError) as error:
            raise InternalFault(f"the condition {self.text!r} can't be asked of {operation}: {error}") from error
