"""The runner of ``targets.remote`` in a Python on a device: one that is there, or the kit arm64's, pushed there.

The kit is Debian's Python with its own C library and loader, which Android's kernel runs as well as any other's: a
phone needs neither Termux nor a compiler.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, cast

from ... import kits
from ...artifact import Artifact
from ...errors import NotAvailable
from ..remote.process import Process
from ..remote.runner import RemoteRunner
from ..remote.session import RemoteTarget
from ..remote.there.runner import BEAT, BEAT_S, BOOTSTRAP
from . import adb
from .state import DeviceInfo
from .store import DeviceFiles

_KIT = "arm64"
_ABI = "arm64-v8a"
_LOADER = "root/lib/ld-linux-aarch64.so.1"
_LIBRARIES = "root/lib/aarch64-linux-gnu", "root/usr/lib/aarch64-linux-gnu"


def check_kit(device: DeviceInfo, where: str) -> None:
    """Raise NotAvailable where the kit isn't installed here, or isn't for the device."""
    if _ABI not in device.abis:
        raise NotAvailable(
            f"edgeworthy has a Python for {_ABI}, and the device runs {', '.join(device.abis)}",
            where=where,
            remedy="give benchmark=PATH, TFLite's benchmark_model for it, or python=PATH of one with LiteRT there",
        )
    kits.launch(kits.KITS[_KIT])


class DevicePython(RemoteTarget):
    """LiteRT's interpreter in a Python of a device.

    Args:
        python: Its path there; empty for the kit's.
        cpu_mask: Cores to run on, as ``taskset`` takes them; empty for all.
    """

    name = "android"

    def __init__(self, files: DeviceFiles, *, python: str, cpu_mask: str, options: Mapping[str, str]) -> None:
        self._files, self._python = files, python
        self._prefix = ["taskset", cpu_mask] if cpu_mask else []
        self.options = dict(options)

    def start(self) -> RemoteRunner:
        command, environment = ([self._python], {}) if self._python else self._pushed
        command = [*self._prefix, *command, "-c", BOOTSTRAP]
        pipe = AdbProcess(self._files.adb, adb.words(*command, environment=environment))
        return RemoteRunner(pipe, self.backend, name=self.name, where=self._files.adb.where)

    def file(self, runner: RemoteRunner, artifact: Artifact) -> str:
        return f"{self._files.folder}/{self._files.put(artifact.path)}"

    def remedy(self, runner: RemoteRunner) -> str:
        return "pip install ai-edge-litert there, or leave python out: the kit arm64 brings it"

    @cached_property
    def _pushed(self) -> tuple[Sequence[str], Mapping[str, str]]:
        """The kit's Python on the device, and its variables."""
        kit = kits.launch(kits.KITS[_KIT])
        name = self._files.put_folders(kit.folder, ("root", "site"), kits.KITS[_KIT].version)
        there = f"{self._files.folder}/{name}"
        path = ":".join(f"{there}/{folder}" for folder in _LIBRARIES)
        command = [
            f"{there}/{_LOADER}",
            "--library-path",
            path,
            f"{there}/{Path(kit.python[-1]).relative_to(kit.folder).as_posix()}",
        ]
        return command, {"PYTHONHOME": f"{there}/root/usr", "PYTHONPATH": f"{there}/site", "TMPDIR": self._files.folder}


class AdbProcess(Process):
    """A runner's ``Pipe`` over ``adb shell``, which is binary and passes exit codes on.

    Where packets are lost adbd never notices: what runs there misses our beats.
    """

    def __init__(self, device: adb.Adb, command: str) -> None:
        self._device = device
        super().__init__(device.shell_command(command), os.environ, arguments=())
        self.stdin = cast(BinaryIO, _BeatingInput(self.stdin))

    def ended(self) -> tuple[str, list[str]]:
        """How it ended; adb tells 0 when the connection is cut, which no runner does before it is told to end."""
        how, said = super().ended()
        if how == "exit code 0" or any(line.startswith(("error: ", "adb: ")) for line in said):
            cut = self._device.cut(said)
            return f"connection lost, and the {cut.what}", said
        return how, said


class _BeatingInput:
    """A runner's stdin: behind the first bytes is a beat, and others follow until it is closed."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self._lock = stream, threading.Lock()
        self._closed, self._thread = threading.Event(), threading.Thread(target=self._beat, daemon=True)

    def write(self, data: bytes) -> None:
        """Hand bytes in, none of a beat's among them."""
        begins = self._thread.ident is None
        self._hand_in(data + BEAT if begins else data)
        if begins:
            self._thread.start()

    def flush(self) -> None:
        """``write`` has done it."""

    def close(self) -> None:
        self._closed.set()
        self._stream.close()

    def _hand_in(self, data: bytes) -> None:
        with self._lock:
            self._stream.write(data)
            self._stream.flush()

    def _beat(self) -> None:
        with contextlib.suppress(OSError, ValueError):  # adb has ended, or it was closed meanwhile
            while not self._closed.wait(BEAT_S):
                self._hand_in(BEAT)
