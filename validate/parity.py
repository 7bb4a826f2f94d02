"""One set of inputs through every runtime in turn: what error has gathered, and which hop added it.

**Truth.** The module in float64 on PyTorch. When only ONNX is there: the graph in float64 on ONNX's own reference
implementation, and where that can't run it, ONNX Runtime on the graph as written.

**Noise floor.** float32 arithmetic itself is off by some amount: that of PyTorch float32 against float64, of ONNX
Runtime against the reference in float64, or of ONNX Runtime with its graph optimisations against without (other
kernels and order of summation). It is taken for each output, as rms and as maximum over all elements of all
samples, and is at least ``eps(float32) · max|truth|``: a model that PyTorch happens to compute exactly must not
demand exactness. A float32 artifact passes when neither its rms nor its maximum error exceeds ``multiple`` floors.

A floor between two implementations holds their bugs as well as noise, and a large floor lets anything pass. So a
plan may demand that its pair agrees well (``Plan.least_sqnr_db``); if it doesn't, the next plan stands in.

**Own share.** Each hop is compared with the one before it as well. A quantized file is compared with the float32
file on the same runtime, which it was made from.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ..artifact import Feeds
from ..errors import BadInput, CheckFailed, NotAvailable
from ..numerics import comparison as metrics
from ..numerics.comparison import Errors
from ..schemes import SCHEMES
from .judge import Floor, Rules, judge, missing, verdict
from .results import Hop, NoiseFloor, OutputParity, ParityResult, ReceiptResult, Status
from .runners import Subject, receipt_result

if TYPE_CHECKING:
    from ..artifact import Array

PYTORCH = "error of PyTorch float32 against PyTorch float64"
REFERENCE = "error of ONNX Runtime against ONNX's reference implementation in float64"
ONNX = "difference of ONNX Runtime with and without graph optimisations"
LEAST = "eps(float32) · max|truth|, as no pair of runs was there to measure it on"

AGREE_DB = 60.0
"""Least SQNR of a pair of implementations that differ by float32 noise alone; that noise is at 90 dB and more."""

Progress = Callable[[str, int, int], None]
"""(what runs now, how many are done, of how many)."""


@dataclass(frozen=True)
class Plan:
    """What counts as truth, and which two runs differ by nothing but float32 noise.

    Attributes:
        truth: What all hops are measured against.
        noisy: A run in float32.
        exact: The run that ``noisy`` is compared with to find the floor; usually the truth.
        method: How the floor is found, in words: ``PYTORCH``, ``REFERENCE`` or ``ONNX``.
        least_sqnr_db: The pair must agree this well (``AGREE_DB``), or the plan is dropped; None: any floor counts.
    """

    truth: Subject
    noisy: Subject
    exact: Subject
    method: str
    least_sqnr_db: float | None = None


@dataclass
class _Outcome:
    """What became of one subject: one dict of outputs a sample, or a failure."""

    subject: Subject
    samples: list[dict[str, Array]] = field(default_factory=list)
    status: Status = "pass"
    failure: str | None = None
    receipt: ReceiptResult | None = None
    seconds: float = 0.0

    @property
    def ran(self) -> bool:
        return self.failure is None

    def output(self, name: str) -> list[Array] | None:
        """An output over all samples; None if a sample lacks it."""
        values = [s[name] for s in self.samples if name in s]
        return values if values and len(values) == len(self.samples) else None


def measure(
    subjects: Sequence[Subject],
    samples: Sequence[Feeds],
    *,
    plans: Sequence[Plan],
    rules: Rules | None = None,
    seed: int | None = None,
    inputs: str = "",
    progress: Progress | None = None,
) -> ParityResult:
    """Run ``samples`` through ``subjects`` in order and judge every hop. A runtime that fails is a row.

    Args:
        subjects: The hops in order, without the truth (or with it, when it is one of them).
        samples: Feeds, all of the same names and dtypes.
        plans: The first whose truth runs (and whose pair agrees) is taken. Subjects of one name are one, and run
            once.
        rules: Limits.
        seed: Seed of the samples, for the report.
        inputs: Where the samples came from, for the report.

    Raises:
        BadInput: no samples, or NaN in one.
        CheckFailed: nothing could be run.
    """
    _check(samples)
    chain = _Chain(subjects, samples, plans, progress)
    truth, plan = chain.find_truth()
    bench = _Bench(truth, plan, chain, rules or Rules())
    names = {s.name for s in subjects}
    failed = [p.truth for p in plans if p.truth.name not in names and chain.failed(p.truth)]
    hops = [_failed_truth(chain.run(s)) for s in failed]
    if truth.subject.name not in names:
        hops.append(bench.hop(truth, None))
    last: dict[str, _Outcome] = {"": truth}
    for subject in subjects:
        outcome = chain.run(subject)
        before = last.get(subject.runtime) if not SCHEMES[subject.scheme].by_floor else None
        hops.append(bench.hop(outcome, before or last[""]))
        if outcome.ran and SCHEMES[subject.scheme].by_floor:
            last[""] = last[subject.runtime] = outcome
    bad = any(h.status in ("fail", "error") for h in hops)
    return ParityResult(
        status="fail" if bad else "pass",
        samples=len(samples),
        seed=seed,
        inputs=inputs,
        truth=truth.subject.name,
        floor_method=bench.method,
        multiple=bench.rules.multiple,
        floor=[
            NoiseFloor(output=name, rms=f.rms, max_abs=f.max_abs, least=f.least) for name, f in bench.floors.items()
        ],
        hops=hops,
        notes=_notes(truth),
    )


class _Chain:
    """Runs subjects, each once; keeps the outputs of those that a plan names."""

    def __init__(
        self,
        subjects: Sequence[Subject],
        samples: Sequence[Feeds],
        plans: Sequence[Plan],
        progress: Progress | None,
    ) -> None:
        self._subjects = subjects
        self._samples = samples
        self._plans = plans
        self._progress = progress
        self._kept: dict[str, _Outcome] = {}
        self._keep = {s.name for p in plans for s in (p.truth, p.noisy, p.exact)}
        self._done = 0

    def find_truth(self) -> tuple[_Outcome, Plan | None]:
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

    def run(self, subject: Subject) -> _Outcome:
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

    def _attempt(self, subject: Subject) -> _Outcome:
        outcome = _Outcome(subject)
        begin = time.perf_counter()
        try:
            with subject.open() as runner:
                for feeds in self._samples:
                    outcome.samples.append(subject.outputs(runner.run(subject.feeds(feeds))))
                outcome.receipt = receipt_result(runner.receipt)
        except NotAvailable as error:
            outcome.status, outcome.failure = "skipped", str(error)
        except (CheckFailed, BadInput) as error:
            outcome.status, outcome.failure = "error", str(error)
        outcome.seconds = time.perf_counter() - begin
        return outcome


class _Bench:
    """Judges outcomes against the truth and its noise floor."""

    def __init__(self, truth: _Outcome, plan: Plan | None, chain: _Chain, rules: Rules) -> None:
        self.truth = truth
        self.rules = rules
        self.method = LEAST
        self._defining = {truth.subject.name}
        noisy = exact = None
        if plan is not None:
            noisy, exact = chain.run(plan.noisy), chain.run(plan.exact)
            if noisy.ran and exact.ran:
                self.method = plan.method
                if exact is truth:  # its error is the floor: there is no verdict on it
                    self._defining.add(noisy.subject.name)
        # The truth may be in float64, so the dtypes to expect are those of the run in float32.
        self._typical = noisy if noisy is not None and noisy.ran else truth
        self.floors = {
            name: Floor.of(values, _noise(name, noisy, exact))
            for name in truth.samples[0]
            if (values := truth.output(name)) and values[0].dtype.kind == "f"
        }

    def hop(self, outcome: _Outcome, before: _Outcome | None) -> Hop:
        """The row of an outcome; ``before`` is the hop to take its own share against."""
        subject = outcome.subject
        hop = Hop(
            name=subject.name,
            runtime=subject.runtime,
            artifact=subject.artifact,
            scheme=subject.scheme,
            previous=before.subject.name if before and before is not outcome else None,
            status=outcome.status,
            reason=outcome.failure.splitlines()[0] if outcome.failure else "",
            failure=outcome.failure,
            receipt=outcome.receipt,
            seconds=outcome.seconds,
        )
        if not outcome.ran:
            return hop
        outputs = [self._output(name, outcome, before) for name in self.truth.samples[0]]
        extra = [name for name in outcome.samples[0] if name not in self.truth.samples[0]]
        status, reason = verdict(outputs)
        if extra:
            status, reason = "fail", f"outputs that the truth doesn't have: {extra}"
        elif status == "pass" and subject.name in self._defining:
            status, reason = "reference", "the truth" if outcome is self.truth else "its error is the noise floor"
            outputs = [o.model_copy(update={"passed": None, "limit": "", "bound": None}) for o in outputs]
        return hop.model_copy(update={"outputs": outputs, "status": status, "reason": reason})

    def _output(self, name: str, outcome: _Outcome, before: _Outcome | None) -> OutputParity:
        actual, truth = outcome.output(name), self.truth.output(name)
        if actual is None or truth is None:
            return missing(name)
        typical = self._typical.output(name) or truth
        result = judge(
            name,
            actual,
            truth,
            scheme=outcome.subject.scheme,
            rules=self.rules,
            dtype=(truth if outcome is self.truth else typical)[0].dtype.name,
            floor=self.floors.get(name),
            previous=before.output(name) if before and before is not outcome else None,
        )
        other = before is not None and before.subject.runtime != outcome.subject.runtime
        if other and before and result.vs_previous and result.vs_previous.exact and actual[0].dtype.kind == "f":
            note = f"bit-identical to {before.subject.name}, another runtime: did both really compute it?"
            return result.model_copy(update={"notes": [*result.notes, note]})
        return result


def _noise(name: str, noisy: _Outcome | None, exact: _Outcome | None) -> Errors | None:
    """Errors of the noisy run against the exact one, if both have the output in one shape."""
    if noisy is None or exact is None or not (noisy.ran and exact.ran):
        return None
    a, b = noisy.output(name), exact.output(name)
    if a is None or b is None or any(x.shape != y.shape for x, y in zip(a, b, strict=True)):
        return None
    return metrics.compare(a, b)


def _disagreement(noisy: _Outcome, exact: _Outcome, least_db: float) -> str | None:
    """What says that two runs differ by more than noise; None if they agree, or can't be compared at all."""
    names = exact.samples[0] if exact.ran and noisy.ran else ()
    for name in names:
        errors = _noise(name, noisy, exact)
        if errors is None or (errors.sqnr_db is not None and errors.sqnr_db < least_db):
            seen = "another shape" if errors is None else f"an SQNR of {errors.sqnr_db:.3g} dB"
            return f"it and {noisy.subject.name} differ by more than float32 noise on {name!r}: {seen}"
    return None


def _failed_truth(outcome: _Outcome) -> Hop:
    """A truth that couldn't be had is no fault of the artifacts: it has no verdict, and the next plan stands in."""
    subject = outcome.subject
    return Hop(
        name=subject.name,
        runtime=subject.runtime,
        artifact=subject.artifact,
        scheme=subject.scheme,
        status="reference",
        reason="it can't serve as truth: " + (outcome.failure or "").splitlines()[0],
        failure=outcome.failure,
        seconds=outcome.seconds,
    )


def _check(samples: Sequence[Feeds]) -> None:
    if not samples:
        raise BadInput("parity needs at least one sample", remedy="set validate.samples to 1 or more")
    for index, feeds in enumerate(samples):
        for name, array in feeds.items():
            if array.dtype.kind == "f" and np.isnan(array.astype(np.float64)).any():
                raise BadInput(f"input {name!r} of sample {index} holds NaN", remedy="take the NaN out")


def _notes(truth: _Outcome) -> list[str]:
    """What a reader should know about the truth itself."""
    notes = []
    for name in truth.samples[0]:
        values = truth.output(name) or []
        if len(values) > 1 and all(np.array_equal(v, values[0], equal_nan=True) for v in values[1:]):
            notes.append(f"output {name!r} is the same for all samples: it doesn't depend on the inputs")
        if any(v.dtype.kind == "f" and np.isnan(v).any() for v in values):
            notes.append(f"output {name!r} holds NaN in the truth itself ({truth.subject.name})")
    return notes
