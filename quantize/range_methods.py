"""Range methods: from what was seen of an activation to the range that its integers cover, one entry each.

A method is a pure function of a tensor's ``Statistics``, so one pass over the data serves all of them. Which is best
depends on the model: clipping gives the many values finer steps and ruins the few that are cut off. The simplest one is
first, and wins where nothing tells them apart.

===================  ================================================================================================
``min_max``          all that was seen (Jacob et al., "Quantization and Training of Neural Networks …", 2018, 3.1)
``moving_average``   mean of each sample's extremes: what a moving average over endless samples comes to, whatever
                     their order
``sample_extremes``  the 90th percentile of the samples' extremes; ``sample_extremes:75`` takes another: the few samples
                     that reach further than all others are cut off, as far as they do
``percentile``       the middle 99.99 % of all values; ``percentile:99.9`` takes another share (McKinstry et al.,
                     "Discovering Low-Precision Networks …", 2018)
``mse``              least expected squared error, of rounding and clipping together (Banner et al., "Post training
                     4-bit quantization", 2019; searched over the histogram)
``entropy``          least Kullback-Leibler divergence of the quantized distribution from that of the values (Migacz,
                     "8-bit inference with TensorRT", 2017)
===================  ================================================================================================
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ..errors import BadInput, did_you_mean
from .histogram import ValueCounts

if TYPE_CHECKING:
    from ..artifact import Array, Floats

AUTO = "auto"
"""All of ``TRIED``; the one that does best on samples that no range was taken from is kept."""

MIN_MAX = "min_max"
_PERCENTILE = 99.99
_SAMPLES = 90.0

Range = tuple[float, float]

_CANDIDATES = 0.5 ** (np.arange(97) / 8)
"""Parts of the extremes that a search tries: eight to the octave, down to 1/4096."""

_FINER = 2.0 ** (np.arange(-7, 8) / 56)
"""A second look, between the neighbours of the best."""

_CUT = 0.02
"""Most of the values that ``entropy`` cuts off. Of a few hundred values, as logits are, a range of next to none is told
apart perfectly by its steps, and cut off would be 97 %."""

_INT8_STEPS = 255
_INT32_SAFE = 2.0**30


@dataclass
class Statistics:
    """Of one activation, over all samples so far: 40 KiB, and 8 bytes more with each sample.

    Attributes:
        low, high: Least and largest value that counts.
        reach: Largest magnitude of all values, of those too that need no room in the range.
        lows, highs: Least and largest value that counts of each sample.
        histogram: Of all values.
    """

    low: float = np.inf
    high: float = -np.inf
    reach: float = 0.0
    lows: array[float] = field(default_factory=lambda: array("f"))
    highs: array[float] = field(default_factory=lambda: array("f"))
    histogram: ValueCounts = field(default_factory=ValueCounts)

    @property
    def extremes(self) -> Range:
        return self.low, self.high

    def add(self, values: Array, reach: float) -> None:
        """Take in one sample: what counts of it, float32, finite, of any shape but an empty one."""
        low, high = float(values.min()), float(values.max())
        self.low, self.high = min(self.low, low), max(self.high, high)
        self.lows.append(low)
        self.highs.append(high)
        self.reach = max(self.reach, reach)
        self.histogram.add(values)


@dataclass(frozen=True)
class Integers:
    """The integers of an activation.

    Attributes:
        bits: 8 or 16.
        symmetric: Whether the zero point is 0, so that the range is as wide on both sides.
    """

    bits: int = 8
    symmetric: bool = False

    @property
    def steps(self) -> int:
        return int(2**self.bits - (2 if self.symmetric else 1))

    def step(self, low: Floats, high: Floats) -> Floats:
        """The distance of two neighbours, with zero in the range."""
        wide: Floats = 2 * np.maximum(-low, high) if self.symmetric else high - low
        return wide / self.steps


ToRange = Callable[[Statistics, Integers], Range]


def _min_max(seen: Statistics, grid: Integers) -> Range:
    return seen.low, seen.high


def _moving_average(seen: Statistics, grid: Integers) -> Range:
    return math.fsum(seen.lows) / len(seen.lows), math.fsum(seen.highs) / len(seen.highs)


def _sample_extremes(percent: float) -> ToRange:
    def sample_extremes(seen: Statistics, grid: Integers) -> Range:
        return float(np.percentile(seen.lows, 100 - percent)), float(np.percentile(seen.highs, percent))

    return sample_extremes


def _percentile(share: float) -> ToRange:
    """The method that leaves out ``100 - share`` percent of the values, half of them at each end."""

    def percentile(seen: Statistics, grid: Integers) -> Range:
        buckets = seen.histogram.buckets()
        below = np.cumsum(buckets.counts)
        left_out = np.floor((100 - share) / 200 * below[-1] + 1e-6)
        first, last = np.searchsorted(below, left_out, "right"), np.searchsorted(below, below[-1] - left_out)
        return float(buckets.lower[min(first, last)]), float(buckets.upper[last])

    return percentile


class _Noise:
    """Expected squared error of any range, from sums over the histogram that are taken once.

    What is cut off is wrong by its distance from the range. Within, rounding is wrong by step²/12; what is below half a
    step becomes zero and is wrong by itself.
    """

    def __init__(self, seen: Statistics, grid: Integers) -> None:
        self._grid = grid
        buckets = seen.histogram.buckets()
        values = buckets.middle.clip(seen.low, seen.high)
        self._sides = [
            _Side(values[buckets.zeros + 1 :], buckets.counts[buckets.zeros + 1 :]),
            _Side(-values[: buckets.zeros][::-1], buckets.counts[: buckets.zeros][::-1]),
        ]

    def of(self, low: Floats, high: Floats) -> Floats:
        """Summed over all values; ``low`` ≤ 0 ≤ ``high`` are arrays of one shape."""
        step = self._grid.step(low, high)
        if self._grid.symmetric:
            low, high = -np.maximum(-low, high), np.maximum(-low, high)
        plus, minus = self._sides
        return plus.noise(high, step) + minus.noise(-low, step)


class _Side:
    """The values of one sign, as magnitudes: cumulated count, sum and sum of squares."""

    def __init__(self, values: Floats, counts: Floats) -> None:
        self._values = values
        self._sums = [np.concatenate([[0.0], np.cumsum(counts * values**power)]) for power in (0, 1, 2)]

    def noise(self, limit: Floats, step: Floats) -> Floats:
        count, total, squares = self._sums
        end = np.searchsorted(self._values, limit, "right")
        begin = np.minimum(np.searchsorted(self._values, step / 2), end)
        cut = squares[-1] - squares[end] - 2 * limit * (total[-1] - total[end]) + limit**2 * (count[-1] - count[end])
        noise: Floats = np.maximum(cut, 0) + (count[end] - count[begin]) * step**2 / 12 + squares[begin]
        return noise


def _mse(seen: Statistics, grid: Integers) -> Range:
    """The best of all pairs of candidates for both ends, and then of those around it."""
    noise = _Noise(seen, grid)
    low, high = min(seen.low, 0.0), max(seen.high, 0.0)
    for candidates in (_CANDIDATES, _FINER):
        lows, highs = np.meshgrid(*(np.unique(end * candidates) for end in (low, high)), indexing="ij")
        lows, highs = np.maximum(lows, min(seen.low, 0.0)), np.minimum(highs, max(seen.high, 0.0))
        errors = noise.of(lows, highs)
        # Of equals the widest: nothing is cut off for nothing.
        best = max(np.flatnonzero(errors.ravel() == errors.min()), key=lambda i: (highs - lows).ravel()[i])
        low, high = float(lows.ravel()[best]), float(highs.ravel()[best])
    return low, high


def _entropy(seen: Statistics, grid: Integers) -> Range:
    """The threshold, on magnitudes, whose quantized distribution is nearest to that of the values."""
    buckets = seen.histogram.buckets()
    # Zero is exact in every range, and would hide all else where most values are zero, as behind RELU.
    counts = np.delete(buckets.counts, buckets.zeros)
    lower, upper = (np.delete(edges, buckets.zeros) for edges in (buckets.lower, buckets.upper))
    if not counts.size:
        return seen.low, seen.high
    low, high = min(seen.low, 0.0), max(seen.high, 0.0)
    most = max(-low, high)
    limits = [(max(low, -most * part), min(high, most * part)) for part in _CANDIDATES[:65:2]]
    divergences = np.array([_divergence(counts, lower, upper, limit, grid) for limit in limits])
    return limits[int(np.argmax(divergences <= divergences.min() + 1e-9))]  # of equals the widest


def _divergence(counts: Floats, lower: Floats, upper: Floats, limit: Range, grid: Integers) -> float:
    """KL of the values, with those cut off moved to the ends, from what the steps of the range can tell apart.

    The steps know only how many values each holds, not where in it they are; and nothing of those that were cut off.
    """
    low, high = limit
    step = float(grid.step(np.asarray(low), np.asarray(high)))
    inside = (upper > low) & (lower < high)
    if counts[~inside].sum() > _CUT * counts.sum():
        return float(np.inf)
    kept, lower, upper = counts[inside], lower[inside], upper[inside]
    ends = np.cumsum(kept)
    edges, below = np.stack([lower, upper], 1).ravel(), np.stack([ends - kept, ends], 1).ravel()
    first, last = np.floor(lower[0] / step + 0.5), np.ceil(upper[-1] / step + 0.5)
    borders = (np.arange(first, last + 1) - 0.5) * step
    held = np.interp(borders, edges, below)
    smeared = np.interp(upper, borders, held) - np.interp(lower, borders, held)
    clipped = kept.copy()
    clipped[0] += counts[: np.argmax(inside)].sum()
    clipped[-1] += counts[counts.size - np.argmax(inside[::-1]) :].sum()
    p, q = clipped / clipped.sum(), np.maximum(smeared / smeared.sum(), 1e-12)
    return float(np.sum(p * np.log(p / q)))


METHODS: Mapping[str, ToRange] = {
    MIN_MAX: _min_max,
    "moving_average": _moving_average,
    "sample_extremes": _sample_extremes(_SAMPLES),
    "percentile": _percentile(_PERCENTILE),
    "mse": _mse,
    "entropy": _entropy,
}
"""Every method, the simplest first."""

_OF_PERCENT: Mapping[str, Callable[[float], ToRange]] = {"sample_extremes": _sample_extremes, "percentile": _percentile}
"""Methods that take a number, as in ``percentile:99.9``."""

TRIED = (
    MIN_MAX,
    "moving_average",
    "sample_extremes",
    "sample_extremes:75",
    "percentile",
    "percentile:99.9",
    "mse",
    "entropy",
)
"""What ``auto`` chooses among."""


def find(name: str) -> ToRange:
    """The method called ``name``, with its number where it takes one.

    Raises:
        BadInput: there is no such method, or no such percentage.
    """
    kind, colon, number = name.partition(":")
    if kind not in METHODS or (colon and kind not in _OF_PERCENT):
        raise BadInput(
            f"there is no range method {name!r}",
            where="--ranges",
            details=[AUTO, *METHODS, *(f"{takes}:PERCENT" for takes in _OF_PERCENT)],
            remedy=did_you_mean(name, (AUTO, *METHODS)) or "use one of these",
        )
    if not colon:
        return METHODS[kind]
    try:
        percent = float(number)
    except ValueError:
        percent = math.nan
    if not 50 <= percent <= 100:
        raise BadInput(
            f"{number!r} is no percentage from 50 to 100",
            where="--ranges",
            remedy=f"write a number, as in {kind}:99.9, or {kind} alone",
        )
    return _OF_PERCENT[kind](percent)


def checked(name: str) -> str:
    """The name of a method, or ``auto``. Raises as `find`."""
    if name != AUTO:
        find(name)
    return name


def resolve(statistics: Mapping[str, Statistics], name: str, grid: Callable[[str], Integers]) -> dict[str, Range]:
    """Tensor name → least and largest value that its integers stand for; zero is always between them.

    Where a method leaves next to nothing, of a tensor that is zero but for a few values, ``min_max`` stands in.

    Args:
        statistics: Tensor name → what was seen of it.
        name: Of the method.
        grid: Tensor name → its integers.
    """
    method, found = find(name), {}
    for tensor, seen in statistics.items():
        widest = min(seen.low, 0.0), max(seen.high, 0.0)
        low, high = method(seen, grid(tensor))
        narrowed = min(max(low, widest[0]), 0.0), max(min(high, widest[1]), 0.0)
        found[tensor] = widest if overflows(seen.reach, narrowed) else narrowed
    return found


def extent(bounds: Range) -> float:
    """Width of a range as it is quantized, with zero in it (see the engine's ``tensor_zp_scale_from_min_max``)."""
    return max(bounds[1], 0.0) - min(bounds[0], 0.0)


def overflows(reach: float, bounds: Range) -> bool:
    """Whether QUANTIZE would lose the sign of ``reach``: the plain kernel rounds to int32 before it saturates."""
    return reach * _INT8_STEPS > _INT32_SAFE * extent(bounds)
