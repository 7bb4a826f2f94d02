"""The steps that constants were rounded to, found from their values.

Weights that were quantized are whole multiples of their channel's scale, whatever was done to them on the way: moved,
mirrored, cut, spread by zeros, multiplied with a batch norm's factor for each channel. So the scale needs no carrying
along: it is the largest number of which all of them are multiples. Where that isn't the user's own scale (as when all
weights of a channel are even) it is a multiple of it, and stands for the same weights.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...artifact import Array

TOLERANCE = 1e-3
"""How far a value may be from a whole number of steps: that much an integer kernel may be off, of what it rounds to."""

_SAMPLE = 64
"""Values that are looked at first; few of the numbers of steps pass them."""


@dataclass(frozen=True)
class GridConstant:
    """Constants in steps: ``scale · (steps - zero_point)``, with one scale, or one for each channel."""

    steps: Array
    scale: Array
    zero_point: int = 0


def weights(values: Array, axis: int) -> GridConstant | None:
    """Weights as int8 with a zero point of 0 and one scale, or one along ``axis``; None if they aren't that."""
    whole = _step(values.reshape(-1), -128, 127)
    if whole is not None:
        return GridConstant(np.rint(values / (whole or 1.0)).astype(np.int8), np.array([whole or 1.0], np.float32))
    rows = np.moveaxis(values, axis, 0).reshape(values.shape[axis], -1)
    found = [_step(row, -128, 127) for row in rows]
    known = [step for step in found if step is not None]
    if len(known) < len(found):
        return None
    # A channel of zeros has any scale; a large one, so that its bias fits.
    scale = np.array([step or max(known) for step in known])
    along = [-1 if a == axis else 1 for a in range(values.ndim)]
    steps = np.rint(values / scale.reshape(along))
    return GridConstant(steps.astype(np.int8), scale.astype(np.float32))


def operand(values: Array, low: int, high: int) -> GridConstant | None:
    """A constant operand with one scale, in ``low … high``; None if it isn't made of so few steps.

    ``low = -high`` asks for a zero point of 0.
    """
    symmetric = low == -high
    step = _step(values.reshape(-1), low if symmetric else low - high, high if symmetric else high - low)
    if step is None:
        return None
    step = step or 1.0
    count = np.rint(values.astype(np.float64) / step)
    least, most = int(count.min(initial=0)), int(count.max(initial=0))
    zero = 0 if symmetric else min(max(low - least, low, min(0, high - most)), high)
    if least + zero < low or most + zero > high:
        return None
    return GridConstant((count + zero).astype(np.int32), np.array([step], np.float32), zero)


def _step(values: Array, low: int, high: int) -> float | None:
    """The largest number of which all ``values`` are multiples by ``low … high``; 0 where they are zeros."""
    wide = values.astype(np.float64)
    if not np.isfinite(wide).all():
        return None
    extreme = float(wide[np.abs(wide).argmax()]) if wide.size else 0.0
    if extreme == 0:
        return 0.0
    most = high if extreme > 0 else -low
    counts = np.arange(1, most + 1, dtype=np.float64)
    sample = wide if wide.size <= _SAMPLE else wide[:: wide.size // _SAMPLE]
    ratios = np.outer(counts / abs(extreme), sample)
    for count in counts[(np.abs(ratios - np.rint(ratios)) < TOLERANCE).all(1)]:
        ratio = wide * (count / abs(extreme))
        near = np.rint(ratio)
        if (np.abs(ratio - near) < TOLERANCE).all() and near.min() >= low and near.max() <= high:
            # The mean over all is nearer to the scale that they were made with than the extreme's quotient.
            return float((wide @ near) / (near @ near))
    return None
