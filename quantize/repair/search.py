"""The search for the fastest file that meets a budget. What is measured is a ``Bench``; here is the order of trials.

1. Every *start*: what the scheme decides for this device, and integers only where the arithmetic is; plain and
   equalised. The first one tells which way to take ranges is best, and the others take them so. One that meets the
   budget is a candidate.
2. Where none does, all of the best in float: with ranges that each layer finds at run time, with int8 weights alone,
   and where even these are too coarse with none. That reaches any budget that can be reached, and tells what else may
   go to float with int8 weights, so that the file stays small.
3. From the best start of each kind, operators go to float, the largest own error first, one by one and by whole kinds
   (of which a runtime then makes longer float stretches): so many (1, 2, 4 …) that the budget is met, then as few as
   will do (bisection). What turns out not to be needed goes back.
4. The same operators with int16 activations in place of float, where a runtime takes that.
5. The other way round, from the best start: all in float, and back to integers what saves the most for the error that
   it costs (``fill``).
6. All candidates take turns on the clock, and the fastest goes on: whole kinds of operators to float, and of layers to
   ranges at run time or back, as long as that is faster still. Of equals, the truest is the result, and what layers it
   has in plain float get int8 weights as far as the budget lets, and float16 weights where it doesn't.

The time for trials is bounded, and each step has its share of it: what is not begun by then is left out, and said.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from .. import kinds
from ..recipe import Compute
from ..rounding import Refinement
from .budget import Budget, Quality
from .candidate import TOLD, Candidate, Tryout, exceptions, spread
from .fill import Stretch, fill, noise

_SAME_TIME = 0.03
"""Medians of one interleaved run differ by this share for no reason."""

_STARTS, _LIFTS, _FILLS, _SIZES, _HALVES = 0.35, 0.6, 0.85, 1.1, 1.2
"""Shares of the time after which starts, operators that go to float, those that come back, and int8 and float16 weights
for those that stay there are no longer tried."""

_FEW, _FEW_OF = 12, 0.25
"""Groups, and share of all, beyond which it is better to begin from float."""

_GO_BACK = 24
"""Most groups that are tried back in integers one by one."""

_ROOM = 0.25
"""Share of the noise that is allowed which int8 weights alone may make, if what goes to float is to have them."""

_IN_EXCHANGE: Mapping[Compute, Compute] = {"float32": "dynamic", "weights": "dynamic", "dynamic": "weights"}
"""What a layer computes in that reads and writes floats → what else it may."""

_LATE = 3
"""Trials with smaller weights of a file that would be float all through, however late it is."""

_TIMED = 6
"""Most candidates that are timed: those with the fewest exceptions of each kind."""


class Bench(Protocol):
    """What makes files of plans and measures them."""

    def judge(self, plan: Candidate) -> Quality:
        """Make it and hold it against the float file.

        Raises:
            ValueError, RuntimeError: an engine or the runtime refuses it.
        """

    def ranking(self, plan: Candidate) -> list[tuple[str, str]]:
        """Result and kind of the operators that it has in integers, the largest own error first."""

    def parts(self, plan: Candidate) -> list[Stretch]:
        """The arithmetic that it has in integers, in parts of about the same work, in order."""

    def integers(self, plan: Candidate) -> list[tuple[str, str]]:
        """Result and kind of the operators that it has in integers."""

    def quantized(self, plan: Candidate) -> list[tuple[str, str]]:
        """Of those, and of the layers that it has in float with integer weights."""

    def nanoseconds(self, plans: Sequence[Candidate]) -> list[float]:
        """Median time of one inference of each, in turns."""


@dataclass(frozen=True)
class SearchResult:
    """What the search ended with.

    Attributes:
        best: The plan that is to be made: the fastest that meets the budget, or the nearest to it.
        met: Whether it meets it.
        trials: All that was tried, in order.
        nanoseconds: Index of a trial → its time, of those that were timed.
        notes: What was left out.
    """

    best: Tryout
    met: bool
    trials: tuple[Tryout, ...]
    nanoseconds: Mapping[int, float]
    notes: tuple[str, ...] = ()


class Search:
    """One search.

    Args:
        bench: What measures.
        budget: What has to be reached.
        seconds: Time for trials; timing the candidates comes on top.
    """

    def __init__(self, bench: Bench, budget: Budget, *, seconds: float) -> None:
        self._bench, self._budget = bench, budget
        self._begin, self._seconds = time.monotonic(), seconds
        self._end = self._begin
        self._trials: list[Tryout] = []
        self._left_out: list[str] = []
        self._float: Compute = "weights"
        self._floor = 0.0

    def run(
        self, starts: Sequence[Candidate], methods: Sequence[str] = (), refinements: Sequence[Refinement] = ()
    ) -> SearchResult:
        """Search from these plans, the plainest first.

        Args:
            starts: Where to begin.
            methods: Ways to take ranges; none: those of the plans.
            refinements: What else of rounding is tried, with the best ranges.

        Raises:
            RuntimeError: no file could be made at all; has the first reason.
        """
        self._until(_STARTS)
        for method in methods or (starts[0].rounding.ranges,):
            if self._trials and self._is_late(f"ranges by {method}"):
                break
            self._try(starts[0].rounded(ranges=method))
        for change in refinements:
            finer = max(self._trials, key=self._nearness).plan.rounded(**change)
            if self._is_late(f"ranges by {finer.rounding}"):
                break
            self._try(finer)
        rounding = max(self._trials, key=self._nearness).plan.rounding
        starts = [replace(plan, rounding=rounding) for plan in starts] if methods else starts
        for plan in starts[1:]:
            if self._is_late(f"the start {plan}"):
                break
            self._try(plan)
        self._until(_LIFTS)
        if not any(t.met for t in self._trials):
            self._all_in_float(max((t for t in self._trials if t.plan in starts), key=self._nearness))
        for kind in dict.fromkeys(plan.kind for plan in starts):
            tried = [t for t in self._trials if t.plan.kind == kind and t.plan in starts and t.quality]
            if tried and not any(t.met for t in tried):
                self._lift(max(tried, key=self._nearness))
        self._until(_FILLS)
        if not any(t.met and t.plan == plan for t in self._trials for plan in starts):
            self._fill(max((t for t in self._trials if t.plan in starts), key=self._nearness))
        candidates = [trial for trial in self._trials if trial.met]
        if not candidates:
            return self._nearest()
        return self._fastest(candidates)

    def _try(self, plan: Candidate) -> Tryout:
        for trial in self._trials:
            if trial.plan == plan:
                return trial
        try:
            quality = self._bench.judge(plan)
            trial = Tryout(plan, quality, self._budget.met(quality))
        except (ValueError, RuntimeError) as error:
            trial = Tryout(plan, failure=" ".join(str(error).split()))
        self._trials.append(trial)
        return trial

    def _all_in_float(self, start: Tryout) -> None:
        """Files that meet the budget if any does, late or not; and whether what goes to float may have int8 weights."""
        everything = [name for name, _ in self._bench.quantized(start.plan)]
        if not self._is_late("all layers with ranges found at run time"):
            self._try(start.plan.put(everything, "dynamic"))
        trial = self._try(start.plan.put(everything, "weights"))
        self._floor = noise(trial.quality) if trial.quality is not None else math.inf
        least = self._budget.min_sqnr_db
        if not trial.met or (least is not None and self._floor > _ROOM * 10 ** (-least / 10)):
            self._float, self._floor = "float32", 0.0
        if not any(t.met for t in self._trials):
            self._try(start.plan.put(everything, "float32"))

    def _lift(self, start: Tryout) -> None:
        """From a start that misses the budget: the fewest operators in float that will do, and the fewest kinds."""
        ranking = self._bench.ranking(start.plan)
        for groups in ([[name] for name, _ in ranking], list(_by_kind(ranking).values())):
            lifted = self._fewest(start.plan, groups)
            if lifted and not self._is_late(f"int16 in place of float, {start.plan.kind}"):
                self._try(start.plan.put(_flat(self._needed(start.plan, lifted)), "int16"))

    def _fewest(self, plan: Candidate, groups: Sequence[list[str]]) -> Sequence[list[str]]:
        """The first of the groups that have to be in float; none where that are too many, or time is over."""
        least, most = 0, min(1, len(groups))
        limit = max(_FEW, int(_FEW_OF * len(groups)))
        while not self._meets(plan, groups[:most]):
            if most >= min(limit, len(groups)) or self._is_late(f"more than {most} groups in float, {plan.kind}"):
                return []
            least, most = most, min(2 * most, len(groups))
        while most - least > 1 and not self._is_late(f"fewer than {most} groups in float, {plan.kind}"):
            middle = (least + most) // 2
            least, most = (least, middle) if self._meets(plan, groups[:middle]) else (middle, most)
        return groups[:most]

    def _needed(self, plan: Candidate, groups: Sequence[list[str]]) -> list[list[str]]:
        """Without those that the budget can spare; the last one it can't."""
        needed = list(groups)
        for group in list(groups[:-1])[:_GO_BACK]:
            if self._is_late(f"groups back in integers, {plan.kind}"):
                break
            fewer = [g for g in needed if g is not group]
            if self._meets(plan, fewer):
                needed = fewer
        return needed

    def _fill(self, start: Tryout) -> None:
        """From all of a start in float, back to as much of its integers as the budget lets."""
        least, everything = self._budget.min_sqnr_db, [name for name, _ in self._bench.quantized(start.plan)]
        if least is None or start.quality is None:
            return

        def only(names: Sequence[str]) -> Tryout:
            kept = set(names)
            return self._try(start.plan.put([name for name in everything if name not in kept], self._float))

        parts = self._bench.parts(start.plan)

        def meets(names: Sequence[str]) -> bool:
            return only(names).met

        fill(parts, least, lambda names: only(names).quality, meets, self._is_late, floor=self._floor)

    def _clock(self, plans: Sequence[Candidate]) -> list[float]:
        """Nanoseconds of each; what that takes is not of the time for trials."""
        begin = time.monotonic()
        found = self._bench.nanoseconds(plans)
        spent = time.monotonic() - begin
        self._begin, self._end = self._begin + spent, self._end + spent
        return found

    def _until(self, share: float) -> None:
        """Let trials be begun until this share of the time is over."""
        self._end = self._begin + share * self._seconds

    def _meets(self, plan: Candidate, groups: Sequence[list[str]]) -> bool:
        return self._try(plan.put(_flat(groups), self._float)).met

    def _fastest(self, candidates: Sequence[Tryout]) -> SearchResult:
        truest: dict[object, Tryout] = {}  # of those with the same operators: these take the same time, but for noise
        for trial in sorted(candidates, key=lambda trial: (exceptions(trial), -self._nearness(trial)[1])):
            truest.setdefault((trial.plan.transforms, frozenset(trial.plan.computes.items())), trial)
        timed = list(spread(list(truest.values())))[:_TIMED]
        times = self._clock([trial.plan for trial in timed])
        quickest = min(times)
        equal = [t for t, ns in zip(timed, times, strict=True) if ns <= quickest * (1 + _SAME_TIME)]
        clocked = {self._trials.index(trial): ns for trial, ns in zip(timed, times, strict=True)}
        self._until(1.0)
        best = self._quicker(max(equal, key=self._nearness), clocked)
        best = self._smaller(self._smaller(best, "weights", _SIZES), "float16", _HALVES)
        return SearchResult(best, True, tuple(self._trials), clocked, tuple(self._left_out))

    def _quicker(self, best: Tryout, clocked: dict[int, float]) -> Tryout:
        """From a file that meets the budget, whole kinds to float as long as that is faster; adds to the times.

        Layers that are in float are asked for their ranges at run time, and those that have them for float.
        """
        integers = _by_kind(self._bench.integers(best.plan))
        steps = [(kind, names, self._float) for kind, names in integers.items()]
        there = self._bench.quantized(replace(best.plan, computes={}))
        for compute, other in _IN_EXCHANGE.items():
            layers = [(name, kind) for name, kind in there if best.plan.computes.get(name) == compute]
            steps += [(kind, names, other) for kind, names in _by_kind(layers).items() if kind in kinds.LAYERS]
        for kind, names, compute in steps:
            if self._is_late(f"{kind} {TOLD[compute]}"):
                break
            trial = self._try(best.plan.put(names, compute))
            if trial.met:
                before, after = self._clock([best.plan, trial.plan])
                clocked[self._trials.index(trial)] = after
                best = trial if after < before * (1 - _SAME_TIME) else best
        return best

    def _smaller(self, best: Tryout, compute: Compute, share: float) -> Tryout:
        """Smaller weights for the layers that are plain float, all or in halves, as far as the budget lets.

        A file that is float all through is none of the scheme: it gets some trials, late or not.
        """
        self._until(share)
        there = self._bench.quantized(replace(best.plan, computes={}))
        floats = [name for name, kind in there if kind in kinds.STORING and best.plan.computes.get(name) == "float32"]
        parts, tries = [floats] if floats else [], 0
        while parts and (
            (tries < _LATE and self._is_float(best.plan))
            or not self._is_late(f"{len(_flat(parts))} layers {TOLD[compute]}")
        ):
            tries += 1
            part, half = parts[0], len(parts[0]) // 2
            trial = self._try(best.plan.put(part, compute))
            best = trial if trial.met else best
            parts = [*parts[1:], *([] if trial.met or not half else [part[:half], part[half:]])]
        return best

    def _is_float(self, plan: Candidate) -> bool:
        """Whether it has neither integers nor smaller weights."""
        return not self._bench.integers(plan) and set(plan.computes.values()) <= {"float32"}

    def _nearest(self) -> SearchResult:
        judged = [trial for trial in self._trials if trial.quality is not None]
        if not judged:
            raise RuntimeError(self._trials[0].failure if self._trials else "there is nothing to start from")
        return SearchResult(max(judged, key=self._nearness), False, tuple(self._trials), {}, tuple(self._left_out))

    def _nearness(self, trial: Tryout) -> tuple[int, float]:
        if trial.quality is None:
            return -len(self._budget.missed(Quality(0.0))) - 1, 0.0
        return -len(self._budget.missed(trial.quality)), trial.quality.sqnr_db

    def _is_late(self, what: str) -> bool:
        late = time.monotonic() >= self._end
        if late and what not in self._left_out:
            self._left_out.append(what)
        return late


def _by_kind(operators: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    kinds: dict[str, list[str]] = {}
    for name, kind in operators:
        kinds.setdefault(kind, []).append(name)
    return kinds


def _flat(groups: Sequence[list[str]]) -> list[str]:
    return [name for group in groups for name in group]
