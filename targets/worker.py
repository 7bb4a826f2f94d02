"""Each runtime in a process of its own, so that a crash or a hang is a result and idle pools disturb nobody.

Both ends are here. ``Worker`` starts ``python -m edgeworthy.targets.worker FD PARENT`` and talks to it over
an inherited socket: one request, one reply. The worker sleeps in ``recv`` between requests; its thread pools
wait passively. What native code prints is kept in a temporary file, whose tail becomes part of a failure's
message.

A worker dies with its parent: by ``PR_SET_PDEATHSIG`` on Linux (which follows the *thread* that started it),
and everywhere by the end of the socket.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self

from ..artifact import Artifact, Feeds, Receipt
from ..errors import BadInput, EdgeworthyError, InternalFault, NotAvailable, RuntimeFailure
from ..workers.processes import die_with
from . import TARGETS, get

if TYPE_CHECKING:
    from ..artifact import Array
    from . import Target
    from .session import LoadedModel

START_TIMEOUT_S = 300.0
"""Time that a runtime may take to be imported, on a cold disk."""

_TAIL_LINES = 20
_TAIL_NOISE = ("Extension modules:", "Fatal Python error:", "Current thread", "Thread 0x")
"""Lines of a crash's stack that say nothing of the crash."""

_INSTALLED = (
    *(str(Path(__file__).parents[1] / folder) for folder in ("source", "targets", "workers")),
    *(sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")),
)

_FRAME = re.compile(r'  File "(?P<file>.+)", line (?P<line>\d+) in (?P<function>.+)')
"""A line of a crash's stack, as faulthandler writes it."""


class Worker:
    """A runtime in a process of its own, with a model loaded.

    Use it as a context manager, or call ``load`` and ``close``. After a crash or a hang the process is gone
    and ``alive`` is False; ``load`` starts a new one. After a raise it lives on.

    Args:
        runtime: A name of ``targets.TARGETS``.
        artifact: The model to load on entry; None to call ``load`` later, also for one model after another.
        threads: Threads for one inference.
        timeout_s: Seconds that loading, a run or a timed turn may take.
        options: The runtime's options, such as ``float64=True``.

    Attributes:
        load_ms: Milliseconds from file to ready, without the import of the runtime.
        first_ms: Milliseconds of the first inference since loading; None before it.
    """

    def __init__(
        self,
        runtime: str,
        artifact: Artifact | None = None,
        *,
        threads: int = 1,
        timeout_s: float = 300.0,
        **options: Any,
    ) -> None:
        self.runtime = runtime
        self.artifact = artifact
        self.threads = threads
        self.timeout_s = timeout_s
        self.options = options
        self.version = ""
        self.load_ms = 0.0
        self.first_ms: float | None = None
        self._receipt: Receipt | None = None
        self._memory = (0, 0)
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None
        self._output: IO[bytes] | None = None

    def __enter__(self) -> Self:
        if self.artifact is not None:
            try:
                self.load(self.artifact)
            except BaseException:
                self.close()
                raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def load(self, artifact: Artifact) -> None:
        """Load a model in place of the one before.

        Raises:
            RuntimeFailure: the runtime raised, crashed or hung.
            BadInput, NotAvailable: as the runtime says.
        """
        self.artifact = artifact
        if not self.alive:
            self._start()
        self.first_ms = None
        nanoseconds, self._receipt = self._ask("load", artifact, self.threads)
        self.load_ms = nanoseconds / 1e6

    def run(self, feeds: Feeds) -> dict[str, Array]:
        """Run once; returns output name → array in the model's order. Raises as ``load``."""
        outputs, nanoseconds = self._ask("run", dict(feeds))
        self._note_first(nanoseconds)
        result: dict[str, Array] = outputs
        return result

    def time(self, feeds: Feeds, repeats: int) -> list[int]:
        """Nanoseconds of each of ``repeats`` inferences on the same feeds. Raises as ``load``."""
        times: list[int] = self._ask("time", dict(feeds), repeats)
        self._note_first(times[0])
        return times

    @property
    def receipt(self) -> Receipt:
        """What was asked and what ran, as of now; the last that was known once the worker is gone."""
        if self.alive:
            self._receipt = self._ask("receipt")
        if self._receipt is None:
            raise InternalFault("the receipt was asked for before a model was loaded")
        return self._receipt

    @property
    def peak_rss_bytes(self) -> int:
        """Peak resident memory of the worker's process so far."""
        return self._memory_now()[0]

    @property
    def model_rss_bytes(self) -> int:
        """Growth from before the (last) load to the peak: what the model costs on top of its runtime."""
        peak, before = self._memory_now()
        return max(0, peak - before)

    def close(self) -> None:
        """End the process, and whatever it started."""
        if self._process is not None:
            _kill(self._process)
            self._process = None
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._output is not None:
            self._output.close()
            self._output = None

    def _memory_now(self) -> tuple[int, int]:
        if self.alive:
            self._memory = self._ask("memory")
        return self._memory

    def _note_first(self, nanoseconds: int) -> None:
        if self.first_ms is None:
            self.first_ms = nanoseconds / 1e6

    def _start(self) -> None:
        get(self.runtime, **self.options)  # an unknown name or a missing package is said here, at once
        self.close()
        self._connection, theirs = Pipe()
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        arguments = [str(theirs.fileno()), str(os.getpid())]
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-X", "faulthandler", "-m", __spec__.name, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=self._output,
                pass_fds=[theirs.fileno()],
                env=os.environ | _environment(self.runtime, self.threads),
                start_new_session=True,  # Ctrl-C is the parent's; and what the model starts dies with it
            )
        try:
            self.version = self._ask("start", self.runtime, self.options, sys.path, timeout_s=START_TIMEOUT_S)
        except EdgeworthyError:
            self.close()
            raise

    def _ask(self, command: str, *arguments: object, timeout_s: float | None = None) -> Any:
        """One request and its reply."""
        if self._connection is None or self._output is None:
            raise self._failure(f"the worker was asked to {command} and is gone")
        begin = self._output.seek(0, os.SEEK_END)
        limit = timeout_s or self.timeout_s
        try:
            self._connection.send((command, arguments))
            if not self._connection.poll(limit):
                raise self._hung(command, limit, begin)
            outcome, value = self._connection.recv()
        except (EOFError, OSError) as error:
            raise self._died(command, begin) from error
        except BaseException:  # such as Ctrl-C: a reply nobody waits for would answer the next request
            self.close()
            raise
        if outcome == "ok":
            return value
        raise self._raised(command, value, begin)

    def _hung(self, command: str, limit: float, begin: int) -> RuntimeFailure:
        process = self._process
        if process is not None:
            # faulthandler answers SIGABRT with the Python stack: where it hung.
            with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
                process.send_signal(signal.SIGABRT)
                process.wait(2)
        failure = self._failure(f"{self.runtime} hung: {command} took more than {limit:g} s (timeout)", begin)
        self.close()
        return failure

    def _died(self, command: str, begin: int) -> RuntimeFailure:
        code: int | None = None
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = self._process.wait(10)
        failure = self._failure(f"{self.runtime} {_ending(code)} in {command}", begin)
        self.close()
        return failure

    def _raised(self, command: str, error: dict[str, Any], begin: int) -> EdgeworthyError:
        own = {2: BadInput, 3: NotAvailable}.get(error["exit_code"])
        if own is not None:
            return own(error["what"], where=error["where"], remedy=error["remedy"], details=error["details"])
        return self._failure(f"{self.runtime} raised in {command}: {error['what']}", begin, error["details"])

    def _failure(self, what: str, begin: int | None = None, details: list[str] | None = None) -> RuntimeFailure:
        lines = list(details or ())
        if begin is not None and self._output is not None:
            lines += _tail(self._output, begin)
        where = str(self.artifact.path) if self.artifact is not None else None
        return RuntimeFailure(what, where=where, details=lines)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End a worker and all of its process group."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _ending(code: int | None) -> str:
    if code is None:
        return "closed its connection"
    if code >= 0:
        return f"exited with code {code}"
    name = signal.Signals(-code).name
    return f"crashed with {name}" + (" (often: out of memory)" if name == "SIGKILL" else "")


def _tail(output: IO[bytes], begin: int) -> list[str]:
    output.seek(begin)
    telling = []
    for line in output.read().decode(errors="replace").splitlines():
        if frame := _FRAME.fullmatch(line):
            if _is_users(frame["file"]):
                telling.append(f"{frame['file']}:{frame['line']} in {frame['function']}")
        elif line.strip() and not line.startswith(_TAIL_NOISE):
            telling.append(line.rstrip()[:300])
    return telling[-_TAIL_LINES:]


def _is_users(file: str) -> bool:
    """Whether code is the model's own: not of edgeworthy, Python or a package."""
    return not file.startswith(("<", *_INSTALLED))


def _environment(runtime: str, threads: int) -> dict[str, str]:
    """Passive waiting, and what the target's device asks for."""
    variables = {
        "OMP_NUM_THREADS": str(threads),
        "OMP_WAIT_POLICY": "PASSIVE",
        "KMP_BLOCKTIME": "0",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "TF_NUM_INTRAOP_THREADS": str(threads),
        "PYTHONUNBUFFERED": "1",
    }
    return variables | TARGETS[runtime].environment


# ---- The worker's side ----


class _Server:
    """Answers requests with the runtime and the model that it holds."""

    def __init__(self) -> None:
        self.runtime: Target | None = None
        self.model: LoadedModel | None = None
        self.rss_before = 0

    def start(self, runtime: str, options: dict[str, Any], path: list[str]) -> str:
        sys.path[:] = path  # the user's own modules must be found here as they were there
        self.runtime = get(runtime, **options)
        return self.runtime.version()

    def load(self, artifact: Artifact, threads: int) -> tuple[int, Receipt]:
        if self.runtime is None:
            raise InternalFault("load before start")
        self.model = None
        self.rss_before = _memory("VmRSS")
        begin = time.perf_counter_ns()
        self.model = self.runtime.load(artifact, threads=threads)
        return time.perf_counter_ns() - begin, self.model.receipt

    def run(self, feeds: Feeds) -> tuple[dict[str, Array], int]:
        begin = time.perf_counter_ns()
        outputs = self._loaded().run(feeds)
        return outputs, time.perf_counter_ns() - begin

    def time(self, feeds: Feeds, repeats: int) -> list[int]:
        call = self._loaded().prepare(feeds)
        clock = time.perf_counter_ns
        times = []
        for _ in range(repeats):
            begin = clock()
            call()
            times.append(clock() - begin)
        return times

    def receipt(self) -> Receipt:
        return self._loaded().receipt

    def memory(self) -> tuple[int, int]:
        return _memory("VmHWM"), self.rss_before

    def _loaded(self) -> LoadedModel:
        if self.model is None:
            raise InternalFault("no model is loaded")
        return self.model


def _memory(field: str) -> int:
    """Bytes of a field of ``/proc/self/status``. ``ru_maxrss`` won't do: it starts at the parent's peak."""
    status = Path("/proc/self/status")
    if not status.exists():
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    for line in status.read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    return 0


def _describe(error: Exception) -> dict[str, Any]:
    """An exception as it goes over the wire: not every one can be pickled."""
    if isinstance(error, EdgeworthyError):
        return error.to_json()
    frames: list[str] = []
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        if _is_users(code.co_filename):
            frames.append(f"{code.co_filename}:{trace.tb_lineno} in {code.co_name}")
        trace = trace.tb_next
    return {"exit_code": None, "what": f"{type(error).__name__}: {error}", "details": frames[-3:]}


def _serve(connection: Connection) -> None:
    """Answer requests until the parent is gone."""
    server = _Server()
    commands: dict[str, Callable[..., Any]] = {
        name: getattr(server, name) for name in ("start", "load", "run", "time", "receipt", "memory")
    }
    while True:
        try:
            command, arguments = connection.recv()
        except EOFError:
            return
        try:
            reply = ("ok", commands[command](*arguments))
        except Exception as error:  # noqa: BLE001 - whatever a runtime raises is this worker's result
            reply = ("error", _describe(error))
        connection.send(reply)


def main(arguments: list[str]) -> None:
    """The worker process: ``FD PARENT``."""
    handle, parent = map(int, arguments)
    die_with(parent)
    with Connection(handle) as connection:
        _serve(connection)
    os._exit(0)  # without the runtimes' slow farewells


if __name__ == "__main__":
    main(sys.argv[1:])
