"""The builder that lowering handlers speak to: its vocabulary is the TFLite op set.

Every method works out the result's dtype and shape once, for all builders, and then emits one TFLite op.
:class:`~.tflite.TfliteBuilder` makes TFL-dialect MLIR of it, :class:`~.tensorflow.TensorFlowBuilder` TensorFlow
ops, and :class:`DryBuilder` nothing: the preflight runs on it.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...artifact import Array
from .base import Attribute
from .control import Body, Branch, ControlFlow, joined
from .tensor import Spec, Tensor
from .wide import Wide


class Builder(Wide, ControlFlow):
    """The whole vocabulary."""


class DryBuilder(Builder):
    """Works out dtypes and shapes and builds nothing."""

    def _emit(
        self, op: str, operands: Sequence[Tensor], attributes: dict[str, Attribute], results: Sequence[Spec]
    ) -> list[None]:
        return [None] * len(results)

    def _nothing(self) -> None:
        return None

    def _constant(self, value: Array) -> None:
        return None

    def _cond(self, condition: Tensor, then: Branch, otherwise: Branch) -> list[None]:
        return [None] * len(joined(then(), otherwise()))

    def _while_loop(self, start: Sequence[Tensor], carried: Sequence[Spec], condition: Body, body: Body) -> list[None]:
        state = [Tensor(None, spec.dtype, spec.shape) for spec in carried]
        body(state)
        condition(state)
        return [None] * len(carried)
