"""Many models through the same converters: how many each gets right, and ours against each."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping

from pydantic import Field

from .record import Record
from .routes import RouteComparison, RouteRow

OURS = "direct"

FIGURES: dict[str, Callable[[RouteRow], float | None]] = {
    "latency": lambda row: row.p50_ms,
    "size": lambda row: row.size_bytes,
    "operators": lambda row: row.operators,
    "CPU": lambda row: row.cpu_seconds,
    "memory": lambda row: row.peak_bytes,
}
"""What ours is divided by a peer's of. Seconds of wall time say nothing where others were at work."""

Win = tuple[str, str, str]
"""Model, route, and the figure that it is better by."""

_MORE = 1.05
"""By so much a figure has to be off to be worth a word."""


class RouteSummary(Record):
    """One converter over many models."""

    route: str
    made_by: str = ""
    models: int = Field(description="that it was tried on")
    converted: int = Field(description="it made a file whose inputs and outputs are the model's")
    right: int = Field(description="what it computes passes")
    ratios: dict[str, float] = Field(
        default_factory=dict, description="figure → geometric mean of ours ÷ its over the models that both get right"
    )


def summaries(found: Mapping[str, RouteComparison]) -> list[RouteSummary]:
    """A summary of every route that wasn't skipped throughout; ``found``: model → its comparison."""
    ran = [row for one in found.values() for row in one.rows if row.status != "skipped"]
    return [_summary(route, found) for route in dict.fromkeys(row.route for row in ran)]


def _summary(route: str, found: Mapping[str, RouteComparison]) -> RouteSummary:
    rows = {name: row for name, one in found.items() for row in of(one, route) if row.status != "skipped"}
    ours = {name: row for name, one in found.items() for row in of(one, OURS) if row.status == "pass"}
    right = {name: row for name, row in rows.items() if row.status == "pass"}
    ratios = {
        figure: mean
        for figure, number in FIGURES.items()
        if route != OURS
        and (mean := ratio((number(ours[name]), number(row)) for name, row in right.items() if name in ours))
        is not None
    }
    return RouteSummary(
        route=route,
        made_by=next((row.made_by for row in rows.values() if row.made_by), ""),
        models=len(rows),
        converted=sum(row.converted for row in rows.values()),
        right=len(right),
        ratios=ratios,
    )


def of(found: RouteComparison, route: str) -> Iterable[RouteRow]:
    """The row of a route, if there is one."""
    return (row for row in found.rows if row.route == route)


def ratio(pairs: Iterable[tuple[float | None, float | None]]) -> float | None:
    """The geometric mean of the quotients; None where there is no pair."""
    logs = [math.log(ours / theirs) for ours, theirs in pairs if ours and theirs]
    return math.exp(sum(logs) / len(logs)) if logs else None


def better(found: Mapping[str, RouteComparison], why: Mapping[Win, str] | None = None) -> list[str]:
    """Where another beats ours by more than 5 %, in a line each; of a latency only where the intervals are apart.

    Args:
        found: Model → its comparison.
        why: The reasons that are known, which the lines end in.
    """
    known = why or {}
    said = []
    for name, one in found.items():
        for us in of(one, OURS):
            for them in one.rows:
                if them is not us and (by := wins(us, them)):
                    told = ", ".join(f"{figure} ÷ {times:.2f}" for figure, times in by.items())
                    reasons = [known[name, them.route, figure] for figure in by if (name, them.route, figure) in known]
                    said.append(f"{name}, {them.route}: {told}" + (f" — {'; '.join(reasons)}" if reasons else ""))
    return said


def wins(us: RouteRow, them: RouteRow) -> dict[str, float]:
    """By which figures it is better than ours, and how many times, where both pass."""
    if not us.status == them.status == "pass":
        return {}
    return {
        figure: mine / its
        for figure, number in FIGURES.items()
        if (mine := number(us)) and (its := number(them)) and mine > _MORE * its
        and (figure != "latency" or (them.p50_high_ms or its) < (us.p50_low_ms or mine))
    }  # fmt: skip
