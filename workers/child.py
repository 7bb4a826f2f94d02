"""The parent's end of a child process: start it, ask it, time it out, and say how it died.

``Child`` starts ``python -m edgeworthy.workers FD PARENT MODULE`` and talks to it over an inherited socket: one
request, one reply (see ``serve``). What native code prints is kept in a temporary file, whose tail becomes part of a
failure's message. A child leads a process group of its own, which ends with it, and has a folder of its own for
temporary files, which goes with it.

A child dies with its parent: by ``PR_SET_PDEATHSIG`` on Linux (which follows the *thread* that started it), and
everywhere by the end of the socket.
"""

from __future__ import annotations

import contextlib
import math
import os
import pickle
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Self

from ..errors import BadInput, EdgeworthyError, LimitExceeded, NotAvailable, RuntimeFailure, TimedOut
from .output import Output
from .processes import kill_group, max_rss, memory, not_started, out_of_memory
from .scratch import Scratch
from .serve import Answered, Raised, Told
from .stack import ROOT

START_TIMEOUT_S = 300.0
"""Time that native packages may take to be imported, on a cold disk."""

TIMEOUT, MEMORY, NO_ANSWER = "timeout", "memory", "what is no answer"

_ALONE = (
    "import sys,types;root,*rest=sys.argv[1:];p=sys.modules[{0!r}]=types.ModuleType({0!r});p.__path__=[root];"
    "from {1}.serve import main;main(rest)"
)
"""Starts a child in a Python that has none of our packages: of ours it sees what the standard library is enough for."""

_SLICES_S = 0.02, 0.5
"""Its peak memory is looked at while it is waited for, after so long at first, and then less and less often: once it
is dead, the kernel tells no peak below the parent's own."""

_COUNTED_LATE = 64 << 20
"""Bytes by which two readings of one peak may differ: the kernel counts pages in batches, processor by processor."""

_PATIENCE_S = 10.0
"""Time that a process may take to end after its end of the socket."""

_TAIL_LINES = 20


@dataclass(frozen=True)
class Death:
    """How a child ended before it had answered.

    Attributes:
        reason: ``SIGABRT``, ``exit code 3``, or ``timeout`` or ``memory`` when it was killed for taking too much of it.
        stage: What the request had last told it was doing, or an empty string.
        said: Lines that it printed since the request.
        frames: The user's code in the stack that it left, the innermost first.
        peak_bytes: Peak resident memory as far as it is known, or 0.
    """

    reason: str
    stage: str = ""
    said: tuple[str, ...] = ()
    frames: tuple[str, ...] = ()
    peak_bytes: int = 0

    @property
    def last_words(self) -> str:
        """The last line that it printed, or an empty string."""
        return self.said[-1] if self.said else ""


class Child:
    """A process that serves a module. Use it as a context manager; on entry it is ready.

    Args:
        module: The module to serve, see ``serve``.
        arguments: Of its ``start``.
        name: What messages call it.
        environment: Variables to set.
        path: Its ``sys.path``, for a user's own modules; None for Python's own without the current folder, where a
            file of the user's could stand in for a package.
        timeout_s: Seconds that a request may take.
        start_s: Seconds that its start may take.
        most_bytes: Resident memory that it may take; None for all that there is. What it starts itself isn't counted.
        python: The beginning of a command line that starts another Python, such as a kit's; None for this one.
        longest: Bytes that a message of it may have; None for any.
        passes: Exceptions that are raised here as they were there; all others are a ``RuntimeFailure``.

    Attributes:
        where: The file that it works on, for messages.
        remedy: What helps when it raises, crashes or hangs.
        deadline: When the request under way counts as hung (``time.monotonic``).
        cpu_seconds: Processor time that it took, and what it started and waited for; 0 until it has ended.
    """

    def __init__(
        self,
        module: str,
        *arguments: object,
        name: str,
        where: str | None = None,
        remedy: str | None = None,
        environment: Mapping[str, str] | None = None,
        path: Sequence[str] | None = None,
        timeout_s: float = 300.0,
        start_s: float = START_TIMEOUT_S,
        most_bytes: int | None = None,
        python: Sequence[str] | None = None,
        longest: int | None = None,
        passes: tuple[type[Exception], ...] = (BadInput, NotAvailable),
    ) -> None:
        self.name, self.where, self.remedy = name, where, remedy
        self.deadline, self.cpu_seconds = math.inf, 0.0
        self._timeout_s = self._limit_s = timeout_s
        self._most_bytes = most_bytes or math.inf
        self._passes, self._longest = passes, longest
        self._command, self._stage, self._peak, self._parents_peak = "start", "", 0, memory("VmHWM")
        self._output, self._scratch = Output(), Scratch()
        ours, theirs = socket.socketpair()
        # A message that is taken or given in part only, by a process that hangs, must not hang this one.
        limit = struct.pack("ll", math.ceil(timeout_s), 0)
        for option in (socket.SO_SNDTIMEO, socket.SO_RCVTIMEO):
            ours.setsockopt(socket.SOL_SOCKET, option, limit)
        self.connection: Connection = Connection(ours.detach())
        with theirs:
            command = [*(python or [sys.executable]), "-P", "-X", "faulthandler"]
            if python is None:
                command += ["-m", __package__]
            else:
                command += ["-c", _ALONE.format(__package__.partition(".")[0], __package__), str(ROOT)]
            try:
                self._process = subprocess.Popen(
                    [*command, str(theirs.fileno()), str(os.getpid()), module],
                    stdin=subprocess.DEVNULL,
                    stdout=self._output.file,
                    stderr=self._output.file,
                    pass_fds=[theirs.fileno()],
                    env={**os.environ, "PYTHONUNBUFFERED": "1", **self._scratch.environment, **(environment or {})},
                    start_new_session=True,  # Ctrl-C is the parent's; and what the child starts dies with it
                )
            except OSError as error:  # such as a kit's Python that is gone
                for mine in (self.connection, self._output, self._scratch):
                    mine.close()
                raise not_started(name, command[0], error) from error
        self.request("start", path and list(path), arguments, timeout_s=start_s)

    def __enter__(self) -> Self:
        try:
            self.wait()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return not self.connection.closed and self._reap() is None

    @property
    def peak_bytes(self) -> int:
        """Its peak resident memory until now, as far as it is known."""
        self._peak = max(self._peak, memory("VmHWM", self.pid))
        return self._peak

    def ask(self, command: str, *arguments: object, timeout_s: float | None = None) -> Any:
        """One request and the value of its reply.

        Raises:
            RuntimeFailure: it raised, crashed or hung. After a raise it lives on.
            OutOfMemory: it was killed by SIGKILL, or raised MemoryError.
            Exception: one of ``passes``.
        """
        if self.connection.closed:
            raise self._failure(f"{self.name} was asked to {command} and is gone")
        with self._until_interrupted():
            self.request(command, *arguments, timeout_s=timeout_s)
        return self.wait()

    def wait(self) -> Any:
        """The value of the reply to the request under way; raises as ``ask``."""
        with self._until_interrupted():
            while (reply := self.take()) is None:
                pass
        return self.value(reply)

    def value(self, reply: Answered | Raised | Death) -> Any:
        """What a reply holds; raises as ``ask``."""
        if isinstance(reply, Answered):
            return reply.value
        raise self._raised(reply) if isinstance(reply, Raised) else self._died(reply)

    def request(self, command: str, *arguments: object, timeout_s: float | None = None) -> None:
        """Send a request; ``take`` gives its reply, and also tells if this didn't get through."""
        self._command, self._stage = command, ""
        self._output.mark()
        self._limit_s = timeout_s or self._timeout_s
        self.deadline = time.monotonic() + self._limit_s
        try:
            self.connection.send((command, arguments))
        except BlockingIOError:
            self.deadline = 0.0
        except OSError:  # it died; the end of the socket says so to `take`
            return

    def take(self, patience: float = math.inf) -> Answered | Raised | Death | None:
        """The reply, or how the process ended; None if it takes more seconds than ``patience``."""
        until = time.monotonic() + patience
        piece, longest = _SLICES_S
        while True:
            now = time.monotonic()
            left = max(0.0, min(until, self.deadline) - now)
            try:
                if self.connection.poll(min(left, piece)):
                    reply = self._received()
                    if not isinstance(reply, Told):
                        return reply
                    self._stage = reply.stage
                    continue
            except BlockingIOError:
                return self._death(TIMEOUT)
            except (EOFError, OSError):
                return self._death()
            piece = min(2 * piece, longest)
            self._output.drop_flood()
            if self.peak_bytes > self._most_bytes:
                return self._death(MEMORY)
            if now >= self.deadline:
                return self._death(TIMEOUT)
            if now >= until:
                return None

    def _received(self) -> Answered | Raised | Told | Death:
        """Its next message; what is none of ``serve`` ends it."""
        try:
            message = self.connection.recv_bytes(self._longest)
        except OSError as error:
            if error.errno is not None:
                raise
            return self._death(NO_ANSWER)  # it is longer than it may be
        try:
            reply: object = pickle.loads(message)
        except Exception:  # noqa: BLE001 - bytes that are no message may raise anything
            reply = None
        return reply if isinstance(reply, (Answered, Raised, Told)) else self._death(NO_ANSWER)

    def close(self) -> None:
        """End the process, and whatever it started."""
        if self.connection.closed:
            return
        self.connection.close()
        kill_group(self.pid)
        self._reap(math.inf)
        self._output.close()
        self._scratch.close()

    def _death(self, reason: str = "") -> Death:
        if reason:  # faulthandler answers SIGABRT with the Python stack: where it hung
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGABRT)
            self._reap(2)
        else:
            reason = _ending(self._reap(_PATIENCE_S))
        said, frames = self._output.read()
        self.close()
        return Death(reason, self._stage, tuple(said), tuple(frames), self._peak)

    def _reap(self, patience: float = 0) -> int | None:
        """The exit code, or minus a signal, of a process that ended within so many seconds."""
        until = time.monotonic() + patience
        while self._process.returncode is None:
            pid, status, usage = os.wait4(self.pid, 0 if patience == math.inf else os.WNOHANG)
            if pid:
                self._process.returncode = os.waitstatus_to_exitcode(status)
                self.cpu_seconds = usage.ru_utime + usage.ru_stime
                # An exec'd process starts at its parent's peak: only what is above that is its own.
                if max_rss(usage) > self._parents_peak + _COUNTED_LATE:
                    self._peak = max_rss(usage)
            elif time.monotonic() >= until:
                break
            else:
                time.sleep(0.005)
        return self._process.returncode

    @contextlib.contextmanager
    def _until_interrupted(self) -> Iterator[None]:
        """After Ctrl-C, say, a reply that nobody waits for would answer the next request."""
        try:
            yield
        except BaseException:
            self.close()
            raise

    def _raised(self, raised: Raised) -> Exception:
        """What was raised there; its traceback is a note, which shows under ``--debug``."""
        error: Exception
        if raised.memory:
            what = f"{self.name} ran out of memory in {self._command}"
            details = [raised.text.splitlines()[0], *raised.frames]
            error = out_of_memory(what, memory("VmHWM", self.pid), where=self.where, details=details)
        elif isinstance(raised.error, self._passes):
            error = raised.error
        else:
            what = f"{self.name} raised in {self._command}: {raised.text}"
            error = self._failure(what, [*raised.frames, *self._output.read()[0]])
        error.add_note(raised.traceback)
        return error

    def _died(self, death: Death) -> EdgeworthyError:
        details = [*death.said, *death.frames][-_TAIL_LINES:]
        limits = {
            TIMEOUT: f"hung: {self._command} took more than {self._limit_s:g} s (timeout)",
            MEMORY: f"took more memory than the {self._most_bytes / 1e9:.3g} GB that it may in {self._command}",
        }
        if death.reason in limits:
            what = f"{self.name} {limits[death.reason]}"
            kind = TimedOut if death.reason == TIMEOUT else LimitExceeded
            return kind(what, where=self.where, details=details, remedy=self.remedy)
        if death.reason == signal.SIGKILL.name:
            what = f"{self.name} was killed with SIGKILL in {self._command}, as when memory runs out"
            return out_of_memory(what, death.peak_bytes, where=self.where, details=details)
        how = "crashed with" if death.reason.startswith("SIG") else "ended with"
        return self._failure(f"{self.name} {how} {death.reason} in {self._command}", details)

    def _failure(self, what: str, details: Sequence[str] = ()) -> RuntimeFailure:
        return RuntimeFailure(what, where=self.where, details=details[-_TAIL_LINES:], remedy=self.remedy)


def _ending(code: int | None) -> str:
    if code is None:
        return "the end of its socket"
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"
