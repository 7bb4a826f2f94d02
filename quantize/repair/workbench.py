"""Files of plans, made and measured in this process (see ``search.Bench``)."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np

from ...formats.tflite import edit as fb
from ...formats.tflite.arithmetic import flops
from ...numerics.fidelity import Fidelity, fidelity
from ...workers.serve import Tell
from .. import kinds
from ..analysis.per_layer import PerLayer
from ..deciding import in_float
from ..recipe import FLOATS, Compute, Decision, Recipe
from ..rounding import Rounding
from ..running import Model
from ..worker import Quantizer
from .budget import Quality
from .candidate import TOLD, Candidate
from .fill import PARTS, Stretch

if TYPE_CHECKING:
    from ...artifact import Array, Feeds

DEFAULT, ARITHMETIC = "as the scheme says", "integers in arithmetic alone"
"""Kinds of starts."""

_RANKED_ON = 2
"""Samples that own errors are taken from."""

_TURN_S, _TURNS = 0.03, 15

_OF_LAYERS: tuple[Compute, ...] = ("float16", "weights", "dynamic")
"""What only operators with many weights compute in; the others are plain float then."""


@dataclass
class HeldOut:
    """What files are judged by.

    Attributes:
        feeds: Input name → array, as the float model takes it; no range was taken from these.
        labels: int64 [batch] of each, the classes; empty where they aren't known.
        seen: Feeds that ranges were taken from. There are more of them, and luck on the few others is none on these.
        fresh: Feeds that nothing is chosen by: what was chosen has to hold on them.
    """

    feeds: list[Feeds] = field(default_factory=list)
    labels: list[Array] = field(default_factory=list)
    seen: list[Feeds] = field(default_factory=list)
    fresh: list[Feeds] = field(default_factory=list)


class Workbench:
    """Makes and measures.

    Args:
        jobs: Transforms → the job that has them done, calibrated; the plain one under ``()``.
        held: What files are judged by: as the worse of those that ranges were taken from, and of the others.
        threads: Threads for one inference.
        tell: Is told what is being tried.
    """

    def __init__(self, jobs: Mapping[tuple[str, ...], Quantizer], held: HeldOut, *, threads: int, tell: Tell) -> None:
        self._jobs, self._samples, self._threads, self._tell = jobs, held, threads, tell
        self._sets = [feeds for feeds in (held.feeds, held.seen) if feeds]
        self._base = {transforms: job.decide()[0] for transforms, job in jobs.items()}
        self._truths = self._run(jobs[()].content)
        self._judged: dict[tuple[Any, ...], Quality] = {}

    def starts(self, rounding: Rounding) -> list[Candidate]:
        """Where a search begins: what the scheme says before what it doesn't, the plain model before others."""
        elsewhere = self._outside_arithmetic()
        found = [Candidate(DEFAULT, rounding=rounding, transforms=transforms) for transforms in self._jobs]
        if elsewhere:
            found += [
                Candidate(ARITHMETIC, rounding=rounding, transforms=transforms).put(elsewhere, "float32")
                for transforms in self._jobs
            ]
        return found

    def judge(self, plan: Candidate) -> Quality:
        key = plan.rounding, plan.transforms, frozenset(plan.computes.items())
        if key not in self._judged:
            self._tell(f"try: {plan}")
            got = self._run(self._made(plan))
            found = [_quality(*pair) for pair in zip(self._truths, got, strict=True)]
            self._judged[key] = replace(reduce(Quality.worse, found), accuracy_drop=self._drop(got[0]))
        return self._judged[key]

    def confirmed(self, plan: Candidate) -> Quality | None:
        """What it reaches on samples that nothing is chosen by; None where there are none."""
        if not self._samples.fresh:
            return None
        plain, made = (Model(c, threads=self._threads) for c in (self._jobs[()].content, self._made(plan)))
        return _quality(*([model.run(feed) for feed in self._samples.fresh] for model in (plain, made)))

    def ranking(self, plan: Candidate) -> list[tuple[str, str]]:
        layers = PerLayer(self._jobs[plan.transforms].content, self._made(plan), threads=self._threads)
        for feed in self._sets[0][:_RANKED_ON]:
            layers.compare(feed)
        job, kinds_of = self._jobs[plan.transforms], dict(self.quantized(plan))
        graph = job.model.subgraphs[0]
        results = zip(job.results, graph.operators, strict=True)
        makers = {fb.name(t): name for name, op in results for t in fb.tensors(graph, op.outputs) if name in kinds_of}
        errors = [layer for layer in layers.errors() if layer.local is not None and layer.there is not None]
        ranked = dict.fromkeys(makers[e.place.tensor] for e in errors if e.place.tensor in makers)
        return [(name, kinds_of[name]) for name in ranked]

    def integers(self, plan: Candidate) -> list[tuple[str, str]]:
        return self._named(plan, FLOATS)

    def quantized(self, plan: Candidate) -> list[tuple[str, str]]:
        return self._named(plan, ("float32", "float16"))

    def _named(self, plan: Candidate, without: Sequence[Compute]) -> list[tuple[str, str]]:
        """Result and kind of the operators that don't compute in one of these."""
        job, decided = self._jobs[plan.transforms], self._decided(plan)
        kept = {index for index, decision in decided.items() if decision.compute in without}
        operators = zip(job.results, job.model.subgraphs[0].operators, strict=True)
        named = [(name, fb.op_name(job.model, op)) for name, op in operators]
        return [(name, kind) for index, (name, kind) in enumerate(named) if name and index not in kept]

    def parts(self, plan: Candidate) -> list[Stretch]:
        job, there = self._jobs[plan.transforms], {name for name, _ in self.integers(plan)}
        graph = job.model.subgraphs[0]
        work = {
            name: float(flops(job.model, graph, op))
            for name, op in zip(job.results, graph.operators, strict=True)
            if name in there and fb.op_name(job.model, op) in kinds.ARITHMETIC
        }
        if not work:
            return []
        parts = [Stretch(tuple(work), tuple(value / sum(work.values()) for value in work.values()))]
        while len(parts) < PARTS and (large := max(parts, key=lambda part: part.work)) and len(large.names) > 1:
            index = parts.index(large)
            parts[index : index + 1] = large.halves()
        return parts

    def nanoseconds(self, plans: Sequence[Candidate]) -> list[float]:
        self._tell(f"time {len(plans)} candidates")
        models = [Model(self._made(plan), threads=self._threads) for plan in plans]
        for model in models:
            model.run(self._sets[0][0])
        times: list[list[float]] = [[] for _ in models]
        for turn in range(_TURNS):
            order = range(len(models)) if turn % 2 else reversed(range(len(models)))
            for index in order:
                times[index].append(models[index].nanoseconds(_TURN_S))
        return [statistics.median(found) for found in times]

    def recipe(self, plan: Candidate) -> Recipe:
        """What makes the plan's file, with what the runtime refused in it."""
        job, decided = self._jobs[plan.transforms], self._decided(plan)
        job.make(plan.rounding, decided)
        return job.resolved(decided, plan.rounding)

    def gave_up(self, plan: Candidate) -> str:
        """What layers don't compute in int8, if any doesn't."""
        model, decided = self._jobs[plan.transforms].model, self._decided(plan)
        operators = enumerate(model.subgraphs[0].operators)
        layers = [index for index, op in operators if fb.op_name(model, op) in kinds.LAYERS]
        counts = Counter(decided[index].compute for index in layers if index in decided)
        parts = [f"{counts[compute]} {said}" for compute, said in TOLD.items() if counts[compute]]
        return f"of {len(layers)} layers {' and '.join(parts)}" if parts else ""

    def _made(self, plan: Candidate) -> bytes:
        job, decided = self._jobs[plan.transforms], self._decided(plan)
        return job.make(plan.rounding, decided).content

    def _decided(self, plan: Candidate) -> dict[int, Decision]:
        job, own = self._jobs[plan.transforms], {}
        names = job.results
        for name, compute in plan.computes.items():
            index = names.index(name)
            small = compute in _OF_LAYERS and in_float(job.model, index) == "float32"
            own[index] = Decision("float32" if small else compute, _WHY[compute])
        decided = self._base[plan.transforms] | own
        return job.joined(decided) if own else decided

    def _outside_arithmetic(self) -> list[str]:
        """Results of the operators that compute something else than sums of products, and aren't in float already."""
        job = self._jobs[()]
        kept = self._base[()]
        return [
            name
            for index, (name, op) in enumerate(zip(job.results, job.model.subgraphs[0].operators, strict=True))
            if name and index not in kept and fb.op_name(job.model, op) not in (*kinds.ARITHMETIC, *kinds.EXACT)
        ]

    def _run(self, content: bytes) -> list[list[Feeds]]:
        model = Model(content, threads=self._threads)
        return [[model.run(feed) for feed in feeds] for feeds in self._sets]

    def _drop(self, got: Sequence[Feeds]) -> float | None:
        """How much accuracy falls; None without labels, or without an output that has classes."""
        truth = self._truths[0]
        classes = [name for name, found in _judged(truth, truth).items() if found.agreement is not None]
        if not classes or not self._samples.labels:
            return None
        wanted = np.concatenate(self._samples.labels)
        right = [
            np.concatenate([sample[classes[0]].argmax(-1).reshape(-1) for sample in outputs]) == wanted
            for outputs in (truth, got)
        ]
        return float(right[0].mean() - right[1].mean())


def _quality(truth: Sequence[Feeds], got: Sequence[Feeds]) -> Quality:
    results = _judged(truth, got).values()
    agreements = [found.agreement for found in results if found.agreement is not None]
    return Quality(min(found.worst_group_db for found in results), min(agreements, default=None))


def _judged(truth: Sequence[Feeds], got: Sequence[Feeds]) -> dict[str, Fidelity]:
    """Of each output, over all samples."""
    return {name: fidelity([s[name] for s in truth], [s[name] for s in got]) for name in truth[0]}


_WHY = {
    "float32": "repair: in integers it costs more than the budget allows",
    "float16": "repair: in integers it costs more than the budget allows, with int8 weights too",
    "weights": "repair: in integers it costs more than the budget allows",
    "dynamic": "repair: with ranges of the samples it costs more than the budget allows",
    "int16": "repair: in int8 it costs more than the budget allows",
    "int8": "repair",
}
