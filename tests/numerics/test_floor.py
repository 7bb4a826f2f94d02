from __future__ import annotations

import numpy as np
import pytest

from edgeworthy.numerics.comparison import compare
from edgeworthy.numerics.floor import Floor

EPS = float(np.finfo(np.float32).eps)
TRUTH = np.array([[1.0, -2.0, 4.0]])


def test_the_measured_noise_is_the_floor() -> None:
    noise = np.array([[1e-3, 0.0, -2e-3]])
    floor = Floor.of([TRUTH], compare([TRUTH + noise], [TRUTH]))
    assert floor.max_abs == pytest.approx(2e-3)
    assert floor.rms == pytest.approx(1e-3 * np.sqrt(5 / 3))
    assert not floor.least
    assert floor.ratio(compare([TRUTH + 3 * noise], [TRUTH])) == pytest.approx(3)


def test_what_is_exact_by_chance_demands_no_exactness() -> None:
    for noise in (None, compare([TRUTH], [TRUTH])):
        floor = Floor.of([TRUTH], noise)
        assert (floor.rms, floor.max_abs, floor.least) == (16 * EPS, 16 * EPS, True)


def test_the_larger_of_the_quotients_counts() -> None:
    floor = Floor(rms=1e-3, max_abs=2e-3, least=False)
    one = compare([TRUTH + np.array([0.02, 0, 0])], [TRUTH])  # 11.5 floors by rms, 10 by maximum
    assert floor.ratio(one) == pytest.approx(0.02 / np.sqrt(3) / 1e-3)
    assert Floor(rms=1.0, max_abs=2e-3, least=False).ratio(one) == pytest.approx(10)


def test_zeros() -> None:
    zero = np.zeros((1, 3))
    floor = Floor.of([zero], None)
    assert floor.ratio(compare([zero], [zero])) == 0
    assert floor.ratio(compare([zero + 1e-30], [zero])) > 1e100
