"""How far the integers of weights reach: to the largest, or less far, where a few large ones cost the others steps.

========== =========================================================================================================
``max``    to the largest magnitude of those that share a scale
``octav``  to where clipping and rounding together cost least: the fixed point of

           ``s ← Σ|w|·[|w| > s] / (4⁻ᴮ/3 · Σ[0 < |w| ≤ s] + Σ[|w| > s])``

           for B bits (C. Sakr et al., "Optimal Clipping and Magnitude-aware Differentiation for Improved
           Quantization-aware Training", 2022, equation 6). It takes the noise of rounding for uniform; where the
           largest magnitude costs less in fact, as for most channels in 8 bits, that is taken
========== =========================================================================================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from ..artifact import Floats

WeightRange = Literal["max", "octav"]

_ITERATIONS = 16
"""The fixed point is within a thousandth after ten."""


def limits(weights: Floats, bits: int) -> Floats:
    """The magnitude [channels] that the largest integer stands for, by ``octav``.

    Args:
        weights: [channels, weights that share a scale].
        bits: Of the integers, which are as many on both sides of zero.
    """
    magnitudes = np.abs(weights)
    largest: Floats = magnitudes.max(axis=1)
    clipped = _fixed_point(magnitudes, bits)
    better = (clipped > 0) & (_noise(weights, clipped, bits) < _noise(weights, largest, bits))
    return np.where(better, clipped, largest)


def _fixed_point(magnitudes: Floats, bits: int) -> Floats:
    """[channels]; 0 of those that are all zero."""
    limit: Floats = magnitudes.mean(axis=1)
    count = np.count_nonzero(magnitudes, axis=1)
    for _ in range(_ITERATIONS):
        beyond = magnitudes > limit[:, None]
        above = np.count_nonzero(beyond, axis=1)
        price = 4.0**-bits / 3 * (count - above) + above
        limit = np.sum(magnitudes, axis=1, where=beyond) / np.maximum(price, 1e-30)
        limit = np.minimum(limit, magnitudes.max(axis=1))
    return limit


def _noise(weights: Floats, limit: Floats, bits: int) -> Floats:
    """Summed squared error [channels] of rounding to integers up to a magnitude."""
    most = 2 ** (bits - 1) - 1
    step = np.maximum(limit, 1e-30)[:, None] / most
    noise: Floats = ((np.clip(np.rint(weights / step), -most, most) * step - weights) ** 2).sum(axis=1)
    return noise
