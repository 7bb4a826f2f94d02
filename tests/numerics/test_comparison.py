from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from edgeworthy.errors import BadInput
from edgeworthy.numerics import comparison as metrics

A = np.array([[1.0, 2.0, 4.0]], np.float32)


def test_numbers_by_hand() -> None:
    errors = metrics.compare([A + np.array([0, 0, 0.5], np.float32)], [A])
    assert errors.max_abs == 0.5
    assert errors.mean_abs == pytest.approx(0.5 / 3)
    assert errors.rms == pytest.approx(0.5 / math.sqrt(3))
    assert errors.max_rel == 0.125
    assert errors.sqnr_db == pytest.approx(10 * math.log10(21 / 0.25))
    assert errors.cosine == pytest.approx((1 + 4 + 18) / math.sqrt(21 * (1 + 4 + 4.5**2)))
    assert errors.equal == pytest.approx(2 / 3)
    assert not errors.exact
    assert errors.top1_agreement == 1.0


def test_samples_are_pooled_not_averaged() -> None:
    pooled = metrics.compare([A, A * 3 + 1], [A, A * 3])
    joined = metrics.compare([np.concatenate([A, A * 3 + 1])], [np.concatenate([A, A * 3])])
    assert pooled.model_dump(exclude={"p99_rel"}) == pytest.approx(joined.model_dump(exclude={"p99_rel"}))


def test_float64_is_used_throughout() -> None:
    # In float32 the difference would be 0, and the sum of squares would overflow.
    big = np.full(4, 2.0**100)
    errors = metrics.compare([(big * (1 + 2.0**-40))], [big])
    assert errors.max_rel == pytest.approx(2.0**-40)
    assert errors.sqnr_db == pytest.approx(20 * math.log10(2.0**40))


def test_exact_has_no_sqnr() -> None:
    errors = metrics.compare([A], [A.astype(np.float64)])
    assert (errors.exact, errors.sqnr_db, errors.max_abs, errors.cosine) == (True, None, 0.0, pytest.approx(1))


def test_zero_reference() -> None:
    errors = metrics.compare([np.ones(3)], [np.zeros(3)])
    assert (errors.max_rel, errors.sqnr_db, errors.cosine, errors.p99_rel) == (None, None, None, None)
    assert metrics.compare([np.zeros(3)], [np.zeros(3)]).max_rel == 0.0


def test_relative_error_is_not_blown_up_by_small_elements() -> None:
    reference = np.array([1.0, 1e-9])
    errors = metrics.compare([reference + 1e-6], [reference])
    assert errors.max_rel == pytest.approx(1e-6)
    assert errors.p99_rel == pytest.approx(1e-6)


def test_shapes_are_never_flattened_away() -> None:
    with pytest.raises(BadInput, match=r"\[1, 3\] with \[3, 1\]"):
        metrics.compare([A], [A.T])
    with pytest.raises(BadInput, match="1 samples with 2"):
        metrics.compare([A], [A, A])
    with pytest.raises(BadInput):
        metrics.outside(A, A[0], atol=1, rtol=1)


@pytest.mark.parametrize(
    ("actual", "reference", "told"),
    [
        (A, A.T, "shape is [1, 3], and [3, 1] was expected"),
        (A.astype(np.float16), A, "dtype is float16, and float32 was expected"),
        (np.array([np.nan, 1]), np.array([1.0, 1]), "1 of 2 elements are NaN where"),
        (np.array([2.0, 1]), np.array([np.nan, 1]), "1 of 2 elements should be NaN"),
        (np.array([-np.inf, 1]), np.array([np.inf, 1]), "1 of 2 elements are -Inf where"),
    ],
)
def test_problems(actual: Any, reference: Any, told: str) -> None:
    assert any(told in p for p in metrics.problems(actual, reference))


def test_no_problems_with_the_same_nan_or_another_expected_dtype() -> None:
    same = np.array([np.nan, np.inf, 1])
    assert metrics.problems(same, same.copy()) == []
    assert metrics.problems(A, A.astype(np.float64), dtype="float32") == []
    assert metrics.problems(np.array([1]), np.array([2])) == []


def test_equal_nan_and_infinity_enter_no_number() -> None:
    a, b = np.array([np.nan, np.inf, 1.5]), np.array([np.nan, np.inf, 1.0])
    errors = metrics.compare([a], [b])
    assert (errors.max_abs, errors.mean_abs, errors.equal) == (0.5, 0.5, pytest.approx(2 / 3))
    assert metrics.compare([a], [a]).exact
    assert metrics.largest([a]) == 1.5


def test_top1_only_where_something_is_decided() -> None:
    scores = np.array([[1.1, 9.0], [0.8, -2]])
    assert metrics.compare([scores], [scores[:, ::-1]]).top1_agreement == 0.0
    assert metrics.compare([scores[None]], [scores[None]]).top1_agreement is None
    assert metrics.compare([scores.astype(int)], [scores.astype(int)]).top1_agreement is None
    assert metrics.compare([scores[:, :1]], [scores[:, :1]]).top1_agreement is None


@pytest.mark.parametrize("axis", [1, 3])
def test_top1_of_distributions_is_of_pixels(axis: int) -> None:
    random = np.random.default_rng(0)
    logits = np.moveaxis(random.normal(0, 3, (2, 6, 5, 21)), 3, axis)
    truth = np.exp(logits) / np.exp(logits).sum(axis, keepdims=True)
    got = np.rint(truth * 16) / 16
    same = [int(np.argmax(a) == np.argmax(b)) for a, b in zip(*(_rows(x, axis) for x in (got, truth)), strict=True)]
    assert metrics.compare([got], [truth]).top1_agreement == sum(same) / 60
    assert metrics.compare([got, logits], [truth, logits]).top1_agreement is None, "logits of pixels look like anything"


def _rows(array: Any, axis: int) -> Any:
    return np.moveaxis(array, axis, -1).reshape(-1, array.shape[axis])


def test_a_column_of_probabilities_decides_at_one_half() -> None:
    truth = np.array([[0.1], [0.5], [0.9], [0.51]])
    assert metrics.compare([np.array([[0.2], [0.4], [0.5], [1.2]])], [truth]).top1_agreement == 0.75
    assert metrics.compare([truth, truth], [truth, truth * 3]).top1_agreement is None


def test_integers_and_bools() -> None:
    errors = metrics.compare([np.array([2**53 + 1, 3])], [np.array([2**53, 3])])
    assert (errors.equal, errors.exact, errors.sqnr_db) == (0.5, False, None)
    assert metrics.compare([np.array([True, False])], [np.array([True, True])]).equal == 0.5


def test_empty_arrays() -> None:
    errors = metrics.compare([np.zeros((0, 3))], [np.zeros((0, 3))])
    assert (errors.exact, errors.max_abs, errors.equal) == (True, 0.0, 1.0)


def test_outside_counts_elements_beyond_the_tolerance() -> None:
    a, b = np.array([1.0, 2.0, np.nan]), np.array([1.1, 2.0, np.nan])
    assert metrics.outside(a, b, atol=0.05, rtol=0) == 1
    assert metrics.outside(a, b, atol=0, rtol=0.1) == 0


@pytest.mark.parametrize("top", [1e200, float(np.finfo(np.float64).max)])
def test_the_extremes_of_float64_stay_numbers(top: float) -> None:
    reference = np.array([-top, 1.0, top])
    same = metrics.compare([reference], [reference])
    assert (same.exact, same.rms, same.max_rel, same.sqnr_db) == (True, 0.0, 0.0, None)
    assert metrics.compare([reference * 0.5], [reference]).max_rel == 0.5
    opposite = metrics.compare([-reference], [reference])
    assert opposite.sqnr_db is not None and opposite.sqnr_db <= 0
    assert opposite.max_rel is not None and opposite.max_rel >= 1
    assert math.isfinite(opposite.rms)


@pytest.mark.parametrize(
    ("actual", "reference", "figure"),
    [
        (np.array([1.0, -4.5]), np.array([1.0, -4.0]), 0.125),
        (np.array([0.0, 1e-30]), np.array([0.0, 0.0]), math.inf),
        (np.zeros(2), np.zeros(2), 0.0),
        (np.array([np.nan, 2.0]), np.array([np.nan, 2.0]), 0.0),
        (np.zeros((0, 3)), np.zeros((0, 3)), 0.0),
        (np.array([1, 2**40, 3, 4]), np.array([1, 2**40 + 1, 3, 4]), 0.25),
        (np.array([True, False]), np.array([True, True]), 0.5),
        (np.array([], np.int32), np.array([], np.int32), 0.0),
    ],
)
def test_change_in_one_figure(actual: Any, reference: Any, figure: float) -> None:
    assert metrics.change(metrics.compare([actual], [reference]), actual.dtype) == figure
