from __future__ import annotations

import numpy as np
import pytest

from edgeworthy.numerics import intervals as bootstrap


def test_median_interval_covers_and_narrows() -> None:
    covered, widths = 0, []
    for seed in range(100):
        random = np.random.default_rng(seed)
        rounds = random.lognormal(0, 0.1, (20, 30)).tolist()
        low, high = bootstrap.median_interval(rounds, seed=seed)
        covered += low <= 1 <= high
        widths.append(high - low)
    assert covered >= 88
    few = bootstrap.median_interval(np.random.default_rng(0).lognormal(0, 0.1, (20, 3)).tolist())
    assert few[1] - few[0] > float(np.mean(widths))


@pytest.mark.parametrize("share", [0.0, 0.5, 0.9, 0.99, 1.0])
def test_weighted_quantile_is_numpys_of_the_repeated_times(share: float) -> None:
    random = np.random.default_rng(0)
    for size in (1, 2, 5, 8):
        times, weights = np.sort(random.normal(size=size)), random.integers(0, 4, size)
        weights[0] += 1
        wanted = np.quantile(np.repeat(times, weights), share)
        assert bootstrap._weighted_quantile(times, weights, share) == pytest.approx(wanted)


def test_drift_that_both_share_leaves_the_ratio_alone() -> None:
    # Every other round runs at half the clock; the ratio is 0.8 in each.
    clock = np.where(np.arange(20) % 2, 1.0, 2.0)
    base = [[c * (1 + 0.001 * k) for k in range(10)] for c in clock]
    rounds = [[0.8 * t for t in r] for r in base]
    low, high = bootstrap.ratio_interval(rounds, base)
    assert low == pytest.approx(0.8) and high == pytest.approx(0.8)
    unpaired = bootstrap.ratio_interval(rounds, base[:-1])
    assert unpaired[0] < 0.6 and unpaired[1] > 1.0


def test_intervals_are_reproducible() -> None:
    rounds = np.random.default_rng(0).normal(10, 1, (5, 5)).tolist()
    assert bootstrap.median_interval(rounds, seed=3) == bootstrap.median_interval(rounds, seed=3)
