"""TFLite files on ``tflite-runtime`` 2.14, the last release before LiteRT, in an environment of its own.

It is what devices that shipped in 2024 run. Its operators stop at the versions of 2023 (``formats.tflite.releases``),
and its XNNPACK takes fewer of them.
"""

from __future__ import annotations

import os

from .. import kits
from .info import TargetInfo
from .remote.process import Process
from .remote.runner import RemoteRunner
from .remote.session import RemoteTarget
from .tflite import KERNELS, Kernels

_KIT = "tflite-2.14"


class TFLite214(RemoteTarget):
    """The interpreter of ``tflite-runtime`` on this machine.

    Args:
        kernels: As ``tflite``'s.
    """

    name = _KIT
    measured = "host"

    def __init__(self, *, kernels: Kernels = "xnnpack") -> None:
        self.options = {"kernels": kernels}

    def start(self) -> RemoteRunner:
        kit = kits.launch(kits.KITS[_KIT])
        pipe = Process(kit.python, os.environ | kit.environment)
        return RemoteRunner(pipe, self.backend, name=self.name, where=str(kit.folder))

    def remedy(self, runner: RemoteRunner) -> str:
        return f"edgeworthy targets install {_KIT}"


TARGETS = (
    TargetInfo(
        _KIT,
        title="TFLite 2.14",
        summary="TFLite on the runtime of 2023, the last before LiteRT: what shipped devices have",
        kind=TFLite214.kind,
        module="",
        distributions=(),
        install=f"edgeworthy targets install {_KIT}",
        make=TFLite214,
        settings={"kernels": KERNELS},
        installed=lambda: kits.version(_KIT),
    ),
)
