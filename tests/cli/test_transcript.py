"""The README's transcript of `make demo` is what the code prints."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edgeworthy.tests.cli import transcript
from edgeworthy.validate import report as reports


def test_the_readme_shows_what_is_printed_of_the_demos_report() -> None:
    """To the letter: columns, titles, their order, widths and formats."""
    shown = transcript.printed(reports.read(transcript.STORED))
    assert transcript.in_readme() == shown, "run: make transcript"


def test_the_stored_report_is_of_the_command_in_the_makefile() -> None:
    report = reports.read(transcript.STORED)
    assert report.command == f"edgeworthy run sample:digits_cnn -o {transcript.OUTPUT}"
    assert f"\t$(BIN)/{report.command}\n" in (transcript.README.parent / "Makefile").read_text(encoding="utf-8")
    assert report.notes == [], "nothing was taken over from an earlier run"


@pytest.mark.slow
def test_the_demo_prints_the_transcript(tmp_path: Path) -> None:
    """The real command; its numbers may be others."""
    command = [sys.executable, "-m", "edgeworthy", "run", "sample:digits_cnn", "-o", str(transcript.OUTPUT)]
    pipe = {name: value for name, value in os.environ.items() if name != "COLUMNS"}  # a pipe has no width
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, env=pipe)
    assert transcript.shape(ran.stdout) == transcript.shape(transcript.in_readme())
