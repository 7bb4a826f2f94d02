"""A place that every machine has: its own Python, in a process of its own."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from edgeworthy.targets.remote.process import Process
from edgeworthy.targets.remote.runner import RemoteRunner
from edgeworthy.targets.remote.session import RemoteTarget


class Here(RemoteTarget):
    """This Python with the backend of a file, or LiteRT's."""

    name = "here"

    def __init__(self, backend: Path | None = None, command: tuple[str, ...] = (sys.executable,)) -> None:
        self.command = command
        if backend is not None:
            self.backend = str(backend.with_suffix(""))
            self.log_line = ""

    def start(self) -> RemoteRunner:
        return RemoteRunner(Process(self.command, os.environ), self.backend, name=self.name, where="this machine")
