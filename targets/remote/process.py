"""A runner in a process of this machine: under an emulator, or in another environment's Python."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from typing import BinaryIO, cast

from ...workers.processes import not_started
from .there.runner import BOOTSTRAP

_PATIENCE_S = 5.0
_TAIL = 4096


class Process:
    """``COMMAND -c BOOTSTRAP`` as a ``Pipe``. It ends when this process does: so does its stdin.

    Args:
        command: A Python, and what it takes to start it.
        environment: Its whole environment.
        arguments: Of the command; none where they are in it already.

    Raises:
        NotAvailable: it can't be started.
    """

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], *, arguments: Sequence[str] = ("-c", BOOTSTRAP)
    ) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        try:
            self._process = subprocess.Popen(
                [*command, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                env=dict(environment),
            )
        except OSError as error:
            raise not_started(command[0], command[0], error) from error
        self.stdin, self.stdout = cast(BinaryIO, self._process.stdin), cast(BinaryIO, self._process.stdout)

    def ended(self) -> tuple[str, list[str]]:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_PATIENCE_S)
        self._errors.seek(0)
        said = self._errors.read()[-_TAIL:].decode(errors="replace").splitlines()
        code = self._process.returncode
        if code is None:
            return "the end of its output", said
        return (signal.Signals(-code).name if code < 0 else f"exit code {code}"), said

    def close(self) -> None:
        if self._process.returncode is None:
            with contextlib.suppress(BrokenPipeError):
                self.stdin.close()
            try:
                self._process.wait(_PATIENCE_S)  # the runner ends the process that serves, and itself
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self.stdout.close()
