"""Folders for temporary files: gone with their owner, be it killed, and no living one's is touched."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from edgeworthy.workers import scratch
from edgeworthy.workers.scratch import Scratch

HOLDS = "from edgeworthy.workers.scratch import Scratch; s = Scratch(); print(s.path, flush=True); input()"


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def age(folder: Path, seconds: float) -> None:
    at = folder.stat().st_mtime - seconds
    os.utime(folder, (at, at))


def test_it_is_gone_on_the_way_out(temporary: Path) -> None:
    with pytest.raises(ZeroDivisionError), Scratch() as folder:
        (folder / "deep").mkdir()
        (folder / "deep/file").write_bytes(b"x")
        raise ZeroDivisionError
    assert not [*temporary.iterdir()]


def test_the_next_one_removes_what_a_killed_owner_left_and_nothing_else(temporary: Path) -> None:
    for name in ("edgeworthy-mine", "edgw.txt", "other"):
        (temporary / name).mkdir()
        age(temporary / name, 1000)
    (temporary / "edgw.link").symlink_to(temporary / "other")
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        folder = Path(process.stdout.readline().strip())
        (folder / "left").write_bytes(b"x")
        age(folder, 1000)
        Scratch().close()
        assert folder.is_dir(), "its owner lives"
        process.send_signal(signal.SIGKILL)
    Scratch().close()
    assert not folder.exists()
    assert {path.name for path in temporary.iterdir()} == {"edgeworthy-mine", "other", "edgw.link"}


def test_one_that_was_just_made_is_left_to_its_owner(temporary: Path) -> None:
    young = temporary / "edgw.young"
    young.mkdir()
    Scratch().close()
    assert young.exists()
    age(young, scratch._YOUNG_S + 1)
    Scratch().close()
    assert not young.exists()
