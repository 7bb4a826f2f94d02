"""int8 TFLite files on Arm's Ethos-U NPUs, by Arm's own compiler Vela: share of the NPU, and an estimate of cycles.

Sources: the files and messages of ``ethos-u-vela`` 5.2.
"""

from __future__ import annotations

import csv
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

from ..artifact import Artifact, Receipt
from ..errors import BadInput, NotAvailable, RuntimeFailure
from ..formats.tflite.operations import read
from ..schemes import SCHEMES
from . import environments
from .info import Setting, TargetInfo, one_of
from .offline import OfflineModel, compiled, left_in_float, precision, run_compiler
from .rules.vela import CONFIGURATIONS
from .session import LoadedModel, check_kind

_PACKAGE, _KIT = "ethos-u-vela", "ethos-u"
_DEFAULT = "55-128"
_OPERATOR = "ethos-u"
_REASON = re.compile(r"^Warning \(.*\) operator: (\S+), ofm: '(.*)'\nReason: (.*)$", re.M)
_KIB = 1024


class EthosU:
    """Vela for one configuration.

    Args:
        address: NPU and its multiply-accumulates a cycle, such as ``65-256``.
        memory_mode, system_config: Names of Arm's ``vela.ini``; default: Vela's own for this NPU.
        optimise: ``performance`` or ``size``.
    """

    kind = "tflite"
    name = "ethos-u"

    def __init__(
        self,
        *,
        address: str = _DEFAULT,
        memory_mode: str | None = None,
        system_config: str | None = None,
        optimise: str = "performance",
    ) -> None:
        self.address = address
        self._options = [
            f"--accelerator-config=ethos-u{address}",
            f"--optimise={optimise.capitalize()}",
            *([f"--memory-mode={memory_mode}"] if memory_mode else []),
            *([f"--system-config={system_config}"] if system_config else []),
        ]

    def version(self) -> str:
        """The compiler's."""
        found = environments.version(_PACKAGE, _KIT)
        if found is None:
            raise NotAvailable(f"{_PACKAGE} is not installed", remedy=_INSTALL)
        return found

    def load(self, artifact: Artifact, *, threads: int = 1) -> LoadedModel:
        """Compile a file; what is compiled is thrown away, as it can't be run here.

        Raises:
            BadInput: Vela doesn't know the configuration.
            RuntimeFailure: it refuses the file.
        """
        check_kind(artifact, self.kind, self.name)
        with tempfile.TemporaryDirectory(prefix="edgeworthy-") as folder:
            out = Path(folder)
            said = self._compile(artifact.path, out)
            summary = read_summary(_written(out, "*_summary_*.csv"))
            after = _written(out, "*_vela.tflite")
            nodes, taken, partitions, fallback = compiled(artifact.path, after, _OPERATOR)
        operations = read(artifact.path)
        npu = summary["accelerator_configuration"].replace("_", "-")
        receipt = Receipt(
            asked=npu,
            ran=f"{npu}, estimated by Vela {self.version()}" if taken else "CPU",
            nodes=nodes,
            delegated=taken,
            partitions=partitions,
            precision=precision(operations),
            notes=(*notes(summary), *left_in_float(operations, "ethos-u"), *reasons(said)),
            fallback=fallback,
        )
        nanoseconds = round(float(summary["inference_time"]) * 1e9)
        sram = round(float(summary["sram_memory_used"]) * _KIB)
        return OfflineModel(artifact, receipt, nanoseconds if taken else None, sram)

    def _compile(self, path: Path, out: Path) -> str:
        python = environments.python(_PACKAGE, _KIT)
        command = [python, "-m", "ethosu.vela", *self._options, f"--output-dir={out}", str(path.absolute())]
        try:
            return run_compiler("vela", command, path)
        except RuntimeFailure as error:
            if "invalid choice" in error.what or "CLI option" in error.what:
                said = error.what.rpartition("rror: ")[2].strip("'")
                raise BadInput(
                    f"Vela: {said}",
                    where=f"--target ethos-u:{self.address}",
                    remedy="leave memory_mode and system_config out, or name ones that Arm's vela.ini has",
                ) from error
            raise


def _written(folder: Path, pattern: str) -> Path:
    found = [*folder.glob(pattern)]
    if len(found) != 1:
        raise RuntimeFailure(f"Vela wrote {len(found)} files {pattern}, and one was expected", remedy=_INSTALL)
    return found[0]


def read_summary(path: Path) -> dict[str, str]:
    """Column → value of the one row of ``*_summary_*.csv``.

    Raises:
        RuntimeFailure: it has another form than Vela 5 writes.
    """
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    missing = [name for name in _COLUMNS if not rows or name not in rows[0]]
    if missing:
        raise RuntimeFailure(f"Vela's summary lacks {', '.join(missing)}", where=path.name, remedy=_INSTALL)
    return rows[0]


_COLUMNS = (
    "accelerator_configuration", "system_config", "memory_mode", "core_clock", "inference_time", "sram_memory_used",
    "dram_memory_used", "on_chip_flash_memory_used", "off_chip_flash_memory_used", "cycles_npu", "cycles_total",
    "nn_macs",
)  # fmt: skip


def notes(summary: Mapping[str, str]) -> tuple[str, ...]:
    """What the summary tells besides the time."""
    memories = {
        "SRAM": "sram_memory_used",
        "DRAM": "dram_memory_used",
        "on-chip flash": "on_chip_flash_memory_used",
        "off-chip flash": "off_chip_flash_memory_used",
    }
    used = [f"{float(summary[key]):.1f} KiB {name}" for name, key in memories.items() if float(summary[key])]
    clock = float(summary["core_clock"]) / 1e6
    return (
        f"{summary['system_config']}, {summary['memory_mode']}, {clock:.0f} MHz",
        f"{int(float(summary['cycles_total']))} cycles, of which the NPU computes in "
        f"{int(float(summary['cycles_npu']))}; nodes on the CPU are not in it",
        ", ".join(used) or "no memory",
    )


def reasons(said: str) -> tuple[str, ...]:
    """Why Vela left nodes to the CPU, as it printed: operator, result, reason."""
    return tuple(f"{op} {name}: {reason}" for op, name, reason in _REASON.findall(said))


_INSTALL = "edgeworthy targets install ethos-u, or pip install ethos-u-vela"

TARGETS = (
    TargetInfo(
        "ethos-u",
        title="Ethos-U",
        summary="int8 TFLite on Arm's Ethos-U NPUs: what Arm's compiler takes, and its estimate of the time",
        kind=EthosU.kind,
        module="",
        distributions=(_PACKAGE,),
        install=_INSTALL,
        make=EthosU,
        address="55-128|65-256|85-256|…",
        place=one_of(*(name for names in CONFIGURATIONS.values() for name in names)),
        settings={
            "memory_mode": Setting("a memory mode of Arm's vela.ini, such as Sram_Only; default: Vela's"),
            "system_config": Setting("a system of Arm's vela.ini; default: Vela's for the NPU"),
            "optimise": Setting("for what; default: performance", one_of("performance", "size"), "performance|size"),
        },
        measured="estimated",
        schemes=tuple(s.name for s in SCHEMES.values() if s.method == "static"),
        installed=lambda: environments.version(_PACKAGE, _KIT),
        computes=False,
    ),
)
