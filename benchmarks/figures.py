"""What the tables of targets share: a model measured on one target, its rows, and their place in a document."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path

import edgeworthy
from edgeworthy.display import milliseconds
from edgeworthy.files import write_text
from edgeworthy.targets import TARGETS, find
from edgeworthy.validate.host import current
from edgeworthy.validate.results import Report
from edgeworthy.validate.summary import SummaryRow, summarize

NEEDED = ("pytorch", "onnxruntime")
"""What gives the truth and its noise floor."""

COLUMNS = ("target", "row", "parity", "ran", "median", "measured")
_RIGHT = ("parity", "median", "to fetch", "on disk")


def runnable(names: Iterable[str]) -> tuple[list[str], dict[str, str]]:
    """Those that can run here, and why the others can't."""
    lacks = {name: find(name).missing() for name in names}
    return [name for name, why in lacks.items() if not why], {name: why for name, why in lacks.items() if why}


def measured(
    names: Sequence[str], model: str, folder: Path, schemes: Sequence[str], seconds: float, device: str = "cpu"
) -> Report:
    """A model through targets, with the truth beside them; quantized for a device."""
    return edgeworthy.run(
        model,
        folder,
        stages=("validate", "bench"),
        targets=list(dict.fromkeys([*NEEDED, *names])),
        quantize={"schemes": list(schemes), "device": device},
        bench={"seconds": seconds},
    )


def rows(name: str, report: Report) -> list[SummaryRow]:
    """A target's own rows of a report."""
    return [row for row in summarize(report) if _runtime(row) == find(name).name]


def _runtime(row: SummaryRow) -> str:
    record = row.hop or row.latency
    return record.runtime if record else ""


def failure(row: SummaryRow) -> str:
    """Why a row has no number, or a wrong one."""
    for record in (row.hop, row.latency):
        if record is not None and record.status not in ("pass", "reference", "inconclusive"):
            return record.failure or record.status
    return ""


def cells(name: str, row: SummaryRow) -> tuple[str, ...]:
    """A row's ``COLUMNS``."""
    receipt = (row.latency and row.latency.receipt) or (row.hop and row.hop.receipt)
    return (
        f"`{name}`",
        row.name,
        "–" if row.hop is None else row.parity,
        f"{receipt.said}, {receipt.precision}" if receipt else failure(row).splitlines()[0],
        milliseconds(row.latency.p50_ms) if row.latency and row.latency.p50_ms else "–",
        row.latency.measured if row.latency else "–",
    )


def table(columns: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Markdown."""
    rule = ["--:" if column in _RIGHT else "---" for column in columns]
    return "\n".join(_line(line) for line in (columns, rule, *lines))


def _line(texts: Sequence[str]) -> str:
    return f"| {' | '.join(text.replace('|', chr(92) + '|') for text in texts)} |"


def document(model: str, machine: str, body: str, missing: Mapping[str, str], day: date | None = None) -> str:
    """A table with what was measured, when (today) and where, and what could not run there."""
    host = current()
    where = f"{host.cpu}, {host.logical_cores} cores, {host.system}, Python {host.python}"
    said = ["Not run on that machine:", "", *(f"- `{name}`: {why}" for name, why in missing.items()), ""]
    return "\n".join(
        [f"`{model}`, {(day or date.today()).isoformat()}: {machine}{where}.", "", body, "", *(said if missing else [])]
    )


def put(text: str, file: Path, mark: str) -> None:
    """Write it between ``<!-- mark -->`` and ``<!-- end of mark -->`` of a file."""
    begin, end = f"<!-- {mark} -->", f"<!-- end of {mark} -->"
    between = re.compile(f"{re.escape(begin)}.*{re.escape(end)}", re.DOTALL)
    write_text(file, between.sub(lambda _: f"{begin}\n\n{text}\n{end}", file.read_text(encoding="utf-8")))


ALL = tuple(name for name in TARGETS if name != "onnx-reference")
"""Every target; the reference implementation of ONNX is no place to run a model."""
