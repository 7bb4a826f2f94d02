"""A line of the gate: a number, or an interval, on one side of a limit or the other."""

from __future__ import annotations

import math
from typing import Literal

from ..display import six_digits
from ..errors import FIX
from ..metrics import Metric
from .record import GateStatus
from .results import GateLine, Report
from .summary import SummaryRow


def verdict(better: Literal["less", "more"], low: float, high: float, limit: float) -> GateStatus:
    """Whether all of an interval, or nothing of it, is on the right side of a limit."""
    best, worst = (low, high) if better == "less" else (-high, -low)
    most = limit if better == "less" else -limit
    return "pass" if worst <= most else "fail" if best > most else "inconclusive"


def ends(metric: Metric, row: SummaryRow, value: float) -> tuple[float, float]:
    """Ends of the 95 % interval; the number itself where there is no noise."""
    low, high = metric.interval(row)
    return value if low is None else low, value if high is None else high


_MEASURES = {
    "artifact": "make it: name it in --to or --scheme",
    "hop": "measure it with `edgeworthy validate`, or take the limit out",
    "accuracy": "measure it with `edgeworthy validate --labelled DATA`, or take the limit out",
    "latency": "measure it with `edgeworthy bench`, or take the limit out",
}
"""Stage → what gives its numbers."""

_NOISY = "time longer (--seconds), on a machine that does nothing else"


def line(
    metric: Metric,
    subject: str,
    status: GateStatus,
    limit: float,
    said: str,
    value: float | None = None,
    in_unit: str = "",
    *,
    prefix: str = "",
) -> GateLine:
    """``said``: what was found, in words, with its remedy where it is an error's."""
    remedy = metric.remedy if value is not None else _MEASURES[metric.stage]
    if status == "inconclusive":
        remedy = _NOISY if value is not None else ""
    return GateLine(
        check=f"{prefix}{metric.key}",
        subject=subject,
        status=status,
        limit=limit,
        measured=None if value is None else value if math.isfinite(value) else shown(value),
        unit=in_unit,
        message=f"{subject}: {said}",
        remedy="" if status == "pass" or FIX in said else remedy,
    )


def unit(report: Report, metric: Metric) -> str:
    return metric.unit.format(baseline=report.latency.baseline if report.latency else "the baseline")


def bound(report: Report, metric: Metric, limit: float) -> str:
    most = "most" if metric.better == "less" else "least"
    return f"at {most} {six_digits(limit)} {unit(report, metric)}".rstrip()


def title(row: SummaryRow, stage: str) -> str:
    """What a line calls a row: the file, or the runtime on it with its threads."""
    if stage == "latency" and row.latency:
        return f"{row.name}, {row.latency.threads} thread{'' if row.latency.threads == 1 else 's'}"
    return row.artifact.path if stage == "artifact" and row.artifact else row.name


def shown(value: float) -> str:
    return six_digits(value) if math.isfinite(value) else "exact" if value > 0 else "all noise"
