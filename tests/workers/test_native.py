"""What native code prints is caught, wherever stderr goes, and isn't lost."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import os, sys
from edgeworthy.workers.native import caught

os.write(2, b"before\\n")
with caught() as said:
    os.write(2, b"one\\n")
    print("python", file=sys.stderr)
    assert said.lines == ["one", "python"], said.lines
    with caught() as inner:
        os.write(2, b"two \\xff\\n")
    assert inner.lines == ["two \ufffd"], inner.lines
    if sys.argv[1:]:
        os.abort()
os.write(2, b"after\\n")
assert said.lines == ["one", "python", "two \ufffd"], said.lines
"""


@pytest.mark.parametrize("mode", ["w+b", "wb"])  # a worker's log can be read too; a user's ``2>file`` or pipe can't
def test_what_is_written_can_be_read_and_goes_where_it_went(tmp_path: Path, mode: str) -> None:
    with (tmp_path / "log").open(mode) as log:
        ran = subprocess.run([sys.executable, "-c", SCRIPT], stderr=log, check=False)
    assert ran.returncode == 0, (tmp_path / "log").read_text(errors="replace")
    assert (tmp_path / "log").read_text(errors="replace").splitlines() == [
        "before", "one", "python", "two \ufffd", "after"
    ]  # fmt: skip


def test_the_last_words_of_a_crash_are_in_a_workers_log(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w+b") as log:
        ran = subprocess.run([sys.executable, "-X", "faulthandler", "-c", SCRIPT, "x"], stderr=log, check=False)
    assert ran.returncode < 0
    said = (tmp_path / "log").read_text(errors="replace")
    assert "one\n" in said and "Fatal Python error: Aborted" in said
