"""The README's transcript of `make demo`, as the code prints it of the demo's stored report.

python tests/cli/transcript.py out/digits_cnn    # after `make demo`: stores its report, and rewrites the README
"""

from __future__ import annotations

import io
import os
import re
import shutil
import sys
from pathlib import Path

from edgeworthy.cli import views
from edgeworthy.cli.console import Console
from edgeworthy.validate import report as reports
from edgeworthy.validate.results import Report

README = Path(__file__).parents[2] / "README.md"
STORED = Path(__file__).with_name("demo_report.json")
OUTPUT = Path("out/digits_cnn")
_BLOCK = re.compile(r"(<!-- transcript: make demo -->\n```\n)(.*?)(```\n<!-- /transcript -->)", re.S)


def printed(report: Report) -> str:
    """What `edgeworthy run` prints on a pipe of a report that it made."""
    os.environ.pop("COLUMNS", None)  # a test may have left one, and a pipe has no width
    console, stream = Console(), io.StringIO()
    console._stdout = stream
    views.report(console, report, OUTPUT, whole=True)
    return stream.getvalue()


def in_readme() -> str:
    found = _BLOCK.search(README.read_text(encoding="utf-8"))
    assert found, "the README has no transcript"
    return found[2]


def shape(text: str) -> list[str]:
    """The lines without what differs from run to run: numbers, the units of times, and the width that they need."""
    numbers = re.sub(r"\d[\d.]*(e[+-]\d+)?", "#", text)
    return [re.sub(r"─+| +", " ", re.sub(r"# [µm]?s\b", "# s", line)) for line in numbers.splitlines()]


if __name__ == "__main__":
    shutil.copyfile(Path(sys.argv[1]) / reports.JSON, STORED)
    made = printed(reports.read(STORED))
    text = README.read_text(encoding="utf-8")
    README.write_text(_BLOCK.sub(lambda block: block[1] + made + block[3], text), encoding="utf-8")
