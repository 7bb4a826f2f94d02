"""The program benchmark_model: whether it is for a device, what it can do there, one process of it."""

from __future__ import annotations

import signal
import struct
from collections.abc import Sequence
from pathlib import Path

from ...errors import BadInput, NotAvailable, RuntimeFailure
from ...workers.processes import out_of_memory
from . import output
from .adb import CommandFailed, guarded, words
from .state import DeviceInfo
from .store import DeviceFiles

_COMPILED = "use_cpu"
"""A flag that only the tool for LiteRT's CompiledModel has."""

DELEGATES = {
    "cpu": (("use_xnnpack", _COMPILED), "xnnpack", "XNNPACK"),
    "gpu": (("use_gpu",), "gpu", "GPU"),
    "nnapi": (("use_nnapi",), "nnapi", "NNAPI"),
}
"""What users say → the tool's flags for it, of which the first that it has is used; a word in the delegate's name; and
what reports call it."""

_ABIS = {(2, 183): "arm64-v8a", (1, 40): "armeabi-v7a", (2, 62): "x86_64", (1, 3): "x86", (2, 243): "riscv64"}
"""Class and machine of an ELF header → ABI."""

_RUN_S = 250.0
"""Time for one process of the tool; by itself it stops after 150 s of inferences."""

_WHERE = "https://ai.google.dev/edge/litert/models/measurement has it for Android"


def check_program(path: Path, device: DeviceInfo) -> None:
    """Raise where a file is no program of the device.

    Raises:
        BadInput: there is no such file, or it is no program.
        NotAvailable: it is of another ABI.
    """
    where = f"benchmark={path}"
    try:
        with path.open("rb") as file:
            head = file.read(20)
    except OSError as error:
        what = f"benchmark_model can't be read: {error.strerror}"
        raise BadInput(what, where=where, remedy=f"download it: {_WHERE}") from error
    if head[:2] == b"#!":
        return
    if head[:4] != b"\x7fELF" or len(head) < 20:
        raise BadInput("this is no program", where=where, remedy=f"download it: {_WHERE}")
    order = "<" if head[5] == 1 else ">"
    abi = _ABIS.get((head[4], struct.unpack_from(f"{order}H", head, 18)[0]), "another machine")
    if abi not in device.abis:
        raise NotAvailable(
            f"this program is for {abi}, and the device runs {', '.join(device.abis)}",
            where=where,
            remedy=f"download that of its ABI: {_WHERE}",
        )


class Tool:
    """benchmark_model in a device's folder.

    Args:
        path: The program, on this machine.
        delegate: A key of ``DELEGATES``.
        cpu_mask: Cores to run on, as ``taskset`` takes them; empty for all.

    Raises:
        BadInput, NotAvailable: as ``check_program``; or it lacks the delegate.
        RuntimeFailure: it can't be pushed or started.
    """

    def __init__(self, files: DeviceFiles, device: DeviceInfo, path: Path, delegate: str, cpu_mask: str) -> None:
        check_program(path, device)
        self.files, self.device, self.delegate = files, device, delegate
        self._prefix = ["taskset", cpu_mask] if cpu_mask else []
        self._name = files.put(path)
        try:
            text = self.run(["--help"])
        except ToolFailed as failed:  # it ends with 1 after the list
            text = failed.said
        self.flags = output.flags(text)
        if "graph" not in self.flags:
            raise NotAvailable(
                "this program lists none of benchmark_model's flags",
                where=f"benchmark={path}",
                details=output.errors(text),
                remedy=f"use TFLite's: {_WHERE}",
            )
        self.flag = next((flag for flag in DELEGATES[delegate][0] if flag in self.flags), "")
        if not self.flag:
            what = f"this benchmark_model has no --{DELEGATES[delegate][0][0]}"
            remedy = f"leave delegate={delegate} out, or use a build that has it"
            raise NotAvailable(what, where=f"benchmark={path}", remedy=remedy)
        if delegate != "cpu" and _COMPILED in self.flags:
            raise NotAvailable(
                "this is LiteRT's tool for CompiledModel, whose runs end before a GPU's outputs are there",
                where=f"benchmark={path}",
                remedy=f"use TFLite's, whose times are of the whole inference: {_WHERE}",
            )

    def run(self, arguments: Sequence[str], left: str = "") -> str:
        """What one process of it prints.

        Args:
            left: The file that it writes, removed where this machine or the connection is gone.

        Raises:
            ToolFailed: it ended with something else than 0.
            OutOfMemory: it was killed.
        """
        command = guarded(words(*self._prefix, f"./{self._name}", *arguments), left)
        try:
            return self.files.shell(command, timeout_s=_RUN_S).decode(errors="replace")
        except CommandFailed as failed:
            text = "\n".join(failed.said.decode(errors="replace").splitlines())
            raise self._told(failed.code, text) from failed

    def _told(self, code: int, text: str) -> RuntimeFailure | NotAvailable:
        where, said = self.files.adb.where, output.errors(text)
        if code in (126, 127):
            what = "benchmark_model can't be executed there" if code == 126 else "benchmark_model finds no loader there"
            return NotAvailable(what, where=where, details=said, remedy=f"use the build for {self.device.abis[0]}")
        if code == 128 + signal.SIGKILL:
            what = "benchmark_model was killed with SIGKILL, as when memory runs out"
            return out_of_memory(what, 0, where=where, details=said)
        how = f"crashed with {signal.Signals(code - 128).name}" if code > 128 else f"ended with exit code {code}"
        failed = ToolFailed(
            f"benchmark_model {how}",
            where=where,
            details=said,
            remedy="use a Python there (leave benchmark out), or another build of benchmark_model",
        )
        failed.said = text
        return failed


class ToolFailed(RuntimeFailure):
    """benchmark_model ended with something else than 0.

    Attributes:
        said: All that it printed.
    """

    said = ""
