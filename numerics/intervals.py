"""How sure a number is: intervals of shares, of what two shares differ by, of quantiles, and of ratios of medians.

A quantile's are bootstrapped, from times that were taken in rounds. Times of one turn resemble each other more than
times of different turns (clock, heat, other processes), so whole rounds are resampled, not single times (B. Efron,
R. Tibshirani, *An Introduction to the Bootstrap*, 1993, on blocks of dependent data). Two rows whose turns were
interleaved share their rounds: what slows a round slows both and leaves their ratio alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..errors import BadInput

Z95 = 1.959963984540054
"""Two-sided 95 % quantile of the normal distribution."""

RESAMPLES = 1000

Rounds = Sequence[Sequence[float]]
"""Times, by round."""


def wilson(successes: int, total: int, *, z: float = Z95) -> tuple[float, float]:
    """Wilson's score interval of a share (E. B. Wilson, JASA 22, 1927); (0, 1) without data."""
    if total == 0:
        return 0.0, 1.0
    share = successes / total
    scale = 1 + z * z / total
    centre = (share + z * z / (2 * total)) / scale
    half = z / scale * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    return max(0.0, centre - half), min(1.0, centre + half)


def paired_drop(
    reference: NDArray[np.bool_], actual: NDArray[np.bool_], *, z: float = Z95
) -> tuple[float, float, float]:
    """Difference of two shares on the same samples, with its interval: (drop, low, high).

    The interval is Wald's with half a success added to each cell of the 2×2 table (A. Agresti, Y. Min,
    Statistics in Medicine 24, 2005), which stays honest when no sample or every sample changes.

    Args:
        reference: Whether the reference got each sample right (bool, [samples]).
        actual: Whether the other did.

    Raises:
        BadInput: the lengths differ, or there are no samples.
    """
    if reference.shape != actual.shape or reference.size == 0:
        raise BadInput(
            f"can't pair {reference.size} results with {actual.size}",
            remedy="give the results of both on the same samples, one at least",
        )
    lost = int(np.sum(reference & ~actual))
    won = int(np.sum(~reference & actual))
    total = reference.size + 2
    b, c = lost + 0.5, won + 0.5
    half = z * math.sqrt(max(0.0, b + c - (b - c) ** 2 / total)) / total
    centre = (b - c) / total
    return (lost - won) / reference.size, max(-1.0, centre - half), min(1.0, centre + half)


def quantile_interval(rounds: Rounds, share: float, *, seed: int = 0, level: float = 0.95) -> tuple[float, float]:
    """Interval of the quantile ``share`` (0 … 1) of all times."""
    return _interval(_quantiles(rounds, _draws(len(rounds), seed), share), level)


def ratio_interval(rounds: Rounds, baseline: Rounds, *, seed: int = 0, level: float = 0.95) -> tuple[float, float]:
    """Interval of median(rounds) ÷ median(baseline); paired by round when there are equally many."""
    draws = _draws(len(rounds), seed)
    others = draws if len(baseline) == len(rounds) else _draws(len(baseline), seed + 1)
    return _interval(_quantiles(rounds, draws, 0.5) / _quantiles(baseline, others, 0.5), level)


def _draws(count: int, seed: int) -> NDArray[np.int64]:
    """[resamples, rounds]: how often each round is drawn."""
    random = np.random.default_rng(seed)
    return random.multinomial(count, np.full(count, 1 / count), size=RESAMPLES)


def _quantiles(rounds: Rounds, draws: NDArray[np.int64], share: float) -> NDArray[np.float64]:
    """[resamples]: the quantile of the drawn rounds' times, each time as often as its round was drawn."""
    times = np.concatenate([np.asarray(r, np.float64) for r in rounds])
    owner = np.repeat(np.arange(len(rounds)), [len(r) for r in rounds])
    order = np.argsort(times, kind="stable")
    times, owner = times[order], owner[order]
    # Row by row: all weights at once would take resamples × times × 8 bytes.
    return np.array([_weighted_quantile(times, row[owner], share) for row in draws])


def _weighted_quantile(times: NDArray[np.float64], weights: NDArray[np.int64], share: float) -> float:
    """Quantile of sorted ``times``, each counted ``weights`` times; between two of them linear, as numpy's."""
    total = np.cumsum(weights)
    place = share * (total[-1] - 1)
    low, high = np.searchsorted(total, [int(place) + 1, min(int(place) + 2, int(total[-1]))])
    return float(times[low] + (times[high] - times[low]) * (place - int(place)))


def _interval(values: NDArray[np.float64], level: float) -> tuple[float, float]:
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
