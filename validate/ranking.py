"""Which of several files of one model to take, by what was measured of them.

Those that keep to all limits come first. Among them latency or size decides, as is preferred, then the other of the
two, then accuracy, then SQNR; what differs by no more than the noise of its measurement, or too little to matter,
counts as equal. A file is *beaten* by one that comes before it, is worse in nothing and better in something.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..display import percent, times
from .advice import VariantResult

_SAME_DB, _SAME_SIZE, _SAME_TIME, _SAME_ACCURACY = 1.0, 0.05, 0.03, 0.005
"""Less is no difference: in dB, in shares of the larger one, and of accuracy in shares of the better one."""


@dataclass(frozen=True)
class Criterion:
    """One of the things that files are compared in.

    Attributes:
        key: ``latency``, ``size``, ``accuracy`` or ``error``.
        better: What the better one of two is.
        worse: What the other one is.
        most: What the best of several is.
        cost: The less the better; None: not measured.
        same: Whether the cost of the first, which isn't less, is about that of the second.
        said: The figure in words.
    """

    key: str
    better: str
    worse: str
    most: str
    cost: Callable[[VariantResult], float | None]
    same: Callable[[VariantResult, VariantResult], bool]
    said: Callable[[VariantResult], str]

    def beats(self, one: VariantResult, other: VariantResult) -> bool:
        """Whether the first is clearly better; than one that was not measured it is."""
        mine, theirs = self.cost(one), self.cost(other)
        if mine is None or theirs is None:
            return mine is not None
        return mine < theirs and not self.same(other, one)

    def compared(self, one: VariantResult, other: VariantResult) -> str:
        """``0.31× against 0.45×``."""
        return f"{self.said(one)} against {self.said(other)}"


def _latency(one: VariantResult) -> float | None:
    return one.tradeoff.latency_ratio if one.tradeoff else None


def _same_latency(slow: VariantResult, fast: VariantResult) -> bool:
    a, b = slow.tradeoff, fast.tradeoff
    if a is None or b is None or a.latency_ratio is None or b.latency_ratio is None:
        return True
    overlap = (a.latency_low or a.latency_ratio) <= (b.latency_high or b.latency_ratio)
    return overlap or a.latency_ratio <= b.latency_ratio * (1 + _SAME_TIME)


def _error(one: VariantResult) -> float | None:
    return None if one.tradeoff is None else -one.tradeoff.quality_db


def _same_error(worse: VariantResult, better: VariantResult) -> bool:
    costs = _error(worse), _error(better)
    return None not in costs and (costs[0] == costs[1] or (costs[0] or 0) - (costs[1] or 0) < _SAME_DB)


def _decibels(one: VariantResult) -> str:
    found = one.tradeoff
    if found is None or not (found.exact or found.sqnr_db is not None):
        return "–"
    return "exact" if found.exact else f"{found.sqnr_db:.1f} dB"


def _close(slack: float) -> Callable[[float, float], bool]:
    return lambda large, small: large <= small + slack * abs(large)


CRITERIA = {
    criterion.key: criterion
    for criterion in (
        Criterion("latency", "faster", "slower", "fastest", _latency, _same_latency, lambda one: times(_latency(one))),
        Criterion(
            "size",
            "smaller",
            "larger",
            "smallest",
            lambda one: one.size_bytes,
            lambda large, small: _close(_SAME_SIZE)(large.size_bytes or 0, small.size_bytes or 0),
            lambda one: times(one.tradeoff.size_ratio if one.tradeoff else None),
        ),
        Criterion(
            "accuracy",
            "more accurate",
            "less accurate",
            "most accurate",
            lambda one: None if one.accuracy is None else -one.accuracy,
            lambda worse, better: _close(_SAME_ACCURACY)(better.accuracy or 0, worse.accuracy or 0),
            lambda one: percent(one.accuracy),
        ),
        Criterion(
            "error",
            "truer",
            "less true",
            "truest",
            _error,
            _same_error,
            _decibels,
        ),
    )
}


def order(prefer: str) -> list[Criterion]:
    """What decides first, second …"""
    second = next(key for key in ("latency", "size") if key != prefer)
    return [CRITERIA[key] for key in (prefer, second, "accuracy", "error")]


def ranked(variants: Sequence[VariantResult], prefer: str) -> list[VariantResult]:
    """The best first, each with what beats it and what speaks for and against it."""
    good = [one for one in variants if one.status == "pass" and one.same_as is None]
    bad = sorted((one for one in variants if one.status == "fail" and one.same_as is None), key=_distance)
    found: list[VariantResult] = []
    while good:
        best, _ = first(good, prefer)
        good.remove(best)
        found.append(best)
    told = [_told(one, [*found, *bad][:index], index < len(found)) for index, one in enumerate([*found, *bad])]
    return told + [one for one in variants if one.same_as is not None or one.status not in ("pass", "fail")]


def first(variants: Sequence[VariantResult], prefer: str) -> tuple[VariantResult, list[tuple[Criterion, int]]]:
    """The best, and each criterion that told something with how many it left."""
    left, trail = list(variants), []
    for criterion in order(prefer):
        best = min(left, key=lambda one: _known(criterion.cost(one)))
        fewer = [one for one in left if not criterion.beats(best, one)]
        if len(fewer) < len(left):
            trail.append((criterion, len(fewer)))
        left = fewer
    return left[0], trail


def front(variants: Sequence[VariantResult]) -> list[VariantResult]:
    """Those that nothing beats."""
    return [one for one in variants if one.tradeoff and one.same_as is None and one.beaten_by is None]


def against(one: VariantResult, other: VariantResult) -> tuple[list[str], list[str]]:
    """What the first is better in than the second, and what it is worse in, with the figures."""
    gains = [f"{c.better} ({c.compared(one, other)})" for c in CRITERIA.values() if c.beats(one, other)]
    costs = [f"{c.worse} ({c.compared(one, other)})" for c in CRITERIA.values() if c.beats(other, one)]
    return gains, costs


def _told(one: VariantResult, before: Sequence[VariantResult], keeps: bool) -> VariantResult:
    beating = next((other for other in before if _beats(other, one)), None)
    said = [] if keeps else [f"misses: {'; '.join(one.missed)}"]
    if beating is not None:
        said.append(f"{beating.name} is {', '.join(against(beating, one)[0])}, and worse in nothing")
    elif before and keeps:
        said.append(f"against {before[0].name}: {_weighed(one, before[0])}")
    return one.model_copy(update={"beaten_by": beating.name if beating else None, "why": "; ".join(said)})


def _weighed(one: VariantResult, other: VariantResult) -> str:
    gains, costs = (", ".join(side) for side in against(one, other))
    return ", but ".join(filter(None, (gains, costs))) or "no different in anything that was measured"


def _beats(one: VariantResult, other: VariantResult) -> bool:
    """Whether the first is worse in nothing and better in something."""
    found = CRITERIA.values()
    return any(c.beats(one, other) for c in found) and not any(c.beats(other, one) for c in found)


def _distance(one: VariantResult) -> tuple[int, float]:
    return len(one.missed), _known(_error(one))


def _known(cost: float | None) -> float:
    return math.inf if cost is None else cost
