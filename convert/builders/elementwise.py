"""Elementwise ops of the TFLite vocabulary. Operands broadcast as in numpy."""

from __future__ import annotations

from typing import Any

from .base import BuilderBase
from .kernels import working_dtype
from .tensor import Tensor, Unsupported, broadcast

UNARY = frozenset(
    [
        "abs",
        "ceil",
        "cos",
        "elu",
        "exp",
        "floor",
        "gelu",
        "hard_swish",
        "leaky_relu",
        "log",
        "log_softmax",
        "logistic",
        "logical_not",
        "neg",
        "relu",
        "relu6",
        "relu_n1_to_1",
        "round",
        "rsqrt",
        "sign",
        "sin",
        "softmax",
        "sqrt",
        "square",
        "tanh",
    ]
)
BINARY = frozenset(
    [
        "add",
        "sub",
        "mul",
        "div",
        "floor_div",
        "floor_mod",
        "maximum",
        "minimum",
        "pow",
        "squared_difference",
        "atan2",
        "bitwise_xor",
        "right_shift",
        "logical_and",
        "logical_or",
    ]
)
COMPARE = frozenset(["equal", "not_equal", "greater", "greater_equal", "less", "less_equal"])

_FUSED = frozenset({"add", "sub", "mul", "div"})
# XNNPACK and the reference kernels broadcast at most this many dimensions.
_MAX_BROADCAST_RANK = 6


class Elementwise(BuilderBase):
    """Unary, binary, comparing and selecting ops."""

    def unary(self, op: str, x: Tensor, **attributes: Any) -> Tensor:
        """One of :data:`UNARY` on ``x``; the result has its dtype and shape."""
        if op not in UNARY:
            raise ValueError(f"{op} is not a unary TFLite op")
        return self._same(op, [x], x.shape, **attributes)

    def binary(self, op: str, a: Tensor, b: Tensor) -> Tensor:
        """One of :data:`BINARY`; ``a`` and ``b`` have one dtype, which the result has too."""
        if op not in BINARY:
            raise ValueError(f"{op} is not a binary TFLite op")
        attributes: dict[str, Any] = {"fused_activation_function": "NONE"} if op in _FUSED else {}
        return self._same(op, [a, b], self._broadcast(op, a, b), **attributes)

    def compare(self, op: str, a: Tensor, b: Tensor) -> Tensor:
        """One of :data:`COMPARE`; the result is bool."""
        if op not in COMPARE:
            raise ValueError(f"{op} is not a comparing TFLite op")
        return self._same(op, [a, b], self._broadcast(op, a, b), result_dtype="bool")

    def add(self, a: Tensor, b: Tensor) -> Tensor:
        return self.binary("add", a, b)

    def sub(self, a: Tensor, b: Tensor) -> Tensor:
        return self.binary("sub", a, b)

    def mul(self, a: Tensor, b: Tensor) -> Tensor:
        return self.binary("mul", a, b)

    def div(self, a: Tensor, b: Tensor) -> Tensor:
        return self.binary("div", a, b)

    def like(self, x: Tensor, value: float) -> Tensor:
        """A scalar constant of ``x``'s dtype."""
        return self.const(value, x.dtype)

    def select(self, condition: Tensor, a: Tensor, b: Tensor) -> Tensor:
        """``a`` where ``condition`` (bool), else ``b``. TFLite: SELECT_V2."""
        shape = self._broadcast("select_v2", condition, a, b)
        if a.dtype != b.dtype:
            raise Unsupported(f"the two branches have different dtypes, {a.dtype} and {b.dtype}")
        work = working_dtype("select_v2", a.dtype)
        operands = [condition, self.cast(a, work), self.cast(b, work)]
        return self.cast(self.emit_one("select_v2", operands, work, shape), a.dtype)

    def prelu(self, x: Tensor, slope: Tensor) -> Tensor:
        """``x`` where positive, else ``slope * x``; ``slope`` broadcasts to ``x``. TFLite: PRELU."""
        return self._same("prelu", [x, slope], x.shape)

    def _broadcast(self, op: str, *operands: Tensor) -> tuple[int | None, ...]:
        shape = broadcast(*(t.shape for t in operands))
        if len(shape) > _MAX_BROADCAST_RANK and any(t.shape != shape for t in operands):
            raise Unsupported(
                f"TFLite's {op.upper()} broadcasts at most {_MAX_BROADCAST_RANK} dimensions, not {len(shape)}",
                "reshape to fewer dimensions first",
            )
        return shape
