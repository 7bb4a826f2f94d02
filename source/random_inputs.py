"""Random inputs like a model's example: of its extents, and of values that the model takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..artifact import Feeds
from .variations import random_feeds

if TYPE_CHECKING:
    from ..artifact import Array


def random_samples(examples: Feeds, count: int, *, seed: int | tuple[int, ...] = 0) -> list[dict[str, Array]]:
    """``count`` sets of inputs: the example itself first, then random ones like it (see ``variations``)."""
    random = np.random.default_rng(seed)
    first = {name: np.asarray(array) for name, array in examples.items()}
    return [first, *(random_feeds(first, random) for _ in range(count - 1))]
