"""What every builder does: make constants, cast, and emit one op of the TFLite vocabulary."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from ...artifact import Array
from ..forms import choose
from .kernels import kernel_dtypes, working_dtype
from .legality import check, without_elements
from .remedies import BROKEN
from .tensor import Shape, Spec, Tensor, Unsupported, as_int32

Attribute = bool | int | float | str | tuple[int, ...]


@dataclass
class Written:
    """What was emitted in a scope.

    Attributes:
        ops: TFLite operator → how many, before MLIR fuses any of them.
        reasons: Why it has this form and not a plainer one.
    """

    ops: Counter[str] = field(default_factory=Counter)
    reasons: dict[str, None] = field(default_factory=dict)


class BuilderBase(ABC):
    """The ground under the vocabulary; see :class:`~edgeworthy.convert.builders.builder.Builder`.

    Attributes:
        forms: Which of several equal forms are written.
    """

    forms = choose()
    _scope = ""

    @cached_property
    def written(self) -> defaultdict[str, Written]:
        """Name of a scope → what was emitted in it."""
        return defaultdict(Written)

    @abstractmethod
    def _emit(
        self, op: str, operands: Sequence[Tensor], attributes: dict[str, Attribute], results: Sequence[Spec]
    ) -> list[Any]:
        """Add one TFLite op; returns a handle for each result."""

    @abstractmethod
    def _nothing(self) -> Any:
        """The handle of an optional operand that is left out."""

    @abstractmethod
    def _constant(self, value: Array) -> Any:
        """Add a constant; returns its handle."""

    @contextmanager
    def scope(self, name: str) -> Iterator[None]:
        """Names what is emitted inside after the ONNX value ``name``."""
        outer, self._scope = self._scope, name
        yield
        self._scope = outer

    def because(self, why: str) -> None:
        """Say why what is emitted now has the form that it has, as half a sentence."""
        self.written[self._scope].reasons[why] = None

    def rename(self, tensor: Tensor, name: str) -> None:  # noqa: B027
        """Gives the op that made ``tensor`` the name of the ONNX value it computes."""

    def const(self, value: Any, dtype: str | None = None) -> Tensor:
        """A constant of ``value``'s own dtype, or of ``dtype``."""
        array: Array = np.asarray(value, dtype) if dtype else np.asarray(value)
        return Tensor(self._constant(array), array.dtype.name, array.shape, array)

    def int32s(self, values: Sequence[int]) -> Tensor:
        """A constant 1-D int32 tensor, as TFLite wants its axes, shapes and pads."""
        return self.const(as_int32(values))

    def absent(self) -> Tensor:
        """Stands for an optional operand that is left out."""
        return Tensor(self._nothing(), "none", ())

    def emit(
        self, op: str, operands: Sequence[Tensor], results: Sequence[Spec], **attributes: Attribute
    ) -> tuple[Tensor, ...]:
        """Emit ``op`` as it is; the caller has seen to dtypes and shapes.

        Raises:
            Unsupported: its kernel would refuse the operands.
            InternalFault: the table of operators doesn't know ``op``.
        """
        kernel_dtypes(op)
        check(op, operands, results, attributes)
        arrays = without_elements(op, operands, results, attributes)
        if arrays is not None:
            return tuple(self.const(array) for array in arrays)
        self.written[self._scope].ops[op.upper()] += 1
        handles = self._emit(op, operands, attributes, results)
        return tuple(Tensor(h, s.dtype, s.shape, steps=s.steps) for h, s in zip(handles, results, strict=True))

    def emit_one(
        self, op: str, operands: Sequence[Tensor], dtype: str, shape: Shape, **attributes: Attribute
    ) -> Tensor:
        """:meth:`emit` for an op with a single result."""
        return self.emit(op, operands, [Spec(dtype, shape)], **attributes)[0]

    def cast(self, x: Tensor, dtype: str) -> Tensor:
        """``x`` as ``dtype`` (float → integer truncates towards zero). TFLite: CAST.

        Raises:
            Unsupported: ``x`` is a constant with integers that ``dtype`` doesn't hold.
        """
        if x.dtype == dtype:
            return x
        if x.value is not None:
            if dtype == "int32":
                as_int32(x.value)
            with np.errstate(invalid="ignore", over="ignore"):
                return self.const(x.value.astype(dtype))
        for name in (x.dtype, dtype):
            working_dtype("cast", name)
        return self.emit_one("cast", [x], dtype, x.shape)

    def _same(
        self,
        op: str,
        data: Sequence[Tensor],
        shape: Shape,
        *,
        before: Sequence[Tensor] = (),
        extra: Sequence[Tensor] = (),
        result_dtype: str | None = None,
        **attributes: Any,
    ) -> Tensor:
        """Emit ``op`` whose result has the dtype of its data operands, which all have one dtype.

        Where TFLite has no kernel for that dtype the op runs in a wider one between two casts. ``before`` and
        ``extra`` are operands such as shapes and axes, in front of the data and behind; ``result_dtype`` is the
        result's dtype where it isn't the data's.
        """
        of = data[0].dtype
        if any(t.dtype != of for t in data):
            raise Unsupported(f"{op} got operands of different dtypes, {[t.dtype for t in data]}", BROKEN)
        work = working_dtype(op, of)
        if work != of:
            self.because(f"TFLite's {op.upper()} has no kernel for {of}, so that it computes in {work}")
        operands = [self.cast(t, work) for t in data]
        result = self.emit_one(op, [*before, *operands, *extra], result_dtype or work, shape, **attributes)
        return result if result_dtype else self.cast(result, of)
