"""Values of unlike size under one scale: boxes of hundreds of pixels and scores below one, joined or in one tensor.

An int8 tensor has 255 steps, and they follow the widest of what is in it. What is narrow keeps ``levels`` of them: too
few, and it comes out as zeros, while the error of the whole tensor looks small. So the operator that joins such values
stays float, and so does what moves them or computes on them one by one, until they are taken apart or summed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..formats.tflite import edit as fb

STEPS = 255

_SUMMED = 16
"""Fewest levels of an operand that a convolution or product sums: a narrow one has a small share in the sum."""

_APART = 32
"""Fewest levels of what is read by itself, as an output of the model or a slice."""

_JOINS = ("CONCATENATION", "PACK")

_SLICES = ("SLICE", "SPLIT", "SPLIT_V", "STRIDED_SLICE", "UNPACK")

_MOVES = ("EXPAND_DIMS", "GATHER", "PAD", "PADV2", "RESHAPE", "REVERSE_V2", "SQUEEZE", "TILE", "TRANSPOSE")

_ONE_BY_ONE = (
    "ABS", "ADD", "DIV", "EXP", "LOGISTIC", "MAXIMUM", "MINIMUM", "MUL", "NEG", "RELU", "RELU6", "SUB", "TANH",
)  # fmt: skip
"""Operators that compute each value of its own, and so keep unlike values unlike."""

Ranges = Mapping[str, tuple[float, float]]


def unlike(model: Any, ranges: Ranges) -> dict[int, str]:
    """Operators of the main graph that unlike values go through → why they are to stay float.

    Args:
        model: A ``ModelT``.
        ranges: Least and largest value of every float activation.
    """
    return _Unlike(model, ranges).found


class _Unlike:
    def __init__(self, model: Any, ranges: Ranges) -> None:
        self._model, self._graph, self._ranges = model, model.subgraphs[0], ranges
        self._kinds = [fb.op_name(model, op) for op in self._graph.operators]
        self._maker = {int(i): k for k, op in enumerate(self._graph.operators) for i in op.outputs}
        self.found: dict[int, str] = {}
        self._mixed: set[int] = set()
        for index, kind in enumerate(self._kinds):
            if kind in _SLICES:
                self._slice(index)
            elif kind in _JOINS:
                self._join(index)
        for index, kind in enumerate(self._kinds):
            self._carry(index, kind)

    def _join(self, index: int) -> None:
        """A join whose narrowest operand is left with too few levels."""
        op = self._graph.operators[index]
        operands = {int(i): self._range(i) for i in op.inputs}
        spans = {i: bounds for i, bounds in operands.items() if bounds is not None}
        if len(spans) < 2:
            return
        shared = _extent(min(low for low, _ in spans.values()), max(high for _, high in spans.values()))
        needed = _APART if self._is_read_apart(int(op.outputs[0])) else _SUMMED
        narrow = min(spans, key=lambda i: _spread(*spans[i]))
        levels = _levels(spans[narrow], shared)
        if levels < needed:
            wide = max(spans, key=lambda i: _extent(*spans[i]))
            self._keep(
                index,
                f"{self._name(wide)!r} spans {_times(levels)} times the range of {self._name(narrow)!r}, which it is "
                f"joined with and which would keep {levels:.0f} of {STEPS} steps",
            )

    def _slice(self, index: int) -> None:
        """A slice that is narrow beside the tensor that it is taken from, which then can't be quantized as a whole."""
        op = self._graph.operators[index]
        source = int(op.inputs[1 if self._kinds[index] == "SPLIT" else 0])
        whole = self._range(source)
        if whole is None:
            return
        for i in op.outputs:
            bounds = self._range(i)
            if bounds is None or (levels := _levels(bounds, _extent(*whole))) >= _APART:
                continue
            why = f"{self._name(int(i))!r}, a part of {self._name(source)!r}, would keep {levels:.0f} of {STEPS} steps"
            self.found.setdefault(index, why)
            for position in self._makers(source):
                self._keep(position, why)

    def _makers(self, tensor: int) -> Iterator[int]:
        """The operator that computes a tensor, and those that have moved it since."""
        while (index := self._maker.get(tensor)) is not None:
            yield index
            if self._kinds[index] not in _MOVES:
                return
            tensor = int(self._graph.operators[index].inputs[0])

    def _carry(self, index: int, kind: str) -> None:
        """Unlike values go on through what moves them or computes on them one by one."""
        op = self._graph.operators[index]
        held = next((int(i) for i in op.inputs if int(i) in self._mixed), None)
        if held is None or kind not in (*_MOVES, *_ONE_BY_ONE, *_SLICES, *_JOINS):
            return
        self.found.setdefault(index, f"it works on {self._name(held)!r}, which has unlike values")
        if kind not in _SLICES:
            self._mixed.update(int(i) for i in op.outputs)

    def _keep(self, index: int, why: str) -> None:
        self.found.setdefault(index, why)
        self._mixed.update(int(i) for i in self._graph.operators[index].outputs)

    def _is_read_apart(self, tensor: int) -> bool:
        """Whether a tensor is an output or sliced, as it is or moved or computed on one by one."""
        seen, left = {tensor}, [tensor]
        while left:
            current = left.pop()
            if current in self._graph.outputs:
                return True
            for index, op in enumerate(self._graph.operators):
                if current not in op.inputs:
                    continue
                if self._kinds[index] in _SLICES:
                    return True
                if self._kinds[index] in (*_MOVES, *_ONE_BY_ONE, *_JOINS):
                    left += [int(i) for i in op.outputs if int(i) not in seen]
                    seen.update(int(i) for i in op.outputs)
        return False

    def _range(self, index: int) -> tuple[float, float] | None:
        tensor = self._graph.tensors[index] if index >= 0 else None
        return self._ranges.get(fb.name(tensor)) if tensor is not None and fb.is_float(tensor) else None

    def _name(self, index: int) -> str:
        return fb.name(self._graph.tensors[index])


def _levels(bounds: tuple[float, float], shared: float) -> float:
    """Steps of a scale for an extent of ``shared`` that fall into a range."""
    return STEPS * _spread(*bounds) / shared if shared else float(STEPS)


def _spread(low: float, high: float) -> float:
    """What of a range has to be told apart: its values, or of a single one that it isn't zero."""
    return high - low or abs(low)


def _times(levels: float) -> str:
    return f"{STEPS / levels:.0f}" if levels else "infinitely many"


def _extent(low: float, high: float) -> float:
    """Width of a range as it is quantized, with zero in it."""
    return max(high, 0.0) - min(low, 0.0)
