"""What the benchmark is told of a model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Feed = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Subject:
    """A model and its data.

    Attributes:
        name: As on the command line.
        summary: One line.
        source: Gives what ``edgeworthy quantize`` takes, fetching it if need be.
        feeds: ``(count, seed)`` → that many feeds of batch size 1.
        data: What the feeds are.
        inputs: As ``--input`` takes them, where the model leaves dimensions open.
        package: Where trained weights come from; empty for random ones.
    """

    name: str
    summary: str
    source: Callable[[], str]
    feeds: Callable[[int, int], list[Feed]]
    data: str
    inputs: tuple[str, ...] = ()
    package: str = ""

    @property
    def trained(self) -> bool:
        return bool(self.package)


def stacked(feeds: list[Feed]) -> Feed:
    """Input name → [samples, …], as an ``.npz`` for ``--calibration`` has it."""
    return {name: np.stack([feed[name] for feed in feeds]) for name in feeds[0]}
