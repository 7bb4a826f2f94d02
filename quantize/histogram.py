"""Counts of the values of a tensor, in buckets whose width follows the size of the values.

A bucket is all float32 values of one sign, exponent and first seven bits of the mantissa, so that it is 1/256 to 1/128
of its values wide, whatever their size: one outlier costs the others no resolution. Only the ``OCTAVES`` below the
largest magnitude are told apart; when a larger one comes, the buckets that fall off the other end are counted as zeros.
What stays is a function of the values alone: their order, and how they are cut into arrays, make no difference.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ..artifact import Array, Floats

OCTAVES = 20
"""2**-20 of the largest magnitude is 1/4096 of a step of int8: it is rounded to zero in any range worth trying."""

_MANTISSA = 7
_PER_OCTAVE = 1 << _MANTISSA
_SIZE = OCTAVES * _PER_OCTAVE
_HALF = 1 << 15
_INFINITE = 0xFF << _MANTISSA


@dataclass(frozen=True)
class Buckets:
    """What a histogram holds, by ascending value; no bucket is empty but that of zero.

    Attributes:
        lower: Where each begins.
        upper: Where it ends.
        counts: Values in it.
        zeros: Index of the bucket of zero, which has no width.
    """

    lower: Floats
    upper: Floats
    counts: Floats
    zeros: int

    @property
    def middle(self) -> Floats:
        return (self.lower + self.upper) / 2


class ValueCounts:
    """Of float32 values; takes 40 KiB whatever comes.

    Attributes:
        zeros: Values that are zero, or as good as.
    """

    def __init__(self) -> None:
        self.zeros = 0
        self._top = 0
        self._counts = np.zeros((2, _SIZE), np.int64)  # by sign, then magnitude up to the bucket before `_top`

    def add(self, values: Array) -> None:
        """Count the finite ones of float32 ``values``, of any shape."""
        words = np.ascontiguousarray(values, "<f4").reshape(-1).view("<u2")[1::2]
        found = np.bincount(words, minlength=2 * _HALF).reshape(2, _HALF)[:, :_INFINITE]
        used = np.flatnonzero(found[0] + found[1])
        if not used.size:
            return
        self._raise_top(int(used[-1]) + 1)
        bottom = max(0, self._top - _SIZE)
        self.zeros += int(found[:, : max(bottom, 1)].sum())
        kept = found[:, max(bottom, 1) : self._top]
        if kept.size:
            self._counts[:, _SIZE - kept.shape[1] :] += kept

    def _raise_top(self, top: int) -> None:
        by = min(top - self._top, _SIZE)
        if by <= 0:
            return
        self.zeros += int(self._counts[:, :by].sum())
        self._counts[:, :-by] = self._counts[:, by:].copy()
        self._counts[:, _SIZE - by :] = 0
        self._top = top

    def buckets(self) -> Buckets:
        """All that isn't empty, and zero."""
        edges = (np.arange(self._top - _SIZE, self._top + 1).clip(0).astype(np.uint32) << 16).view(np.float32)
        edges = edges.astype(np.float64)
        plus, minus = (np.flatnonzero(side) for side in self._counts)
        minus = minus[::-1]
        zero = np.zeros(1)
        return Buckets(
            lower=np.concatenate([-edges[minus + 1], zero, edges[plus]]),
            upper=np.concatenate([-edges[minus], zero, edges[plus + 1]]),
            counts=np.concatenate([self._counts[1, minus], [self.zeros], self._counts[0, plus]]).astype(np.float64),
            zeros=minus.size,
        )
