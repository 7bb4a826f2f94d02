"""How far a command is, on stderr: bars on a terminal, or a log with a line for every stage."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import local
from typing import IO, TYPE_CHECKING

from ..pipeline.progress import Progress, Silent
from .terminal import is_styled, width_of

if TYPE_CHECKING:
    from rich.progress import Progress as RichBars
    from rich.progress import ProgressColumn, TaskID

TAKEN_OVER = "taken over from an earlier run"


@contextmanager
def progress(*, silent: bool, verbose: bool) -> Iterator[Progress]:
    """A log with ``verbose``; else bars on a terminal, or the log on one without escape codes; else nothing."""
    stream = sys.stderr
    if silent or not (verbose or stream.isatty()):
        yield Silent()
    elif verbose or not is_styled(stream):
        yield Log(stream)
    else:
        with _bars(stream) as bars:
            yield Bars(bars)


class _Here(local):
    """The stage of this thread: several may be under way at once."""

    task: TaskID | None = None
    taken_over: float | None = None


class Log:
    """Plain text for those who read it later: ``convert: 4.2 s``, once the stage has ended."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._here = _Here()

    @contextmanager
    def stage(self, name: str, what: str = "") -> Iterator[None]:
        begin, how = time.perf_counter(), "failed after {:.1f} s"
        self._here.taken_over = None
        try:
            yield
            how = "{:.1f} s" if self._here.taken_over is None else f"{TAKEN_OVER} ({self._here.taken_over:.1f} s then)"
        finally:
            line = f"{name}: {how.format(time.perf_counter() - begin)}{f', {what}' if what else ''}"
            print(line, file=self._stream, flush=True)

    def step(self, what: str, done: int, total: int) -> None:
        pass

    def taken_over(self, seconds: float) -> None:
        self._here.taken_over = seconds

    def warn(self, text: str) -> None:
        print(f"⚠ {text}", file=self._stream, flush=True)


class Bars:
    """One line that moves for every stage; those of threads move side by side."""

    def __init__(self, bars: RichBars) -> None:
        self._bars = bars
        self._here = _Here()

    @contextmanager
    def stage(self, name: str, what: str = "") -> Iterator[None]:
        outer = self._here.task
        task = self._here.task = self._bars.add_task(name, total=None, what=what)
        try:
            yield
            self._bars.update(task, total=1, completed=1)
        finally:
            self._bars.stop_task(task)
            self._here.task = outer

    def step(self, what: str, done: int, total: int) -> None:
        if self._here.task is not None:
            self._bars.update(self._here.task, completed=done, total=total, what=what)

    def taken_over(self, seconds: float) -> None:
        if self._here.task is not None:
            self._bars.update(self._here.task, what=TAKEN_OVER)

    def warn(self, text: str) -> None:
        self._bars.console.print(f"⚠ {text}", markup=False, highlight=False)


def _bars(stream: IO[str]) -> RichBars:
    """As many columns as fit: the name and the time always, then the bar, then what it works on."""
    from rich.console import Console
    from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as RichBars
    from rich.table import Column

    width = width_of(stream) or 80
    columns: list[ProgressColumn] = [SpinnerColumn(), TextColumn("{task.description:<26}")]
    columns += [BarColumn(24)] if width >= 64 else []
    columns += [TimeElapsedColumn()]
    columns += [TextColumn("{task.fields[what]}", table_column=Column(no_wrap=True))] if width >= 100 else []
    return RichBars(*columns, console=Console(file=stream, width=width))
