"""Why another converter's file is better than ours: entries of ``peers_reasons.toml``, held to the page's figures."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeworthy.display import milliseconds
from edgeworthy.validate.route_summary import FIGURES, OURS, Win, wins
from edgeworthy.validate.routes import RouteComparison, RouteRow

FILE = Path(__file__).with_name("peers_reasons.toml")

_FACTS: dict[str, tuple[Callable[[RouteRow], float | None], Callable[[float], str]]] = {
    "latency": (lambda row: row.p50_ms, milliseconds),
    "operators": (lambda row: row.operators, str),
    "transposes": (lambda row: row.transposes, str),
    "partitions": (lambda row: row.partitions, str),
}
"""What may bear a reason out: the number of a row, and how it is written."""

_AS_GOOD = 1.02
"""Times a figure that are no more than it."""


@dataclass(frozen=True)
class Reason:
    """An entry of the table.

    Attributes:
        route, models, better: Where its file is better, and by which figure (``route_summary.FIGURES``).
        why: The reason, with ``{ours}`` and ``{theirs}`` for the numbers that bear it out.
        theirs_less: The number that is less in its row than in ours.
        ours_less: The number that is less in ours. Exactly one of the two is given.
    """

    route: str
    models: Sequence[str]
    better: str
    why: str
    theirs_less: str = ""
    ours_less: str = ""

    def __post_init__(self) -> None:
        if bool(self.theirs_less) == bool(self.ours_less) or (self.theirs_less or self.ours_less) not in _FACTS:
            raise ValueError(f"{self.route}, {self.better}: one number bears it out, of {', '.join(_FACTS)}")

    def said(self, us: RouteRow, them: RouteRow, rows: Sequence[RouteRow]) -> str:
        """The reason with its numbers; empty where they don't bear it out, or another of the model's rows refutes it.

        That is a file that is as good as theirs though its number is no less than ours.

        Args:
            rows: Of the model, all.
        """
        number, text = _FACTS[self.theirs_less or self.ours_less]
        figure = FIGURES[self.better]
        for row in rows if self.theirs_less else ():
            if row.status == "pass" and (number(row) or 0) >= (number(us) or 0):
                value, best = figure(row), figure(them)
                if value and best and value <= _AS_GOOD * best:
                    return ""
        ours, theirs = number(us), number(them)
        if ours is None or theirs is None or not (theirs < ours if self.theirs_less else ours < theirs):
            return ""
        return self.why.format(ours=text(ours), theirs=text(theirs))


def load(file: Path = FILE) -> list[Reason]:
    """The table.

    Raises:
        ValueError, TypeError: an entry isn't one.
    """
    return [Reason(**entry) for entry in tomllib.loads(file.read_text(encoding="utf-8"))["reasons"]]


def reasons(found: Mapping[str, RouteComparison], table: Iterable[Reason]) -> tuple[dict[Win, str], list[str]]:
    """The reason of each win that has one, and the entries that don't hold, in a line each.

    Args:
        found: Model → its comparison; entries of other models, and of routes that weren't taken, are left alone.
    """
    said: dict[Win, str] = {}
    stale: list[str] = []
    for reason in table:
        for model in reason.models:
            rows = found[model].rows if model in found else []
            us, them = (next((row for row in rows if row.route == route), None) for route in (OURS, reason.route))
            if them is None or them.status == "skipped":
                continue
            entry = f"{model}, {reason.route}, {reason.better}"
            if us is None or reason.better not in wins(us, them):
                stale.append(f"{entry}: it isn't better any more")
            elif not (text := reason.said(us, them, rows)):
                stale.append(f"{entry}: its {reason.theirs_less or reason.ours_less} doesn't bear the reason out")
            elif (model, reason.route, reason.better) in said:
                stale.append(f"{entry}: there are two reasons")
            else:
                said[model, reason.route, reason.better] = text
    return said, stale
