"""What a report has to show for each subject of a limit, and what it can't: failed, absent, or altered since."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from ..errors import EdgeworthyError
from ..formats.model_files import sha256, size
from ..metrics import RowField
from ..schemes import FLOAT32, SCHEMES
from .made import OWN_ENGINE
from .results import GateLine, Report
from .summary import SummaryRow, summarize


class Trouble(NamedTuple):
    """Why there is no number: a failure, or something that isn't available here."""

    status: Literal["fail", "inconclusive"]
    why: str


def subjects(report: Report, stage: RowField) -> list[SummaryRow]:
    """The rows that a stage looked at, once for each number of threads; and those that should be there and aren't."""
    rows = summarize(report)
    if stage == "artifact":
        found = list({row.key: row for row in rows if row.artifact}.values())
    elif stage == "latency":
        found = [one for row in rows for one in row.timed]
    elif stage == "hop":
        found = [row for row in rows if row.hop and row.hop.status != "reference"]
    else:
        found = [row for row in rows if row.accuracy]
    return found + absent(report)


def absent(report: Report) -> list[SummaryRow]:
    """Rows of artifacts that were to be made and are not there; ``missing`` says why."""
    rows = [
        SummaryRow(
            name=f"TFLite {SCHEMES[q.scheme].title}",
            key=SCHEMES[q.scheme].artifact,
            kind="tflite",
            scheme=q.scheme,
            missing=f"it could not be made: {q.failure or q.status}",
        )
        for q in report.quantization
        if q.artifact is None or report.artifact(q.artifact) is None
    ]
    conversion = report.conversion
    for kind in conversion.targets if conversion else []:
        key = converted(report) if kind == "tflite" else kind
        if conversion and report.artifact(key) is None:
            why = f"it could not be made: {conversion.failure or conversion.status}"
            rows.append(SummaryRow(name=kind, key=key, kind=kind, missing=why))
    for kind, why in (conversion.left_out if conversion else {}).items():
        rows.append(SummaryRow(name=kind, key=kind, kind=kind, missing=why, excused=True))
    return rows


def trouble(row: SummaryRow, stage: RowField) -> Trouble | None:
    """What keeps a row from having numbers of a stage; None when nothing does."""
    if row.missing:
        return Trouble("inconclusive" if row.excused else "fail", row.missing)
    if stage == "artifact":
        return None
    record = row.hop if stage == "hop" else row.accuracy if stage == "accuracy" else row.latency
    if record is None:
        return Trouble("fail", "not measured")
    if record.status == "skipped":
        return Trouble("inconclusive", record.failure or "it was skipped")
    if record.failure or record.status == "error":
        return Trouble("fail", record.failure or "it failed")
    problems = [f"{o.name}: {p}" for o in row.hop.outputs for p in o.problems] if stage == "hop" and row.hop else []
    return Trouble("fail", "; ".join(problems)) if problems else None


def converted(report: Report) -> str:
    """The key of the TFLite file that conversion makes: float32, or as the model came quantized."""
    own = [q.artifact for q in report.quantization if q.engine == OWN_ENGINE and q.artifact]
    return own[0] if own else FLOAT32.artifact


def names_of(row: SummaryRow, plain: str = FLOAT32.artifact) -> set[str]:
    """What a limit may call a row: title, artifact key, a TFLite file's scheme, the scheme's alias.

    ``plain``: the file that is called ``tflite``; see `converted`.
    """
    names = {row.name, row.key}
    for scheme in SCHEMES.values():
        if row.key == scheme.artifact:
            names |= set(scheme.names)
    return names | {row.kind} if row.key == plain else names


def altered(report: Report, folder: Path) -> Iterator[GateLine]:
    """A line for every file of the report: whether it is the one that was measured."""
    for artifact in report.artifacts:
        path = artifact.below(folder)
        why = "" if path.exists() else "it is not there any more"
        if not artifact.given and not path.resolve().is_relative_to(folder.resolve()):
            why = "it is not below the report's folder"
        if not why:
            try:
                same = (sha256(path), size(path)) == (artifact.sha256, artifact.size_bytes)
            except (EdgeworthyError, OSError) as error:
                same, why = False, f"it can't be read: {error}"
            why = why or ("" if same else "it is another file than the one that was measured")
        yield GateLine(
            check="files",
            subject=artifact.path,
            status="fail" if why else "pass",
            limit=artifact.sha256,
            measured=None if why else artifact.sha256,
            message=f"{artifact.path}: {why or 'as it was measured'}",
            remedy="run it all again, or put back the file that was measured" if why else "",
        )
