"""TFLite files on LiteRT's kernels for 64-bit Arm, under QEMU: the numbers of a board without one, not its speed."""

from __future__ import annotations

import os

from .. import kits
from ..errors import NotAvailable
from .info import TargetInfo
from .remote.process import Process
from .remote.runner import RemoteRunner
from .remote.session import RemoteTarget
from .tflite import KERNELS, Kernels

_KIT = "arm64"


class Arm64(RemoteTarget):
    """LiteRT's interpreter on Debian's arm64 Python under qemu-user.

    Args:
        kernels: As ``tflite``'s.
    """

    name = "arm64"
    measured = "emulated"

    def __init__(self, *, kernels: Kernels = "xnnpack") -> None:
        self.options = {"kernels": kernels}

    def start(self) -> RemoteRunner:
        kit = kits.launch(kits.KITS[_KIT])
        pipe = Process(kit.python, os.environ | kit.environment)
        runner = RemoteRunner(pipe, self.backend, name=self.name, where=str(kit.folder))
        if runner.place["machine"] != "aarch64":
            runner.close()
            raise NotAvailable(
                f"kit {_KIT} is of {runner.place['machine']}",
                where=str(kit.folder),
                remedy=f"edgeworthy targets remove {_KIT}, then edgeworthy targets install {_KIT}",
            )
        return runner


def _installed() -> str | None:
    state = kits.look(kits.KITS[_KIT])
    return state.kit.version[:12] if state.status == "ready" else None


TARGETS = (
    TargetInfo(
        "arm64",
        title="TFLite on arm64",
        summary="TFLite on 64-bit Arm, emulated by QEMU: the numbers of Arm's kernels, not their speed",
        kind=Arm64.kind,
        module="",
        distributions=(),
        install="edgeworthy targets install arm64",
        make=Arm64,
        settings={"kernels": KERNELS},
        measured="emulated",
        installed=_installed,
    ),
)
