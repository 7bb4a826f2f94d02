"""TFLite files on a phone, over adb: on LiteRT's interpreter in a Python there, or in TFLite's benchmark_model.

:mod:`.adb`        the program adb: devices, commands, pushes, and what is wrong when one fails
:mod:`.state`      what a device is, and the heat, frequencies, battery and clock that its times depend on
:mod:`.store`      files by content hash in a folder of the device
:mod:`.python`     the runner of ``targets.remote`` in a Python of the device, or in the kit ``arm64`` pushed there
:mod:`.output`     what benchmark_model prints
:mod:`.tool`       the program benchmark_model on a device
:mod:`.benchmark`  models in it
:mod:`.watched`    times that are taken again when the device throttled
"""

from __future__ import annotations

import re
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from ...errors import BadInput
from ..info import Setting, TargetInfo, one_of
from ..session import check_kind
from ..tflite import KERNELS, Kernels
from . import adb
from .benchmark import BenchmarkSession
from .python import DevicePython, check_kit
from .state import look, observe
from .store import DeviceFiles
from .tool import DELEGATES, Tool, check_program
from .watched import WatchedModel

if TYPE_CHECKING:
    from ...artifact import Artifact
    from ..session import LoadedModel

FOLDER = "/data/local/tmp/edgeworthy"


class Android:
    """A phone, or whatever else runs adbd.

    Args:
        address: Its serial; empty where only one is connected.
        benchmark: TFLite's benchmark_model for its ABI, on this machine.
        python: A Python with LiteRT, on the device. Without this and ``benchmark`` the kit arm64 is pushed.
        delegate: A key of ``DELEGATES``; all but cpu take ``benchmark``.
        kernels: As ``tflite``'s, in a Python.
        cpu_mask: Cores to run on, as a hexadecimal mask.
        workdir: The folder there.

    Raises:
        BadInput: options that don't go together.
    """

    name = "android"
    kind = "tflite"

    def __init__(
        self,
        *,
        address: str = "",
        benchmark: str = "",
        python: str = "",
        delegate: str = "cpu",
        kernels: Kernels = "xnnpack",
        cpu_mask: str = "",
        workdir: str = FOLDER,
    ) -> None:
        self.serial, self.benchmark, self.python = address, benchmark, python
        self.delegate, self.kernels, self.cpu_mask, self.workdir = delegate, kernels, cpu_mask, workdir
        where = f"--target android:{address}" if address else "--target android"
        if benchmark and python:
            raise BadInput("benchmark and python are two ways to run a model", where=where, remedy="give one of them")
        if delegate != "cpu" and not benchmark:
            what = f"delegate={delegate} is benchmark_model's"
            raise BadInput(what, where=where, remedy="add benchmark=PATH, the tool for the device's ABI")
        if kernels != "xnnpack" and benchmark:
            raise BadInput("kernels are those of a Python there", where=where, remedy="leave benchmark or kernels out")

    @cached_property
    def adb(self) -> adb.Adb:
        """The device; raises NotAvailable where it isn't there, or isn't ready."""
        return adb.choose(self.serial)

    def version(self) -> str:
        """What the device is; NotAvailable when it isn't there or can't run what it would be given."""
        device = look(self.adb)
        if self.benchmark:
            check_program(Path(self.benchmark), device)
        elif not self.python:
            check_kit(device, self.adb.where)
        return f"{device.system} on {device.name}"

    def load(self, artifact: Artifact, *, threads: int = 1) -> LoadedModel:
        """Push a file and load it.

        Raises:
            NotAvailable: the device isn't there, or what it is to run isn't for it.
            RuntimeFailure: it has no room, goes away, or its runtime fails on the file.
        """
        check_kind(artifact, self.kind, self.name)
        device = look(self.adb)
        files = DeviceFiles(self.adb, self.workdir)
        first = observe(self.adb)
        if self.benchmark:
            tool = Tool(files, device, Path(self.benchmark), self.delegate, self.cpu_mask)
            model: LoadedModel = BenchmarkSession(tool, artifact, threads)
        else:
            model = self._python.load(artifact, threads=threads)
        return WatchedModel(model, self.adb, device, first)

    @cached_property
    def _python(self) -> DevicePython:
        options = {"kernels": self.kernels}
        files = DeviceFiles(self.adb, self.workdir)
        return DevicePython(files, python=self.python, cpu_mask=self.cpu_mask, options=options)


def _program(text: str) -> str:
    """A path of this machine; the worker has the same current folder."""
    path = Path(text).expanduser()
    if not path.is_file():
        raise ValueError("there is no such file on this machine")
    return str(path.absolute())


def _there(text: str) -> str:
    """An absolute path of the device."""
    if not PurePosixPath(text).is_absolute():
        raise ValueError("it is an absolute path on the device")
    return text


def _mask(text: str) -> str:
    if not re.fullmatch("[0-9a-fA-F]{1,32}", text) or not int(text, 16):
        raise ValueError("it is a mask of cores in hexadecimal, such as f0 for the cores 4 to 7")
    return text


TARGETS = (
    TargetInfo(
        "android",
        title="TFLite on Android",
        summary="TFLite on a phone over adb: LiteRT with XNNPACK, or benchmark_model on CPU, GPU or NNAPI",
        kind=Android.kind,
        module="",
        distributions=(),
        install=adb.INSTALL,
        make=Android,
        probe=True,
        address="SERIAL",
        settings={
            "benchmark": Setting("TFLite's benchmark_model for the device's ABI, on this machine", _program, "PATH"),
            "python": Setting(
                "a Python with LiteRT on the device; default: the kit arm64, pushed there", _there, "PATH"
            ),
            "delegate": Setting(
                "what benchmark_model runs it on; default: cpu", one_of(*DELEGATES), "|".join(DELEGATES)
            ),
            "kernels": KERNELS,
            "cpu_mask": Setting("cores to run on, in hexadecimal, such as f0; default: all", _mask, "MASK"),
            "workdir": Setting(f"a folder of the device; default: {FOLDER}", _there, "FOLDER"),
        },
        measured="device",
        installed=adb.version,
        unlisted=adb.unserved,
    ),
)
