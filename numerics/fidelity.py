"""How true an output stays: what every judgement of a quantized file goes by.

The numbers are those of ``comparison``, of the whole output and of each group of its channels (``groups``): an SQNR
over boxes and scores is that of the boxes. Beside them, what quantization does to a tensor and an SQNR doesn't name:

- *saturated*: values that the output can't reach. The reference lies beyond all that the output ever gives, by more
  than ``STEP`` of its range (rounding alone stays within half of that).
- *dead*: channels that the output holds constant where the reference moves by more than ``STEP`` of its own size.

A group of probabilities (beside larger channels, as groups are) of which none is off by more than ``STEP`` is
*settled*: no int8 file tells such numbers apart, and where no sample shows a detector anything, all its scores are so
small. Their SQNR says nothing, so it is shown and not judged.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from .comparison import Errors, compare
from .groups import UNIT, ZERO, channel_axes, find_groups, ranges

if TYPE_CHECKING:
    from ..artifact import Array

STEP = 1 / 255
"""Of a range: the distance of two neighbours in 8 bits."""


class Group(BaseModel):
    """Channels of an output that are of one scale, and how far they are off."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    axis: int = Field(description="the axis that the channels are counted along")
    channels: str = Field(description="which ones, such as '4–83'")
    scale: float = Field(description="largest |b| of the reference in them")
    errors: Errors
    settled: bool = Field(default=False, description="probabilities, none off by more than 1/255: not judged")


def worst(groups: Sequence[Group]) -> Group | None:
    """The group with the least SQNR, of those that are judged."""
    judged = [group for group in groups if not group.settled]
    return min(judged, key=lambda group: group.errors.quality_db, default=None)


class Fidelity(BaseModel):
    """An output against its reference, over all samples."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    errors: Errors = Field(description="of all channels together")
    groups: list[Group] = Field(default_factory=list, description="of each group of channels; empty: there is but one")
    saturated: float = Field(default=0.0, description="share of the values that lie beyond what the output reaches")
    dead: float = Field(default=0.0, description="share of the channels that the output holds constant")

    @property
    def sqnr_db(self) -> float:
        """Of the whole; infinite when exact, minus infinity where there is noise and no signal (or no floats)."""
        return self.errors.quality_db

    @property
    def worst_group(self) -> Group | None:
        """The group of channels with the least SQNR; None where all channels are one group."""
        return worst(self.groups)

    @property
    def worst_group_db(self) -> float:
        """What a file is judged by: the least SQNR of a group of channels; of the whole, where they are one group."""
        group = self.worst_group
        return min(self.errors.quality_db, group.errors.quality_db) if group else self.errors.quality_db

    @property
    def agreement(self) -> float | None:
        """Share of the samples with the same top-1 class; None where the output is no class scores."""
        return self.errors.top1_agreement


def fidelity(truth: Array | Sequence[Array], got: Array | Sequence[Array]) -> Fidelity:
    """Hold an output against its reference.

    Args:
        truth: The reference: one array a sample (with its batch axis), or a single array.
        got: The output, of the same shapes.

    Raises:
        BadInput: the shapes of a pair, or the numbers of samples, differ.
    """
    truths, gots = _samples(truth), _samples(got)
    errors = compare(gots, truths)
    floats = bool(truths) and all(array.dtype.kind == "f" for array in (*truths, *gots))
    if not floats:
        return Fidelity(errors=errors)
    return Fidelity(
        errors=errors, groups=_groups(truths, gots), saturated=_saturated(truths, gots), dead=_dead(truths, gots)
    )


def _samples(arrays: Array | Sequence[Array]) -> Sequence[Array]:
    return [arrays] if isinstance(arrays, np.ndarray) else arrays


def _groups(truths: Sequence[Array], gots: Sequence[Array]) -> list[Group]:
    """Errors of each group of channels; empty where there is but one."""
    found = []
    for axis, parts in find_groups(truths):
        for part in parts:
            taken = [[np.take(array, part, axis) for array in arrays] for arrays in (gots, truths)]
            errors = compare(*taken).model_copy(update={"top1_agreement": None})  # a part has no argmax of its own
            values = [_finite(array) for array in taken[1]]
            low = min((float(v.min()) for v in values if v.size), default=0.0)
            high = max((float(v.max()) for v in values if v.size), default=0.0)
            scale = max(abs(low), abs(high))
            settled = low >= 0 and high <= UNIT and errors.max_abs <= STEP
            found.append(Group(axis=axis, channels=ranges(part), scale=scale, errors=errors, settled=settled))
    return found


def _finite(array: Array) -> NDArray[np.float64]:
    return array[np.isfinite(array)].astype(np.float64)


def _saturated(truths: Sequence[Array], gots: Sequence[Array]) -> float:
    """Share of the values of the truth beyond what is ever got."""
    reached, wanted = ([_finite(array) for array in arrays] for arrays in (gots, truths))
    total = sum(values.size for values in wanted)
    if not total or not any(values.size for values in reached):
        return 0.0
    low = min(float(values.min()) for values in reached if values.size)
    high = max(float(values.max()) for values in reached if values.size)
    margin = STEP * (high - low)
    beyond = sum(int(np.sum((values < low - margin) | (values > high + margin))) for values in wanted)
    return beyond / total


def _dead(truths: Sequence[Array], gots: Sequence[Array]) -> float:
    """Share of the channels that move in the truth and never in what is got; of the axis that has more of them."""
    shares = []
    for axis in channel_axes(truths):
        (low, high), (got_low, got_high) = _extremes(truths, axis), _extremes(gots, axis)
        size = np.maximum(np.abs(low), np.abs(high))
        moves = (high - low > STEP * size) & (size > ZERO * size.max(initial=0))
        shares.append(float(np.mean(moves & (got_low == got_high))))
    return max(shares, default=0.0)


def _extremes(arrays: Sequence[Array], axis: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """[channels] twice: the least and the largest finite value of each (0 where none is)."""
    rows = np.concatenate([np.moveaxis(a, axis, 0).reshape(a.shape[axis], -1) for a in arrays], 1).astype(np.float64)
    finite = np.isfinite(rows)
    low = np.where(finite, rows, np.inf).min(axis=1, initial=np.inf)
    high = np.where(finite, rows, -np.inf).max(axis=1, initial=-np.inf)
    there = finite.any(axis=1)
    return np.where(there, low, 0), np.where(there, high, 0)
