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


@dataclass(frozen=True)
class Contender:
    """One of several ways to make the same file, held against the float model.

    Attributes:
        name: Range method or engine.
        worst_db: Least SQNR of an output, or of a group of its channels.
        mean_db: Mean of that over the outputs.
        failure: Why there is no file; the others are None then.
    """

    name: str
    worst_db: float | None = None
    mean_db: float | None = None
    failure: str = ""

    def __str__(self) -> str:
        return f"{self.name} {self.failure if self.worst_db is None else f'{self.worst_db:.1f} dB'}"


def best(contenders: Sequence[Contender]) -> Contender:
    """The first of the best of those that there is a file of; the first of all where there is none."""
    left = [contender for contender in contenders if contender.worst_db is not None]
    for figure in (_worst, _mean):
        left = [contender for contender in left if figure(contender) >= max(map(figure, left)) - EQUAL_DB]
    return left[0] if left else contenders[0]


def _worst(contender: Contender) -> float:
    return -math.inf if contender.worst_db is None else contender.worst_db


def _mean(contender: Contender) -> float:
    return -math.inf if contender.mean_db is None else contender.mean_db
