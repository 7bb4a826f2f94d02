"""What accuracy is of a task: how a model's outputs are read, and one number of them, of all samples or of a resample.

- ``classification``: top-1 of scores [batch, classes].
- ``segmentation``: mIoU. Scores of pixels, [batch, classes, height, width] or [batch, height, width, classes], or their
  classes as integers [batch, height, width]. Intersections and unions are summed over all samples; classes that neither
  labels nor answers have don't count.
- ``detection``: mAP@[.5:.95], see ``detection``.
- ``file.py:function``: a function of the user's, of outputs (name → [samples, …]) and labels, that gives a number, the
  more the better, or one for each sample, whose mean is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np

from ..artifact import Floats, TensorSpec
from ..errors import BadInput
from ..numerics import comparison as metrics
from ..source.factories import function
from .inputs import Labelled

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..artifact import Array


_NO_CLASS = -1
_IGNORED = 255


class NoAnswers(BadInput):
    """The model's outputs, or the labels, are not of the task: no runner's fault."""


@dataclass(frozen=True)
class Score:
    """How well one runner did.

    Attributes:
        value: Of samples with these weights; None: each once.
        samples: [samples], how well it did on each; NaN where that says nothing.
        answers: [samples], what it said on each, in a word; empty where that doesn't fit one.
        right: [samples], whether it was right; None where there is more than right and wrong.
        more: Other numbers that belong to the task.
    """

    value: Callable[[Floats | None], float]
    samples: Floats
    answers: list[str] = field(default_factory=list)
    right: NDArray[np.bool_] | None = None
    more: Mapping[str, float] = field(default_factory=dict)


class Task(Protocol):
    """How answers are read from outputs and scored."""

    @property
    def metric(self) -> str: ...

    @property
    def resamples(self) -> int:
        """Of a bootstrap, which takes as long."""
        ...

    @property
    def output(self) -> str | None:
        """The output that answers are read from, once one was."""
        ...

    def check(self, outputs: Sequence[TensorSpec]) -> None:
        """Refuse labels that the model's outputs don't have, as far as their shapes tell, before anything runs."""
        ...

    def read(self, outputs: Mapping[str, Array], first: int, count: int) -> Any:
        """What is kept of the outputs of a batch, ``count`` samples from ``first`` on."""
        ...

    def score(self, kept: list[Any]) -> Score: ...


class Classification:
    """Top-1."""

    metric, resamples = "top-1", 1000

    def __init__(self, data: Labelled, output: str | None = None) -> None:
        self._data, self.output = data, output

    def check(self, outputs: Sequence[TensorSpec]) -> None:
        scores = next((s for s in outputs if _may_be_scores(s)), None)
        if scores is None:
            raise _no_scores(self._data, map(str, outputs))
        classes = scores.shape[1]
        if isinstance(classes, int) and classes <= self._data.labels.max():
            raise _no_such_class(self._data, scores.name, classes)

    def read(self, outputs: Mapping[str, Array], first: int, count: int) -> NDArray[np.int64]:
        """Class of each row; none where a score is NaN."""
        values = self._scores(outputs)[:count].astype(np.float64)
        return np.where(np.isnan(values).any(axis=1), _NO_CLASS, np.argmax(values, axis=1))

    def score(self, kept: list[Any]) -> Score:
        classes = np.concatenate(kept)
        right = classes == self._data.labels

        def value(weights: Floats | None) -> float:
            return float(np.average(right, weights=weights))

        return Score(value, right.astype(np.float64), [str(c) if c >= 0 else "NaN" for c in classes], right)

    def _scores(self, outputs: Mapping[str, Array]) -> Array:
        """The scores among the outputs; the same output for every subject."""
        name = self.output or next((n for n, a in outputs.items() if metrics.is_class_like(a)), None)
        if name is None or name not in outputs:
            raise _no_scores(self._data, map(_spec, outputs.items()), name)
        self.output, scores = name, outputs[name]
        if scores.ndim != 2:
            raise _no_scores(self._data, [_spec((name, scores))])
        if scores.shape[1] <= self._data.labels.max():
            raise _no_such_class(self._data, name, scores.shape[1])
        return scores


class Segmentation:
    """mIoU."""

    metric, resamples = "mIoU", 1000

    def __init__(self, data: Labelled) -> None:
        self._data, self.output = data, cast("str | None", None)
        self._counts = (data.labels >= 0) & (data.labels != _IGNORED)

    def check(self, outputs: Sequence[TensorSpec]) -> None:
        if not any(self._axis(spec.shape, spec.dtype.startswith("float")) is not None for spec in outputs):
            raise self._no_maps(map(str, outputs))

    def read(self, outputs: Mapping[str, Array], first: int, count: int) -> tuple[Floats, Floats]:
        """Intersections and unions, [samples, classes] each."""
        axes = {n: self._axis(a.shape, a.dtype.kind == "f") for n, a in outputs.items()}
        name = self.output or next((n for n, axis in axes.items() if axis is not None), None)
        axis = axes.get(name or "")
        if name is None or axis is None:
            raise self._no_maps(map(_spec, outputs.items()))
        self.output, maps = name, outputs[name]
        classes = maps if maps.dtype.kind != "f" else np.argmax(maps, axis)
        labels, counted = self._data.labels[first : first + count], self._counts[first : first + count]
        most = 1 + max(int(self._data.labels[self._counts].max(initial=0)), int(classes.max()))
        most = max(most, maps.shape[axis] if maps.dtype.kind == "f" else 0)
        shared, either = np.zeros((count, most)), np.zeros((count, most))
        for row, (said, true, valid) in enumerate(zip(classes[:count], labels, counted, strict=True)):
            said, true = said[valid].ravel(), true[valid].ravel()
            shared[row] = np.bincount(true[said == true], minlength=most)
            either[row] = np.bincount(said, minlength=most) + np.bincount(true, minlength=most) - shared[row]
        return shared, either

    def score(self, kept: list[Any]) -> Score:
        most = max(shared.shape[1] for shared, _ in kept)
        shared, either = (
            np.concatenate([np.pad(pair[side], ((0, 0), (0, most - pair[side].shape[1]))) for pair in kept])
            for side in (0, 1)
        )

        def value(weights: Floats | None) -> float:
            each = np.ones(len(shared)) if weights is None else weights
            return float(np.nanmean(_quotient(each @ shared, each @ either)))

        rows = _quotient(shared, either)
        there = ~np.isnan(rows)
        samples = np.divide(np.nansum(rows, 1), there.sum(1), out=np.full(len(rows), np.nan), where=there.any(1))
        pixels = float(shared.sum() / max(1.0, float(self._counts.sum())))
        return Score(value, samples, [f"mIoU {s:.3f}" for s in samples], more={"pixels right": pixels})

    def _axis(self, shape: Sequence[int | str], floats: bool) -> int | None:
        """The axis of the classes (0 for classes as integers) of an output whose pixels are those of the labels."""
        size = self._data.labels.shape[1:]

        def same(*dims: int | str) -> bool:
            return all(isinstance(d, str) or d == extent for d, extent in zip(dims, size, strict=True))

        if not floats:
            return 0 if len(shape) == 3 and same(*shape[1:]) else None
        if len(shape) != 4:
            return None
        return 1 if same(*shape[2:]) else 3 if same(*shape[1:3]) else None

    def _no_maps(self, outputs: Iterable[str]) -> NoAnswers:
        height, width = self._data.labels.shape[1:]
        return NoAnswers(
            f"no output holds scores or classes of {height} × {width} pixels, as the labels do",
            where=self._data.description,
            details=[f"output {text}" for text in outputs],
            remedy="resize the labels (by the nearest pixel) to the model's output",
        )


class UserMetric:
    """A function of outputs and labels."""

    resamples = 200

    def __init__(self, spec: str, data: Labelled) -> None:
        self.metric, self._data, self.output = spec.rpartition(":")[2], data, cast("str | None", None)
        self._spec, self._call = spec, function(spec, "the metric")

    def check(self, outputs: Sequence[TensorSpec]) -> None:
        """Only the function knows."""

    def read(self, outputs: Mapping[str, Array], first: int, count: int) -> dict[str, Array]:
        return {name: array[:count] for name, array in outputs.items()}

    def score(self, kept: list[Any]) -> Score:
        outputs = {name: np.concatenate([batch[name] for batch in kept]) for name in kept[0]}
        told = self._numbers(outputs, self._data.labels)
        if told.ndim:
            return Score(lambda weights: float(np.average(told, weights=weights)), told, [f"{v:.4g}" for v in told])

        def value(weights: Floats | None) -> float:
            if weights is None:
                return float(told)
            at = np.repeat(np.arange(len(weights)), weights.astype(int))
            drawn = self._numbers({n: a[at] for n, a in outputs.items()}, self._data.labels[at])
            return float(drawn.mean())

        return Score(value, np.full(len(self._data.labels), np.nan))

    def _numbers(self, outputs: Mapping[str, Array], labels: Array) -> Floats:
        """A number, or one for each sample."""
        told = self._call(outputs, labels)
        try:
            found = np.asarray(told, np.float64)
        except (TypeError, ValueError):
            found = np.array(np.nan)
        if found.shape not in ((), (len(labels),)) or not np.isfinite(found).all():
            shape = f" of shape {list(found.shape)}" if found.ndim else ""
            raise NoAnswers(
                f"the metric gives {type(told).__name__}{shape}, and a finite number was expected",
                where=self._spec,
                remedy="return one number, or one for each sample",
            )
        return found


def _quotient(shared: Floats, either: Floats) -> Floats:
    made: Floats = np.divide(shared, either, out=np.full(shared.shape, np.nan), where=either > 0)
    return made


def _spec(item: tuple[str, Array]) -> str:
    return f"{item[0]}:{item[1].dtype}{list(item[1].shape)}"


def _may_be_scores(spec: TensorSpec) -> bool:
    return spec.dtype.startswith("float") and len(spec.shape) == 2 and spec.shape[1] != 1


def _no_scores(data: Labelled, outputs: Iterable[str], name: str | None = None) -> NoAnswers:
    return NoAnswers(
        f"the model has no output {name!r}" if name else "no output looks like class scores",
        where=data.description,
        details=[f"output {text}" for text in outputs],
        remedy="accuracy needs an output of floats, [batch, classes]; --accuracy names other tasks",
    )


def _no_such_class(data: Labelled, output: str, classes: int) -> NoAnswers:
    return NoAnswers(
        f"there is a label {data.labels.max()}, and the model's output {output!r} has {classes} classes",
        where=data.description,
        remedy="number the classes from 0, in the order of the model's scores",
    )
