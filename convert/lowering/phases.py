"""A transposed convolution as plain ones: what each place of the blocks sees that its input's elements become.

With a stride of ``s``, element ``s·m + p`` of the result is a sum over the kernel's elements ``r``, ``r + s``, … alone,
``r = (p + low) mod s``: a convolution of its own for each place ``p``, by fewer elements. The form
``transposed_by_blocks``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, product

import numpy as np


@dataclass(frozen=True)
class Phase:
    """A place of the blocks, along one axis.

    Attributes:
        taps: The elements of the kernel that it sees, in the order of a convolution.
        pads: The padding of that convolution.
    """

    taps: tuple[int, ...]
    pads: tuple[int, int]

    @property
    def window(self) -> tuple[int, tuple[int, int]]:
        """What it sees of the input."""
        return len(self.taps), self.pads


PhasePair = tuple[Phase, Phase]
"""A row and a column of the blocks."""


def phases(kernel: int, stride: int, low: int, high: int) -> list[Phase]:
    """Every place of an axis whose kernel is no smaller than its stride.

    Args:
        low: What is cut off in front of all that the kernel reaches.
        high: What is cut off behind it; below 0, zeros come there.
    """
    grown = -(-(kernel - stride - low - high) // stride)
    found = []
    for place in range(stride):
        reach, first = divmod(place + low, stride)
        taps = tuple(range(first, kernel, stride))[::-1]
        found.append(Phase(taps, (len(taps) - 1 - reach, grown + reach)))
    return found


def surplus(kernel: int, stride: int, low: int, high: int) -> int:
    """Elements at the end of whole blocks that are none of the result."""
    return -(kernel - stride - low - high) % stride


def places(rows: Sequence[Phase], columns: Sequence[Phase], *, apart: bool) -> list[list[PhasePair]]:
    """The places in order; neighbours that see the same are together, unless they are wanted ``apart``."""
    every = list(product(rows, columns))
    if apart:
        return [[place] for place in every]
    return [list(same) for _, same in groupby(every, key=lambda place: (place[0].window, place[1].window))]


def weights_at(weights: np.ndarray, place: PhasePair, groups: int) -> np.ndarray:
    """Weights [C, O/groups, kH, kW] of a place, as a convolution has them, [O, kH', kW', C/groups]."""
    row, column = place
    seen = weights[:, :, row.taps][..., column.taps]
    channels, each, *window = seen.shape
    apart = seen.reshape(groups, channels // groups, each, *window).transpose(0, 2, 3, 4, 1)
    return np.ascontiguousarray(apart.reshape(groups * each, *window, channels // groups))
