"""What a search tries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..recipe import Compute
from ..rounding import Rounding
from .budget import Quality

TOLD: Mapping[Compute, str] = {
    "float32": "in float32",
    "float16": "in float32 with float16 weights",
    "weights": "in float32 with int8 weights",
    "dynamic": "in int8 with ranges found at run time",
    "int16": "with int16 activations",
}
"""What operators compute in → as it is said."""


@dataclass(frozen=True)
class Candidate:
    """What a candidate is made by.

    Attributes:
        kind: Which kind of start it comes from.
        computes: Result of an operator → what it computes in, where that isn't what the scheme says.
        rounding: How its numbers become integers.
        transforms: What is done to the float model first.
    """

    kind: str
    computes: Mapping[str, Compute] = field(default_factory=dict)
    rounding: Rounding = field(default_factory=Rounding)
    transforms: tuple[str, ...] = ()

    def put(self, names: Sequence[str], compute: Compute) -> Candidate:
        """With these operators in ``compute``."""
        return replace(self, computes={**self.computes, **dict.fromkeys(names, compute)})

    def rounded(self, **change: Any) -> Candidate:
        """With something of its rounding otherwise."""
        return replace(self, rounding=replace(self.rounding, **change))

    def __str__(self) -> str:
        parts = [self.kind, f"ranges {self.rounding}", *self.transforms]
        told = list(self.computes.values())
        parts += [f"{told.count(compute)} operators {said}" for compute, said in TOLD.items() if compute in told]
        return ", ".join(parts)


@dataclass(frozen=True)
class Tryout:
    """A plan that was made and judged; ``failure``: why there is no file."""

    plan: Candidate
    quality: Quality | None = None
    met: bool = False
    failure: str = ""


def exceptions(trial: Tryout) -> int:
    """How many operators don't compute as the scheme says."""
    return len(trial.plan.computes)


def spread(trials: Sequence[Tryout]) -> Iterator[Tryout]:
    """One of each kind and dtype of exceptions in turn, so that none crowds out the others."""
    piles: dict[tuple[str, bool], list[Tryout]] = {}
    for trial in trials:
        piles.setdefault((trial.plan.kind, "int16" in trial.plan.computes.values()), []).append(trial)
    while any(piles.values()):
        for pile in piles.values():
            if pile:
                yield pile.pop(0)
