"""What calibration data spans, held against the example: data of another scale gives ranges that clip real inputs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ..artifact import Array

_FAR = 20.0
"""Times by which the largest magnitudes of data and example may differ: 0…255 and 0…1 are further apart."""


class Spread:
    """Least and largest value of each float input, taken while feeds pass by."""

    def __init__(self) -> None:
        self.ranges: dict[str, tuple[float, float]] = {}

    def of(self, feeds: Iterable[Mapping[str, Array]]) -> Iterator[Mapping[str, Array]]:
        """The feeds, unchanged."""
        for feed in feeds:
            for name, array in feed.items():
                if array.dtype.kind == "f" and array.size:
                    low, high = self.ranges.get(name, (np.inf, -np.inf))
                    self.ranges[name] = (min(low, float(array.min())), max(high, float(array.max())))
            yield feed

    def doubts(self, examples: Mapping[str, Array]) -> list[str]:
        """What makes the data look unlike the model's inputs, a sentence each.

        Args:
            examples: Inputs that somebody gave, not such as were drawn.
        """
        found = []
        for name, (low, high) in self.ranges.items():
            if low == high:
                found.append(f"the calibration data of {name!r} is {low:g} everywhere: its ranges fit no other input")
                continue
            data = max(abs(low), abs(high))
            example = float(np.abs(examples[name]).max(initial=0.0)) if name in examples else 0.0
            if example and not 1 / _FAR <= data / example <= _FAR:
                found.append(
                    f"the calibration data of {name!r} reaches {data:.3g}, and its example {example:.3g}: "
                    "is it prepared as for inference (--mean, --std)?"
                )
        return found
