"""Limits against an earlier report: how much worse each metric may be than it was then."""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from pathlib import Path

from ..config import GateTable
from ..display import six_digits
from ..errors import BadInput
from ..metrics import METRICS, Metric
from ..tables import EVERY
from .evidence import names_of, subjects, trouble
from .lines import ends, line, shown, title, verdict
from .record import GateStatus
from .report_file import read
from .results import GateLine, Report
from .summary import SummaryRow


def read_baseline(rules: GateTable, output: Path | None) -> Report | None:
    """The report that ``rules.baseline`` names; None where it names none.

    Args:
        output: The folder of the run that is held against it.

    Raises:
        BadInput: it can't be read; it is of ``output`` itself, so that whatever gets worse would be the measure next
            time; or no limit is held against it.
    """
    if rules.baseline is None:
        return None
    where = str(rules.baseline)
    folder = rules.baseline if rules.baseline.is_dir() else rules.baseline.parent
    if output is not None and output.exists() and folder.resolve() == output.resolve():
        raise BadInput(
            "a run can't be its own baseline",
            where=where,
            remedy="copy the report that is to be the measure to another place",
        )
    if not any(rules.regressions(metric.key) for metric in METRICS if metric.regression):
        raise BadInput(
            "there is a baseline, and no limit that is held against it",
            where=where,
            remedy="set some under [gate.regression], such as size_bytes = 1.0",
        )
    return read(rules.baseline)


def lines(report: Report, baseline: Report | None, rules: GateTable) -> Iterator[GateLine]:
    """One for every limit of ``rules.regression`` and row of either report."""
    for metric in METRICS:
        wanted = rules.regressions(metric.key) if metric.regression else {}
        now = _rows(report, metric) if wanted else {}
        then = {s: r for s, r in _rows(baseline, metric).items() if not r.missing} if baseline and wanted else {}
        for name, limit in wanted.items():
            chosen = [s for s, r in {**then, **now}.items() if name == EVERY or name in names_of(r)]
            for subject in chosen:
                yield _line(metric, subject, limit, (report, now.get(subject)), (baseline, then.get(subject)))
            if not chosen:
                yield _said(metric, "every artifact" if name == EVERY else name, "fail", limit, "not measured")


def _rows(report: Report, metric: Metric) -> dict[str, SummaryRow]:
    return {title(row, metric.stage): row for row in subjects(report, metric.stage) if metric.applies(row)}


def _line(
    metric: Metric,
    subject: str,
    limit: float,
    now: tuple[Report, SummaryRow | None],
    then: tuple[Report | None, SummaryRow | None],
) -> GateLine:
    (report, row), (baseline, earlier) = now, then
    if baseline is None:
        return _said(
            metric,
            subject,
            "inconclusive",
            limit,
            "there is no baseline to hold it against (--baseline REPORT gives one)",
        )
    if row is None:
        return _said(metric, subject, "fail", limit, "the baseline has it, and it was not measured now")
    if problem := trouble(row, metric.stage):
        return _said(metric, subject, problem.status, limit, problem.why)
    if earlier is None or trouble(earlier, metric.stage):
        return _said(metric, subject, "inconclusive", limit, "the baseline has no such number")
    for path in metric.basis:
        here, there = (reduce(getattr, path.split("."), r) for r in (report, baseline))
        if here != there:
            return _said(metric, subject, "inconclusive", limit, f"{path} is {here}, and was {there} in the baseline")
    new, old = metric.of(row), metric.of(earlier)
    if new is None:
        return _said(metric, subject, "fail", limit, "not measured")
    if old is None:
        return _said(metric, subject, "inconclusive", limit, "the baseline has no such number")
    (low, high), (old_low, old_high) = ends(metric, row, new), ends(metric, earlier, old)
    worse = _worse(metric, new, old)
    if not metric.decides:
        low, high, old_low, old_high = new, new, old, old
    found = sorted((_worse(metric, low, old_high), _worse(metric, high, old_low)))
    if metric.regression == "difference":
        found = [worse, worse]
    return line(
        metric,
        subject,
        verdict("less", found[0], found[1], limit),
        limit,
        f"{shown(new)}, and {shown(old)} in the baseline: {_words(metric, worse)}, at most {six_digits(limit)}",
        worse,
        prefix=_PREFIX,
    )


_PREFIX = "regression."


def _worse(metric: Metric, new: float, old: float) -> float:
    """How much worse the new number is: new ÷ old, or what was lost."""
    if new == old:
        return 1.0 if metric.regression == "ratio" else 0.0
    if metric.regression == "ratio":
        return new / old if old else float("inf")
    return old - new if metric.better == "more" else new - old


def _words(metric: Metric, worse: float) -> str:
    if metric.regression == "ratio":
        return f"{worse:.4g}×"
    return f"{worse:.4g} {metric.unit}".rstrip() + " lost" if worse > 0 else "nothing lost"


def _said(metric: Metric, subject: str, status: GateStatus, limit: float, said: str) -> GateLine:
    return line(metric, subject, status, limit, f"{said}, at most {six_digits(limit)}", prefix=_PREFIX)
