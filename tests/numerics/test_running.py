"""Fidelity sample by sample, against fidelity of all samples together."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from edgeworthy.numerics.fidelity import fidelity
from edgeworthy.numerics.running import Running

Array = NDArray[np.float32]
RANDOM = np.random.default_rng(0)


def running(truths: list[Array], gots: list[Array]) -> Running:
    found = Running()
    for truth, got in zip(truths, gots, strict=True):
        found.add(truth, got)
    return found


def noisy(arrays: list[Array], size: float) -> list[Array]:
    return [(a + size * RANDOM.normal(size=a.shape)).astype(np.float32) for a in arrays]


@pytest.mark.parametrize("axis", [1, -1])
def test_the_figures_are_those_of_all_samples_together(axis: int) -> None:
    scales = np.moveaxis(np.array([400] * 4 + [0.9] * 12, np.float32).reshape(16, 1, 1, 1), 0, axis)
    truths = [(RANDOM.uniform(-1, 1, (1, 16, 16, 16)) * scales).astype(np.float32) for _ in range(5)]
    gots = noisy(truths, 0.3)
    whole, found = fidelity(truths, gots), running(truths, gots)
    assert whole.worst_group is not None
    assert found.sqnr_db == pytest.approx(whole.sqnr_db, abs=1e-6)
    assert found.worst_group() == (pytest.approx(whole.worst_group_db, abs=1e-6), whole.worst_group.channels)
    assert found.mean_abs == pytest.approx(whole.errors.mean_abs)
    assert found.max_abs == pytest.approx(whole.errors.max_abs)
    assert (found.low, found.high) == (min(t.min() for t in truths), max(t.max() for t in truths))


@pytest.mark.parametrize(("size", "shift", "judged"), [(0.002, 0.0, False), (0.02, 0.0, True), (0.002, -0.001, True)])
def test_settled_scores_are_not_judged(size: float, shift: float, judged: bool) -> None:
    """Beside boxes: probabilities of which none is off by more than 1/255; one below 0 is no probability."""
    truths = [np.concatenate([RANDOM.uniform(-400, 400, (1, 4, 64)), RANDOM.uniform(0, 0.01, (1, 4, 64)) + shift], 1)
              .astype(np.float32) for _ in range(3)]  # fmt: skip
    gots = [(t + np.array([1e-4] * 4 + [size] * 4).reshape(1, 8, 1)).astype(np.float32) for t in truths]
    whole, (worst, channels) = fidelity(truths, gots), running(truths, gots).worst_group()
    assert worst == pytest.approx(whole.worst_group_db, abs=1e-6)
    assert (channels == "4–7") == judged and [group.settled for group in whole.groups] == [False, not judged]


def test_one_group_is_the_whole() -> None:
    truths = [RANDOM.normal(size=(2, 8, 12)).astype(np.float32) for _ in range(3)]
    gots = noisy(truths, 0.01)
    found = running(truths, gots)
    assert found.worst_group() == (found.sqnr_db, "")
    assert found.sqnr_db == pytest.approx(fidelity(truths, gots).sqnr_db)


def test_what_is_exact_or_has_no_signal_has_no_ratio() -> None:
    ones, zeros = np.ones((1, 4, 4), np.float32), np.zeros((1, 4, 4), np.float32)
    same, lost = running([ones, ones], [ones, ones]), running([zeros], [ones])
    assert (same.exact, same.sqnr_db, same.worst_group()) == (True, None, (None, ""))
    assert (lost.exact, lost.sqnr_db, lost.max_abs) == (False, None, 1)


def test_extents_that_change_leave_their_axis_alone() -> None:
    truths = [RANDOM.normal(size=(1, n, 6)).astype(np.float32) for n in (40, 50)]
    found = running(truths, truths)
    assert found.channels is not None
    assert set(found.channels) == {2}
    assert found.count == 90 * 6


def test_values_that_are_not_finite_count_nowhere() -> None:
    truth = np.array([[1, 2, -np.inf, 4], [1, np.nan, 3, 4]], np.float32)
    got = np.array([[1, 3, -np.inf, 4], [1, 2, 3, np.inf]], np.float32)
    found = running([truth], [got])
    assert (found.count, found.max_abs, found.low, found.high) == (5, 1, 1, 4)


@pytest.mark.parametrize("shape", [(), (1,), (0, 4), (3, 0)])
def test_small_shapes(shape: tuple[int, ...]) -> None:
    found = running([np.full(shape, 2, np.float32)], [np.full(shape, 1, np.float32)])
    assert found.count == np.prod(shape)
    assert found.sqnr_db == (pytest.approx(20 * np.log10(2)) if found.count else None)


def test_memory_does_not_grow_with_samples() -> None:
    found = Running()
    for _ in range(200):
        found.add(np.ones((1, 3, 500), np.float32), np.zeros((1, 3, 500), np.float32))
    held = sum(array.nbytes for sums in (found.channels or {}).values() for array in vars(sums).values()
               if isinstance(array, np.ndarray))  # fmt: skip
    assert held <= 8 * 8 * 503
