"""The host's end of a runner: start it, ask it, and say how it ended (the other end is ``there/runner.py``).

Nothing here has a time limit: a target runs in a worker, whose death after its time limit (see ``workers.child``)
ends the pipe, and so whatever runs at its other end.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, Protocol, Self

from ...errors import EdgeworthyError, NotAvailable, RuntimeFailure
from ...workers.processes import is_out_of_memory, out_of_memory
from ...workers.stack import read_log
from ..session import TRY_TFLITE
from .there import runner as there

_FOLDER = Path(there.__file__).parent
_MOST_CHATTER = 1 << 16
_TAIL_LINES = 20


class Pipe(Protocol):
    """A program that was started somewhere: its stdin, its stdout, and how it ended."""

    @property
    def stdin(self) -> BinaryIO: ...

    @property
    def stdout(self) -> BinaryIO: ...

    def ended(self) -> tuple[str, list[str]]:
        """How it ended (``exit code 127``, ``SIGKILL``, ``connection lost``), and the last lines of its stderr."""
        ...

    def close(self) -> None:
        """End it, if it hasn't."""
        ...


class RaisedThere(RuntimeFailure):
    """What was raised there.

    Attributes:
        text: Type and message.
        errno: That of an OSError.
    """

    text = ""
    errno: int | None = None


class RemoteRunner:
    """A runner at the other end of a pipe, which has said hello.

    Args:
        pipe: What ``python -c BOOTSTRAP`` reads and writes.
        backend: A file of ``there``: what it shall run models on.
        name: What messages call it.
        where: The place, for messages.

    Attributes:
        place: What it told of the place: Python, processor, emulator (see ``there/place.py``).

    Raises:
        NotAvailable: there is no Python that can be started.
        RuntimeFailure: it ended before it had said hello.
    """

    def __init__(self, pipe: Pipe, backend: str, *, name: str, where: str) -> None:
        self.name = name
        self.where = where
        self._pipe = pipe
        self.alive = True
        try:
            text = (_FOLDER / "runner.py").read_bytes()
            with contextlib.suppress(OSError):  # it has ended, which `_await_magic` tells
                self._write(b"%d\n%s" % (len(text), text))
            self._await_magic()
            names = ["place", "store", backend]
            texts = [(_FOLDER / f"{name}.py").read_bytes() for name in names]
            self.place, _ = self.ask("hello", texts, names=names)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.alive = False
        self._pipe.close()

    def ask(self, command: str, blobs: Sequence[bytes] = (), **fields: Any) -> tuple[dict[str, Any], list[bytearray]]:
        """One request and its reply.

        Raises:
            RuntimeFailure: it raised, crashed, or the connection was cut. After a raise it lives on.
            OutOfMemory: memory ran out there.
        """
        if not self.alive:
            raise self.failure(f"was asked to {command} and is gone", remedy="run it again")
        request = io.BytesIO()
        there.send(request, {"do": command, **fields}, blobs)
        try:
            with contextlib.suppress(OSError):  # it has ended, and may have left last words
                self._write(request.getvalue())
            reply, made = there.receive(self._pipe.stdout)
        except (EOFError, OSError):
            raise self._ended(command) from None
        except ValueError as error:
            self.close()
            raise self.failure(f"said something else than a reply to {command}: {error}", (), _PYTHON) from error
        if "raised" in reply:
            raise self._raised(command, reply)
        if "died" in reply:
            raise self._died(command, reply)
        return reply, made

    def failure(self, what: str, details: Sequence[str] = (), remedy: str = TRY_TFLITE) -> RuntimeFailure:
        """A failure at this place."""
        return RuntimeFailure(f"{self.name} {what}", where=self.where, details=details[-_TAIL_LINES:], remedy=remedy)

    def _write(self, data: bytes) -> None:
        self._pipe.stdin.write(data)
        self._pipe.stdin.flush()

    def _await_magic(self) -> None:
        """Read up to the runner's first words: the shell of a place may have words of its own."""
        heard = bytearray()
        while not heard.endswith(there.MAGIC):
            piece = self._pipe.stdout.read(1) if len(heard) < _MOST_CHATTER else b""
            if not piece:
                raise self._no_start(bytes(heard))
            heard += piece

    def _no_start(self, heard: bytes) -> EdgeworthyError:
        how, said = self._pipe.ended()
        said = [*heard.decode(errors="replace").splitlines()[-3:], *said]
        why = _NO_PYTHON.get(how)
        if why is None:
            return self.failure(
                f"ended with {how} before it could run anything", said, "start its Python there by hand"
            )
        return NotAvailable(f"{self.name}: {why}", where=self.where, details=said[-_TAIL_LINES:], remedy=_PYTHON)

    def _ended(self, command: str) -> RuntimeFailure:
        how, said = self._pipe.ended()
        self.close()
        return self.failure(f"is gone in {command}: {how}", said, "see that it is up and reachable, and run it again")

    def _died(self, command: str, reply: dict[str, Any]) -> EdgeworthyError:
        self.close()
        how, (said, _) = reply["died"], read_log("\n".join(reply["log"]))
        if how == "SIGKILL":
            what = f"{self.name} was killed with SIGKILL in {command}, as when memory runs out"
            return out_of_memory(what, reply["peak"], where=self.where, details=said[-_TAIL_LINES:])
        verb = "crashed with" if how.startswith("SIG") else "ended with"
        return self.failure(f"{verb} {how} in {command}", said)

    def _raised(self, command: str, reply: dict[str, Any]) -> EdgeworthyError:
        text, (said, _) = reply["raised"], read_log("\n".join(reply["log"]))
        error: EdgeworthyError
        if reply["memory"] or is_out_of_memory(RuntimeError(text)):
            error = out_of_memory(f"{self.name} ran out of memory in {command}", 0, where=self.where, details=[text])
        else:
            error = RaisedThere(
                f"{self.name} raised in {command}: {text}",
                where=self.where,
                details=said[-_TAIL_LINES:],
                remedy=_OWN_KERNELS if "xnnpack" in text.lower() else TRY_TFLITE,
            )
            error.text, error.errno = text, reply["errno"]
        error.add_note(reply["traceback"])
        return error


_NO_PYTHON = {
    "exit code 126": "the Python there can't be executed: it is of another architecture, or no program",
    "exit code 127": "there is no Python there under this name",
}
"""How a POSIX shell says that it can't start a program."""

_OWN_KERNELS = "run it on TFLite's own kernels, with the option kernels=builtin"

_PYTHON = "install Python 3.9 or later there, or name it with the option python=PATH"
