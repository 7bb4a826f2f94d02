"""What the lint knows of a file, and how a rule is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ...analysis import Place, Severity
from ...formats.tflite import edit as fb
from ...formats.tflite.summary import DTYPE_NAMES
from ..bias import BIASED
from ..recipe import FLOATS
from .pair import FilePair

if TYPE_CHECKING:
    from ...artifact import Array
    from ..recipe import Recipe
    from .per_layer import Layer

LEVELS = 16
"""A part of a tensor with fewer of the 256 levels than these is lost in its noise (24 dB at the very best)."""

CHANNEL_AXIS = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 0, "TRANSPOSE_CONV": 0}
"""Operator → the axis of its weights that counts the result's channels."""

_WEIGHTS = ("int8", "uint8", "int16")


@dataclass(frozen=True)
class Said:
    """A finding before it has its rule's id and remedy; ``severity``: where it isn't the rule's."""

    place: Place
    message: str
    severity: Severity | None = None


@dataclass(frozen=True)
class Weights:
    """Constant weights of an operator in steps.

    Attributes:
        place: The operator.
        name: Of the constant.
        steps: The values, the channel axis first; of one scale for all, still by the result's channel.
        scales: One, or one a channel.
        real: The float model's values in the same layout; None where they can't be found.
        moves: [channels]: the most that they can move the result, as a share of its range; None where that isn't known.
    """

    place: Place
    name: str
    steps: Array
    scales: Array
    real: Array | None
    moves: Array | None = None


class Linted:
    """A quantized file, its float one, and what samples showed of it.

    Attributes:
        layers: Sums over samples; empty where only the file is read.
        recipe: What the file was made by, where that is known.
    """

    def __init__(self, pair: FilePair, layers: Sequence[Layer] = (), recipe: Recipe | None = None) -> None:
        self.pair, self.layers, self.recipe = pair, layers, recipe
        self.model, self.graph = pair.quantized, pair.graph

    def place(self, op: Any) -> Place:
        name = fb.name(self.graph.tensors[op.outputs[0]]) if len(op.outputs) else ""
        return Place(op=self.pair.kind(op), tensor=name)

    @cached_property
    def activations(self) -> dict[int, Any]:
        """Tensor index → the operator that writes it, of all that is computed of the input."""
        producers, pair = self.pair.producers, self.pair
        return {i: op for i, op in producers.items() if not pair.is_constant(i) and not pair.is_inside(i)}

    @cached_property
    def is_integer(self) -> bool:
        """Whether any activation is in steps."""
        return any(self.pair.grid(i) for i in self.activations)

    @cached_property
    def float_operators(self) -> Mapping[str, Any]:
        """Name of its first result → an operator of the float model's main graph."""
        graph = self.pair.floating.subgraphs[0]
        return {fb.name(graph.tensors[op.outputs[0]]): op for op in graph.operators if len(op.outputs)}

    @cached_property
    def kept(self) -> Mapping[str, str]:
        """Name of its first result → why the recipe has an operator in float."""
        rules = self.recipe.rules if self.recipe else ()
        return {rule.pattern: rule.why for rule in rules if rule.by == "result" and rule.compute in FLOATS}

    def biased(self) -> Iterator[tuple[Any, Any, Any, Any]]:
        """(operator, input, weights, bias) of those with a constant bias in steps."""
        for op in self.graph.operators:
            positions = BIASED.get(self.pair.kind(op))
            if positions is None or len(op.inputs) <= positions[2] or op.inputs[positions[2]] < 0:
                continue
            source, weights, bias = (self.graph.tensors[op.inputs[p]] for p in positions)
            if DTYPE_NAMES[bias.type] in ("int32", "int64") and fb.is_constant(self.model, bias):
                yield op, source, weights, bias

    def float_constant(self, place: Place, position: int) -> Array | None:
        """The constant at an operand's position of the same operator of the float model."""
        op = self.float_operators.get(place.tensor)
        if op is None or len(op.inputs) <= position or op.inputs[position] < 0:
            return None
        return fb.values(self.pair.floating, self.pair.floating.subgraphs[0].tensors[op.inputs[position]])

    def weights(self) -> Iterator[Weights]:
        """Of all operators whose weights have channels."""
        for op in self.graph.operators:
            axis = CHANNEL_AXIS.get(self.pair.kind(op))
            tensor = self.graph.tensors[op.inputs[1]] if axis is not None else None
            params = None if tensor is None else tensor.quantization
            if axis is None or tensor is None or params is None or params.scale is None:
                continue
            if DTYPE_NAMES[tensor.type] not in _WEIGHTS or not fb.is_constant(self.model, tensor):
                continue
            place, steps = self.place(op), fb.values(self.model, tensor)
            real = self.float_constant(place, 1)
            if steps is not None and len(params.scale) in (1, steps.shape[axis]):
                known = real is not None and real.shape == steps.shape
                rows = np.moveaxis(real, axis, 0) if real is not None and known else None
                scales = np.asarray(params.scale, np.float64)
                moves = None if rows is None else self._moves(op, rows)
                yield Weights(place, fb.name(tensor), np.moveaxis(steps, axis, 0), scales, rows, moves)

    def _moves(self, op: Any, rows: Array) -> Array | None:
        """See ``Weights.moves``; ``rows``: the float weights, [channels, …]."""
        source = self.pair.grid(int(op.inputs[BIASED[self.pair.kind(op)][0]]))
        result = self.pair.grid(int(op.outputs[0]))
        if source is None or result is None:
            return None
        most, (low, high) = max(map(abs, source.limits)), result.limits
        found: Array = np.abs(rows.astype(np.float64)).reshape(len(rows), -1).sum(axis=1) * most / (high - low)
        return found


LintCheck = Callable[[Linted], Iterator[Said]]


@dataclass(frozen=True)
class LintRule:
    """One rule of the lint.

    Attributes:
        id: As in a finding.
        severity: Of what it finds, where the finding doesn't say.
        means: What it says of a file.
        remedy: What to do.
        checks: What finds it.
    """

    id: str
    severity: Severity
    means: str
    remedy: str
    checks: tuple[LintCheck, ...]
