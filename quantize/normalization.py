"""Which operators are the statistics of a normalization: of layer, group, instance or RMS norm, in their parts.

::

    x ─┬─ MEAN ─┐
       └────── SUB ─ square ─ MEAN ─ ADD ε ─ RSQRT
"""

from __future__ import annotations

from typing import Any

from ..formats.tflite import edit as fb

_ROOTS = ("RSQRT", "SQRT")
_MEANS = ("MEAN", "SUM")
_DIFFERENCES = ("SUB", "SQUARED_DIFFERENCE")
_WITH_CONSTANT = ("ADD", "DIV", "MAXIMUM", "MUL", "RESHAPE")


def normalizations(model: Any) -> set[int]:
    """Operators of the main graph from the mean of some values to the root of their variance.

    Args:
        model: A ``ModelT``.
    """
    graph = _Graph(model)
    return {index for root, kind in enumerate(graph.kinds) if kind in _ROOTS for index in graph.statistics(root)}


class _Graph:
    def __init__(self, model: Any) -> None:
        graph = model.subgraphs[0]
        self.kinds = [fb.op_name(model, op) for op in graph.operators]
        self._made = {int(i): index for index, op in enumerate(graph.operators) for i in op.outputs}
        self._computed = [
            [int(i) for i in op.inputs if i >= 0 and not fb.is_constant(model, graph.tensors[i])]
            for op in graph.operators
        ]

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

    def _before(self, index: int) -> int | None:
        """The operator that made the first computed operand."""
        return next((self._made.get(i) for i in self._computed[index]), None)

    def _is_square(self, index: int) -> bool:
        same = len(self._computed[index]) == 2 and len(set(self._computed[index])) == 1
        return self.kinds[index] in ("POW", "SQUARE", "SQUARED_DIFFERENCE") or (self.kinds[index] == "MUL" and same)
