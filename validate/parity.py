"""One set of inputs through every runtime in turn: what error has gathered, and which hop added it.

**Truth.** The module in float64 on PyTorch. When only ONNX is there: ONNX Runtime on the graph as written. When a
converted model is all there is, itself: a TFLite file on TFLite's reference kernels, a SavedModel in TensorFlow without
oneDNN.

**Noise floor.** float32 arithmetic itself is off by some amount: that of PyTorch float32 against float64, or of
ONNX Runtime with its graph optimisations against without (other kernels and order of summation). It is taken for
each output, as rms and as maximum over all elements of all samples, and is at least ``4·eps·max|truth|``:
a model that PyTorch happens to compute exactly must not demand exactness. A float32 artifact passes when neither
its rms nor its maximum error exceeds ``multiple`` floors.

A floor between two implementations holds their bugs as well as noise, and a large floor lets anything pass. So a
plan may demand that its pair agrees well (``Plan.least_sqnr_db``); if it doesn't, the next plan stands in.

**Quanta.** A quantized file's outputs lie on a grid, and other kernels may be off by its steps; see ``quanta``.

**Own share.** Each hop is compared with the one before it as well. A quantized file is compared with the float32
file on the same runtime, which it was made from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from ..artifact import Feeds
from ..errors import BadInput
from ..numerics.floor import TINY, Floor
from ..schemes import SCHEMES
from . import edges, quanta
from .chain import Chain, Outcome, noise_of
from .chain import Plan as Plan
from .edges import Edge
from .judge import Rules, failed_at, judge, missing, noted, unknown, verdict
from .made import SamplesAre
from .remedies import RANDOM
from .results import Hop, NoiseFloor, OutputParity, ParityResult
from .runners import OnStep, Subject

PYTORCH = "error of PyTorch float32 against PyTorch float64"
ONNX = "difference of ONNX Runtime with and without graph optimisations"
KERNELS = "difference of TFLite's builtin kernels and its reference kernels"
ONEDNN = "difference of TensorFlow with and without oneDNN"
LEAST = "4 · eps(float32) · max|truth|, as no pair of runs was there to measure it on"

AGREE_DB = 60.0
"""Least SQNR of a pair of implementations that differ by float32 noise alone; that noise is at 90 dB and more."""

ONLY_RANDOM = "the example itself passes, and only random inputs like it fail"


def measure(
    subjects: Sequence[Subject],
    samples: Sequence[Feeds],
    *,
    plans: Sequence[Plan],
    rules: Rules | None = None,
    at: Mapping[str, Edge] | None = None,
    drawn: int = 0,
    seed: int | None = None,
    inputs: str = "",
    samples_are: SamplesAre = "",
    progress: OnStep | None = None,
) -> ParityResult:
    """Run ``samples`` through ``subjects`` in order and judge every hop. A runtime that fails is a row.

    Args:
        subjects: The hops in order, without the truth (or with it, when it is one of them).
        samples: Feeds, all of the same names and dtypes.
        plans: The first whose truth runs (and whose pair agrees) is taken. Subjects of one name are one, and run
            once.
        rules: Limits.
        at: Edges that float artifacts are judged at besides; see ``edges``.
        drawn: How many of the samples, the last ones, were drawn at random.
        seed: Seed of the samples, for the report.
        inputs: Where the samples came from, for the report.
        samples_are: Whether ranges were taken from them, for the report.

    Raises:
        BadInput: no samples, or NaN in one.
        CheckFailed: nothing could be run.
    """
    _check(samples)
    chain = Chain(subjects, samples, at or {}, plans, progress)
    truth, plan = chain.find_truth()
    bench = _Bench(truth, plan, chain, rules or Rules(), drawn)
    names = {s.name for s in subjects}
    failed = [p.truth for p in plans if p.truth.name not in names and chain.failed(p.truth)]
    hops = [_failed_truth(chain.run(s)) for s in failed]
    if truth.subject.name not in names:
        hops.append(bench.hop(truth, None))
    last: dict[str, Outcome] = {"": truth}
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
        samples_are=samples_are,
        truth=truth.subject.name,
        floor_method=bench.method,
        multiple=bench.rules.multiple,
        floor=[
            NoiseFloor(output=name, rms=f.rms, max_abs=f.max_abs, least=f.least) for name, f in bench.floors.items()
        ],
        hops=hops,
        notes=[*_notes(truth), *quanta.notes(hops)],
    )


class _Bench:
    """Judges outcomes against the truth and its noise floor."""

    def __init__(self, truth: Outcome, plan: Plan | None, chain: Chain, rules: Rules, drawn: int) -> None:
        self.truth = truth
        self._chain = chain
        self.rules = rules
        self._given = len(truth.samples) - drawn
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
            name: Floor.of(values, noise_of(name, noisy, exact), eps=self.rules.eps)
            for name in truth.samples[0]
            if (values := truth.output(name)) and values[0].dtype.kind == "f"
        }

    def hop(self, outcome: Outcome, before: Outcome | None) -> Hop:
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
        ruler = quanta.Ruler(outcome, self._chain)
        outputs = [ruler.held(output) for output in outputs]
        outputs += [unknown(name) for name in outcome.samples[0] if name not in self.truth.samples[0]]
        status, reason, remedy = verdict(outputs)
        if status == "pass" and subject.name in self._defining:
            status, reason = "reference", "the truth" if outcome is self.truth else "its error is the noise floor"
            outputs = [o.model_copy(update={"passed": None, "limit": "", "bound": None}) for o in outputs]
        told = {"status": status, "reason": reason, "remedy": remedy}
        start = ruler.start.subject.name if ruler.start else None
        return hop.model_copy(update={"outputs": outputs, "counted_from": start, **told})

    def _output(self, name: str, outcome: Outcome, before: Outcome | None) -> OutputParity:
        actual, truth = outcome.output(name), self.truth.output(name)
        if actual is None or truth is None:
            return missing(name)
        typical = self._typical.output(name) or truth
        rule = partial(
            judge,
            name,
            scheme=outcome.subject.scheme,
            whose=outcome.subject.whose,
            rules=self.rules,
            dtype=(truth if outcome is self.truth else typical)[0].dtype.name,
            floor=self.floors.get(name),
        )
        result = rule(actual, truth, previous=before.output(name) if before and before is not outcome else None)
        if 0 < self._given < len(actual) and result.passed is False:
            if rule(actual[: self._given], truth[: self._given]).passed:
                result = noted(result, ONLY_RANDOM).model_copy(update={"remedy": RANDOM})
        elif result.passed and outcome.subject.name not in self._defining:
            result = self._at_edges(result, outcome)
        other = before is not None and before.subject.runtime != outcome.subject.runtime
        if other and before and result.vs_previous and result.vs_previous.exact and actual[0].dtype.kind == "f":
            note = f"bit-identical to {before.subject.name}, another runtime: did both really compute it?"
            return noted(result, note)
        return result

    def _at_edges(self, result: OutputParity, outcome: Outcome) -> OutputParity:
        """The result of an output that passes on the samples, after a look at the edges."""
        found = list(
            edges.shortfalls(
                result.name,
                outcome.edges,
                self.truth.edges,
                self._typical.edges,
                multiple=self.rules.multiple,
                eps=self.rules.eps,
                tiny=TINY[self.rules.float_type],
                tolerance=self.rules.tolerance(result.name),
            )
        )
        return failed_at(result, found) if found else result


def _failed_truth(outcome: Outcome) -> Hop:
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


def _notes(truth: Outcome) -> list[str]:
    """What a reader should know about the truth itself."""
    notes = []
    for name in truth.samples[0]:
        values = truth.output(name) or []
        if len(values) > 1 and all(np.array_equal(v, values[0], equal_nan=True) for v in values[1:]):
            notes.append(f"output {name!r} is the same for all samples: it doesn't depend on the inputs")
        if name in truth.unsteady:
            notes.append(
                f"output {name!r} of {truth.subject.name} is another on the same inputs: it is random, or keeps "
                "a state, and says little of a file that has its own"
            )
        if any(v.dtype.kind == "f" and np.isnan(v).any() for v in values):
            notes.append(f"output {name!r} holds NaN in the truth itself ({truth.subject.name})")
    return notes
