"""How often each runner is right on labelled data, and what was lost against the first.

Shares come with Wilson's interval. The drop is taken on the same samples, so its interval is of paired shares: two
runners that err on the same samples differ by little, whatever the width of their own intervals.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ..artifact import TensorSpec
from ..errors import BadInput
from ..numerics import comparison as metrics
from ..numerics import intervals
from .inputs import Labelled
from .record import Status
from .results import AccuracyResult, AccuracyRow
from .runners import ROW_FAILURES, OnStep, Subject, row_failure

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..artifact import Array

_NO_CLASS = -1


@dataclass
class _Predictions:
    """Predicted class of each sample, or why there are none."""

    subject: Subject
    classes: list[NDArray[np.int64]] = field(default_factory=list)
    status: Status = "pass"
    failure: str | None = None


def measure(
    subjects: Sequence[Subject],
    data: Labelled,
    inputs: Sequence[TensorSpec],
    *,
    output: str | None = None,
    progress: OnStep | None = None,
) -> AccuracyResult:
    """Top-1 accuracy of every subject. A runtime that fails is a row; the first that runs is the reference.

    Args:
        data: Inputs in the common layout, and classes.
        inputs: The model's inputs; a static first dimension is the batch size, a dynamic one takes any.
        output: The output with the scores, [batch, classes]; default: the first of that form.

    Raises:
        NoScores: no output looks like scores, or a label is not among the classes.
    """
    chooser = _Scores(output, data)
    found = []
    for index, subject in enumerate(subjects):
        if progress:
            progress(subject.name, index, len(subjects))
        found.append(_predict(subject, data, inputs, chooser))
    ran = [p for p in found if p.failure is None]
    reference = ran[0] if ran else None
    rows = [_row(p, reference, data) for p in found]
    return AccuracyResult(
        status="fail" if any(r.status == "error" for r in rows) or not ran else "pass",
        data=data.description,
        output=chooser.name or "",
        samples=len(data.labels),
        reference=reference.subject.name if reference else "",
        rows=rows,
    )


def check(data: Labelled, outputs: Sequence[TensorSpec]) -> None:
    """Refuse data whose labels the model's outputs don't have, as far as their shapes tell, before anything runs.

    Raises:
        NoScores: as ``measure``.
    """
    scores = next((s for s in outputs if _may_be_scores(s)), None)
    if scores is None:
        raise _no_scores(data, map(str, outputs))
    classes = scores.shape[1]
    if isinstance(classes, int) and classes <= data.labels.max():
        raise _no_such_class(data, scores.name, classes)


class NoScores(BadInput):
    """The model's outputs, or the labels, allow no top-1 accuracy: no runner's fault."""


class _Scores:
    """Finds the scores among the outputs; the same output for every subject."""

    def __init__(self, name: str | None, data: Labelled) -> None:
        self.name = name
        self._data = data

    def of(self, outputs: dict[str, Array]) -> Array:
        if self.name is None:
            self.name = next((n for n, a in outputs.items() if metrics.is_class_like(a)), None)
        if self.name not in outputs:
            raise _no_scores(self._data, (f"{n}:{a.dtype}{list(a.shape)}" for n, a in outputs.items()), self.name)
        scores = outputs[self.name]
        if scores.ndim != 2:
            raise _no_scores(self._data, [f"{self.name}:{scores.dtype}{list(scores.shape)}"])
        if scores.shape[1] <= self._data.labels.max():
            raise _no_such_class(self._data, self.name, scores.shape[1])
        return scores


def _may_be_scores(spec: TensorSpec) -> bool:
    return spec.dtype.startswith("float") and len(spec.shape) == 2 and spec.shape[1] != 1


def _no_scores(data: Labelled, outputs: Iterable[str], name: str | None = None) -> NoScores:
    return NoScores(
        f"the model has no output {name!r}" if name else "no output looks like class scores",
        where=data.description,
        details=[f"output {text}" for text in outputs],
        remedy="accuracy needs an output of floats, [batch, classes]",
    )


def _no_such_class(data: Labelled, output: str, classes: int) -> NoScores:
    return NoScores(
        f"there is a label {data.labels.max()}, and the model's output {output!r} has {classes} classes",
        where=data.description,
        remedy="number the classes from 0, in the order of the model's scores",
    )


def _predict(subject: Subject, data: Labelled, inputs: Sequence[TensorSpec], scores: _Scores) -> _Predictions:
    result = _Predictions(subject)
    try:
        with subject.open() as runner:
            for feeds, count in data.batches(inputs):
                outputs = subject.outputs(runner.run(subject.feeds(feeds)))
                result.classes.append(_top1(scores.of(outputs))[:count])
    except NoScores:
        raise
    except ROW_FAILURES as error:
        result.status, result.failure = row_failure(subject.name, error)
    return result


def _top1(scores: Array) -> NDArray[np.int64]:
    """Class of each row; none where a score is NaN."""
    values = scores.astype(np.float64)
    return np.where(np.isnan(values).any(axis=1), _NO_CLASS, np.argmax(values, axis=1))


def _row(found: _Predictions, reference: _Predictions | None, data: Labelled) -> AccuracyRow:
    subject = found.subject
    row = AccuracyRow(
        name=subject.name,
        runtime=subject.runtime,
        artifact=subject.artifact,
        scheme=subject.scheme,
        status=found.status,
        failure=found.failure,
    )
    if found.failure is not None or reference is None:
        return row
    classes, labels = np.concatenate(found.classes), data.labels
    right = classes == labels
    low, high = intervals.wilson(int(right.sum()), right.size)
    update: dict[str, object] = {
        "correct": int(right.sum()),
        "total": right.size,
        "accuracy": float(right.mean()),
        "low": low,
        "high": high,
    }
    if found is reference:
        return row.model_copy(update=update | {"status": "reference"})
    others = np.concatenate(reference.classes)
    drop, drop_low, drop_high = intervals.paired_drop(others == labels, right)
    update |= {"drop": drop, "drop_low": drop_low, "drop_high": drop_high}
    return row.model_copy(update=update | {"changed": int(np.sum(classes != others))})
