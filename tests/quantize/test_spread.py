from __future__ import annotations

import numpy as np
import pytest

from edgeworthy.quantize.spread import Spread

EXAMPLE = np.random.default_rng(0).normal(size=(1, 3, 4, 4)).astype(np.float32)


@pytest.mark.parametrize(
    ("scale", "said"),
    [(1.0, None), (5.0, None), (0.0, "is 0 everywhere"), (255.0, "prepared as for inference"), (1e-3, "prepared as")],
)
def test_data_of_another_scale_is_doubted(scale: float, said: str | None) -> None:
    feeds = [{"x": EXAMPLE * np.float32(scale), "ids": np.array([3])}] * 2
    spread = Spread()
    assert list(spread.of(feeds)) == feeds
    doubts = spread.doubts({"x": EXAMPLE})
    assert len(doubts) == (said is not None)
    assert said is None or said in doubts[0]


def test_an_example_that_nobody_gave_says_nothing() -> None:
    spread = Spread()
    list(spread.of([{"x": EXAMPLE * np.float32(255)}]))
    assert spread.doubts({}) == []
