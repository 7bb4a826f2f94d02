from __future__ import annotations

import numpy as np
import pytest

from edgeworthy.errors import BadInput
from edgeworthy.numerics import intervals


def test_median_interval_covers_and_narrows() -> None:
    covered, widths = 0, []
    for seed in range(100):
        random = np.random.default_rng(seed)
        rounds = random.lognormal(0, 0.1, (20, 30)).tolist()
        low, high = intervals.quantile_interval(rounds, 0.5, seed=seed)
        covered += low <= 1 <= high
        widths.append(high - low)
    assert covered >= 88
    few = intervals.quantile_interval(np.random.default_rng(0).lognormal(0, 0.1, (20, 3)).tolist(), 0.5)
    assert few[1] - few[0] > float(np.mean(widths))


@pytest.mark.parametrize("share", [0.0, 0.5, 0.9, 0.99, 1.0])
def test_weighted_quantile_is_numpys_of_the_repeated_times(share: float) -> None:
    random = np.random.default_rng(0)
    for size in (1, 2, 5, 8):
        times, weights = np.sort(random.normal(size=size)), random.integers(0, 4, size)
        weights[0] += 1
        wanted = np.quantile(np.repeat(times, weights), share)
        assert intervals._weighted_quantile(times, weights, share) == pytest.approx(wanted)


def test_drift_that_both_share_leaves_the_ratio_alone() -> None:
    # Every other round runs at half the clock; the ratio is 0.8 in each.
    clock = np.where(np.arange(20) % 2, 1.0, 2.0)
    base = [[c * (1 + 0.001 * k) for k in range(10)] for c in clock]
    rounds = [[0.8 * t for t in r] for r in base]
    low, high = intervals.ratio_interval(rounds, base)
    assert low == pytest.approx(0.8) and high == pytest.approx(0.8)
    unpaired = intervals.ratio_interval(rounds, base[:-1])
    assert unpaired[0] < 0.6 and unpaired[1] > 1.0


def test_intervals_are_reproducible() -> None:
    rounds = np.random.default_rng(0).normal(10, 1, (5, 5)).tolist()
    assert intervals.quantile_interval(rounds, 0.5, seed=3) == intervals.quantile_interval(rounds, 0.5, seed=3)


def test_wilson() -> None:
    # R: binom::binom.confint(8, 10, methods = "wilson")
    assert intervals.wilson(8, 10) == pytest.approx((0.4901625, 0.9433178), abs=1e-6)
    assert intervals.wilson(10, 10)[1] == pytest.approx(1)
    assert intervals.wilson(0, 0) == (0.0, 1.0)


def test_paired_drop_covers_the_truth() -> None:
    random = np.random.default_rng(0)
    covered = 0
    for _ in range(300):
        first = random.random(200) < 0.9
        second = np.where(random.random(200) < 0.05, ~first, first)
        # P(second right) = 0.9·0.95 + 0.1·0.05 = 0.86
        drop, low, high = intervals.paired_drop(first, second)
        assert low <= drop <= high
        covered += low <= 0.04 <= high
    assert 0.92 <= covered / 300 <= 0.99


def test_paired_drop_of_identical_results_is_still_uncertain() -> None:
    right = np.ones(100, bool)
    drop, low, high = intervals.paired_drop(right, right)
    assert drop == 0 and low < 0 < high < 0.05
    with pytest.raises(BadInput):
        intervals.paired_drop(right, right[:50])
