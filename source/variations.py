"""Inputs like an example: random ones, and edges (zeros, ties, equal rows, extremes), all valid for the model.

What an array's values mean shows in them, and is kept: two values are a mask, distinct integers are positions, and a
few huge numbers among others (``-1e30``) are sentinels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..artifact import Array, Feeds

_HUGE = 1e4
"""Magnitude from which on a float may be a sentinel."""

_SENTINELS = 2
"""Different huge values that an array with sentinels has at most; data has more."""

_LEVELS = 3
"""Values that an array with ties has."""

_LARGE, _SMALL = 64.0, 2.0**-10
"""Scale of the extremes. Still smaller values, and a layer's bias would make ties of them within float32's noise."""

_NUDGES = 2.0**-14, 2.0**-20
"""Parts of the data's magnitude that inputs are moved by; float32 still tells the smaller."""

TIED = frozenset({"zeros", "equal rows", "ties"})
"""Edges that hold equal values: what comes first among them is no matter of right or wrong."""


def random_samples(examples: Feeds, count: int, *, seed: int | tuple[int, ...] = 0) -> list[dict[str, Array]]:
    """``count`` sets of inputs: the example itself first, then random ones like it."""
    random = np.random.default_rng(seed)
    first = {name: np.asarray(array) for name, array in examples.items()}
    return [first, *(random_feeds(first, random) for _ in range(count - 1))]


def random_feeds(examples: Feeds, random: np.random.Generator) -> dict[str, Array]:
    """One set of inputs like the example.

    Floats stay near the example, with another contrast and a quarter of its deviation as noise: far from its
    training data a network's activations explode. A constant example says nothing, so there they are normal.
    Masks (bools, and numbers that are all 0 or 1) have their columns permuted, so no row gains or loses a true.
    Integers that are all different along an axis are permuted, as indices to write to must be; others are uniform
    between the example's smallest and largest value. Sentinels stay where they are.
    """
    return {name: _like(np.asarray(array), random) for name, array in examples.items()}


def edges(examples: Feeds) -> dict[str, dict[str, Array]]:
    """Name of an edge → inputs at it. Only floats that are data change; a model without such has no edges."""
    arrays = {name: np.asarray(array) for name, array in examples.items()}
    if not any(_is_data(a).any() for a in arrays.values()):
        return {}
    return {edge: {n: _replaced(a, make) for n, a in arrays.items()} for edge, make in _EDGES.items()}


def nudged(feeds: Feeds, examples: Feeds, *, seed: int = 0) -> list[dict[str, Array]]:
    """``feeds`` moved a little one way and the opposite way, and 64 times less each.

    Of values that are tied, one way puts those first that the other puts last, however little they are moved.
    """
    random = np.random.default_rng(seed)
    moved = [dict(feeds) for _ in range(2 * len(_NUDGES))]
    for name, array in feeds.items():
        data = _is_data(np.asarray(examples[name]))
        if data.any():
            noise = np.where(data, random.uniform(-1, 1, array.shape), 0) * _magnitude(examples[name], data)
            for made, step in zip(moved, [s * n for n in _NUDGES for s in (1, -1)], strict=True):
                made[name] = (array + step * noise).astype(array.dtype)
    return moved


def varied(array: Array, factor: float) -> Array:
    """``array`` with its data multiplied by a factor near 1; what is no data stays."""
    return _replaced(np.asarray(array), lambda values, _: values * factor)


def is_mask(array: Array) -> bool:
    """Whether an array is of bools, or of zeros and ones alone and both of them."""
    return array.dtype.kind == "b" or (array.size > 1 and np.array_equal(np.unique(array), [0, 1]))


def _is_data(array: Array) -> NDArray[np.bool_]:
    """Where an array holds data that may take other values: floats that are no mask, no sentinels, no lone number."""
    nothing = np.zeros(array.shape, bool)
    if array.dtype.kind != "f" or not array.ndim or is_mask(array):
        return nothing
    huge = np.abs(array.astype(np.float64)) >= _HUGE
    if not huge.any() or len(np.unique(array[huge])) > _SENTINELS:
        return ~nothing
    rest = array[~huge]
    return ~huge if len(np.unique(rest)) > 1 else nothing  # else a mask to be added


def _replaced(array: Array, make: Callable[[NDArray[np.float64], Array], Any]) -> Array:
    data = _is_data(array)
    if not data.any():
        return array
    limits = np.finfo(array.dtype)
    made = np.clip(make(array.astype(np.float64), data), float(limits.min), float(limits.max))
    return np.where(data, made, array).astype(array.dtype)


def _magnitude(array: Array, data: Array) -> float:
    return float(np.abs(np.asarray(array)[data].astype(np.float64)).max()) or 1.0


def _ties(values: NDArray[np.float64], data: Array) -> Array:
    """The nearest of a few values, so that each occurs often."""
    inside = values[data]
    low, step = float(inside.min()), float(np.ptp(inside)) / (_LEVELS - 1)
    return low + np.round((values - low) / step) * step if step else values


def _equal_rows(values: NDArray[np.float64], data: Array) -> Array:
    """Every row along the last axis is the same number over and over: all are tied."""
    return np.full_like(values, float(values[data].mean()))


_EDGES: Mapping[str, Callable[[NDArray[np.float64], Array], Array]] = {
    "zeros": lambda values, data: np.zeros_like(values),
    "equal rows": _equal_rows,
    "ties": _ties,
    "large values": lambda values, data: values * _LARGE,
    "small values": lambda values, data: values * _SMALL,
}


def _like(example: Array, random: np.random.Generator) -> Array:
    if not example.size or not example.ndim:
        return example
    if is_mask(example):
        return np.take(example, random.permutation(example.shape[-1]), -1)
    if example.dtype.kind in "iu":
        if any(_distinct(example, axis) for axis in range(example.ndim)):
            for axis, extent in enumerate(example.shape):
                example = np.take(example, random.permutation(extent), axis)
            return example
        return random.integers(example.min(), example.max(), example.shape, dtype=example.dtype, endpoint=True)
    data = _is_data(example)
    values = example[data].astype(np.float64)
    if not values.size:
        return example
    mean, deviation = float(values.mean()), float(values.std())
    made = random.normal(size=example.shape)
    if deviation > 0:
        made = mean + random.uniform(0.5, 1.5) * (example.astype(np.float64) - mean) + made * (deviation / 4)
    return np.where(data, made, example).astype(example.dtype)


def _distinct(array: Array, axis: int) -> bool:
    """Whether no line along an axis has a value twice."""
    ordered = np.sort(array, axis)
    return array.shape[axis] > 1 and bool((np.diff(ordered, axis=axis) != 0).all())
