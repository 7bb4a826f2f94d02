"""The gate: `[gate]` of a configuration held against a report, one line for every limit and subject.

What was asked for and is not there never passes. A subject that failed, or a limit without a measurement, fails; one
that could not be had on this machine (a runtime that isn't installed) is inconclusive, and so is a report that holds
nothing to judge. Sizes and accuracies are facts of the files and the data. Latency is a sample of a noisy quantity:
it passes or fails only when the whole 95 % interval is on one side of the limit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

from ..config import GateTable
from ..errors import FIX
from ..metrics import METRICS, Metric
from ..schemes import SCHEMES
from ..tables import EVERY
from . import regression
from .evidence import altered, converted, names_of, subjects, trouble
from .lines import bound, ends, line, shown, title, unit, verdict
from .record import GateStatus
from .results import GateLine, GateResult, Report
from .summary import SummaryRow

OWN = "the run's own limits"
_COMMANDS = {"hop": "validate", "accuracy": "validate", "latency": "bench"}
"""Stage → the command that measures it."""


def evaluate(
    report: Report,
    rules: GateTable | None = None,
    *,
    origin: str = OWN,
    folder: Path | None = None,
    baseline: Report | None = None,
) -> GateResult:
    """Hold limits against ``report``.

    Args:
        rules: The limits; None: those that the run was configured with.
        origin: Where they are from, for the result.
        folder: Where the files of the report lie: each must still be the one that was measured.
        baseline: The report that ``rules.regression`` is held against.

    Returns:
        ``fail`` if any line fails, else ``inconclusive`` if any is or there is none, else ``pass``.
    """
    rules = report.limits if rules is None else rules
    lines = [*altered(report, folder)] if folder else []
    lines += [*_must_convert(report, rules.must_convert), *_parity(report, rules), *_ran(report)]
    for metric in METRICS:
        lines += limits(report, metric, rules.limits(metric.key))
    lines += regression.lines(report, baseline, rules)
    if not lines:
        said = "there is nothing to hold against a limit: run the stages, or set limits"
        lines.append(GateLine(check="gate", subject="the report", status="inconclusive", message=said))
    found = {line.status for line in lines}
    status: GateStatus = "fail" if "fail" in found else "inconclusive" if "inconclusive" in found else "pass"
    return GateResult(status=status, lines=lines, limits=rules, origin=origin)


def limits(report: Report, metric: Metric, wanted: Mapping[str, float]) -> Iterator[GateLine]:
    """The lines of one metric."""
    rows = [r for r in subjects(report, metric.stage) if metric.applies(r)] if wanted else []
    for name, limit in wanted.items():
        chosen = [r for r in rows if name == EVERY or name in names_of(r)]
        for row in chosen:
            yield _line(report, metric, row, limit)
        if not chosen:
            subject = "every artifact" if name == EVERY else name
            yield line(metric, subject, "fail", limit, f"not measured, {bound(report, metric, limit)}")


def _line(report: Report, metric: Metric, row: SummaryRow, limit: float) -> GateLine:
    subject, must = title(row, metric.stage), bound(report, metric, limit)
    if problem := trouble(row, metric.stage):
        return line(metric, subject, problem.status, limit, f"{problem.why}, {must}")
    value = metric.of(row)
    if value is None:
        return line(metric, subject, "fail", limit, f"not measured, {must}")
    low, high = ends(metric, row, value)
    known = f" (95 % interval {low:.3g} to {high:.3g})" if low < high else ""
    if not metric.decides:
        low = high = value
    status = verdict(metric.better, low, high, limit)
    return line(metric, subject, status, limit, f"{shown(value)}{known}, {must}", value, unit(report, metric))


# -- what has no number of its own ---------------------------------------------------------------------


def _wanted(report: Report) -> list[str]:
    """The artifacts that a run is asked for: kinds and schemes."""
    made = report.conversion.targets if report.conversion else []
    return [*made, *(q.scheme for q in report.quantization)]


def _must_convert(report: Report, wanted: Sequence[str] | None) -> Iterator[GateLine]:
    """That each artifact is there. Without a list: all that were asked for, and those that are made by default."""
    left_out = report.conversion.left_out if report.conversion else {}
    failures = {name: q.failure for q in report.quantization if q.failure for name in SCHEMES[q.scheme].names}
    general = report.conversion.failure if report.conversion else None
    for name in [*_wanted(report), *left_out] if wanted is None else wanted:
        there = any(name in names_of(row, converted(report)) for row in subjects(report, "artifact") if row.artifact)
        excused = not there and wanted is None and name in left_out
        why = failures.get(name) or left_out.get(name) or general or "nobody made it"
        yield GateLine(
            check="must_convert",
            subject=name,
            status="pass" if there else "inconclusive" if excused else "fail",
            limit="exists",
            measured="exists" if there else "missing",
            message=f"{name}: made" if there else f"{name}: missing, {why}",
            remedy="" if there or FIX in why else "name it in --to or --scheme, or take it out of gate.must_convert",
        )


def _parity(report: Report, rules: GateTable) -> Iterator[GateLine]:
    if not rules.parity:
        return

    def said(subject: str, status: GateStatus, message: str, remedy: str = "", **more: str | None) -> GateLine:
        return GateLine.model_validate(
            {"check": "parity", "subject": subject, "status": status, "message": message, "remedy": remedy} | more
        )

    if report.parity is None:
        status: GateStatus = "fail" if "parity" in rules.model_fields_set else "inconclusive"
        yield said("all hops", status, "parity was not measured", "measure it with `edgeworthy validate`")
        return
    for hop in report.parity.hops:
        if hop.status == "reference":
            continue
        bad = [o.name for o in hop.outputs if o.passed is False]
        verdicts: dict[str, GateStatus] = {
            "pass": "fail" if bad or not hop.outputs else "pass",
            "skipped": "inconclusive",
        }
        verdicts["inconclusive"] = "inconclusive"
        message = f"{hop.name}: {hop.failure or hop.reason or hop.status}"
        found = verdicts.get(hop.status, "fail")
        yield said(
            hop.name,
            found,
            message,
            "" if FIX in message or found == "pass" else hop.remedy or _more("hop"),
            limit="; ".join(sorted({o.limit for o in hop.outputs if o.limit})) or None,
            measured=hop.status,
        )
    run = {hop.artifact for hop in report.parity.hops}
    must = _wanted(report) if rules.must_convert is None else rules.must_convert
    for row in subjects(report, "artifact"):
        if row.artifact and row.key not in run and names_of(row, converted(report)) & set(must):
            remedy = "add the target that runs it to --target"
            yield said(row.artifact.path, "inconclusive", f"{row.artifact.path}: no target ran it", remedy)


def _ran(report: Report) -> Iterator[GateLine]:
    """A line for every row of accuracy and latency that has no numbers."""
    stages: tuple[Literal["accuracy", "latency"], ...] = ("accuracy", "latency")
    for stage in stages:
        for row in subjects(report, stage):
            if not row.missing and (problem := trouble(row, stage)):
                subject = title(row, stage)
                message = f"{subject}: {problem.why}"
                remedy = "" if FIX in message else _more(stage)
                yield GateLine(
                    check=f"{stage} ran", subject=subject, status=problem.status, message=message, remedy=remedy
                )


def _more(stage: str) -> str:
    """What to do about a runtime that failed without a word."""
    return f"run `edgeworthy {_COMMANDS[stage]} --debug` for more"
