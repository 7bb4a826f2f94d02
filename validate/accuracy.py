"""How well each runner does on labelled data, and what was lost against the first. See ``tasks`` for what is asked.

The drop is taken on the same samples: two runners that err on the same ones differ by little, whatever the width of
their own intervals. For right and wrong it has the interval of paired shares (Agresti and Min), which stays honest
where no sample changes, and a share has Wilson's; other metrics have a paired bootstrap, in which both are given
the same resamples of the samples. Samples that one does better and the other worse are counted: for right and wrong
these are the two cells of McNemar's test.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..artifact import Floats, TensorSpec
from ..errors import BadInput, did_you_mean
from ..numerics import intervals
from .detection import Detection
from .inputs import CLASSIFICATION, DETECTION, TASKS, Labelled
from .pictures import picture
from .record import Status
from .results import AccuracyResult, AccuracyRow, WorstSample
from .runners import ROW_FAILURES, OnStep, Subject, row_failure
from .tasks import Classification, NoAnswers, Score, Segmentation, Task, UserMetric

_WORST = 8
"""Samples that the report shows, of all rows together."""

_ALIKE = 1e-9


@dataclass
class _Answers:
    """What a runner said, or why it didn't."""

    subject: Subject
    kept: list[Any] = field(default_factory=list)
    status: Status = "pass"
    failure: str | None = None
    score: Score | None = None


def measure(
    subjects: Sequence[Subject],
    data: Labelled,
    inputs: Sequence[TensorSpec],
    *,
    task: Task | None = None,
    output: str | None = None,
    seed: int = 0,
    progress: OnStep | None = None,
) -> AccuracyResult:
    """The accuracy of every subject. A runtime that fails is a row; the first that runs is the reference.

    Args:
        data: Inputs in the common layout, and labels of the task.
        inputs: The model's inputs; a static first dimension is the batch size, a dynamic one takes any.
        task: What is asked; default: classification.
        output: Of classification, the output with the scores, [batch, classes]; default: the first of that form.
        seed: Of the bootstrap.

    Raises:
        NoAnswers: the outputs or the labels are not of the task.
        BadInput: a metric of the user's raises.
    """
    asked = task or Classification(data, output)
    found = []
    for index, subject in enumerate(subjects):
        if progress:
            progress(subject.name, index, len(subjects))
        found.append(_answers(subject, data, inputs, asked))
    ran = [a for a in found if a.score is not None]
    reference = ran[0] if ran else None
    rows = [_row(a, reference, data, asked, seed) for a in found]
    return AccuracyResult(
        status="fail" if any(r.status == "error" for r in rows) or not ran else "pass",
        metric=asked.metric,
        data=data.description,
        output=asked.output or "",
        samples=len(data.labels),
        reference=reference.subject.name if reference else "",
        rows=_with_worst(rows, found, reference, data),
    )


def task_of(name: str, data: Labelled, box_format: str | None = None) -> Task:
    """The task called ``name``: classification, detection, segmentation, or ``file.py:function``.

    Raises:
        BadInput: there is no such task, or the function can't be had.
    """
    if name == DETECTION:
        return Detection(data, box_format)
    if name in TASKS:
        return Classification(data) if name == CLASSIFICATION else Segmentation(data)
    if ".py:" not in name:
        raise BadInput(
            f"there is no task {name!r}",
            where="--accuracy",
            details=[*TASKS, "file.py:function"],
            remedy=did_you_mean(name, TASKS) or "use one of these",
        )
    return UserMetric(name, data)


def _answers(subject: Subject, data: Labelled, inputs: Sequence[TensorSpec], task: Task) -> _Answers:
    made, first = _Answers(subject), 0
    try:
        with subject.open() as runner:
            for feeds, count in data.batches(inputs):
                outputs = subject.outputs(runner.run(subject.feeds(feeds)))
                made.kept.append(task.read(outputs, first, count))
                first += count
    except NoAnswers:
        raise
    except ROW_FAILURES as error:
        made.status, made.failure = row_failure(subject.name, error)
        return made
    made.score = task.score(made.kept)
    return made


def _row(found: _Answers, reference: _Answers | None, data: Labelled, task: Task, seed: int) -> AccuracyRow:
    subject, score = found.subject, found.score
    row = AccuracyRow(
        name=subject.name,
        runtime=subject.runtime,
        artifact=subject.artifact,
        scheme=subject.scheme,
        status=found.status,
        failure=found.failure,
    )
    if score is None or reference is None or reference.score is None:
        return row
    update: dict[str, object] = {"accuracy": score.value(None), "total": len(data.labels), "more": dict(score.more)}
    draws = None if score.right is not None else _draws(len(data.labels), task.resamples, seed)
    values = None if draws is None else np.array([score.value(weights) for weights in draws])
    if score.right is not None:
        low, high = intervals.wilson(int(score.right.sum()), score.right.size)
        update |= {"correct": int(score.right.sum()), "low": low, "high": high}
    elif values is not None:
        update |= dict(zip(("low", "high"), _ends(values), strict=True))
    if found is reference:
        return row.model_copy(update=update | {"status": "reference"})
    other = reference.score
    if score.right is not None and other.right is not None:
        drop, low, high = intervals.paired_drop(other.right, score.right)
    elif draws is not None and values is not None:
        drop = other.value(None) - score.value(None)
        low, high = _ends(np.array([other.value(weights) for weights in draws]) - values)
    update |= {"drop": drop, "drop_low": low, "drop_high": high}
    change = score.samples - other.samples
    update |= {"lost": int(np.sum(change < -_ALIKE)), "won": int(np.sum(change > _ALIKE))}
    if score.answers:
        update["changed"] = sum(a != b for a, b in zip(score.answers, other.answers, strict=True))
    return row.model_copy(update=update)


def _draws(samples: int, count: int, seed: int) -> Floats:
    """[resamples, samples]: how often each sample is drawn; the same for every row."""
    return (
        np.random.default_rng(seed).multinomial(samples, np.full(samples, 1 / samples), size=count).astype(np.float64)
    )


def _ends(values: Floats) -> tuple[float, float]:
    """95 % of the resamples lie between."""
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def _with_worst(
    rows: Sequence[AccuracyRow], found: Sequence[_Answers], reference: _Answers | None, data: Labelled
) -> list[AccuracyRow]:
    """The rows with the samples that lost most against the reference, as many of each as there is room for."""
    if reference is None or reference.score is None:
        return list(rows)
    losses = []
    for number, one in enumerate(found):
        if one.score is None or one is reference:
            continue
        loss = np.nan_to_num(reference.score.samples - one.score.samples)
        order = [int(at) for at in np.argsort(-loss, kind="stable")[:_WORST] if loss[at] > _ALIKE]
        losses += [(place, -float(loss[at]), number, at) for place, at in enumerate(order)]
    made: dict[int, list[WorstSample]] = {}
    for _, loss_, number, at in sorted(losses)[:_WORST]:
        score = found[number].score
        if score is not None:
            made.setdefault(number, []).append(_worst(at, -loss_, reference.score, score, data))
    return [row.model_copy(update={"worst": made.get(number, [])}) for number, row in enumerate(rows)]


def _worst(at: int, loss: float, before: Score, after: Score, data: Labelled) -> WorstSample:
    label = data.labels[at]
    return WorstSample(
        sample=at,
        loss=loss,
        label=str(label) if label.ndim == 0 else "",
        before=before.answers[at] if before.answers else "",
        after=after.answers[at] if after.answers else "",
        picture=next((p for array in data.inputs.values() if (p := picture(array[at]))), ""),
    )
