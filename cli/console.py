"""What the command line shows: tables on stdout, progress on a terminal's stderr, errors, and JSON."""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import IO, TYPE_CHECKING, NoReturn

from ..errors import EdgeworthyError

if TYPE_CHECKING:
    from pydantic import BaseModel
    from rich.console import Console as RichConsole
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

    from ..pipeline.progress import Progress

INTERRUPTED, TERMINATED, FAULT, PIPE_CLOSED = 130, 143, 70, 141
_PLAIN_WIDTH = 140
_CHATTER = ("I0000 ", "WARNING: All log messages before absl::InitializeLog()")


class Terminated(KeyboardInterrupt):
    """SIGTERM: ends like Ctrl-C, so that everything is cleaned up."""


class Console:
    """Where a command prints. Use it as a context manager: errors inside become messages and exit codes.

    Args:
        as_json: stdout holds one JSON document and nothing else, whatever libraries print.
        quiet: No progress and no table.
        debug: Show tracebacks.
    """

    def __init__(self, *, as_json: bool = False, quiet: bool = False, debug: bool = False) -> None:
        self.as_json = as_json
        self.quiet = quiet
        self.debug = debug
        self._stdout: IO[str] = sys.stdout
        self._log: IO[bytes] | None = None

    def __enter__(self) -> Console:
        signal.signal(signal.SIGTERM, _terminate)
        # What native libraries print goes to a log that only a fault shows; Python's own streams go on as before.
        sys.stdout.flush()
        sys.stderr.flush()
        stdout, stderr = os.dup(1), os.dup(2)
        self._stdout = os.fdopen(stdout, "w", encoding="utf-8")
        sys.stderr = os.fdopen(stderr, "w", encoding="utf-8", buffering=1)
        # Under --json, stdout is for the document alone.
        sys.stdout = sys.stderr if self.as_json else self._stdout
        if not self.debug:
            self._log = tempfile.TemporaryFile()
            os.dup2(self._log.fileno(), 2)
        os.dup2(2, 1)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if error is None or isinstance(error, SystemExit):
            self._flush()
            return
        if self.debug and not isinstance(error, KeyboardInterrupt):
            traceback.print_exception(error)
        if isinstance(error, EdgeworthyError):
            self._fail(str(error), error.exit_code, error.to_json())
        if isinstance(error, BrokenPipeError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            os._exit(PIPE_CLOSED)
        if isinstance(error, KeyboardInterrupt):
            code = TERMINATED if isinstance(error, Terminated) else INTERRUPTED
            self._fail("interrupted, nothing half-written; the same command goes on from here", code)
        log = "".join(f"\n  - {line}" for line in self._tail())
        self._fail(
            f"a fault of edgeworthy: {type(error).__name__}: {error}{log}\n"
            "  fix: run it again with --debug and report the traceback",
            FAULT,
        )

    @property
    def rich(self) -> RichConsole:
        """For tables; colours only on a terminal, and room enough on a pipe."""
        from rich.console import Console as RichConsole

        terminal = self._stdout.isatty()
        return RichConsole(
            file=self._stdout, width=None if terminal else _PLAIN_WIDTH, highlight=False, soft_wrap=False
        )

    def json(self, value: BaseModel | dict[str, object] | list[object]) -> None:
        """One JSON document on stdout."""
        text = (
            json.dumps(value, indent=2, ensure_ascii=False)
            if isinstance(value, (dict, list))
            else value.model_dump_json(indent=2)
        )
        print(text, file=self._stdout, flush=True)

    def text(self, text: str) -> None:
        """A text on stdout as it is."""
        self._stdout.write(text)

    def say(self, text: str = "") -> None:
        """A line on stdout for people."""
        if not self.as_json and not self.quiet:
            self.rich.print(text, markup=False, soft_wrap=True)

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> None:
        """A table on stdout; columns whose index is in ``right`` are numbers."""
        if self.as_json or self.quiet:
            return
        from rich import box
        from rich.table import Table
        from rich.text import Text

        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
        for index, column in enumerate(columns):
            table.add_column(column, justify="right" if index in right else "left", overflow="fold")
        for row in rows:
            table.add_row(*(Text(cell, style=_STYLES.get(cell.partition(" ")[0], "")) for cell in row))
        self.rich.print(table)

    @contextmanager
    def progress(self) -> Iterator[Progress]:
        """A line that moves, on a terminal; nothing anywhere else."""
        from ..pipeline.progress import Silent

        if self.as_json or self.quiet or not sys.stderr.isatty():
            yield Silent()
            return
        from rich.console import Console as RichConsole
        from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bars

        bars = Bars(
            SpinnerColumn(),
            TextColumn("{task.description:<26}"),
            BarColumn(24),
            TimeElapsedColumn(),
            TextColumn("{task.fields[what]}"),
            console=RichConsole(stderr=True),
        )
        with bars:
            yield _Bars(bars)

    def _fail(self, message: str, code: int, details: dict[str, object] | None = None) -> NoReturn:
        if self.as_json:
            self.json(details or {"error": "Error", "exit_code": code, "what": message})
        else:
            print(_red("error:", sys.stderr), message, file=sys.stderr)
        self._flush()
        raise SystemExit(code)

    def _tail(self) -> list[str]:
        """The last lines that native libraries printed."""
        if self._log is None:
            return []
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").splitlines()
        return [line for line in lines if not line.startswith(_CHATTER)][-5:]

    def _flush(self) -> None:
        try:
            self._stdout.flush()
        except BrokenPipeError:
            os._exit(PIPE_CLOSED)


_STYLES = {
    "pass": "green",
    "✓": "green",
    "fail": "bold red",
    "error": "bold red",
    "✗": "bold red",
    "inconclusive": "yellow",
}


class _Bars:
    """``Progress`` as bars of rich: one a stage."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._task: TaskID | None = None

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        outer = self._task
        task = self._task = self._bars.add_task(name, total=None, what="")
        try:
            yield
            self._bars.update(task, total=1, completed=1, what="")
        finally:
            self._bars.stop_task(task)
            self._task = outer

    def step(self, what: str, done: int, total: int) -> None:
        if self._task is not None:
            self._bars.update(self._task, completed=done, total=total, what=what)


def _red(text: str, stream: IO[str]) -> str:
    return f"\x1b[1;31m{text}\x1b[0m" if stream.isatty() and "NO_COLOR" not in os.environ else text


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated
