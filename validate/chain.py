"""Runs the subjects of a parity run, each once, and finds which of them can be the truth."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ..artifact import Feeds
from ..errors import CheckFailed
from ..numerics import comparison as metrics
from ..numerics.comparison import Errors
from ..schemes import SCHEMES
from . import edges
from .edges import Edge
from .record import Status
from .results import ReceiptResult
from .runners import ROW_FAILURES, OnStep, Subject, receipt_result, row_failure

if TYPE_CHECKING:
    from ..artifact import Array


@dataclass(frozen=True)
class Plan:
    """What counts as truth, and which two runs differ by nothing but float32 noise.

    Attributes:
        truth: What all hops are measured against.
        noisy: A run in float32.
        exact: The run that ``noisy`` is compared with to find the floor; usually the truth.
        method: How the floor is found, in words: ``parity.PYTORCH``, ``ONNX`` or ``LEAST``.
        least_sqnr_db: The pair must agree this well (``AGREE_DB``), or the plan is dropped; None: any floor counts.
    """

    truth: Subject
    noisy: Subject
    exact: Subject
    method: str
    least_sqnr_db: float | None = None


@dataclass
class Outcome:
    """What became of one subject: one dict of outputs a sample, or a failure."""

    subject: Subject
    samples: list[dict[str, Array]] = field(default_factory=list)
    status: Status = "pass"
    failure: str | None = None
    receipt: ReceiptResult | None = None
    seconds: float = 0.0
    edges: dict[str, edges.Run] = field(default_factory=dict)
    unsteady: list[str] = field(default_factory=list)

    @property
    def ran(self) -> bool:
        return self.failure is None

    def output(self, name: str) -> list[Array] | None:
        """An output over all samples; None if a sample lacks it."""
        values = [s[name] for s in self.samples if name in s]
        return values if values and len(values) == len(self.samples) else None


class Chain:
    """Runs subjects, each once; keeps the outputs of those that a plan names, or that others are counted from.

    Attributes:
        grids: Subject → the grid of its file.
    """

    def __init__(
        self,
        subjects: Sequence[Subject],
        samples: Sequence[Feeds],
        at: Mapping[str, Edge],
        plans: Sequence[Plan],
        progress: OnStep | None,
    ) -> None:
        self._subjects = subjects
        self._samples = samples
        self._at = at
        self._plans = plans
        self._progress = progress
        self._kept: dict[str, Outcome] = {}
        self._keep = {s.name for p in plans for s in (p.truth, p.noisy, p.exact)}
        self.grids = {s.name: s.grid for s in subjects if s.grid}
        self._keep |= {name for grid in self.grids.values() for name in grid.names}
        self._truths = {p.truth.name for p in plans}
        self._done = 0

    def find_truth(self) -> tuple[Outcome, Plan | None]:
        """The first truth that runs, with its plan; else the first subject that runs.

        Raises:
            CheckFailed: nothing runs.
        """
        for plan in self._plans:
            outcome = self.run(plan.truth)
            if outcome.ran and plan.least_sqnr_db is not None:
                outcome.failure = _disagreement(self.run(plan.noisy), self.run(plan.exact), plan.least_sqnr_db)
            if outcome.ran:
                return outcome, plan
        failures = []
        for subject in self._subjects:
            self._keep.add(subject.name)
            outcome = self.run(subject)
            if outcome.ran:
                return outcome, None
            failures.append(f"{subject.name}: {outcome.failure}")
        raise CheckFailed(
            "no runtime could run the model",
            details=failures,
            remedy="see what each of them says; `edgeworthy doctor` tells what works here",
        )

    def failed(self, subject: Subject) -> bool:
        """Whether it was run and failed."""
        return subject.name in self._kept and not self._kept[subject.name].ran

    def run(self, subject: Subject) -> Outcome:
        if subject.name in self._kept:
            return self._kept[subject.name]
        if self._progress:
            total = len({s.name for s in self._subjects} | {p.truth.name for p in self._plans[:1]})
            self._progress(subject.name, self._done, max(total, self._done + 1))
        self._done += 1
        outcome = self._attempt(subject)
        if subject.name in self._keep:
            self._kept[subject.name] = outcome
        return outcome

    def _attempt(self, subject: Subject) -> Outcome:
        outcome = Outcome(subject)
        begin = time.perf_counter()
        try:
            with subject.open() as runner:
                for feeds in self._samples:
                    outcome.samples.append(subject.outputs(runner.run(subject.feeds(feeds))))
                if subject.name in self._keep:
                    again = subject.outputs(runner.run(subject.feeds(self._samples[0])))
                    outcome.unsteady = _changed(outcome.samples[0], again)
                outcome.receipt = receipt_result(runner.receipt)
                if SCHEMES[subject.scheme].by_floor:
                    outcome.edges = edges.run(subject, runner, self._at, moved=subject.name in self._truths)
        except ROW_FAILURES as error:
            outcome.status, outcome.failure = row_failure(subject.name, error)
        outcome.seconds = time.perf_counter() - begin
        return outcome


def _changed(before: Feeds, again: Feeds) -> list[str]:
    """Outputs that aren't what they were on the same inputs, by far more than threads that add in another order."""
    pairs = {name: (before[name], array) for name, array in again.items() if name in before}
    return [n for n, (a, b) in pairs.items() if a.shape != b.shape or not np.allclose(a, b, 1e-3, 1e-6, equal_nan=True)]


def noise_of(name: str, noisy: Outcome | None, exact: Outcome | None) -> Errors | None:
    """Errors of the noisy run against the exact one, if both have the output in one shape."""
    if noisy is None or exact is None or not (noisy.ran and exact.ran):
        return None
    a, b = noisy.output(name), exact.output(name)
    if a is None or b is None or any(x.shape != y.shape for x, y in zip(a, b, strict=True)):
        return None
    return metrics.compare(a, b)


def _disagreement(noisy: Outcome, exact: Outcome, least_db: float) -> str | None:
    """What says that two runs differ by more than noise; None if they agree, or can't be compared at all."""
    names = exact.samples[0] if exact.ran and noisy.ran else ()
    for name in names:
        errors = noise_of(name, noisy, exact)
        if errors is None or (errors.sqnr_db is not None and errors.sqnr_db < least_db):
            seen = "another shape" if errors is None else f"an SQNR of {errors.sqnr_db:.3g} dB"
            return f"it and {noisy.subject.name} differ by more than float32 noise on {name!r}: {seen}"
    return None
