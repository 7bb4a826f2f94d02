"""Mean average precision, against the figures of pycocotools 2.0.11 on the same boxes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgeworthy.numerics.average_precision import AveragePrecision, Boxes, overlaps

CLASSES = 4


def images(seed: int, count: int = 30) -> tuple[list[Boxes], list[Boxes]]:
    """Detections and objects: four of five found, moved a little, a tenth of the wrong class; scores with ties."""
    random = np.random.default_rng(seed)
    objects, found = [], []
    for _ in range(count):
        n = int(random.integers(0, 6))
        low, size = random.uniform(0, 200, (n, 2)), random.uniform(30, 90, (n, 2))
        corners, kinds = np.concatenate((low, low + size), 1), random.integers(0, CLASSES, n)
        objects.append(Boxes(corners, kinds, np.zeros(n)))
        keep = random.random(n) < 0.8
        moved, said = corners[keep] + random.normal(0, 4, (int(keep.sum()), 4)), kinds[keep]
        said = np.where(random.random(len(said)) < 0.1, (said + 1) % CLASSES, said)
        extra = int(random.integers(0, 5))
        low = random.uniform(0, 200, (extra, 2))
        false = np.concatenate((low, low + random.uniform(10, 80, (extra, 2))), 1)
        scores = np.concatenate((random.uniform(0.3, 1, len(said)), random.uniform(0, 0.7, extra)))
        kinds = np.concatenate((said, random.integers(0, CLASSES, extra)))
        found.append(Boxes(np.concatenate((moved, false)), kinds, np.round(scores, 2)))
    return found, objects


@pytest.mark.parametrize(
    ("seed", "of_all", "at_half"),
    [
        (0, 0.42462138415666484, 0.6579008542566368),
        (1, 0.3183712138384168, 0.48964574342049594),
        (2, 0.3203180698817424, 0.5350783357687995),
        (3, 0.34025503489667003, 0.5856179141669823),
    ],
)
def test_it_is_what_coco_says(seed: int, of_all: float, at_half: float) -> None:
    found = AveragePrecision(*images(seed))
    assert found.value() == pytest.approx(of_all, abs=1e-12)
    assert found.at_thresholds()[0] == pytest.approx(at_half, abs=1e-12)


def test_weights_are_images_that_come_more_than_once() -> None:
    found, objects = images(5, 12)
    apart = [  # no two scores are equal, so that there is but one order
        Boxes(b.corners, b.classes, b.scores + 1e-4 * k + 1e-6 * np.arange(len(b.scores))) for k, b in enumerate(found)
    ]
    weights = np.random.default_rng(0).multinomial(12, np.full(12, 1 / 12)).astype(float)
    at = np.repeat(np.arange(12), weights.astype(int))
    drawn = AveragePrecision([apart[i] for i in at], [objects[i] for i in at])
    assert AveragePrecision(apart, objects).value(weights) == pytest.approx(drawn.value(), abs=1e-12)
    assert AveragePrecision(apart, objects).value(np.full(12, 3.0)) == AveragePrecision(apart, objects).value()


def boxes(*rows: Any) -> Boxes:
    table = np.array(rows, np.float64).reshape(-1, 6)
    return Boxes(table[:, :4], table[:, 4].astype(int), table[:, 5])


def test_by_hand() -> None:
    objects = [boxes((0, 0, 10, 10, 0, 0), (20, 0, 30, 10, 0, 0)), boxes()]
    perfect = [boxes((0, 0, 10, 10, 0, 0.9), (20, 0, 30, 10, 0, 0.8)), boxes()]
    assert AveragePrecision(perfect, objects).value() == pytest.approx(1)
    half = [boxes((0, 0, 10, 10, 0, 0.9)), boxes((5, 5, 9, 9, 0, 0.1))]
    assert AveragePrecision(half, objects).value() == pytest.approx(51 / 101), "recalls 0 … 0.5, and a miss behind them"
    assert AveragePrecision([boxes(), boxes()], objects).value() == 0
    twice = [boxes((0, 0, 10, 10, 0, 0.9), (0, 0, 10, 10, 0, 0.8)), boxes()]
    assert AveragePrecision(twice, objects).value() == pytest.approx(51 / 101), "an object is taken once"
    rows = AveragePrecision(half, objects).of_images()
    assert rows[0] == pytest.approx(51 / 101) and np.isnan(rows[1])
    shifted = [boxes((0, 0, 10, 6, 0, 0.9)), boxes()]  # overlaps by 0.6: of ten thresholds three
    one = [boxes((0, 0, 10, 10, 0, 0)), boxes()]
    assert AveragePrecision(shifted, one).value() == pytest.approx(0.3)


def test_overlaps() -> None:
    one = np.array([[0, 0, 2, 2], [0, 0, 0, 0]], np.float64)
    other = np.array([[1, 1, 3, 3], [0, 0, 2, 2], [5, 5, 6, 6]], np.float64)
    np.testing.assert_allclose(overlaps(one, other), [[1 / 7, 1, 0], [0, 0, 0]])
    assert overlaps(one, np.zeros((0, 4))).shape == (2, 0)
