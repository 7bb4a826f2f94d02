"""A depthwise convolution as a sum of smaller ones, for kernels that are fast up to a number of taps only.

XNNPACK has depthwise micro-kernels of up to 25 taps that keep their sums in registers, and one that doesn't for all
larger ones: the form ``depthwise_in_pieces``. The sum is exact up to the order of its additions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np


@dataclass(frozen=True)
class Piece:
    """Some of an axis of a kernel: elements ``start``, ``start + step``, … of it, ``count`` in all.

    Attributes:
        fresh: Which of them no earlier piece has; the others have weight 0 in this one.
    """

    start: int
    step: int
    count: int
    fresh: tuple[bool, ...]

    @property
    def indices(self) -> list[int]:
        return [self.start + self.step * i for i in range(self.count)]

    def pads(self, low: int, high: int, extent: int, dilation: int) -> tuple[int, int]:
        """Padding with which this piece sees what the whole axis of ``extent`` elements sees with ``low``, ``high``."""
        return low - self.start * dilation, high - (extent - 1 - self.indices[-1]) * dilation


def pieces(kernel: Sequence[int], most: int) -> list[tuple[Piece, Piece]]:
    """Rows and columns of the convolutions whose sum is one of ``kernel`` (height, width), none above ``most`` taps.

    As few as can be. Columns in threes around the centre, which grow apart by their dilation, go before blocks, as they
    are padded as the whole is: SAME stays SAME, and nothing is copied.
    """
    height, width = kernel
    blocks = min(
        ((rows, most // rows) for rows in range(1, min(height, most) + 1)),
        key=lambda block: (-(-height // block[0])) * (-(-width // block[1])),
    )
    found = [(row, column) for row in _blocks(height, blocks[0]) for column in _blocks(width, blocks[1])]
    if height * 3 <= most and width % 2 and width // 2 <= len(found):
        (whole,) = _blocks(height, height)
        return [(whole, column) for column in _threes(width)]
    return found


def weights_of(weights: np.ndarray, rows: Piece, columns: Piece) -> np.ndarray:
    """What ``weights`` [1, kH, kW, C] have in a piece; zero where an earlier one has it."""
    kept = np.outer(rows.fresh, columns.fresh)[None, :, :, None]
    return np.ascontiguousarray(weights[:, rows.indices][:, :, columns.indices] * kept.astype(weights.dtype))


def _blocks(extent: int, size: int) -> list[Piece]:
    """Neighbours, at most ``size`` of them."""
    count = -(-extent // size)
    bounds = [extent * i // count for i in range(count + 1)]
    return [Piece(a, 1, b - a, (True,) * (b - a)) for a, b in pairwise(bounds)]


def _threes(extent: int) -> Iterator[Piece]:
    """The centre and one element on each side of it, ever further away."""
    centre = extent // 2
    for step in range(1, centre + 1):
        yield Piece(centre - step, step, 3, (True, step == 1, True))
