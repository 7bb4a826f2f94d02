"""Several ways to make the same file: which is nearest to the float model, on samples that none of them has seen.

The worst output decides, of it the worst group of channels (``numerics.fidelity``); then the mean of all outputs. Of
those that are within ``EQUAL_DB`` of the best the first is taken: whoever asks has the simplest first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

EQUAL_DB = 0.3
"""Smaller differences say nothing of other samples."""


HELD, MOST = 8, 32
"""Samples that ways to make a file are compared on at first, and those that are close."""

_CLOSE_DB, _FINALISTS = 6.0, 3
"""Eight samples say no more than this of others (an orientation net's eights differ by 6 dB, a file-type classifier's
hardest sample alone makes 15); and most that go on."""


@dataclass(frozen=True)
class Contender:
    """One of several ways to make the same file, held against the float model.

    Attributes:
        name: Range method or engine.
        worst_db: Least SQNR of an output, or of a group of its channels.
        mean_db: Mean of that over the outputs.
        failure: Why there is no file; the others are None then.
        samples: How many it was compared on.
    """

    name: str
    worst_db: float | None = None
    mean_db: float | None = None
    failure: str = ""
    samples: int = 0

    def __str__(self) -> str:
        return f"{self.name} {self.failure if self.worst_db is None else f'{self.worst_db:.1f} dB'}"


def best(contenders: Sequence[Contender]) -> Contender:
    """The first of the best of those that there is a file of; the first of all where there is none."""
    left = [contender for contender in contenders if contender.worst_db is not None]
    for figure in (_worst, _mean):
        left = [contender for contender in left if figure(contender) >= max(map(figure, left)) - EQUAL_DB]
    return left[0] if left else contenders[0]


def close(contenders: Sequence[Contender]) -> list[Contender]:
    """The best, and those that more samples may show to be better, in their order."""
    chosen = best(contenders)
    near = [c for c in contenders if c is not chosen and _worst(c) >= _worst(chosen) - _CLOSE_DB]
    kept = [chosen, *sorted(near, key=_worst, reverse=True)][:_FINALISTS]
    return [contender for contender in contenders if any(contender is one for one in kept)]


def _worst(contender: Contender) -> float:
    return -math.inf if contender.worst_db is None else contender.worst_db


def _mean(contender: Contender) -> float:
    return -math.inf if contender.mean_db is None else contender.mean_db
