"""mAP of a detector: which of its outputs are boxes, and what they say.

Outputs are read in one of these forms (of a batch of N images):

- boxes [N, K, 4] with scores [N, K] and classes [N, K] (integers, or floats that are; by name, or after the scores), as
  a model with suppression in it gives them. All are taken as they are.
- boxes [N, K, 4] with scores [N, K, classes].
- one tensor [N, K, 6]: corners, score and class. Taken as they are.
- one tensor [N, 4 + classes, K] or [N, K, 4 + classes], as YOLOv8 gives it: box and a score for each class.

Where a box has a score for each class, those of at least 0.001 go through suppression, class by class, at an overlap
of 0.7. A detector with an objectness beside its scores, or with boxes relative to anchors, is for a metric of the
user's own.

Corners are x1, y1, x2, y2 in the unit of the labels, unless ``box_format`` says otherwise; of YOLOv8's form they are
centre, width and height.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from ..artifact import Floats, TensorSpec
from ..numerics.average_precision import AveragePrecision, Boxes, overlaps
from .inputs import Labelled
from .tasks import NoAnswers, Score

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..artifact import Array


BoxFormat = Literal["xyxy", "yxyx", "xywh", "cxcywh"]
FORMATS: tuple[str, ...] = get_args(BoxFormat)

_LEAST_SCORE, _SUPPRESSED = 1e-3, 0.7
_CANDIDATES = 1000
"""Of a class in an image, the best of them, before suppression."""


class Detection:
    """mAP@[.5:.95], and mAP@.5 beside it."""

    metric, resamples = "mAP@[.5:.95]", 200

    def __init__(self, data: Labelled, box_format: str | None = None) -> None:
        self._data, self._format = data, box_format
        self.output: str | None = None

    def check(self, outputs: Sequence[TensorSpec]) -> None:
        if not any(len(spec.shape) == 3 and spec.dtype.startswith("float") for spec in outputs):
            raise self._no_boxes(map(str, outputs))

    def read(self, outputs: Mapping[str, Array], first: int, count: int) -> list[Boxes]:
        boxes, scores, classes = self._parts(outputs)
        found = []
        for image in range(count):
            if classes is not None:
                said = Boxes(boxes[image], classes[image].astype(np.int64), scores[image])
                found.append(_only(said, said.scores > 0))
            else:
                found.append(suppressed(boxes[image], scores[image]))
        return found

    def score(self, kept: list[Any]) -> Score:
        found = [boxes for batch in kept for boxes in batch]
        labels = self._data.labels
        objects = [Boxes(row[:, :4], row[:, 4].astype(np.int64), np.zeros(len(row))) for row in labels]
        objects = [_only(boxes, boxes.classes >= 0) for boxes in objects]
        self._same_unit(found, objects)
        precision = AveragePrecision(found, objects)
        samples = precision.of_images()
        said = ["no object" if np.isnan(s) else f"mAP {s:.3f}" for s in samples]
        return Score(precision.value, samples, said, more={"mAP@.5": float(precision.at_thresholds()[0])})

    def _parts(self, outputs: Mapping[str, Array]) -> tuple[Floats, Floats, Floats | None]:
        """Corners [N, K, 4]; scores [N, K] with classes [N, K], or scores [N, K, classes] without."""
        floats = {n: a.astype(np.float64) for n, a in outputs.items() if a.ndim in (2, 3)}
        boxes = next((n for n, a in floats.items() if a.ndim == 3 and a.shape[2] == 4), None)
        if boxes is not None:
            self.output = boxes
            return self._apart(floats, boxes, {n: a for n, a in outputs.items() if n != boxes and a.ndim in (2, 3)})
        whole = next((n for n, a in floats.items() if a.ndim == 3), None)
        if whole is None:
            raise self._no_boxes(f"{n}:{a.dtype}{list(a.shape)}" for n, a in outputs.items())
        self.output, rows = whole, floats[whole]
        most = int(self._data.labels[..., 4].max()) + 1
        if rows.shape[2] == 6 and most + 4 != 6:
            return self._corners(rows[..., :4], "xyxy"), rows[..., 4], rows[..., 5]
        rows = rows.transpose(0, 2, 1) if rows.shape[1] < rows.shape[2] else rows
        if rows.shape[2] < 4 + most:
            raise self._no_boxes([f"{whole}: {rows.shape[2]} values of a box, and the labels have {most} classes"])
        return self._corners(rows[..., :4], "cxcywh"), rows[..., 4:], None

    def _apart(
        self, floats: Mapping[str, Floats], boxes: str, others: Mapping[str, Array]
    ) -> tuple[Floats, Floats, Floats | None]:
        corners, count = self._corners(floats[boxes], "xyxy"), floats[boxes].shape[1]
        fitting = {n: a for n, a in others.items() if a.shape[1] == count}
        for name, array in fitting.items():
            if array.ndim == 3:
                return corners, floats[name], None
        named = [n for n, a in fitting.items() if a.dtype.kind != "f" or "class" in n.lower() or "label" in n.lower()]
        scores = [n for n in fitting if n not in named[:1]]
        classes = named[0] if named else scores.pop() if len(scores) > 1 else None
        if not scores or classes is None:
            raise self._no_boxes(f"{n}:{a.dtype}{list(a.shape)}" for n, a in {boxes: floats[boxes], **others}.items())
        return corners, floats[scores[0]], floats[classes]

    def _corners(self, boxes: Floats, usual: str) -> Floats:
        return corners(boxes, self._format or usual)

    def _same_unit(self, found: Sequence[Boxes], objects: Sequence[Boxes]) -> None:
        """Refuse boxes from 0 to 1 beside labels in pixels, and the other way round: nothing would match."""
        said, true = (
            max((float(b.corners.max()) for b in side if len(b.corners)), default=0.0) for side in (found, objects)
        )
        if min(said, true) and (said <= 2 < 8 < true or true <= 2 < 8 < said):
            raise NoAnswers(
                f"the model's boxes reach {said:.3g} and those of the labels {true:.3g}: they are of another unit",
                where=self._data.description,
                remedy="give the labels in the unit of the model's boxes",
            )

    def _no_boxes(self, outputs: Iterable[str]) -> NoAnswers:
        return NoAnswers(
            "the outputs are no boxes in a form that is known",
            where=self._data.description,
            details=[f"output {text}" for text in outputs],
            remedy="docs/quantization.md has the forms; for others write a metric (--accuracy file.py:function)",
        )


def corners(boxes: Floats, form: str) -> Floats:
    """x1, y1, x2, y2 of boxes [..., 4] in a format of ``FORMATS``."""
    a, b, c, d = np.moveaxis(boxes, -1, 0)
    if form == "cxcywh":
        a, b = a - c / 2, b - d / 2
    if form in ("cxcywh", "xywh"):
        c, d = a + c, b + d
    made: Floats = np.stack((b, a, d, c) if form == "yxyx" else (a, b, c, d), axis=-1)
    return made


def suppressed(boxes: Floats, scores: Floats) -> Boxes:
    """The boxes [K, 4] of one image that stand out in a class; scores [K, classes]."""
    kept: list[tuple[NDArray[np.int64], int]] = []
    for wanted in range(scores.shape[1]):
        at = np.flatnonzero(scores[:, wanted] >= _LEAST_SCORE)
        at = at[np.argsort(-scores[at, wanted], kind="stable")][:_CANDIDATES]
        chosen = []
        while len(at):
            chosen.append(at[0])
            at = at[1:][overlaps(boxes[at[:1]], boxes[at[1:]])[0] <= _SUPPRESSED]
        if chosen:
            kept.append((np.array(chosen, np.int64), wanted))
    if not kept:
        return Boxes(np.zeros((0, 4)), np.zeros(0, np.int64), np.zeros(0))
    at = np.concatenate([rows for rows, _ in kept])
    classes = np.concatenate([np.full(len(rows), wanted) for rows, wanted in kept])
    return Boxes(boxes[at], classes, scores[at, classes])


def _only(boxes: Boxes, wanted: NDArray[np.bool_]) -> Boxes:
    return Boxes(boxes.corners[wanted], boxes.classes[wanted], boxes.scores[wanted])
