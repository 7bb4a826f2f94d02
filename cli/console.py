"""What the command line shows: tables on stdout, progress on a terminal's stderr, errors, and JSON."""

from __future__ import annotations

import faulthandler
import json
import logging
import os
import re
import signal
import sys
import tempfile
import traceback
from collections.abc import Sequence
from contextlib import AbstractContextManager
from types import FrameType
from typing import IO, TYPE_CHECKING, NoReturn

from ..errors import BadInput, EdgeworthyError, InternalFault
from ..workers.processes import is_out_of_memory, memory, out_of_memory
from ..workers.stack import user_frames
from . import terminal
from .supervisor import SUPERVISED, supervise

if TYPE_CHECKING:
    from pydantic import BaseModel

    from ..pipeline.progress import Progress
    from .terminal import TextColumn

INTERRUPTED, TERMINATED, PIPE_CLOSED = 130, 143, 141
_PLAIN_WIDTH = 140
"""Of tables on a pipe."""
_TAIL = 5
_CHATTER = ("I0000 ", "WARNING: All log messages before absl::InitializeLog()")


class Terminated(KeyboardInterrupt):
    """SIGTERM: ends like Ctrl-C, so that everything is cleaned up."""


class Console:
    """Where a command prints. Use it as a context manager: errors inside become messages and exit codes.

    Args:
        as_json: stdout holds one JSON document and nothing else, whatever libraries print.
        quiet: No progress and no table; wins over ``verbose``.
        debug: Show tracebacks.
        verbose: A line on stderr for every stage, also where nobody watches.
    """

    def __init__(
        self, *, as_json: bool = False, quiet: bool = False, debug: bool = False, verbose: bool = False
    ) -> None:
        self.as_json = as_json
        self.quiet = quiet
        self.debug = debug
        self.verbose = verbose
        self._stdout: IO[str] = sys.stdout
        self._log: IO[bytes] | None = None
        self._interrupt: KeyboardInterrupt | None = None

    def __enter__(self) -> Console:
        # What native libraries print goes to a log that only a fault shows; Python's own streams go on as before.
        sys.stdout.flush()
        sys.stderr.flush()
        stdout, stderr = os.dup(1), os.dup(2)
        self._stdout = os.fdopen(stdout, "w", encoding="utf-8")
        sys.stderr = os.fdopen(stderr, "w", encoding="utf-8", buffering=1)
        # Under --json, stdout is for the document alone.
        sys.stdout = sys.stderr if self.as_json else self._stdout
        if self.debug:
            _show_log(sys.stderr)
        else:
            self._log = tempfile.TemporaryFile()
        supervise(self._crashed)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_interrupt)
        if self._log is not None:
            os.dup2(self._log.fileno(), 2)
        os.dup2(2, 1)
        faulthandler.enable(2, all_threads=False)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if error is None or isinstance(error, SystemExit):
            self._flush()
            return
        if self._interrupt is not None:  # whatever became of it in a library
            error = self._interrupt
        if self.debug and not isinstance(error, KeyboardInterrupt):
            traceback.print_exception(error)
        if isinstance(error, KeyboardInterrupt):
            message = "interrupted, nothing half-written; the same command goes on from here"
            code = TERMINATED if isinstance(error, Terminated) else INTERRUPTED
            self._fail(message, {"error": "Interrupted", "exit_code": code, "what": message})
        if not isinstance(error, EdgeworthyError) or (is_out_of_memory(error) and error.exit_code != 3):
            self._flush()
            error = _foreign(error, self._native_output())
        elif isinstance(error, InternalFault):  # such as MLIR's, whose reason is in what it printed
            error.details = (*error.details, *_telling(self._native_output()))
        self._fail(str(error), error.to_json())

    def json(self, value: BaseModel | dict[str, object] | list[object]) -> None:
        """One JSON document on stdout."""
        text = (
            json.dumps(value, indent=2, ensure_ascii=False)
            if isinstance(value, (dict, list))
            else value.model_dump_json(indent=2)
        )
        try:
            print(text, file=self._stdout, flush=True)
        except OSError as error:
            self._lost(error)

    def text(self, text: str) -> None:
        """A text on stdout as it is."""
        self._stdout.write(text)

    def say(self, text: str = "") -> None:
        """A line on stdout for people, on several where the terminal is narrow."""
        self._print(terminal.wrap(text, self._width, hang=terminal.GAP) or [""])

    def table(self, columns: Sequence[TextColumn | str], rows: Sequence[Sequence[str]]) -> None:
        """A table on stdout, with as many of its columns as there is room for."""
        if self.as_json or self.quiet:
            return
        whole = [terminal.TextColumn(c) if isinstance(c, str) else c for c in columns]
        style = terminal.is_styled(self._stdout)
        self._print(terminal.table(whole, rows, self._width or _PLAIN_WIDTH, style=style), style=False)

    def progress(self) -> AbstractContextManager[Progress]:
        """How far the command is, on stderr: see ``progress.progress``."""
        from .progress import progress

        return progress(silent=self.quiet or (self.as_json and not self.verbose), verbose=self.verbose)

    @property
    def _width(self) -> int | None:
        return terminal.width_of(self._stdout)

    def _print(self, lines: Sequence[str], *, style: bool = True) -> None:
        if self.as_json or self.quiet:
            return
        if style and terminal.is_styled(self._stdout):
            lines = [terminal.styled(line) for line in lines]
        try:
            print(*lines, sep="\n", file=self._stdout)
        except OSError as error:
            self._lost(error)

    def _fail(self, message: str, details: dict[str, object]) -> NoReturn:
        if self.as_json:
            self.json(details)
        else:
            print_error(message)
        self._flush()
        raise SystemExit(details["exit_code"])

    def _on_interrupt(self, number: int, frame: FrameType | None) -> None:
        self._interrupt = Terminated() if number == signal.SIGTERM else KeyboardInterrupt()
        if SUPERVISED:  # cleaning up is not to be interrupted; the supervisor sees to it that it ends
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise self._interrupt

    def _crashed(self, number: signal.Signals, peak: int) -> NoReturn:
        """The process that this one waited for is dead."""
        if number == signal.SIGKILL:
            killed = out_of_memory("the run was killed with SIGKILL, as when memory runs out", peak)
            self._fail(str(killed), killed.to_json())
        said, _, stack = self._native_output().partition("Fatal Python error:")
        frames = re.findall(r'File "([^<].*)", line (\d+) in', stack)
        own = [frame for frame in frames if "-packages" not in frame[0]] or frames
        error = InternalFault(
            f"native code crashed with {number.name}",
            where=":".join(own[0]) if own else None,
            details=_telling(said),
            remedy="mend that line if it is the model's; else run it again with --debug, and report what it says",
        )
        self._fail(str(error), error.to_json())

    def _native_output(self) -> str:
        """What native libraries printed."""
        if self._log is None:
            return ""
        self._log.seek(0)
        return self._log.read().decode(errors="replace")

    def _flush(self) -> None:
        try:
            self._stdout.flush()
        except OSError as error:
            self._lost(error)

    def _lost(self, error: OSError) -> NoReturn:
        """Standard output takes no more. Leave at once: Python would try it again."""
        if isinstance(error, BrokenPipeError):
            os._exit(PIPE_CLOSED)
        print_error(f"can't write to standard output: {error.strerror}")
        os._exit(BadInput.exit_code)


def _show_log(stream: IO[str]) -> None:
    """Tell what became a row of a table and no error, with its traceback."""
    log = logging.getLogger(__name__.partition(".")[0])
    log.handlers[:] = [logging.StreamHandler(stream)]
    log.setLevel(logging.DEBUG)


def _foreign(error: BaseException, printed: str) -> EdgeworthyError:
    """An exception that is none of ours, as one that is."""
    if is_out_of_memory(error):
        return out_of_memory("memory ran out", memory("VmHWM"), details=[*str(error).splitlines()[:1], *_users(error)])
    return InternalFault(
        f"a fault of edgeworthy: {type(error).__name__}: {error}",
        details=_telling(printed),
        remedy="run it again with --debug and report the traceback",
    )


def _users(error: BaseException) -> list[str]:
    """The last frames of the user's code."""
    return user_frames(error.__traceback__)[-3:] or (_users(error.__cause__) if error.__cause__ else [])


def _telling(text: str) -> list[str]:
    """The last lines, without those that say nothing."""
    return [line for line in text.splitlines() if line.strip() and not line.startswith(_CHATTER)][-_TAIL:]


def print_error(message: str) -> None:
    """An error on stderr."""
    first, *more = terminal.wrap(f"error: {message}", terminal.width_of(sys.stderr), hang=terminal.GAP)
    print(terminal.styled(first) if terminal.is_styled(sys.stderr) else first, *more, sep="\n", file=sys.stderr)
