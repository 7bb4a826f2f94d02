"""A folder in which edgeworthy is run as users run it, and that shows whatever a run leaves behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

MARK = "EDGEWORTHY_TEST_RUN"
"""Environment variable that a command hands down to everything that it starts."""

_FOREIGN = (".ses", "torchinductor_")
"""Temporary files that ONNX Runtime and PyTorch leave on purpose."""

_TIMEOUT_S = 300


@dataclass(frozen=True)
class Refusal:
    """The error that a command ended with, as it stands under ``--json``."""

    error: str
    what: str
    where: str
    remedy: str
    details: list[str]
    nodes: list[dict[str, str]] = field(default_factory=list)


class Sandbox:
    """Runs edgeworthy with ``folder`` as its working directory.

    Attributes:
        folder: What the tests make stands here; a command that is refused must leave it as it was.
        out: A folder for results that doesn't exist yet.
        warm: If there is one, it runs the commands; else each is ``python -m edgeworthy``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "here"
        self.out = self.folder / "out"
        self.warm: Warm | None = None
        self._temporary = folder / "tmp"
        self._mark = uuid.uuid4().hex
        for path in (self.folder, self._temporary):
            path.mkdir()

    @property
    def environment(self) -> dict[str, str]:
        own = {MARK: self._mark, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": str(self._temporary)}
        return os.environ | own

    def start(self, *arguments: object) -> subprocess.Popen[str]:
        """Start a command and return at once."""
        return subprocess.Popen(
            [sys.executable, "-m", "edgeworthy", *map(str, arguments)],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        """Run a command to its end; none of its processes may live on, and no temporary file of ours."""
        if self.warm:
            done = self.warm.run(self, *map(str, arguments))
        else:
            process = self.start(*arguments)
            stdout, stderr = process.communicate(timeout=_TIMEOUT_S)
            done = subprocess.CompletedProcess(arguments, process.returncode, stdout, stderr)
        assert self.processes() == []
        assert self.temporary_files() == []
        assert "Traceback" not in done.stdout + done.stderr
        return done

    def refused(self, *arguments: object, code: int = 2) -> Refusal:
        """Run a command that must end in an error that helps, and must leave everything as it was."""
        before = self.listing()
        done = self.run(*arguments, "--json")
        assert done.returncode == code, f"exit code {done.returncode}\n{done.stdout}{done.stderr}"
        assert done.stderr == ""
        error = json.loads(done.stdout)
        assert error.pop("exit_code") == code
        refusal = Refusal(**error)
        assert refusal.what
        assert refusal.where
        assert refusal.remedy
        assert self.listing() == before
        return refusal

    def listing(self) -> dict[str, tuple[int, int]]:
        """Every path in the folder, with the size and the time of change of each file."""
        paths = sorted(self.folder.rglob("*"))
        statuses = {str(path): None if path.is_dir() else path.lstat() for path in paths}
        return {path: (s.st_size, s.st_mtime_ns) if s else (0, 0) for path, s in statuses.items()}

    def temporary_files(self) -> list[str]:
        return [path.name for path in self._temporary.iterdir() if not path.name.startswith(_FOREIGN)]

    def processes(self, grace_s: float = 5) -> list[psutil.Process]:
        """What the commands of this sandbox started and is still alive after a moment's grace."""
        deadline = time.monotonic() + grace_s
        while (found := list(self._processes())) and time.monotonic() < deadline:
            time.sleep(0.05)
        return found

    def _processes(self) -> Iterator[psutil.Process]:
        for process in psutil.process_iter():
            try:
                if process.environ().get(MARK) == self._mark and process.status() != psutil.STATUS_ZOMBIE:
                    yield process
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue


class Warm:
    """A process that has imported PyTorch, and runs each command in a child of its own: quicker than many starts."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("warm.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )

    def run(self, sandbox: Sandbox, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the sandbox."""
        assert self._process.stdin
        assert self._process.stdout
        files = [sandbox.folder.parent / name for name in ("stdout", "stderr")]
        request = {
            "arguments": arguments,
            "folder": str(sandbox.folder),
            "environment": sandbox.environment,
            "files": list(map(str, files)),
        }
        print(json.dumps(request), file=self._process.stdin, flush=True)
        code = int(self._process.stdout.readline())
        return subprocess.CompletedProcess(arguments, code, files[0].read_text(), files[1].read_text())

    def close(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.send_signal(signal.SIGTERM)
        self._process.wait()


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    return Sandbox(tmp_path)


@pytest.fixture(scope="session")
def warm() -> Iterator[Warm]:
    process = Warm()
    yield process
    process.close()
