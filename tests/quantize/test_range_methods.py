"""Range methods against what numpy makes of the raw values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgeworthy.errors import BadInput
from edgeworthy.quantize.histogram import OCTAVES, ValueCounts
from edgeworthy.quantize.range_methods import METHODS, TRIED, Integers, Statistics, find, overflows, resolve

Array = NDArray[Any]

INT8, INT16 = Integers(), Integers(16, symmetric=True)
WIDTH = 1 / 128
"""Of a bucket, as a part of its values."""


def seen(samples: Sequence[Array]) -> Statistics:
    statistics = Statistics()
    for sample in samples:
        values = np.asarray(sample, np.float32)
        statistics.add(values, reach=float(np.abs(values).max()))
    return statistics


def ranges(samples: Sequence[Array], name: str, grid: Integers = INT8) -> tuple[float, float]:
    return resolve({"x": seen(samples)}, name, lambda _: grid)["x"]


def quantized(values: Array, low: float, high: float, grid: Integers = INT8) -> Array:
    """As the kernels do: zero is one of the integers."""
    if grid.symmetric:
        limit = 2 ** (grid.bits - 1) - 1
        scale = max(-low, high) / limit
        return np.clip(np.rint(values / scale), -limit, limit) * scale
    scale = (high - low) / (2**grid.bits - 1)
    zero = np.rint(-low / scale)
    return (np.clip(np.rint(values / scale) + zero, 0, 2**grid.bits - 1) - zero) * scale


def error(values: Array, low: float, high: float, grid: Integers = INT8) -> float:
    return float(np.mean((values - quantized(values, low, high, grid)) ** 2))


def distributions() -> dict[str, list[Array]]:
    draw = np.random.default_rng(5)
    normal = [draw.normal(size=4000) for _ in range(8)]
    outliers = [sample.copy() for sample in normal]
    outliers[3][7], outliers[6][0] = 300.0, -40.0
    return {
        "normal": normal,
        "relu": [np.maximum(sample, 0) for sample in normal],
        "outliers": outliers,
        "heavy": [draw.standard_t(2, size=4000) for _ in range(8)],
        "uniform": [draw.uniform(-1, 3, size=4000) for _ in range(8)],
        "bimodal": [np.where(sample > 0, 20.0, 0) + 0.1 * sample for sample in normal],
        "below zero": [-np.exp(sample) for sample in normal],
        "whole numbers": [np.floor(4 * sample) for sample in normal],
    }


DISTRIBUTIONS = distributions()


@pytest.mark.parametrize("kind", DISTRIBUTIONS)
def test_a_histogram_counts_every_value_in_the_bucket_that_holds_it(kind: str) -> None:
    values = np.concatenate(DISTRIBUTIONS[kind]).astype(np.float32)
    histogram = ValueCounts()
    for sample in DISTRIBUTIONS[kind]:
        histogram.add(sample.astype(np.float32))
    buckets = histogram.buckets()
    assert buckets.counts.sum() == values.size
    smallest = np.abs(values).max() * 2.0**-OCTAVES
    plus, minus = values[values >= 2 * smallest], -values[values <= -2 * smallest]
    for side, lower, upper, counts in (
        (plus, buckets.lower, buckets.upper, buckets.counts),
        (minus, -buckets.upper[::-1], -buckets.lower[::-1], buckets.counts[::-1]),
    ):
        for low, high, count in zip(lower, upper, counts, strict=True):
            if low >= 2 * smallest:
                assert count == np.sum((side >= low) & (side < high))
                assert high - low <= WIDTH * low
    assert np.all(np.diff(buckets.lower) > 0)


def test_order_and_chunks_make_no_difference() -> None:
    draw = np.random.default_rng(0)
    values = np.concatenate([draw.normal(size=3000), [0, 0, 1e9, -1e-9, 1e-30, 7e4]]).astype(np.float32)
    whole, parts = ValueCounts(), ValueCounts()
    whole.add(values)
    for part in np.array_split(draw.permutation(values), 13):
        parts.add(part.reshape(1, -1))
    one, other = whole.buckets(), parts.buckets()
    assert one.zeros == other.zeros
    for name in ("lower", "upper", "counts"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert one.counts[one.zeros] == np.sum(np.abs(values) < one.upper[-1] * 2.0**-OCTAVES)


def test_what_is_no_number_is_not_counted() -> None:
    histogram = ValueCounts()
    histogram.add(np.array([np.inf, -np.inf, np.nan, 1.0, -2.0, 0.0], np.float32))
    assert histogram.buckets().counts.sum() == 3


@pytest.mark.parametrize("kind", DISTRIBUTIONS)
def test_min_max_and_moving_average_are_exact(kind: str) -> None:
    samples = [sample.astype(np.float32) for sample in DISTRIBUTIONS[kind]]
    values = np.concatenate(samples)
    assert ranges(samples, "min_max") == (min(values.min(), 0.0), max(values.max(), 0.0))
    wanted = (
        np.mean([s.min() for s in samples], dtype=np.float64),
        np.mean([s.max() for s in samples], dtype=np.float64),
    )
    assert ranges(samples, "moving_average") == pytest.approx((min(wanted[0], 0.0), max(wanted[1], 0.0)), rel=1e-12)
    assert ranges(samples, "moving_average") == pytest.approx(ranges(samples[::-1], "moving_average"), rel=1e-12)


@pytest.mark.parametrize("percent", [50, 75, 90, 100])
@pytest.mark.parametrize("kind", DISTRIBUTIONS)
def test_sample_extremes_are_percentiles_over_the_samples(kind: str, percent: float) -> None:
    samples = [sample.astype(np.float32) for sample in DISTRIBUTIONS[kind]]
    low = np.percentile([s.min() for s in samples], 100 - percent)
    high = np.percentile([s.max() for s in samples], percent)
    wanted = (min(low, 0.0), max(high, 0.0))
    assert ranges(samples, f"sample_extremes:{percent}") == pytest.approx(wanted, rel=1e-6)
    assert ranges(samples[::-1], f"sample_extremes:{percent}") == ranges(samples, f"sample_extremes:{percent}")


@pytest.mark.parametrize("share", [99.99, 99.9, 99.0, 80.0])
@pytest.mark.parametrize("kind", DISTRIBUTIONS)
def test_a_percentile_is_that_of_the_raw_values(kind: str, share: float) -> None:
    values = np.sort(np.concatenate(DISTRIBUTIONS[kind]).astype(np.float32))
    left_out = round((100 - share) * 1000) * values.size // 200_000
    low, high = ranges(DISTRIBUTIONS[kind], f"percentile:{share}")
    assert low == pytest.approx(min(values[left_out], 0.0), rel=WIDTH, abs=1e-9)
    assert high == pytest.approx(max(values[-1 - left_out], 0.0), rel=WIDTH, abs=1e-9)


def test_all_of_the_values_is_min_max() -> None:
    samples = DISTRIBUTIONS["heavy"]
    assert ranges(samples, "percentile:100") == ranges(samples, "min_max")


@pytest.mark.parametrize("grid", [INT8, INT16, Integers(4)], ids=["int8", "int16", "int4"])
@pytest.mark.parametrize("kind", DISTRIBUTIONS)
def test_mse_is_as_good_as_any_range_on_the_raw_values(kind: str, grid: Integers) -> None:
    values = np.concatenate(DISTRIBUTIONS[kind]).astype(np.float32).astype(np.float64)
    low, high = min(values.min(), 0.0), max(values.max(), 0.0)
    parts = 0.5 ** (np.arange(64) / 6)
    tried = [(low * a, high * b) for a in (parts if low else [1.0]) for b in (parts if high else [1.0])]
    best = min(error(values, *bounds, grid) for bounds in tried)
    luck = 1.3 if kind == "whole numbers" else 1.1  # of a step that divides 1
    assert error(values, *ranges(DISTRIBUTIONS[kind], "mse", grid), grid) <= luck * best


def divergence(values: Array, limit: float) -> float:
    """Migacz' recipe for non-negative values, as published: 2048 bins, 128 levels."""
    counts, edges = np.histogram(values, bins=2048, range=(0, values.max()))
    counts[0] = 0
    end = max(128, int(np.searchsorted(edges, limit)))
    p = counts[:end].astype(np.float64)
    q = np.zeros(end)
    for part in np.array_split(np.arange(end), 128):
        used = part[counts[part] > 0]
        q[used] = counts[part].sum() / max(used.size, 1)
    p[-1] += counts[end:].sum()
    p, q = p / p.sum(), np.maximum(q / q.sum(), 1e-12)
    return float(np.sum(np.where(p > 0, p * np.log(np.maximum(p, 1e-300) / q), 0)))


@pytest.mark.parametrize("kind", ["normal", "outliers", "heavy"])
def test_entropy_is_near_the_least_of_the_published_recipe(kind: str) -> None:
    samples = [np.abs(sample) for sample in DISTRIBUTIONS[kind]]
    values = np.concatenate(samples)
    got = divergence(values, ranges(samples, "entropy")[1])
    limits = values.max() * 0.5 ** (np.arange(33) / 4)
    found = [divergence(values, limit) for limit in limits]
    assert got <= min(found) + 0.15 * (max(found) - min(found))


def test_entropy_and_percentile_cut_off_lone_outliers() -> None:
    for name in ("entropy", "percentile:99.9"):
        low, high = ranges(DISTRIBUTIONS["outliers"], name)
        assert 2 < high < 30, name
        assert -30 < low < -2, name


def test_mse_cuts_nothing_off_where_values_are_spread_evenly() -> None:
    assert ranges(DISTRIBUTIONS["uniform"], "mse") == pytest.approx(
        ranges(DISTRIBUTIONS["uniform"], "min_max"), rel=0.02
    )


@pytest.mark.parametrize("name", TRIED)
@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ([0.0, 0.0], (0.0, 0.0)),
        ([5.0], (0.0, 5.0)),
        ([-5.0, -5.0, -5.0], (-5.0, 0.0)),
        ([1e-30], (0.0, 1e-30)),
        ([3e29], (0.0, 3e29)),
    ],
)
def test_constants_and_zeros(name: str, values: list[float], wanted: tuple[float, float]) -> None:
    got = ranges([np.array(values, np.float32)], name)
    assert got == pytest.approx(wanted, rel=WIDTH, abs=0)
    assert got[0] <= 0 <= got[1]


@pytest.mark.parametrize("name", TRIED)
@pytest.mark.parametrize("kind", DISTRIBUTIONS)
def test_zero_is_in_the_range_and_nothing_that_was_not_seen(name: str, kind: str) -> None:
    values = np.concatenate(DISTRIBUTIONS[kind])
    low, high = ranges(DISTRIBUTIONS[kind], name)
    assert min(values.min(), 0) * (1 + 1e-6) <= low <= 0 <= high <= max(values.max(), 0) * (1 + 1e-6)
    assert low < high


def test_a_tensor_that_is_zero_but_for_one_value_keeps_it() -> None:
    sparse = np.zeros(100_000, np.float32)
    sparse[9] = 4.0
    assert ranges([sparse], "percentile") == (0.0, 4.0)


def test_no_range_lets_quantize_overflow() -> None:
    values = np.concatenate([np.full(10_000_000, 1e-7), [1.0]]).astype(np.float32)
    for name in TRIED:
        assert not overflows(1.0, ranges([values], name)), name


def test_names() -> None:
    assert next(iter(METHODS)) == TRIED[0] == "min_max"
    assert all(find(name) for name in TRIED)


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("minmax", "there is no range method 'minmax'"),
        ("mse:3", "no range method"),
        ("percentile:much", "no percentage"),
        ("percentile:101", "no percentage"),
        ("percentile:", "no percentage"),
        ("sample_extremes:nan", "no percentage"),
    ],
)
def test_what_there_is_not(name: str, what: str) -> None:
    with pytest.raises(BadInput, match=what) as caught:
        find(name)
    assert caught.value.where == "--ranges"
    assert caught.value.remedy


@pytest.mark.parametrize("count", [60, 120, 480, 2000])
@pytest.mark.parametrize("rectified", [False, True])
def test_entropy_of_few_values_keeps_most_of_them(count: int, rectified: bool) -> None:
    """As of the logits of some dozen samples: steps that hold next to nothing can be told apart in any narrow range."""
    values = np.random.default_rng(0).normal(size=count).astype(np.float32)
    values = np.maximum(values, 0) if rectified else values
    seen = Statistics()
    for part in np.array_split(values, 16):
        seen.add(part, float(np.abs(part).max()))
    low, high = METHODS["entropy"](seen, Integers())
    beyond = (values < low) | (values > high)
    assert beyond.sum() <= 0.03 * np.count_nonzero(values)
