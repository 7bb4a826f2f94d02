"""The child's end: import a module, and answer requests with its commands, one after the other.

A module that is served has a function ``start(tell, *arguments)``, which gives its commands: name → function. A
request is ``(command, arguments)``; the first is ``("start", (path, arguments))``. The answer is ``Answered``, or
``Raised`` when the command raised; ``tell`` sends ``Told`` before it, as often as a command likes.
"""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from ..errors import EdgeworthyError
from .processes import die_with, is_out_of_memory
from .stack import user_frames

Tell = Callable[[str], None]
"""Tells the parent the stage that a command has reached."""

Commands = Mapping[str, Callable[..., Any]]

_FRAMES = 3


@dataclass(frozen=True)
class Answered:
    """A command's result."""

    value: Any


@dataclass(frozen=True)
class Told:
    """The stage that a command has reached."""

    stage: str


@dataclass(frozen=True)
class Raised:
    """An exception of a command, as it goes over the wire: not every one can be pickled.

    Attributes:
        kind: The exception's type.
        message: Its text.
        frames: The last frames of the user's code.
        traceback: All of it, as Python prints it.
        memory: Whether it says that memory ran out.
        error: The exception itself if it is one of ours, or of the system.
    """

    kind: str
    message: str
    frames: tuple[str, ...]
    traceback: str
    memory: bool
    error: EdgeworthyError | OSError | None = None

    @property
    def text(self) -> str:
        return f"{self.kind}: {self.message}"

    @classmethod
    def of(cls, error: Exception) -> Raised:
        ours = isinstance(error, EdgeworthyError) or (isinstance(error, OSError) and _is_builtin(error))
        return cls(
            type(error).__name__,
            error.what if isinstance(error, EdgeworthyError) else str(error),
            tuple(user_frames(error.__traceback__)[-_FRAMES:]),
            traceback.format_exc(),
            is_out_of_memory(error),
            error if ours else None,  # type: ignore[arg-type]
        )


def main(arguments: Sequence[str]) -> None:
    """The child process: ``FD PARENT MODULE``. FD is one end of a ``multiprocessing`` connection."""
    handle, parent, module = arguments
    die_with(int(parent))
    with Connection(int(handle)) as connection:
        _serve(connection, module)
    os._exit(0)  # without the slow farewells of native packages


def _serve(connection: Connection, module: str) -> None:
    """Answer requests until the parent is gone."""
    commands: dict[str, Callable[..., Any]] = {}

    def start(path: Sequence[str] | None, arguments: Sequence[object]) -> None:
        if path is not None:
            sys.path[:] = path
        commands.update(importlib.import_module(module).start(lambda stage: connection.send(Told(stage)), *arguments))

    commands["start"] = start
    while connection.poll(None):
        try:
            try:
                command, arguments = connection.recv()
            except EOFError:
                return
            connection.send(Answered(commands[command](*arguments)))
        except Exception as error:  # noqa: BLE001 - whatever a command raises is the parent's to judge
            connection.send(Raised.of(error))


def _is_builtin(error: OSError) -> bool:
    return type(error).__module__ == "builtins"
