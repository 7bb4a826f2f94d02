"""Channels of one output that mean different things, such as the boxes and the scores of a detector.

One SQNR over all of them is that of the largest: boxes reach 640 and scores 1, so that scores that are all lost cost
nothing. Here is the rule by which channels are told apart, from the reference alone:

- Axes: the last one and axis 1, as far as they are no batch and equally long in all samples.
- The scale of a channel is its largest finite ``|b|`` over all samples. A channel needs ``MIN_VALUES`` values, or its
  scale is chance.
- Channels are sorted by scale. The first gap of more than ``GAP`` between neighbours parts them, if at least ``SHARE``
  of the channels lie below it: fewer are the weak channels of a feature map. The lower part is split in the same way.
- Nothing is split that stays within ±1: of probabilities most are near 0, and all of them share one unit.
- Channels below ``ZERO`` of the largest one are as good as zero. They have no signal that could be lost and go with the
  nearest channel that has.

So logits, probabilities and feature maps are one group, and boxes and scores are two.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from ..artifact import Array

GAP = 16.0
"""A group this many times smaller than the next has fewer than 16 of the 256 levels of an int8 tensor."""

MIN_VALUES = 32
SHARE = 1 / 16
ZERO = 1e-6
UNIT = 1.0


def find_groups(references: Sequence[Array]) -> Iterator[tuple[int, list[list[int]]]]:
    """(axis, the channels of each group) of every axis whose channels fall apart."""
    for axis in channel_axes(references):
        parts = split(_scales(references, axis))
        if len(parts) > 1:
            yield axis, parts


def channel_axes(arrays: Sequence[Array]) -> Iterator[int]:
    """The axes of floats that may count channels: the first behind the batch, and the last."""
    first = arrays[0]
    if first.dtype.kind != "f" or first.ndim < 2:
        return
    for axis in dict.fromkeys((1, first.ndim - 1)):
        extents = {array.shape[axis] for array in arrays}
        count = extents.pop()
        values = sum(array.size for array in arrays) // count if count else 0
        if not extents and count > 1 and values >= MIN_VALUES:
            yield axis


def ranges(channels: Sequence[int]) -> str:
    """``0–3, 7`` for 0, 1, 2, 3 and 7."""
    runs: list[list[int]] = []
    for channel in channels:
        if runs and channel == runs[-1][-1] + 1:
            runs[-1].append(channel)
        else:
            runs.append([channel])
    return ", ".join(f"{run[0]}–{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def _scales(arrays: Sequence[Array], axis: int) -> NDArray[np.float64]:
    """[channels]: the largest finite magnitude of each."""
    tops = []
    for array in arrays:
        rows = np.abs(np.moveaxis(array, axis, 0).reshape(array.shape[axis], -1).astype(np.float64))
        tops.append(np.where(np.isfinite(rows), rows, 0).max(axis=1, initial=0))
    scales: NDArray[np.float64] = np.max(tops, axis=0)
    return scales


def split(scales: NDArray[np.float64]) -> list[list[int]]:
    """The channels of each group, from the largest scale to the smallest."""
    order = np.argsort(-scales, kind="stable")
    telling = [int(c) for c in order if scales[c] > ZERO * scales.max()]
    least = max(1, int(np.ceil(SHARE * scales.size)))
    starts = [0]
    for place in range(1, len(telling)):
        above, below = scales[telling[place - 1]], scales[telling[place]]
        parted = above > GAP * below and scales[telling[starts[-1]]] > UNIT
        if parted and len(telling) - place >= least:
            starts.append(place)
    parts = [telling[begin:end] for begin, end in zip(starts, [*starts[1:], None], strict=True)]
    owner = {channel: number for number, part in enumerate(parts) for channel in part}
    for channel in sorted(set(range(scales.size)) - set(telling)):
        nearest = telling[int(np.argmin(np.abs(np.subtract(telling, channel))))] if telling else None
        parts[0 if nearest is None else owner[nearest]].append(channel)
    return [sorted(part) for part in parts]
