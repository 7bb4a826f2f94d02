"""A folder in which edgeworthy is run as users run it, and that shows whatever a run leaves behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

MARK = "EDGEWORTHY_TEST_RUN"
"""Environment variable that a command hands down to everything that it starts."""


@dataclass(frozen=True)
class Refusal:
    """The error that a command ended with, as it stands under ``--json``."""

    what: str
    where: str
    remedy: str
    details: list[str]
    text: str
    nodes: list[dict[str, str]] = field(default_factory=list)


class Sandbox:
    """Runs ``python -m edgeworthy`` with ``folder`` as its working directory.

    Attributes:
        folder: What the tests make stands here; a command that is refused must leave it as it was.
        out: A folder for results that doesn't exist yet.
        mark: The value of ``MARK`` for the commands of this sandbox.
    """

    def __init__(self, folder: Path, temporary: Path) -> None:
        self.folder = folder
        self.out = folder / "out"
        self.temporary = temporary
        self.mark = uuid.uuid4().hex

    def command(self, *arguments: object) -> list[str]:
        return [sys.executable, "-m", "edgeworthy", *map(str, arguments)]

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {
            MARK: self.mark,
            "OMP_NUM_THREADS": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "TMPDIR": str(self.temporary),
        }

    def start(self, *arguments: object) -> subprocess.Popen[str]:
        """Start a command and return at once."""
        return subprocess.Popen(
            self.command(*arguments),
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        """Run a command to its end; none of its processes may live on."""
        process = self.start(*arguments)
        stdout, stderr = process.communicate(timeout=300)
        assert self.processes() == []
        return subprocess.CompletedProcess(arguments, process.returncode, stdout, stderr)

    def refused(self, *arguments: object, code: int = 2) -> Refusal:
        """Run a command that must end in an error that helps, and must leave everything as it was."""
        before = self.listing()
        ran = self.run(*arguments, "--json")
        assert ran.returncode == code, f"exit code {ran.returncode}\n{ran.stdout}{ran.stderr}"
        assert ran.stderr == ""
        error = json.loads(ran.stdout)
        assert error.pop("exit_code") == code
        assert error["what"]
        assert error["remedy"]
        assert "Traceback" not in ran.stdout
        assert self.listing() == before
        kind = error.pop("error")
        lines = [error["what"], f"  at: {error['where']}", *(f"  - {d}" for d in error["details"]), f"  fix: {error['remedy']}"]
        if log := os.environ.get("SHOW"):
            with open(log, "a") as f:
                print("$ edgeworthy", *arguments, file=f)
                print(f"[{code} {kind}]", "\n".join(lines), end="\n\n", file=f)
        return Refusal(**{**error, "where": error["where"] or ""}, text="\n".join(lines))

    def listing(self) -> dict[str, tuple[int, int]]:
        """Every path in the folder and among the temporary files, with size and time of change."""
        found = {}
        for root in (self.folder, self.temporary):
            for path in sorted(root.rglob("*")):
                status = path.lstat()
                found[str(path)] = (status.st_size, status.st_mtime_ns)
        return found

    def processes(self) -> list[psutil.Process]:
        """What the commands of this sandbox started and is still alive."""
        return list(self._processes())

    def _processes(self) -> Iterator[psutil.Process]:
        for process in psutil.process_iter():
            try:
                if process.environ().get(MARK) == self.mark and process.status() != psutil.STATUS_ZOMBIE:
                    yield process
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    folder, temporary = tmp_path / "here", tmp_path / "tmp"
    folder.mkdir()
    temporary.mkdir()
    return Sandbox(folder, temporary)
