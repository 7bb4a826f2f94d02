"""TFLite files on a GPU of this machine: LiteRT's GPU accelerator (``ai-edge-litert``), WebGPU on Vulkan."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

from .. import kits
from ..errors import NotAvailable
from ..formats.tflite.condition import Condition
from ..formats.tflite.operations import read
from ..formats.tflite.summary import OP_NAMES
from ..vocabulary import MeasuredWhere
from . import vulkan
from .asked import ask
from .compiled import Accelerator
from .info import Setting, TargetInfo, one_of
from .leftover import Delegation

GpuPrecision = Literal["float16", "float32"]

_REMEDY = (
    "install the GPU's Vulkan driver and the loader (Debian: libvulkan1), or `edgeworthy targets install gpu` for a "
    "GPU in software; driver=FILE.json names a driver"
)

_COUNTS = re.compile(r"^(No|\d+) operations will run on the GPU, and (?:the remaining|all) (\d+) operations")
_REFUSED = re.compile(r"^([A-Z][A-Z0-9_]*)(?: ([^:]+))?: ?(.*)$")
_OPERATORS = frozenset(OP_NAMES.values())
_REFUSALS = "Following operations are not supported by GPU delegate"
_STRIDES_LOST = Condition.of(
    "kernel == (1, 1) and max(stride_h, stride_w) > 1 and max(y.nhwc[1:3]) > 1 "
    "and weights.dtype in ('int4', 'int8') and x.dtype != 'int16'"
)
"""Of a CONV_2D. ai-edge-litert 2.3.0 gives the first positions of stride 1, on SwiftShader, llvmpipe and in
Chromium alike: it is not the driver. What has int16 activations is left to the CPU."""

_ADAPTER = re.compile(r"Selected adapter: (?P<name>.*), arch=.*, backend=(?P<backend>\w+), adapterType=(?P<kind>.*)$")


class LiteRTGpu(Accelerator):
    """LiteRT's GPU accelerator.

    Args:
        precision: ``float16``: in half floats where the GPU has them, which is LiteRT's own choice.
        driver: The manifest (JSON) of the Vulkan driver to use; empty for the machine's own, else the kit's.
    """

    hardware = "GPU"
    largest = True
    resizes = True
    name = "LiteRT GPU"

    def __init__(self, *, precision: GpuPrecision = "float16", driver: str = "") -> None:
        self.precision = precision
        self.driver = driver

    def version(self) -> str:
        """The installed version, where a Vulkan device is; NotAvailable where there is none."""
        import ai_edge_litert

        self._variables  # noqa: B018 - raises where there is none
        return str(ai_edge_litert.__version__)

    @cached_property
    def _variables(self) -> dict[str, str]:
        """Those under which a device is found: the driver's, else the machine's own, else those of the kit.

        Raises:
            NotAvailable: none finds one.
        """
        if self.driver and not Path(self.driver).is_file():
            raise NotAvailable("there is no such Vulkan driver manifest", where=self.driver, remedy=_REMEDY)
        told = {}
        for variables in [vulkan.environment(self.driver)] if self.driver else [{}, *_kit()]:
            told = ask(Path(vulkan.__file__), environment=os.environ | variables)
            if told.get("devices"):
                return variables
        why = told.get("error", "the driver has none")
        raise NotAvailable(f"there is no Vulkan GPU here: {why}", where=self.driver or None, remedy=_REMEDY)

    def environment(self) -> Any:
        os.environ.update(self._variables)
        vulkan.load(os.environ)
        import ai_edge_litert
        from ai_edge_litert.compiled_model import Environment, EnvironmentOptions

        # A folder without plug-ins: else LiteRT looks for those of NPUs, and may compile for one.
        runtime, none = (str(Path(file).parent) for file in (ai_edge_litert.__file__, __file__))
        return Environment.create(options=EnvironmentOptions(runtime, none, none))

    def options(self) -> dict[str, Any]:
        from ai_edge_litert.compiled_model import GpuOptions

        return {"gpu_options": GpuOptions(enforce_f32=self.precision == "float32")}

    def told(self, lines: Sequence[str], nodes: int) -> Delegation | None:
        return told(lines, nodes)

    def place(self, lines: Sequence[str]) -> tuple[str, MeasuredWhere | None]:
        return place(lines)

    def wrong(self, path: Path) -> tuple[str, ...]:
        return wrong(path)


def wrong(path: Path) -> tuple[str, ...]:
    """The nodes of a file that LiteRT's GPU delegate is known to compute wrongly, on every driver."""
    said = "LiteRT's GPU delegate leaves out the strides of a 1×1 kernel with integer weights: its output is wrong"
    return tuple(f"{op}: {said}" for op in read(path) if op.op == "CONV_2D" and _STRIDES_LOST.holds(op))


def _kit() -> list[dict[str, str]]:
    """The variables of a GPU in software, where its kit is installed."""
    kit = kits.KITS["gpu"]
    return [kits.launch(kit).environment] if kits.look(kit).status == "ready" else []


def told(lines: Sequence[str], nodes: int) -> Delegation | None:
    """What the delegate says of a graph of so many nodes (ai-edge-litert 2.3): what it refuses and how many it takes.

    There is such a message for every subgraph that it doesn't take whole, the main graph's first.
    """
    refused: list[tuple[str, str]] = []
    found, listing = None, False
    for line in lines:
        if _REFUSALS in line:
            refused, listing = [], True
        elif counts := _COUNTS.match(line):
            found, listing = counts, False
            if sum(_counted(counts)) == nodes:
                break
            found = None
        elif listing and (refusal := _REFUSED.match(line)) and refusal[1] in _OPERATORS:
            refused.append((f"CUSTOM:{refusal[2]}" if refusal[2] else refusal[1], refusal[3].strip()))
    if found is None:
        return None
    taken, left = _counted(found)
    return Delegation(
        taken=taken,
        left=left,
        operators=frozenset(op for op, _ in refused),
        reasons=tuple(f"{op}: {why}" for op, why in refused if why),
    )


def _counted(counts: re.Match[str]) -> tuple[int, int]:
    """Nodes taken and left."""
    return 0 if counts[1] == "No" else int(counts[1]), int(counts[2])


def place(lines: Sequence[str]) -> tuple[str, MeasuredWhere | None]:
    """The adapter that was selected; one in software is an emulator."""
    for line in lines:
        if found := _ADAPTER.search(line):
            emulated = found["kind"].startswith("CPU")
            return f"{found['name']}, {found['backend']}", "emulated" if emulated else None
    return "GPU", None


TARGETS = (
    TargetInfo(
        "litert:gpu",
        title="LiteRT GPU",
        summary="TFLite (LiteRT) on this machine's GPU, by WebGPU on Vulkan",
        kind=LiteRTGpu.kind,
        module="ai_edge_litert",
        distributions=("ai-edge-litert",),
        install="pip install ai-edge-litert",
        make=LiteRTGpu,
        options={"precision": "float16"},
        device="gpu",
        probe=True,
        settings={
            "precision": Setting(
                "what to compute in; default: float16 where the GPU has it, as LiteRT does",
                one_of(*get_args(GpuPrecision)),
                "|".join(get_args(GpuPrecision)),
            ),
            "driver": Setting(
                "the manifest of a Vulkan driver; default: the machine's own, else the kit's",
                metavar="FILE.json",
                way=True,
            ),
        },
    ),
)
