"""A pool of worker processes whose death is a result.

A worker is a Python program that calls `serve`. It imports its heavy packages once, then takes jobs over a
pipe, one after the other. When it dies of a signal or takes longer than the time limit, that is the result of
the job it had, and a new worker goes on with the rest. POSIX only.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

_FD = "WORKER_POOL_FD"

Stage = Callable[[str], None]
Handler = Callable[[Any, Stage], Any]


@dataclass(frozen=True)
class Death:
    """How a worker ended before it had a result.

    Attributes:
        reason: ``SIGABRT``, ``exit 3``, or ``timeout`` when the pool killed it.
        stage: What the job had last told it was doing, or an empty string.
        said: The last line that the worker wrote during the job, or an empty string.
    """

    reason: str
    stage: str
    said: str


class WorkerStartError(RuntimeError):
    """A worker ended, or wasn't ready in time, before it took any job."""


def serve(prepare: Callable[[], Handler]) -> None:
    """The worker's side: call ``prepare`` once for the handler, then answer jobs until the pipe closes.

    The handler gets the job and a function that tells the stage it has reached; what it returns must pickle.
    """
    pipe: Connection[Any, Any] = Connection(int(os.environ[_FD]))
    handler = prepare()
    pipe.send(("ready", None))
    while True:
        try:
            job = pipe.recv()
        except EOFError:
            return
        pipe.send(("result", handler(job, lambda stage: pipe.send(("stage", stage)))))


@dataclass(frozen=True)
class WorkerPool:
    """Runs jobs in processes of ``python ARGUMENTS``.

    Attributes:
        arguments: A script or ``-m module`` that calls `serve`, and its arguments.
        cwd: The folder to start the workers in.
        workers: Number of processes.
        timeout_s: Time limit of one job.
        startup_s: Time limit of a worker's imports.
        environment: Variables to set in the workers.
    """

    arguments: Sequence[str]
    cwd: Path | None = None
    workers: int = 2
    timeout_s: float = 30.0
    startup_s: float = 180.0
    environment: Mapping[str, str] | None = None

    def run(self, jobs: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
        """Yield ``(job, result)`` in the order of completion; a job whose worker died has a `Death`.

        Raises:
            WorkerStartError: a worker can't get ready; what it wrote is in the message.
        """
        queue = deque(jobs)
        team = [self._start() for _ in range(min(self.workers, len(queue)))]
        try:
            while team:
                patience = max(0.0, min(worker.deadline for worker in team) - time.monotonic())
                ready = wait([worker.pipe for worker in team], patience)
                for worker in [w for w in team if w.pipe in ready or w.late]:
                    event, result = worker.next_event()
                    if event == "stage":
                        continue
                    if event != "ready":
                        yield worker.job, result
                    if event == "death" or not queue:
                        team.remove(worker)
                        worker.close()
                        if queue:
                            team.append(self._start())
                    else:
                        worker.take(queue.popleft(), self.timeout_s)
        finally:
            for worker in team:
                worker.close()

    def _start(self) -> _Worker:
        return _Worker(self.arguments, self.cwd, self.environment or {}, self.startup_s)


class _Worker:
    """One process, the pool's end of its pipe, and the job it has."""

    def __init__(
        self, arguments: Sequence[str], cwd: Path | None, environment: Mapping[str, str], startup_s: float
    ) -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  closed by close()
        self.pipe, theirs = Pipe()
        self._process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=cwd,
            env={**os.environ, **environment, _FD: str(theirs.fileno())},
            pass_fds=(theirs.fileno(),),
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
        )
        theirs.close()  # so that the worker's death is an end of file here
        self.job: Any = None
        self.deadline = time.monotonic() + startup_s
        self._busy = False
        self._stage = ""
        self._log_start = 0

    @property
    def late(self) -> bool:
        return time.monotonic() >= self.deadline

    def take(self, job: Any, timeout_s: float) -> None:
        """Hand the worker a job."""
        self.job, self._busy, self._stage = job, True, ""
        self._log_start = os.fstat(self._log.fileno()).st_size
        self.deadline = time.monotonic() + timeout_s
        # A worker that died between two jobs shows as an end of file when its answer is read.
        try:
            self.pipe.send(job)
        except BrokenPipeError:
            return

    def next_event(self) -> tuple[str, Any]:
        """``("ready", None)``, ``("stage", None)``, ``("result", …)`` or ``("death", Death)``."""
        reason = "timeout"
        if self.pipe.poll():
            try:
                event, content = self.pipe.recv()
            except (EOFError, ConnectionResetError):
                reason = self._exit_reason()
            else:
                if event == "stage":
                    self._stage = content
                return event, content
        self._kill()
        lines = self._said()
        if not self._busy:
            raise WorkerStartError(f"a worker didn't get ready ({reason}):\n" + "\n".join(lines[-20:]))
        return "death", Death(reason, self._stage, lines[-1] if lines else "")

    def close(self) -> None:
        """End the process, whatever it does."""
        self.pipe.close()
        self._kill()
        self._log.close()

    def _kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def _exit_reason(self) -> str:
        code = self._process.wait()
        return signal.Signals(-code).name if code < 0 else f"exit {code}"

    def _said(self) -> list[str]:
        self._log.seek(self._log_start)
        text = self._log.read().decode(errors="replace")
        return [line.strip() for line in text.splitlines() if line.strip()]
