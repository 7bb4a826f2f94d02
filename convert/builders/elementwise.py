"""Elementwise ops of the TFLite vocabulary. Operands broadcast as in numpy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...artifact import Array
from .base import BuilderBase
from .kernels import working_dtype
from .remedies import BROKEN
from .tensor import Spec, Steps, Tensor, Unsupported, broadcast

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

_FOLDED: dict[str, Callable[..., Array]] = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "maximum": np.maximum, "minimum": np.minimum,
    "floor_mod": np.mod, "neg": np.negative,
}  # fmt: skip
"""What is computed at once where all operands are constant integers, such as extents and axes."""

_NEUTRAL = {"add": 0, "sub": 0, "mul": 1, "div": 1}
"""What changes nothing as the second operand (of ``add`` and ``mul``, as either)."""

_FUSED = frozenset({"add", "sub", "mul", "div"})


class Elementwise(BuilderBase):
    """Unary, binary, comparing and selecting ops."""

    def unary(self, op: str, x: Tensor, **attributes: Any) -> Tensor:
        """One of :data:`UNARY` on ``x``; the result has its dtype and shape. NEG by the form ``negated_by_product``."""
        if op not in UNARY:
            raise ValueError(f"{op} is not a unary TFLite op")
        folded = self._folded(op, x)
        if folded is not None:
            return folded
        if op == "neg" and x.dtype == "float32" and self.forms.takes("negated_by_product"):
            self.because("a product has an int8 form, and NEG has none")
            return self.binary("mul", x, self.const(np.float32(-1)))
        return self._same(op, [x], x.shape, **attributes)

    def binary(self, op: str, a: Tensor, b: Tensor) -> Tensor:
        """One of :data:`BINARY`; ``a`` and ``b`` have one dtype, which the result has too."""
        if op not in BINARY:
            raise ValueError(f"{op} is not a binary TFLite op")
        folded = self._folded(op, a, b)
        if folded is not None:
            return folded
        shape = broadcast(a.shape, b.shape)
        for result, other in ((a, b), (b, a)) if op in ("add", "mul") else ((a, b),):
            is_neutral = op in _NEUTRAL and other.is_all(_NEUTRAL[op])
            if is_neutral and shape == result.shape and a.dtype == b.dtype:
                return result
        if op == "mul" and None in shape:
            # MLIR folds a dynamic product with zeros into a constant without elements.
            for zeros, other in ((a, b), (b, a)):
                if zeros.value is not None and not zeros.value.any():
                    return self.add(self.sub(other, other), zeros)
        attributes: dict[str, Any] = {"fused_activation_function": "NONE"} if op in _FUSED else {}
        return self._same(op, [a, b], shape, **attributes)

    def compare(self, op: str, a: Tensor, b: Tensor) -> Tensor:
        """One of :data:`COMPARE`; the result is bool."""
        if op not in COMPARE:
            raise ValueError(f"{op} is not a comparing TFLite op")
        return self._same(op, [a, b], broadcast(a.shape, b.shape), result_dtype="bool")

    def add(self, a: Tensor, b: Tensor) -> Tensor:
        return self.binary("add", a, b)

    def sub(self, a: Tensor, b: Tensor) -> Tensor:
        return self.binary("sub", a, b)

    def mul(self, a: Tensor, b: Tensor) -> Tensor:
        return self.binary("mul", a, b)

    def div(self, a: Tensor, b: Tensor) -> Tensor:
        return self.binary("div", a, b)

    def fake_quantize(self, x: Tensor, dtype: str, steps: Steps) -> Tensor:
        """``x`` rounded to steps, and back in float32. TFLite: QUANTIZE and DEQUANTIZE."""
        (counted,) = self.emit("quantize", [self.cast(x, "float32")], [Spec(dtype, x.shape, steps)])
        return self.cast(self.emit_one("dequantize", [counted], "float32", x.shape), x.dtype)

    def like(self, x: Tensor, value: float) -> Tensor:
        """A scalar constant of ``x``'s dtype.

        Raises:
            Unsupported: the dtype is of integers, and doesn't hold the value.
        """
        kind = np.dtype(x.dtype)
        if kind.kind in "iu" and not (np.iinfo(kind).min <= value <= np.iinfo(kind).max and value == int(value)):
            raise Unsupported(f"{value} is no {x.dtype}", "cast the input of this node to float32")
        return self.const(value, x.dtype)

    def select(self, condition: Tensor, a: Tensor, b: Tensor) -> Tensor:
        """``a`` where ``condition`` (bool), else ``b``. TFLite: SELECT_V2."""
        shape = broadcast(condition.shape, a.shape, b.shape)
        if a.dtype != b.dtype:
            raise Unsupported(f"the two branches have different dtypes, {a.dtype} and {b.dtype}", BROKEN)
        work = working_dtype("select_v2", a.dtype)
        operands = [condition, self.cast(a, work), self.cast(b, work)]
        return self.cast(self.emit_one("select_v2", operands, work, shape), a.dtype)

    def prelu(self, x: Tensor, slope: Tensor) -> Tensor:
        """``x`` where positive, else ``slope * x``; ``slope`` broadcasts to ``x``. TFLite: PRELU."""
        return self._same("prelu", [x, slope], x.shape)

    def _folded(self, op: str, *operands: Tensor) -> Tensor | None:
        values = [t.value for t in operands if t.value is not None and t.dtype in ("int32", "int64")]
        if op not in _FOLDED or len(values) < len(operands) or any(t.dtype != operands[0].dtype for t in operands):
            return None
        broadcast(*(value.shape for value in values))
        return self.const(_FOLDED[op](*values))
