"""What native libraries print in this process: absl, LLVM and oneDNN write to descriptor 2, past ``sys.stderr``."""

from __future__ import annotations

import faulthandler
import fcntl
import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import EdgeworthyError, InternalFault

_STDERR = 2


class Caught:
    """What is written to stderr from now on.

    Args:
        handle: The file that it goes to.
        begin: Bytes of the file that were there before.
    """

    def __init__(self, handle: int, begin: int = 0) -> None:
        self._handle: int | None = handle
        self._begin = begin
        self._text = ""

    @property
    def text(self) -> str:
        """All of it until now, and until the end once it is over."""
        if self._handle is not None:
            self._text = _read(self._handle, self._begin).decode(errors="replace").replace("\0", "")
        return self._text

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    def end(self) -> None:
        """Nothing that comes later counts."""
        self._handle, self._text = None, self.text


@contextmanager
def caught() -> Iterator[Caught]:
    """What is written to stderr meanwhile can be read; it goes there all the same.

    In a worker stderr is a file that its parent reads, and is read where it is, so that the last words of a crash
    aren't lost. Elsewhere it is written once this is over.
    """
    if _is_log():
        sys.stderr.flush()
        said = Caught(_STDERR, os.fstat(_STDERR).st_size)
        try:
            yield said
        finally:
            said.end()
        return
    with _redirected() as (before, log):
        said = Caught(log)
        try:
            yield said
        finally:
            said.end()
            os.write(before, said.text.encode())


@contextmanager
def hushed() -> Iterator[None]:
    """Meanwhile what native code writes to stderr is kept back; Python's own streams go on as before.

    It is written after all if something is raised that nobody foresaw. Where faulthandler is on, as it is under the
    command line, which keeps a log of its own, nothing is done: the stack of a crash goes where it should.
    """
    if faulthandler.is_enabled():
        yield
        return
    python = sys.stderr
    with _redirected() as (before, log), os.fdopen(os.dup(before), "w", encoding="utf-8", buffering=1) as stream:
        if _number(python) == _STDERR:
            sys.stderr = stream
        try:
            yield
        except BaseException as error:
            if not isinstance(error, EdgeworthyError) or isinstance(error, InternalFault):
                os.write(before, _read(log))
            raise
        finally:
            sys.stderr = python


@contextmanager
def _redirected() -> Iterator[tuple[int, int]]:
    """Stderr is a file meanwhile: yields descriptors of where it went before, and of the file."""
    sys.stderr.flush()
    before = os.dup(_STDERR)
    with tempfile.TemporaryFile() as log:
        os.dup2(log.fileno(), _STDERR)
        try:
            yield before, log.fileno()
        finally:
            os.dup2(before, _STDERR)
            os.close(before)


def _is_log() -> bool:
    """Whether stderr is a file that can be read too."""
    readable = fcntl.fcntl(_STDERR, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDWR
    return readable and stat.S_ISREG(os.fstat(_STDERR).st_mode)


def _read(handle: int, begin: int = 0) -> bytes:
    """What a file holds from there on; where it is written next stays as it is."""
    return os.pread(handle, max(0, os.fstat(handle).st_size - begin), begin)


def _number(stream: object) -> int | None:
    """The descriptor of a stream; None where it has none, as in a notebook."""
    try:
        return int(stream.fileno())  # type: ignore[attr-defined]
    except (AttributeError, OSError, ValueError):
        return None
