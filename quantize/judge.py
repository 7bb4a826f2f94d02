"""How true a file is to the float model, on some samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..numerics.fidelity import fidelity
from .contenders import Contender
from .running import Model

if TYPE_CHECKING:
    from ..artifact import Array, Feeds

_MOST_DB = 200.0
"""Of outputs that are exact, or hold nothing but noise (with a minus)."""


class Judge:
    """The float model's outputs on some samples, and what others make of them.

    Args:
        content: The float model.
        feeds: Input name → array of each sample.
        threads: Threads for one inference.
    """

    def __init__(self, content: bytes, feeds: Sequence[Mapping[str, Array]], *, threads: int = 1) -> None:
        self._feeds, self._threads = feeds, threads
        self._truth = self._run(content)

    def judge(self, name: str, content: bytes) -> Contender:
        """How true a file is."""
        got = self._run(content)
        figures = [
            _figure([sample[output] for sample in self._truth], [sample[output] for sample in got])
            for output in self._truth[0]
        ]
        return Contender(name, min(figures), float(np.mean(figures)), samples=len(self._feeds))

    def _run(self, content: bytes) -> list[Feeds]:
        model = Model(content, threads=self._threads)
        return [model.run(feed) for feed in self._feeds]


def _figure(truth: Sequence[Array], got: Sequence[Array]) -> float:
    """In dB: of floats the least SQNR, of integers and booleans the share that is equal."""
    found = fidelity(truth, got)
    decibels = found.worst_group_db
    if truth[0].dtype.kind != "f":
        decibels = -10 * np.log10(max(1 - (found.errors.equal or 0.0), 10 ** (-_MOST_DB / 10)))
    return float(np.clip(decibels, -_MOST_DB, _MOST_DB))
