"""Parts of a model whose small values decide, so that integers, whose steps are all alike, lose them.

The statistics of a normalization: of layer, group, instance or RMS norm, in their operators::

    x ─┬─ MEAN ─┐
       └────── SUB ─ square ─ MEAN ─ ADD ε ─ RSQRT

And what compresses a wide range, as the loudness of a spectrum: a root or logarithm is steepest where its operand is
smallest, and squares before it have twice the decades. A logarithm wants them of the transform before it as well::

    re ─ square ─┐
    im ─ square ─ ADD ─ FULLY_CONNECTED (mel) ─ ADD ε ─ LOG
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

from ..formats.tflite import edit as fb
from .kinds import LAYERS

_ROOTS = ("RSQRT", "SQRT")
_COMPRESSING = (*_ROOTS, "LOG")
_MEANS = ("MEAN", "SUM")
_DIFFERENCES = ("SUB", "SQUARED_DIFFERENCE")
_SQUARES = ("POW", "SQUARE", "SQUARED_DIFFERENCE")
_WITH_CONSTANT = ("ADD", "DIV", "MAXIMUM", "MUL", "RESHAPE")
_BETWEEN = (*_WITH_CONSTANT, *_MEANS, "CONCATENATION", "PAD", "RELU", "SLICE", "SPLIT", "STRIDED_SLICE", "TRANSPOSE")
"""What may lie between squares and their root or logarithm, and at most one of ``LAYERS``."""


def normalizations(model: Any) -> set[int]:
    """Operators of the main graph from the mean of some values to the root of their variance.

    Args:
        model: A ``ModelT``.
    """
    graph = _Graph(model)
    return {index for root, kind in enumerate(graph.kinds) if kind in _ROOTS for index in graph.statistics(root)}


def compressions(model: Any) -> set[int]:
    """Roots and logarithms of the main graph, with what leads from squares and magnitudes to them.

    Args:
        model: A ``ModelT``.
    """
    graph = _Graph(model)
    found: set[int] = set()
    for end, kind in enumerate(graph.kinds):
        if graph.is_compressing(end):
            led = graph.compressed(end)
            found |= {end} | led | (graph.transformed(led) if kind == "LOG" else set())
    return found


PARTS: dict[str, Callable[[Any], set[int]]] = {"normalization": normalizations, "compression": compressions}
"""Name in ``devices.toml`` → the operators of the main graph that belong to one."""


class _Graph:
    def __init__(self, model: Any) -> None:
        graph = model.subgraphs[0]
        self.kinds = [fb.op_name(model, op) for op in graph.operators]
        self._made = {int(i): index for index, op in enumerate(graph.operators) for i in op.outputs}
        self._computed = [
            [int(i) for i in op.inputs if i >= 0 and not fb.is_constant(model, graph.tensors[i])]
            for op in graph.operators
        ]
        self._exponents = {
            index: fb.values(model, graph.tensors[op.inputs[1]])
            for index, op in enumerate(graph.operators)
            if self.kinds[index] == "POW"
        }

    def is_compressing(self, index: int) -> bool:
        """Is this a root or logarithm, or a power between 0 and 1 or below?"""
        exponent = self._exponents.get(index)
        return self.kinds[index] in _COMPRESSING or (exponent is not None and bool((exponent < 1).all()))

    def compressed(self, end: int) -> set[int]:
        """What leads from squares, magnitudes and other roots to the operands of an operator, these included."""
        found: set[int] = set()
        waiting, seen = [(end, 1)], set[tuple[int, int]]()
        while waiting:
            index, layers = waiting.pop()
            for before in self._all_before(index):
                if layers not in self._led[before] or (before, layers) in seen:
                    continue
                seen.add((before, layers))
                found.add(before)
                if not self._starts(before):
                    waiting.append((before, layers - (self.kinds[before] in LAYERS)))
        return found

    def transformed(self, squares: set[int]) -> set[int]:
        """The layers whose results are squared, as those of a Fourier transform are."""
        found: set[int] = set()
        waiting, seen = [*squares], {*squares}
        while waiting:
            for before in self._all_before(waiting.pop()) - seen:
                seen.add(before)
                if self.kinds[before] in LAYERS:
                    found.add(before)
                elif self.kinds[before] in _BETWEEN:
                    waiting.append(before)
        return found

    @cached_property
    def _led(self) -> list[set[int]]:
        """Of each operator the numbers of layers (0, 1) within which squares and their like lead to its result."""
        led: list[set[int]] = []
        for index, kind in enumerate(self.kinds):  # operators come after those that make their operands
            before = set().union(*(led[i] for i in self._all_before(index)))
            passed = before if kind in _BETWEEN else {1} if kind in LAYERS and 0 in before else set()
            led.append({0, 1} if self._starts(index) else passed)
        return led

    def _starts(self, index: int) -> bool:
        return self._is_square(index) or self.kinds[index] == "ABS" or self.is_compressing(index)

    def statistics(self, root: int) -> set[int]:
        """What leads to a root; nothing where that is not of a mean of squares."""
        found = {root}
        index = self._before(root)
        while index is not None and self.kinds[index] in _WITH_CONSTANT and len(self._computed[index]) == 1:
            found.add(index)
            index = self._before(index)
        if index is None or self.kinds[index] not in _MEANS:
            return set()
        square = self._before(index)
        found.add(index)
        if square is None or not self._is_square(square):
            return found
        found.add(square)
        for difference in {square, self._before(square)}:
            if difference is not None and self.kinds[difference] in _DIFFERENCES:
                means = {self._made.get(i) for i in self._computed[difference]}
                found |= {difference, *(i for i in means if i is not None and self.kinds[i] in _MEANS)}
        return found

    def _all_before(self, index: int) -> set[int]:
        return {made for i in self._computed[index] if (made := self._made.get(i, index)) < index}

    def _before(self, index: int) -> int | None:
        """The operator that made the first computed operand."""
        return next((self._made.get(i) for i in self._computed[index]), None)

    def _is_square(self, index: int) -> bool:
        same = len(self._computed[index]) == 2 and len(set(self._computed[index])) == 1
        squared = self.kinds[index] in _SQUARES and not self.is_compressing(index)
        return squared or (self.kinds[index] == "MUL" and same)
