from __future__ import annotations

import numpy as np
import pytest

from edgeworthy.convert.integer import grid

RNG = np.random.default_rng(0)


def drawn(shape: tuple[int, ...], low: int, high: int) -> np.ndarray:
    return RNG.integers(low, high + 1, shape)


@pytest.mark.parametrize(("low", "high"), [(-128, 127), (-127, 127), (-8, 7), (-2, 1), (0, 127)])
@pytest.mark.parametrize("axis", [0, 3])
def test_weights_by_channel(axis: int, low: int, high: int) -> None:
    steps = drawn((6, 3, 3, 6), low, high)
    along = [-1 if a == axis else 1 for a in range(4)]
    scale = RNG.uniform(1e-4, 1e-1, 6).astype(np.float32)
    found = grid.weights(steps.astype(np.float32) * scale.reshape(along), axis)
    assert found is not None
    np.testing.assert_allclose(found.scale, scale, rtol=1e-6)
    np.testing.assert_array_equal(found.steps, steps)


def test_weights_by_tensor_have_one_scale() -> None:
    steps = drawn((4, 5), -127, 127)
    found = grid.weights(steps.astype(np.float32) * np.float32(0.0123), 0)
    assert found is not None
    np.testing.assert_allclose(found.scale, [0.0123], rtol=1e-6)


def test_even_steps_and_zeros_stand_for_the_same_weights() -> None:
    """Channels of few values have several scales; a channel of zeros has any."""
    weights = np.array([[0, 2, -4, 6], [0, 0, 0, 0], [5, 5, 5, -5], [100, -99, 3, 1]], np.float32)
    weights *= np.array([[0.1], [1], [0.3], [0.7]], np.float32)
    found = grid.weights(weights, 0)
    assert found is not None
    np.testing.assert_allclose(found.steps * found.scale[:, None], weights, rtol=1e-6)
    assert (found.scale > 0).all()
    zeros = grid.weights(np.zeros((2, 3), np.float32), 0)
    assert zeros is not None
    assert not zeros.steps.any()


@pytest.mark.parametrize(
    "values",
    [
        RNG.normal(size=(4, 50)).astype(np.float32),
        np.arange(-100, 156, dtype=np.float32)[None],  # a zero point that isn't 0
        np.array([[np.nan, 1.0]], np.float32),
        np.array([[np.inf, 1.0]], np.float32),
    ],
    ids=["float", "asymmetric", "nan", "infinite"],
)
def test_what_int8_weights_are_not(values: np.ndarray) -> None:
    assert grid.weights(values, 0) is None


@pytest.mark.parametrize(("low", "high"), [(0, 255), (-128, 127), (-255, 0), (3, 200)])
def test_operand_has_a_zero_point(low: int, high: int) -> None:
    values = drawn((40,), low, high).astype(np.float32) * np.float32(0.02)
    found = grid.operand(values, -128, 127)
    assert found is not None
    assert found.steps.min() >= -128
    assert found.steps.max() <= 127
    assert -128 <= found.zero_point <= 127
    np.testing.assert_allclose((found.steps - found.zero_point) * found.scale, values, rtol=1e-6)


def test_one_number_is_exact() -> None:
    found = grid.operand(np.array(0.1, np.float32), -128, 127)
    assert found is not None
    assert float((found.steps - found.zero_point) * found.scale[0]) == pytest.approx(0.1, rel=1e-7)


def test_symmetric_int16_operand() -> None:
    values = np.array([-3.0, 0.5, 2.25], np.float32)
    found = grid.operand(values, -32767, 32767)
    assert found is not None
    assert found.zero_point == 0
    np.testing.assert_allclose(found.steps * found.scale, values, rtol=1e-6)
