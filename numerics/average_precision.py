"""Mean average precision of detected boxes, as COCO's evaluation takes it (``pycocotools.cocoeval``, bounding boxes).

Of each class and image the 100 detections with the highest scores are matched with its objects, best score first:
each takes the free object that it overlaps most, if by at least the threshold. Precision is made monotone, read at
recalls 0, 0.01 … 1, and averaged over these, the thresholds, and the classes that have an object. Objects of all sizes
count, and there are no crowds.

Images can be weighted, as a bootstrap needs it; their matches are found once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..artifact import Floats

THRESHOLDS = np.linspace(0.5, 0.95, 10)
"""Of the intersection over union."""

_MOST = 100
_RECALLS = np.linspace(0, 1, 101)


@dataclass(frozen=True)
class Boxes:
    """Boxes of one image.

    Attributes:
        corners: [boxes, 4], x1, y1, x2, y2.
        classes: [boxes].
        scores: [boxes], of detections; of objects they say nothing.
    """

    corners: Floats
    classes: NDArray[np.int64]
    scores: Floats

    def of(self, wanted: int) -> tuple[Floats, Floats]:
        """Corners and scores of one class, the highest score first."""
        at = np.flatnonzero(self.classes == wanted)
        at = at[np.argsort(-self.scores[at], kind="stable")][:_MOST]
        return self.corners[at], self.scores[at]


def overlaps(one: Floats, other: Floats) -> Floats:
    """[n, m]: intersection over union of boxes [n, 4] and [m, 4]; 0 where both are empty."""
    low = np.maximum(one[:, None, :2], other[None, :, :2])
    high = np.minimum(one[:, None, 2:], other[None, :, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=2)
    sizes = [np.prod(np.clip(boxes[:, 2:] - boxes[:, :2], 0, None), axis=1) for boxes in (one, other)]
    union = sizes[0][:, None] + sizes[1][None, :] - shared
    made: Floats = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return made


@dataclass(frozen=True)
class _Matches:
    """Detections of a class in an image: scores [n], hits [thresholds, n], and how many objects there are."""

    image: int
    scores: Floats
    hits: NDArray[np.bool_]
    objects: int


class AveragePrecision:
    """The detections of some images held against their objects."""

    def __init__(self, found: Sequence[Boxes], objects: Sequence[Boxes]) -> None:
        self._images = len(objects)
        self._classes: dict[int, list[_Matches]] = {}
        for image, (seen, there) in enumerate(zip(found, objects, strict=True)):
            for wanted in np.unique(np.concatenate((seen.classes, there.classes))):
                corners, scores = seen.of(int(wanted))
                real = there.corners[there.classes == wanted]
                matches = _Matches(image, scores, _hits(overlaps(corners, real)), len(real))
                self._classes.setdefault(int(wanted), []).append(matches)
        self._sorted = [_Sorted.of(matches, self._images) for matches in self._classes.values()]

    def at_thresholds(self, weights: Floats | None = None) -> Floats:
        """[thresholds]: the mean over classes; 0 without any object."""
        each = np.ones(self._images) if weights is None else weights
        rows = [row for found in self._sorted if (row := found.precision(each)) is not None]
        return np.mean(rows, axis=0) if rows else np.zeros(len(THRESHOLDS))

    def value(self, weights: Floats | None = None) -> float:
        """mAP@[.5:.95]; ``weights``: of the images."""
        return float(self.at_thresholds(weights).mean())

    def of_images(self) -> Floats:
        """[images]: each by itself; NaN where there is no object."""
        rows: list[list[float]] = [[] for _ in range(self._images)]
        for matches in self._classes.values():
            for one in matches:
                alone = _Sorted.of([_Matches(0, one.scores, one.hits, one.objects)], 1).precision(np.ones(1))
                if alone is not None:
                    rows[one.image].append(float(alone.mean()))
        return np.array([np.mean(row) if row else np.nan for row in rows])


@dataclass(frozen=True)
class _Sorted:
    """All detections of a class, the highest score first: images [n], hits [thresholds, n]; objects [images]."""

    images: NDArray[np.int64]
    hits: NDArray[np.bool_]
    objects: Floats

    @classmethod
    def of(cls, matches: Sequence[_Matches], images: int) -> _Sorted:
        scores = np.concatenate([m.scores for m in matches])
        order = np.argsort(-scores, kind="stable")
        owners = np.concatenate([np.full(len(m.scores), m.image) for m in matches])
        objects = np.zeros(images)
        for m in matches:
            objects[m.image] += m.objects
        return cls(owners[order], np.concatenate([m.hits for m in matches], axis=1)[:, order], objects)

    def precision(self, weights: Floats) -> Floats | None:
        """[thresholds]: average precision; None where no object is."""
        total = float(weights @ self.objects)
        if total <= 0:
            return None
        each = weights[self.images]
        right, wrong = np.cumsum(self.hits * each, axis=1), np.cumsum(~self.hits * each, axis=1)
        precision = right / np.maximum(right + wrong, np.finfo(np.float64).tiny)
        precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        padded = np.concatenate((precision, np.zeros((len(precision), 1))), axis=1)
        places = [np.searchsorted(row / total, _RECALLS) for row in right]
        return np.array([row[at].mean() for row, at in zip(padded, places, strict=True)])


def _hits(overlap: Floats) -> NDArray[np.bool_]:
    """[thresholds, detections]: whether each takes an object; ``overlap``: [detections, objects]."""
    hits = np.zeros((len(THRESHOLDS), len(overlap)), bool)
    if not overlap.size:
        return hits
    for place, threshold in enumerate(THRESHOLDS):
        free = np.ones(overlap.shape[1], bool)
        for number, row in enumerate(overlap):
            best = len(row) - 1 - int(np.argmax(np.where(free, row, -1)[::-1]))  # of equal ones the last, as COCO
            if free[best] and row[best] >= threshold - 1e-10:
                hits[place, number], free[best] = True, False
    return hits
