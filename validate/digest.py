"""A report in short, for a pull request: the verdict, what fails, and the table with what changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..display import milliseconds, percent, size
from .results import GateLine, Report
from .summary import SummaryRow, summarize

MOST_LINES = 20
"""Failing lines and warnings; GitHub takes 1 MiB, a reader less."""


_MARKS = {"pass": "✓", "fail": "✗", "error": "✗", "inconclusive": "?"}


@dataclass(frozen=True)
class ComparedColumn:
    """A column of the table: what is in it, and how the difference to an earlier value is written."""

    title: str
    value: Callable[[SummaryRow], Any]
    show: Callable[[Any], str]
    change: Callable[[Any, Any], str]

    def cell(self, row: SummaryRow, before: SummaryRow | None) -> str:
        """The value, and in brackets the difference, where it can be seen in what is shown."""
        now = self.value(row)
        was = self.value(before) if before else None
        if now is None or was is None or self.show(now) == self.show(was):
            return self.show(now)
        return f"{self.show(now)} ({self.change(now, was)})"


def _share(now: float, was: float) -> str:
    return f"{100 * (now / was - 1):+.1f} %" if was else f"was {was:g}"


COLUMNS = (
    ComparedColumn("Accuracy", lambda row: row.accuracy and row.accuracy.accuracy, percent,
                   lambda now, was: f"{100 * (now - was):+.2f} points"),
    ComparedColumn("Parity", lambda row: row.parity, str, lambda now, was: f"was {was}"),
    ComparedColumn("Size", lambda row: row.size_bytes, size, _share),
    ComparedColumn("Latency", lambda row: row.latency and row.latency.p50_ms, milliseconds, _share),
    ComparedColumn("Verdict", lambda row: row.status, lambda s: f"{_MARKS.get(s, '')} {s}".strip(),
                   lambda now, was: f"was {was}"),
)  # fmt: skip


def table(report: Report, baseline: Report | None) -> tuple[list[str], list[list[str]]]:
    """Titles and rows; columns in which nothing was measured are left out, rows that are gone come last."""
    rows = summarize(report)
    before = {row.name: row for row in summarize(baseline)} if baseline else {}
    columns = [c for c in COLUMNS if any(c.value(row) is not None for row in rows)]
    cells = [[row.name, *(c.cell(row, before.get(row.name)) for c in columns)] for row in rows]
    if baseline:
        for line, row in zip(cells, rows, strict=True):
            line[0] += "" if row.name in before else " (new)"
        gone = [row for name, row in before.items() if name not in {r.name for r in rows}]
        cells += [[f"{row.name} (gone)", *("–" for _ in columns)] for row in gone]
    return ["Runs as", *(c.title for c in columns)], cells


def unheld(report: Report) -> list[GateLine]:
    """The lines of the gate that fail or can't be said."""
    return [line for line in report.gate.lines if line.status in ("fail", "inconclusive")] if report.gate else []


def notes(report: Report, baseline: Report | None) -> list[str]:
    """What a reader of the differences must know."""
    if baseline is None:
        return []
    commit = f", commit {baseline.revision.commit[:12]}" if baseline.revision else ""
    found = [f"In brackets: against the report of {baseline.created:%Y-%m-%d %H:%M} UTC{commit}."]
    if baseline.model.spec != report.model.spec:
        found.append(f"That report is of another model: {baseline.model.spec}.")
    ours, theirs = ((r.host.cpu, r.host.logical_cores) for r in (report, baseline))
    if report.latency and baseline.latency and ours != theirs:
        found.append(f"Its latencies were measured on another machine ({theirs[0]}, {theirs[1]} cores).")
    return found
