"""Random inputs like a model's example: of its extents, and of values that the model takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..artifact import Feeds

if TYPE_CHECKING:
    from ..artifact import Array


def random_samples(examples: Feeds, count: int, *, seed: int | tuple[int, ...] = 0) -> list[dict[str, Array]]:
    """``count`` sets of inputs like the example: the example itself first, then random ones of its shapes.

    Floats stay near the example, with another contrast and a quarter of its deviation as noise: far from its
    training data a network's activations explode. A constant example says nothing, so there they are normal.
    Integers are uniform between the example's smallest and largest value, so that they stay valid indices and an
    all-ones mask stays one. Bools are drawn from the values that occur.
    """
    random = np.random.default_rng(seed)
    first = {name: np.asarray(array) for name, array in examples.items()}
    return [first, *({n: _like(a, random) for n, a in first.items()} for _ in range(count - 1))]


def _like(example: Array, random: np.random.Generator) -> Array:
    if example.dtype.kind == "f":
        values = example.astype(np.float64)
        mean, deviation = (float(values.mean()), float(values.std())) if values.size else (0.0, 0.0)
        if not deviation > 0:
            return random.normal(size=example.shape).astype(example.dtype)
        noise = random.normal(0, deviation / 4, example.shape)
        return (mean + random.uniform(0.5, 1.5) * (values - mean) + noise).astype(example.dtype)
    if example.dtype.kind == "b" or not example.size:
        return random.choice(np.unique(example), example.shape) if example.size else example
    low, high = int(example.min()), int(example.max())
    return random.integers(low, high, example.shape, dtype=example.dtype, endpoint=True)
