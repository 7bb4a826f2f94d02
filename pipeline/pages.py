"""The files that a report is written to."""

from __future__ import annotations

from pathlib import Path

from ..validate import report as reports
from ..validate.results import Report
from . import manifest
from .state import PAGES as RECORD
from .state import StageRecord, State

PAGES = (reports.JSON, reports.HTML, reports.MARKDOWN, reports.JUNIT, manifest.NAME)
"""Of a whole run; single stages leave the first alone."""


ANALYSIS = ("analysis.json", "analysis.html")
"""What ``quantize --analyze`` writes beside the files."""

ADVICE = ("recommendation.html", "recommendation.svg")
"""What ``recommend`` writes beside the file."""


def rewrite(report: Report, folder: Path, *, force: bool = False) -> None:
    """Write the pages of a report again, in the folder of its run.

    Raises:
        BadInput: one of them was changed since, and it isn't forced.
    """
    state = State(folder)
    paths = [folder / name for name in PAGES if name != manifest.NAME]
    kept = state.read(RECORD)
    if not force and state.folder.is_dir():  # else nobody can tell whose they are
        state.refuse_foreign(paths)
    reports.write(report, folder)
    if kept is not None:
        state.write(RECORD, StageRecord(files=kept.files | state.hashes(paths)))
