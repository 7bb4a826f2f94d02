"""What is one group of channels, and what isn't."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from edgeworthy.numerics.groups import find_groups, ranges

Array = NDArray[np.float32]
RANDOM = np.random.default_rng(0)


def head(anchors: int = 400, classes: int = 20, size: float = 640, seed: int = 0) -> Array:
    """[1, 4 + classes, anchors]: boxes in pixels, and scores of which few are large and some classes never occur."""
    random = np.random.default_rng(seed)
    boxes = random.uniform(0, size, (4, anchors))
    scores = random.uniform(0, 1e-3, (classes, anchors))
    scores[: classes // 2, ::7] = random.uniform(0.3, 0.95, scores[: classes // 2, ::7].shape)
    scores[-2:] *= 1e-2
    scores[-1] = 0
    return np.concatenate((boxes, scores))[None].astype(np.float32)


def parts(*references: Array) -> dict[int, list[str]]:
    return {axis: [ranges(p) for p in found] for axis, found in find_groups(references)}


def test_boxes_and_scores_are_two_groups() -> None:
    assert parts(head()) == {1: ["0–3", "4–23"]}
    assert parts(head(seed=1), head(seed=2)) == {1: ["0–3", "4–23"]}
    assert parts(head().transpose(0, 2, 1)) == {2: ["0–3", "4–23"]}


def test_a_column_of_scores_beside_boxes_and_class_numbers() -> None:
    rows = np.concatenate(
        (RANDOM.uniform(0, 640, (300, 4)), RANDOM.uniform(0, 1, (300, 1)), RANDOM.integers(0, 80, (300, 1))), 1
    ).astype(np.float32)
    assert parts(rows[None]) == {2: ["0–3, 5", "4"]}
    assert parts(rows) == {1: ["0–3, 5", "4"]}


def test_three_scales() -> None:
    scales = np.repeat([1000, 20, 0.5], 4)
    found = (RANDOM.uniform(-1, 1, (1, 12, 100)) * scales[None, :, None]).astype(np.float32)
    assert parts(found) == {1: ["0–3", "4–7", "8–11"]}


def softmax(x: NDArray[np.float64]) -> NDArray[np.float64]:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def unit(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def test_one_score_beside_boxes_and_landmarks() -> None:
    """A face detector's: 4 of a box, 10 of landmarks, 1 score."""
    rows = np.concatenate((RANDOM.uniform(0, 640, (200, 14)), RANDOM.uniform(0, 1, (200, 1))), 1).astype(np.float32)
    assert parts(rows[None]) == {2: ["0–13", "14"]}


@pytest.mark.parametrize(
    "values",
    [
        RANDOM.normal(0, 5, (64, 1000)),
        RANDOM.normal(0, 5, (1, 10)),
        np.array([[0.001, 30.0, 5.0]]),
        softmax(RANDOM.normal(0, 8, (64, 100))),
        softmax(np.where(np.arange(21) < 3, 9.0, -9.0) + RANDOM.normal(size=(1, 32, 32, 21))),
        np.maximum(RANDOM.normal(-1, 2, (2, 64, 8, 8)) * RANDOM.uniform(0.3, 3, (1, 64, 1, 1)), 0),
        RANDOM.normal(size=(4, 16, 64)),
        np.where(np.arange(64) == 7, 1e-3, 1.0) * RANDOM.normal(0, 5, (4, 16, 64)),
        np.array([1.0] * 63 + [0.0])[:, None, None] * RANDOM.normal(0, 9, (1, 64, 9, 9)) + 1e-3,
        RANDOM.normal(0, 5, (1, 21, 33, 33)) + np.linspace(-9, 9, 21)[:, None, None],
        unit(RANDOM.normal(size=(64, 128)) * np.linspace(0.01, 1, 128)),
        np.where(np.arange(64) % 4 == 0, 0.0, 1.0) * RANDOM.normal(0, 5, (4, 16, 64)),
        np.concatenate((RANDOM.normal(0, 50, (1, 40, 4)), np.full((1, 40, 4), 1e-12)), 2),
        np.zeros((1, 64, 64)),
        np.full((1, 64, 64), 3.0),
        np.zeros((1, 0, 64)),
        RANDOM.normal(size=(64,)),
        np.zeros(()),
        RANDOM.integers(0, 1000, (8, 8, 8)),
    ],
    ids=[
        "logits", "few logits", "one row", "probabilities", "absent classes", "feature map", "hidden states",
        "a weak channel", "a dead channel with a bias", "segmentation", "embeddings", "dead channels",
        "noise beside values", "zeros", "constant", "empty", "vector", "scalar", "integers",
    ],
)  # fmt: skip
def test_what_is_one_group(values: NDArray[np.float64]) -> None:
    array = values.astype(np.float32) if values.dtype.kind == "f" else values
    assert parts(array) == {}


def test_an_axis_of_other_lengths_is_none() -> None:
    assert parts(head(anchors=100), head(anchors=50)) == {1: ["0–3", "4–23"]}
    assert parts(head(classes=20), head(classes=10)) == {}


def test_infinite_values_are_no_scale() -> None:
    values = RANDOM.normal(size=(1, 8, 64)).astype(np.float32)
    values[:, 3, 5] = np.inf
    assert parts(values) == {}


def test_ranges() -> None:
    assert ranges([]) == ""
    assert ranges([0]) == "0"
    assert ranges([0, 1, 2, 5, 7, 8]) == "0–2, 5, 7–8"
