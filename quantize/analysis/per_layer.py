"""Error per layer: the float file and the quantized one on the same samples, one sample at a time.

*Accumulated*: both run from the input. *Local*: each quantized operator alone, fed with the float model's values
(``isolated``). *Rounding*: the float values in the tensor's own scale, which no operator could do better than.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...analysis import Deviation, Histogram, LayerError, Place
from ...formats.tflite.summary import DTYPE_NAMES
from ...numerics.running import Running
from .grid import Grid, grid_of
from .isolated import Isolated
from .pair import CASTS, FilePair
from .probe import Probe, TensorRunner

if TYPE_CHECKING:
    from ...artifact import Array

BINS = 48
_EXPLAINED_DB = 3.0
"""Rounding that makes at least half of an operator's noise explains it."""


class Layer:
    """A float activation, its counterpart, and sums over the samples so far."""

    def __init__(self, name: str, op: str, index: int, grid: Grid | None, dtype: str) -> None:
        """``index``: of the counterpart."""
        self.name, self.op, self.index, self.grid, self.dtype = name, op, index, grid, dtype
        self.accumulated, self.local, self.rounding = Running(), Running(), Running()
        self.beyond = 0
        self.sums = (np.inf, -np.inf)

    def add(self, truth: Array, got: Array, alone: Array | None) -> None:
        """Take in one sample: the float value, the quantized file's, and the operator's by itself."""
        self._add(self.accumulated, truth, got)
        if alone is not None:
            self._add(self.local, truth, alone)
        if self.grid is not None:
            self._add(self.rounding, truth, self.grid.quantized(truth))
            low, high = self.grid.limits
            self.beyond += int(np.sum((truth < low - self.grid.scale) | (truth > high + self.grid.scale)))
        if self.op == "SOFTMAX" and truth.ndim:
            sums = (got if self.grid is None else self.grid.real(got)).sum(axis=-1)
            self.sums = min(self.sums[0], float(sums.min())), max(self.sums[1], float(sums.max()))

    def _add(self, running: Running, truth: Array, got: Array) -> None:
        if truth.shape == got.shape:
            running.add(truth, got if self.grid is None else self.grid.real(got))

    def deviation(self, running: Running) -> Deviation | None:
        """What the sums say; None without any."""
        if not running.count:
            return None
        worst, channels = running.worst_group()
        step = None if self.grid is None else self.grid.scale
        return Deviation(
            sqnr_db=running.sqnr_db,
            worst_group_db=worst,
            channels=channels,
            exact=running.exact,
            mean_quanta=None if step is None else running.mean_abs / step,
            max_quanta=None if step is None else running.max_abs / step,
        )

    def error(self, number: int, roots: Mapping[str, str]) -> LayerError | None:
        """The result; None where nothing was compared. ``roots``: see ``PerLayer``."""
        accumulated = self.deviation(self.accumulated)
        if accumulated is None:
            return None
        local, rounding = self.deviation(self.local), self.deviation(self.rounding)
        lent = False
        if local is not None and rounding is not None:
            lent = rounding.quality_db <= local.quality_db + _EXPLAINED_DB
        return LayerError(
            place=self.place,
            index=number,
            dtype=self.dtype,
            accumulated=accumulated,
            local=local,
            rounding=rounding,
            saturated=self.beyond / max(1, self.accumulated.count),
            used=(self.accumulated.low, self.accumulated.high),
            there=None if self.grid is None else self.grid.limits,
            scale_of=roots.get(self.name, "") if lent else "",
        )

    @property
    def place(self) -> Place:
        return Place(op=self.op, tensor=self.name)


class PerLayer:
    """Compares two files on samples.

    Args:
        floating, quantized: The flatbuffers; the quantized one is made of the float one.
        threads: Threads for one inference.

    Attributes:
        pair: The two as objects.
        layers: Every float activation that has a counterpart, in the order of the float file.
        samples: So far.
    """

    def __init__(self, floating: bytes, quantized: bytes, *, threads: int = 1) -> None:
        self.pair = FilePair(floating, quantized)
        self._float, self._quantized = (TensorRunner(c, threads=threads) for c in (floating, quantized))
        self._isolated = Isolated(self.pair)
        self._alone = Probe(self._isolated.content, threads=threads, keep=False) if self._isolated.outputs else None
        self.layers = [self._layer(*found) for found in self.pair.layers()]
        self.samples = 0
        self._counts: dict[str, Array] = {}

    @property
    def unmatched(self) -> int:
        """Float activations without a counterpart."""
        return len(self.pair.floats) - len(self.layers)

    def compare(self, feed: Mapping[str, Array]) -> None:
        """Take in one sample: input name → array, as the float model takes it."""
        self._float.run(feed)
        self._quantized.run(feed)
        if self._alone is not None:
            self._alone.run(self._isolated.feed({n: self._truth(n) for n in self._isolated.names}))
        for layer in self.layers:
            alone = layer.index in self._isolated.outputs and self._alone is not None
            layer.add(
                self._truth(layer.name),
                self._quantized.value(layer.index),
                self._alone.value(layer.index) if alone and self._alone else None,
            )
        self.samples += 1

    def errors(self) -> list[LayerError]:
        """Largest local error first; what another tensor's scale explains comes last."""
        roots = self._roots()
        found = [error for n, layer in enumerate(self.layers) if (error := layer.error(n, roots)) is not None]
        return sorted(found, key=lambda e: (bool(e.scale_of), e.local_db, e.accumulated.quality_db))

    def count(self, feed: Mapping[str, Array], names: Sequence[str]) -> None:
        """Count one sample's float values for the histograms of ``names``."""
        self._float.run(feed)
        for layer in self._named(names):
            values = self._truth(layer.name)
            counts, _ = np.histogram(values[np.isfinite(values)], BINS, self._edges(layer))
            self._counts[layer.name] = self._counts.get(layer.name, np.zeros(BINS, np.int64)) + counts

    def histograms(self, names: Sequence[str]) -> list[Histogram]:
        """Of the values that were counted; bins of equal width over the values and the range that the scale takes."""
        return [
            Histogram(
                place=layer.place,
                edges=self._edges(layer),
                counts=[int(n) for n in self._counts[layer.name]],
                there=None if layer.grid is None else layer.grid.limits,
                clipped=layer.beyond / max(1, layer.accumulated.count),
            )
            for layer in self._named(names)
            if layer.name in self._counts
        ]

    def _named(self, names: Sequence[str]) -> list[Layer]:
        layers = {layer.name: layer for layer in self.layers}
        return [layers[name] for name in names]

    @staticmethod
    def _edges(layer: Layer) -> tuple[float, float]:
        low, high = layer.accumulated.low, layer.accumulated.high
        if layer.grid is not None:
            low, high = min(low, layer.grid.limits[0]), max(high, layer.grid.limits[1])
        return (low, high) if low < high else (low - 0.5, low + 0.5)

    def _layer(self, name: str, index: int, op: Any) -> Layer:
        tensor = self.pair.graph.tensors[index]
        kind = "INPUT" if op is None else self.pair.kind(op)
        return Layer(name, kind, index, grid_of(tensor), DTYPE_NAMES[tensor.type])

    def _truth(self, name: str) -> Array:
        index = self.pair.floats.get(name)
        return self._float.value(self.pair.others[name] if index is None else index)

    def _roots(self) -> dict[str, str]:
        """Layer → the activation whose scale it has to take.

        A result that is joined with others has the scale of what they become; what moves values keeps theirs.
        """
        lent: dict[int, int] = {}
        for op in self.pair.graph.operators:
            inputs = list(dict.fromkeys(int(i) for i in op.inputs if i >= 0 and not self.pair.is_constant(int(i))))
            outputs = [int(i) for i in op.outputs if self.pair.grid(int(i)) is not None]
            if self.pair.kind(op) in CASTS or not inputs or not outputs:
                continue
            if any(self.pair.grid(i) != self.pair.grid(outputs[0]) for i in inputs):
                continue
            if len(inputs) > 1:
                lent |= dict.fromkeys(inputs, outputs[0])
            else:
                lent |= {o: inputs[0] for o in outputs if o not in lent}
        roots = {layer.name: _root(lent, layer.index) for layer in self.layers if layer.index in lent}
        return {name: self.pair.origin(root) or "" for name, root in roots.items()}


def _root(lent: Mapping[int, int], index: int) -> int:
    seen = {index}
    while index in lent and lent[index] not in seen:
        index = lent[index]
        seen.add(index)
    return index
