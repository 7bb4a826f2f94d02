"""Why other converters' files, or ONNX Runtime, are better than ours: ``peers_reasons.toml``, held to figures."""

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

SLOWER = 1.3
"""Times ONNX Runtime's latency beyond which there has to be a reason."""

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


@dataclass(frozen=True)
class SlowForm:
    """Why ONNX Runtime is faster on models.

    Attributes:
        models: Which ones.
        form: What most of their arithmetic is, by the name of its row in docs/kernels.md.
        why: It is slower there than in ONNX Runtime.
    """

    models: Sequence[str]
    form: str
    why: str


def load(file: Path = FILE) -> tuple[list[Reason], list[SlowForm]]:
    """The two tables.

    Raises:
        ValueError, TypeError: an entry isn't one.
    """
    tables = tomllib.loads(file.read_text(encoding="utf-8"))
    return [Reason(**entry) for entry in tables["reasons"]], [SlowForm(**entry) for entry in tables["onnxruntime"]]


def slower(quotients: Mapping[str, float], table: Iterable[SlowForm]) -> tuple[dict[str, str], list[str]]:
    """The reason of each model on which ONNX Runtime is so much faster, and what is wrong with the table, a line each.

    Args:
        quotients: Model → our latency ÷ ONNX Runtime's; entries of other models are left alone.
    """
    said, stale = {}, []
    for slow in table:
        for model in slow.models:
            if model in quotients and quotients[model] > SLOWER:
                said[model] = f"{slow.form}: {slow.why}"
            elif model in quotients:
                stale.append(f"{model}, onnxruntime: it is at {quotients[model]:.2f} of its time now")
    missing = [model for model, value in quotients.items() if value > SLOWER and model not in said]
    return said, [*stale, *(f"{model}, onnxruntime: {quotients[model]:.2f} without a reason" for model in missing)]


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
