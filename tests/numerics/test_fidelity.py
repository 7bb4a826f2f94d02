"""One judgement of an output: the whole, groups of its channels, what is clipped and what is dead."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from edgeworthy.errors import BadInput
from edgeworthy.numerics.fidelity import fidelity

from .test_groups import head, softmax

Array = NDArray[np.float32]
RANDOM = np.random.default_rng(0)


def int8(values: Array) -> Array:
    """As a tensor with one scale keeps it."""
    step = np.abs(values).max() / 127
    return (np.rint(values / step) * step).astype(np.float32)


def sqnr(truth: Array, got: Array) -> float:
    """An independent reading: variances of the signal and of the noise around nothing."""
    a, b = got.ravel().astype(np.float64), truth.ravel().astype(np.float64)
    return float(20 * np.log10(np.linalg.norm(b) / np.linalg.norm(a - b)))


def test_lost_scores_show_and_kept_ones_pass() -> None:
    truth = head()
    lost = truth.copy()
    lost[:, 4:] = 0
    found = fidelity([truth], [lost])
    boxes, scores = found.groups
    assert boxes.errors.exact
    assert scores.errors.sqnr_db == pytest.approx(0)
    assert (scores.axis, scores.channels, scores.scale) == (1, "4–23", pytest.approx(0.95, abs=0.01))
    assert found.worst_group == scores and found.worst_group_db == pytest.approx(0)
    assert found.sqnr_db == pytest.approx(sqnr(truth, lost), abs=1e-6) and found.sqnr_db > 35
    assert found.dead == pytest.approx(18 / 24), "one score is zero in the truth too, and one as good as that"
    separate = truth.copy()
    separate[:, :4], separate[:, 4:] = int8(truth[:, :4]), int8(truth[:, 4:])
    kept = fidelity(truth, separate)
    assert kept.worst_group_db > 30 and kept.saturated == 0
    together = fidelity(truth, int8(truth))
    assert together.sqnr_db > 35
    assert together.worst_group_db < 1, "one scale for both: a step is 5 pixels, and no score reaches it"


def test_scores_of_nothing_are_settled_and_inventions_are_not() -> None:
    """No sample shows an object: all scores are below what an int8 file can say, which is no fault of it."""
    truth = head()
    truth[:, 4:] = RANDOM.uniform(0, 0.003, truth[:, 4:].shape)
    got = truth.copy()
    got[:, 4:] = 0
    boxes, scores = fidelity(truth, got).groups
    assert scores.settled and not boxes.settled and (scores.errors.sqnr_db or 0) == pytest.approx(0)
    assert fidelity(truth, got).worst_group_db > 60
    got[0, 9, 3] = 0.5
    found = fidelity(truth, got)
    assert found.worst_group_db < 0 and found.worst_group and found.worst_group.channels == "4–23"


def test_one_group_is_the_whole() -> None:
    logits = RANDOM.normal(0, 5, (64, 10)).astype(np.float32)
    found = fidelity(logits, int8(logits))
    assert found.groups == [] and found.worst_group is None
    assert found.worst_group_db == found.sqnr_db == pytest.approx(sqnr(logits, int8(logits)), abs=1e-6)
    same = int8(logits).argmax(1) == logits.argmax(1)
    assert found.agreement == pytest.approx(same.mean())
    assert (found.dead, found.saturated) == (0, 0)


def test_samples_are_taken_together() -> None:
    truths, noise = [RANDOM.normal(size=(1, 8)).astype(np.float32) for _ in range(9)], np.float32(0.01)
    found = fidelity(truths, [t + noise for t in truths])
    whole = np.concatenate(truths)
    assert found.sqnr_db == pytest.approx(sqnr(whole, whole + noise), abs=1e-4)


@pytest.mark.parametrize("share", [0.0, 0.25])
def test_saturated(share: float) -> None:
    truth = np.linspace(0, 1, 1001, dtype=np.float32)[None]
    got = np.minimum(truth, np.float32(1 - share))
    assert fidelity(truth, got).saturated == pytest.approx(share, abs=0.005)


def test_rounding_to_a_grid_saturates_nothing() -> None:
    truth = RANDOM.normal(0, 3, (4, 32, 7)).astype(np.float32)
    step = np.float32(np.ptp(truth) / 255)
    assert fidelity(truth, np.floor(truth / step) * step).saturated == 0


def test_dead_channels() -> None:
    truth = RANDOM.normal(size=(1, 8, 6, 6)).astype(np.float32)
    truth[:, 5] = 0.25
    truth[:, 6] = 1e-9 * RANDOM.normal(size=(6, 6))
    got = truth.copy()
    got[:, 1], got[:, 6] = 0, 0
    assert fidelity(truth, got).dead == pytest.approx(1 / 8), "the constant and the vanishing channel never moved"


def test_exact_zero_and_nothing() -> None:
    zeros = np.zeros((1, 4, 64), np.float32)
    assert fidelity(zeros, zeros).worst_group_db == math.inf
    assert fidelity(zeros, zeros + 1).worst_group_db == -math.inf
    empty = np.zeros((1, 0, 64), np.float32)
    assert fidelity(empty, empty).worst_group_db == math.inf


def test_integers_have_shares_only() -> None:
    ones = np.array([[1, 2, 3, 4]])
    found = fidelity(ones, np.array([[1, 2, 3, 5]]))
    assert (found.errors.equal, found.groups, found.dead, found.saturated) == (0.75, [], 0, 0)


def test_infinite_values_are_no_range() -> None:
    truth = RANDOM.normal(size=(1, 8, 64)).astype(np.float32)
    truth[0, 0, 0] = np.inf
    found = fidelity(truth, truth)
    assert (found.worst_group_db, found.saturated, found.dead) == (math.inf, 0, 0)


def test_probabilities_of_absent_classes_are_no_group() -> None:
    truth = softmax(np.where(np.arange(21) < 3, 9.0, -9.0) + RANDOM.normal(size=(1, 32, 32, 21))).astype(np.float32)
    found = fidelity(truth, np.rint(truth * 256) / 256)
    assert found.groups == [] and found.worst_group_db > 40


def test_shapes_must_be_the_same() -> None:
    with pytest.raises(BadInput, match="can't compare"):
        fidelity(np.zeros((1, 2)), np.zeros((2, 1)))
