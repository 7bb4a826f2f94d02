"""TFLite files on an NPU through LiteRT's vendor plug-ins: Intel's, by OpenVINO, is in the ``ai-edge-litert`` package.

A plug-in is a folder with ``compiler/`` (compiles parts of the file when it is loaded) and ``dispatch/`` (runs them).
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import NotAvailable
from ..formats.tflite.summary import OP_NAMES, TFLiteSummary
from ..vocabulary import MeasuredWhere
from . import environments
from .compiled import Accelerator
from .info import Setting, TargetInfo
from .leftover import Delegation
from .openvino import DEVICE, HINTS, INSTALL, KIT, PRECISION, DeviceKind, Precision, check_names, devices, installed

_LIBRARIES = ("libtbb.so.*", "libopenvino.so.*", "libopenvino_tensorflow_lite_frontend.so.*")
"""What Intel's plug-in is linked against, each after what it needs itself."""

_FLOAT32_ON_CPU = {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE_VNNI"}
"""The plug-in forgets the precision when it runs what it compiled; without bfloat16's instructions it has no choice."""

_WHICH = f"{INSTALL}: the plug-in of ai-edge-litert 2.3 is linked against that version"
_PARTS = re.compile(r"Partitioned subgraph<0>, selected (\d+) ops, from a total of (\d+) ops\. resulted in (\d+) part")
_REFUSED = re.compile(r"op type (\d+) is not supported")
_FAULT = re.compile(r"^(?:ERROR: \[openvino_compiler_plugin|Exception from .*: *$|.*(?:Error|rror:) )")
_NONE_APPLIED = "0 compiler plugins were applied"
_DEVICE = re.compile(r"Dispatch: using device '(\w+)'")


class LiteRTNpu(Accelerator):
    """LiteRT's NPU accelerator with Intel's plug-in, or another vendor's.

    Args:
        device: What OpenVINO runs on; what isn't the NPU stands in for it.
        precision: What it computes in; None for OpenVINO's own choice.
        plugin: A folder with ``compiler`` and ``dispatch``; empty for Intel's.
    """

    hardware = "NPU"
    name = "LiteRT NPU"
    wide = False

    def __init__(self, *, device: DeviceKind = "npu", precision: Precision | None = None, plugin: str = "") -> None:
        self.device = device
        self.precision = precision
        self.plugin = plugin

    def version(self) -> str:
        """The installed version, where the plug-in and its device are.

        Raises:
            NotAvailable: one of them isn't.
        """
        import ai_edge_litert

        self._folders()
        if not self.plugin:
            devices(self.device)
        return str(ai_edge_litert.__version__)

    def environment(self) -> Any:
        compiler, dispatch = self._folders()
        if not self.plugin:
            if self.device == "cpu" and self.precision == "float32":
                os.environ.update(_FLOAT32_ON_CPU)
            _load_openvino(next(dispatch.glob("*.so")))
        import ai_edge_litert
        from ai_edge_litert.compiled_model import Environment, EnvironmentOptions

        runtime = str(Path(ai_edge_litert.__file__).parent)
        return Environment.create(options=EnvironmentOptions(runtime, str(compiler), str(dispatch)))

    def options(self) -> dict[str, Any]:
        from ai_edge_litert.compiled_model import IntelOpenVinoOptions

        hint = {"INFERENCE_PRECISION_HINT": HINTS[self.precision]} if self.precision else {}
        backend = IntelOpenVinoOptions.GRAPH_BACKEND[self.device.upper()]
        return {"intel_openvino_options": IntelOpenVinoOptions(graph_backend=backend, configs_map=hint)}

    def check(self, file: TFLiteSummary) -> None:
        if not self.plugin:
            check_names(file)

    def told(self, lines: Sequence[str], nodes: int) -> Delegation | None:
        return told(lines)

    def place(self, lines: Sequence[str]) -> tuple[str, MeasuredWhere | None]:
        return place(lines)

    def _folders(self) -> tuple[Path, Path]:
        """Those of the plug-in's compiler and of its dispatch library."""
        import ai_edge_litert

        own = Path(ai_edge_litert.__file__).parent / "vendors" / "intel_openvino"
        plugin = Path(self.plugin).expanduser() if self.plugin else own
        folders = plugin / "compiler", plugin / "dispatch"
        for folder, library in zip(folders, ("libLiteRtCompilerPlugin_*.so", "libLiteRtDispatch_*.so"), strict=True):
            if not any(folder.glob(library)):
                raise NotAvailable(
                    f"the NPU plug-in has no {library}",
                    where=str(folder),
                    remedy="name a folder with compiler/ and dispatch/ by plugin=FOLDER: those of other vendors come "
                    "with their own SDKs, and their dispatch libraries run on their devices alone",
                )
        return folders


def _load_openvino(dispatch: Path) -> None:
    """Load OpenVINO's libraries, wherever it is installed, so that the plug-in finds them.

    Raises:
        NotAvailable: they are missing, or of another version than the plug-in's.
    """
    environments.borrow(KIT)
    spec = importlib.util.find_spec("openvino")
    if spec is None or not spec.submodule_search_locations:
        raise NotAvailable("openvino is not installed", remedy=_WHICH)
    folder = Path(spec.submodule_search_locations[0]) / "libs"
    try:
        for pattern in _LIBRARIES:
            for library in sorted(folder.glob(pattern)):
                ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
        ctypes.CDLL(str(dispatch))
    except OSError as error:
        raise NotAvailable(f"the NPU plug-in can't be loaded: {error}", where=str(dispatch), remedy=_WHICH) from error


def told(lines: Sequence[str]) -> Delegation | None:
    """What LiteRT's partitioner and Intel's plug-in say (ai-edge-litert 2.3)."""
    parts = [found for line in lines if (found := _PARTS.search(line))]
    if not parts:
        return None
    taken, total, count = map(int, parts[-1].groups())
    if any(_NONE_APPLIED in line for line in lines):
        faults = tuple(line for line in lines if _FAULT.match(line))
        return Delegation(0, total, frozenset(), ("the plug-in failed to compile its part", *faults), 0)
    refused = [OP_NAMES.get(int(found[1]), found[1]) for line in lines if (found := _REFUSED.search(line))]
    reasons = tuple(f"{op}: not supported" for op in dict.fromkeys(refused))
    return Delegation(taken, total - taken, frozenset(refused), reasons, count)


def place(lines: Sequence[str]) -> tuple[str, MeasuredWhere | None]:
    """The device that dispatches; the CPU and the GPU stand in for an NPU."""
    for line in lines:
        if found := _DEVICE.search(line):
            return f"OpenVINO {found[1]}", None if found[1] == "NPU" else "emulated"
    return "NPU", None


TARGETS = (
    TargetInfo(
        "litert:npu",
        title="LiteRT NPU",
        summary="TFLite (LiteRT) on this machine's NPU, by a vendor's plug-in; Intel's by default",
        kind=LiteRTNpu.kind,
        module="openvino",
        distributions=("openvino",),
        install=INSTALL,
        make=LiteRTNpu,
        options={"precision": None},
        installed=installed,
        device="npu",
        probe=True,
        settings={
            "device": replace(DEVICE, about=DEVICE.about.format("npu; the others stand in for it")),
            "precision": replace(PRECISION, about=PRECISION.about.format("as OpenVINO chooses")),
            "plugin": Setting("a vendor's plug-in, with compiler/ and dispatch/; default: Intel's", metavar="FOLDER"),
        },
    ),
)
