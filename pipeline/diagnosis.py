"""What this machine has: packages, targets, processor features, and how to get what is missing."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Iterable
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from .. import kits
from ..convert.routes import CONVERTERS, ConverterInfo
from ..errors import BadInput, NotAvailable
from ..source.companions import COMPANIONS, companion
from ..targets import TARGETS, TargetInfo, find
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


class EntryState(BaseModel):
    """Something that can run on this machine or can't; ``why`` says what is missing and how to get it."""

    model_config = ConfigDict(extra="forbid")

    name: str
    summary: str
    version: str | None
    available: bool
    why: str = ""


class ConverterState(EntryState):
    """A converter, likewise.

    Attributes:
        takes: What it starts from, ``onnx`` or ``pt2``; empty where it can't be loaded.
        makes: The kind of its file.
        opset: The newest that it reads; None for any.
        kit: State of its kit (``kits.Installation.status``); None where it needs none.
        size_bytes: Of its kit, on disk.
    """

    takes: str = ""
    makes: str = ""
    opset: int | None = None
    kit: str | None = None
    size_bytes: int = 0


class KitState(BaseModel):
    """A kit on this machine (``kits.Installation``), and how long its installation took."""

    model_config = ConfigDict(extra="forbid")

    name: str
    summary: str
    targets: list[str]
    version: str
    status: str
    folder: str
    size_bytes: int
    seconds: float | None = None

    @classmethod
    def of(cls, state: kits.Installation, *, seconds: float | None = None) -> KitState:
        kit = state.kit
        return cls(name=kit.name, summary=kit.summary, targets=list(kit.targets), version=kit.version,
                   status=state.status, folder=str(state.folder), size_bytes=state.size, seconds=seconds)  # fmt: skip


class TargetState(EntryState):
    """A target, likewise.

    Attributes:
        kit: State of the kit that it needs (``kits.Installation.status``); None where it needs none.
    """

    kit: str | None = None


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
        converters=converter_states(),
    )


def target_states(progress: Progress) -> list[TargetState]:
    """Every target, and whether it can run here."""
    found = []
    with progress.stage("targets"):
        for index, target in enumerate(TARGETS.values()):
            progress.step(target.name, index, len(TARGETS))
            why = target.missing(starts=False)
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
    kit_of = {target: kits.look(kit).status for kit in kits.KITS.values() for target in kit.targets}
    return [state.model_copy(update={"kit": kit_of.get(state.name)}) for state in found]


def kits_of(names: Iterable[str]) -> list[kits.Kit]:
    """The kits of these names, targets or converters, each once.

    Raises:
        BadInput: there is none of a name, or what it names needs none.
    """
    found = {}
    for name in names:
        try:
            kit = kits.find(name)
        except BadInput:
            if name in CONVERTERS:
                entry: ConverterInfo | TargetInfo = CONVERTERS[name]
            elif name.partition(":")[0] in TARGETS.names:
                entry = find(name)
            else:
                raise
            raise BadInput(f"{entry.name} needs no kit", where="NAME", remedy=entry.install) from None
        found[kit.name] = kit
    return list(found.values())


def kit_states() -> list[KitState]:
    """Every kit but the converters'; its files are not read."""
    return [KitState.of(kits.look(kit)) for kit in kits.KITS.values() if not kit.routes]


def converter_states() -> list[ConverterState]:
    """What ``--artifact route:NAME`` takes, and what is registered for it and can't be loaded."""
    found = []
    for info in CONVERTERS.values():
        why, kit = info.missing(), kits.look(kits.KITS[info.kit]) if info.kit else None
        found.append(
            ConverterState(
                name=info.name,
                summary=info.summary,
                version=info.version,
                available=why is None,
                why=why or "",
                takes=info.takes,
                makes=info.makes,
                opset=info.opset,
                kit=kit.status if kit else None,
                size_bytes=kit.size if kit else 0,
            )
        )
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
