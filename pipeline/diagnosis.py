"""What this machine has: packages, targets, processor features, and how to get what is missing."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from ..convert.routes import CONVERTERS
from ..errors import NotAvailable
from ..source.companions import COMPANIONS, companion
from ..targets import PLANNED, TARGETS
from ..validate import host
from ..validate.host import Host
from .progress import Progress

CPU_FEATURES = (
    "sse4_2", "avx", "f16c", "fma", "avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8",
    "asimd", "asimdhp", "asimddp", "i8mm", "bf16", "sve",
)  # fmt: skip
"""Flags of ``/proc/cpuinfo`` that kernels for float16 and int8 choose by."""

_EXTRAS = {
    "torch": "pip install 'edgeworthy[torch]'",
    "onnxscript": "pip install 'edgeworthy[torch]'",
    "tensorflow": "pip install 'edgeworthy[tensorflow]'",
    "sklearn": "pip install 'edgeworthy[samples]'",
    "transformers": "pip install 'edgeworthy[samples]'",
}
"""Optional module → how to get it."""

_ZOOS = ("torchvision", "timm", "lightning")
"""Modules that bring models, and depend on the version of PyTorch."""

_DISTRIBUTIONS = {"sklearn": ("scikit-learn",), "tensorflow": ("tensorflow-cpu", "tensorflow")}


class ConverterState(BaseModel):
    """A converter of another package on this machine; ``why`` says what is missing and how to get it."""

    model_config = ConfigDict(extra="forbid")

    name: str
    summary: str
    version: str | None
    available: bool
    why: str = ""


class TargetState(ConverterState):
    """A target, likewise.

    Attributes:
        built: False: edgeworthy can't reach it yet, on any machine.
    """

    built: bool = True


class PackageState(BaseModel):
    """A package; ``why`` says what keeps an installed one from being imported."""

    model_config = ConfigDict(extra="forbid")

    name: str
    version: str | None
    optional: bool
    install: str
    why: str = ""


class Diagnosis(BaseModel):
    """What ``edgeworthy doctor`` shows."""

    model_config = ConfigDict(extra="forbid")

    edgeworthy: str
    host: Host
    cpu_features: list[str]
    packages: list[PackageState]
    targets: list[TargetState]
    converters: list[ConverterState]

    @property
    def healthy(self) -> bool:
        """Whether everything that edgeworthy always needs is there."""
        return all(p.version is not None or p.optional for p in self.packages)


def diagnose(progress: Progress) -> Diagnosis:
    """Look at this machine. Imports every installed runtime, which takes seconds."""
    return Diagnosis(
        edgeworthy=importlib.metadata.version("edgeworthy"),
        host=host.current(),
        cpu_features=_cpu_features(),
        packages=[*_required(), *_optional(), *_companions()],
        targets=target_states(progress),
        converters=_converters(),
    )


def target_states(progress: Progress) -> list[TargetState]:
    """Every target, whether it can run here, then those that can't be reached yet."""
    found = []
    with progress.stage("targets"):
        for index, target in enumerate(TARGETS.values()):
            progress.step(target.name, index, len(TARGETS))
            why = target.missing()
            found.append(
                TargetState(
                    name=target.name,
                    summary=target.summary,
                    version=target.version,
                    available=why is None,
                    why=why or "",
                )
            )
    for name, why in TARGETS.broken.items():
        found.append(TargetState(name=name, summary="of another package", version=None, available=False, why=why))
    for entry in PLANNED.values():
        state = TargetState(name=entry.name, summary=entry.summary, version=None, available=False, built=False)
        found.append(state.model_copy(update={"why": entry.why}))
    return found


def _converters() -> list[ConverterState]:
    """What ``--artifact route:NAME`` takes, and what is registered for it and can't be loaded."""
    found = [
        ConverterState(name=info.name, summary=info.summary, version=info.version, available=not why, why=why or "")
        for info in CONVERTERS.values()
        for why in [info.missing()]
    ]
    why_not = CONVERTERS.broken.items()
    lost = "of another package"
    return found + [ConverterState(name=n, summary=lost, version=None, available=False, why=w) for n, w in why_not]


def _required() -> list[PackageState]:
    """The packages that edgeworthy's own metadata names without an extra."""
    found = []
    for requirement in importlib.metadata.requires("edgeworthy") or ():
        if "extra ==" in requirement:
            continue
        name = requirement.partition(";")[0]
        for mark in "<>=!~ ([":
            name = name.partition(mark)[0]
        found.append(_package(name, (name,), optional=False, install=f"pip install {name}"))
    return found


def _optional() -> list[PackageState]:
    return [
        _package(module, _DISTRIBUTIONS.get(module, (module,)), optional=True, install=install)
        for module, install in _EXTRAS.items()
    ]


def _companions() -> list[PackageState]:
    """Packages of models, each imported: they break when they were built for another PyTorch."""
    found = []
    for name in _ZOOS:
        state, why = _package(name, COMPANIONS[name], optional=True, install=f"pip install {name}"), ""
        if state.version is not None:
            try:
                companion(name, f"{name}:")
            except NotAvailable as error:
                why = str(error)
        found.append(state.model_copy(update={"why": why}))
    return found


def _package(name: str, distributions: tuple[str, ...], *, optional: bool, install: str) -> PackageState:
    version = None
    for distribution in distributions:
        try:
            version = version or importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            continue
    return PackageState(name=name, version=version, optional=optional, install=install)


def _cpu_features() -> list[str]:
    info = Path("/proc/cpuinfo")
    if not info.is_file():
        return []
    for line in info.read_text(errors="replace").splitlines():
        if line.startswith(("flags", "Features")):
            flags = set(line.partition(":")[2].split())
            return [feature for feature in CPU_FEATURES if feature in flags]
    return []
