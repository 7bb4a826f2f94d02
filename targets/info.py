"""What a target is, and what it says of itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol

from ..errors import BadInput, NotAvailable, did_you_mean
from ..plugins import installed_version
from ..vocabulary import MeasuredWhere
from . import cuda

if TYPE_CHECKING:
    from ..artifact import Artifact
    from .session import LoadedModel


class Target(Protocol):
    """Something that runs artifacts of one kind."""

    @property
    def name(self) -> str: ...

    @property
    def kind(self) -> str:
        """``Artifact.kind`` of the files that it runs."""
        ...

    def version(self) -> str:
        """Import the runtime and tell its version; NotAvailable when it can't run here."""
        ...

    def load(self, artifact: Artifact, *, threads: int = 1) -> LoadedModel: ...


@dataclass(frozen=True)
class Setting:
    """An option of a target, as in ``--target android,cpu_mask=f0``.

    Attributes:
        about: What it does, and what it is by default.
        read: Makes the value of a text; ``ValueError`` says what is wrong with it.
        metavar: Shown in place of the value.
        way: Whether it is of the way there, and not of what runs: rows are not called by it.
    """

    about: str
    read: Callable[[str], Any] = str
    metavar: str = "TEXT"
    way: bool = False


def one_of(*words: str) -> Callable[[str], str]:
    """A ``Setting.read`` that takes one of these words."""

    def read(text: str) -> str:
        if text not in words:
            raise ValueError(f"it is one of {', '.join(words)}")
        return text

    return read


def between(low: int, high: int) -> Callable[[str], int]:
    """A ``Setting.read`` that takes a whole number of this range."""

    def read(text: str) -> int:
        if not text.isdecimal() or not low <= int(text) <= high:
            raise ValueError(f"it is a whole number from {low} to {high}")
        return int(text)

    return read


def switch(text: str) -> bool:
    """A ``Setting.read`` that takes ``true`` or ``false``."""
    return one_of("true", "false")(text) == "true"


TF32 = {"tf32": Setting("let matrix units round float32 to 10 bits of mantissa; default: false", switch, "true|false")}
"""The option of every target on CUDA: what frameworks call float32 there is not, unless they are told so."""

_EVERYWHERE = {
    "require_full_delegation": Setting("fail when a node runs elsewhere; default: false", switch, "true|false"),
}
"""The options that every target has."""


@dataclass(frozen=True)
class TargetInfo:
    """All that others know of a target. The file of a target declares it, or a package of a third party.

    Attributes:
        name: What ``--target`` takes; with address and options once they are given (``given``).
        title: What rows are called, before the scheme of a TFLite file.
        summary: One line.
        kind: Kind of file that it runs, as ``Artifact.kind``.
        module: The Python module of the runtime; empty where ``installed`` tells.
        distributions: Packages that bring the module, as pip calls them.
        install: How to get it.
        make: Makes the runtime, given its options. Importing it must not import the runtime.
        options: Options that belong to the name.
        device: What it computes on.
        default: Whether it is used when no target is asked for.
        baseline_rank: Whose latency others are compared with if nobody says: the float32 row's of the highest.
        probe: Whether only the imported runtime can tell if it works here (GPUs).
        aliases: Other names of it.
        address: What comes after the name and a colon, such as ``SERIAL``; empty where nothing does.
        place: Reads an address; ``ValueError`` or ``BadInput`` says what is wrong with it.
        needs_address: Whether it can't do without one.
        settings: The options that users may give, by name; arguments of ``make`` as well.
        measured: Where a latency of it is taken.
        schemes: Schemes of TFLite files that it takes; None for all.
        installed: Tells the version of what no Python module of ours brings, or None.
        computes: Whether it gives outputs; False for what only estimates.
        require_full_delegation: Whether a node that the accelerator doesn't take is a failure.
        unlisted: Why a list doesn't look whether it can run here: that would start what stays, such as a server. None
            where nothing would be started.
    """

    name: str
    title: str
    summary: str
    kind: str
    module: str
    distributions: tuple[str, ...]
    install: str
    make: Callable[..., Target]
    options: Mapping[str, Any] = field(default_factory=dict)
    device: Literal["cpu", "cuda", "gpu", "npu"] = "cpu"
    default: bool = False
    baseline_rank: int = 0
    probe: bool = False
    aliases: tuple[str, ...] = ()
    address: str = ""
    place: Callable[[str], object] = str
    needs_address: bool = False
    settings: Mapping[str, Setting] = field(default_factory=dict)
    measured: MeasuredWhere = "host"
    schemes: tuple[str, ...] | None = None
    installed: Callable[[], str | None] | None = None
    computes: bool = True
    require_full_delegation: bool = False
    unlisted: Callable[[], str | None] | None = None

    def takes(self, artifact: Artifact) -> bool:
        """Whether it runs this file, as far as kind and scheme tell."""
        return artifact.kind == self.kind and self.takes_scheme(getattr(artifact, "scheme", None))

    def takes_scheme(self, scheme: str | None) -> bool:
        """Whether it runs files of this scheme, of its kind."""
        return scheme is None or self.schemes is None or scheme in self.schemes

    def given(self, address: str, options: Mapping[str, str]) -> TargetInfo:
        """This target at an address, with options: ``NAME[:ADDRESS][,OPTION=VALUE …]``.

        Raises:
            BadInput: it takes no address, or no such option, or not this value of it.
        """
        if not address and not options:
            return self
        where = f"--target {self.name}"
        if address and not self.address:
            raise BadInput(
                f"{self.name} takes no address, and was given {address!r}",
                where=where,
                remedy=f"write {self.name}, and options behind a comma",
            )
        if address:
            _read(self.place, address, address, where, f"write {self.name}:{self.address}")
        read, settings = {}, {**self.settings, **_EVERYWHERE}
        for name, text in options.items():
            if name not in settings:
                known = [f"{n}={s.metavar}: {s.about}" for n, s in settings.items()]
                raise BadInput(
                    f"{self.name} has no option {name!r}",
                    where=where,
                    details=known,
                    remedy=did_you_mean(name, settings) or "use one of these",
                )
            one = settings[name]
            read[name] = _read(one.read, text, f"{name}={text}", where, f"write {name}={one.metavar}: {one.about}")
            if not text:
                raise BadInput(f"{name}= has no value", where=where, remedy=f"write {name}={settings[name].metavar}")
        full = read.pop("require_full_delegation", self.require_full_delegation)
        place = {"address": address} if address else {}
        said = {name: f"{name}={text}" for name, text in options.items()}
        told = [*place.values(), *(text for name, text in said.items() if not settings[name].way)]
        return replace(
            self,
            name=",".join([self.name + (f":{address}" if address else ""), *said.values()]),
            title=f"{self.title} ({', '.join(told)})" if told else self.title,
            options={**self.options, **place, **read},
            require_full_delegation=full,
        )

    @property
    def rounds(self) -> bool:
        """Whether it may compute in less than float32, told so or by itself: a signal-to-noise ratio is its limit then.

        One that chooses by itself says so in ``options``: its ``precision`` is there, and isn't ``float32``.
        """
        return bool(self.options.get("tf32")) or self.options.get("precision", "float32") != "float32"

    @property
    def version(self) -> str | None:
        """The installed version, without importing it; None when it isn't installed."""
        if self.installed is not None:
            return self.installed()
        return installed_version(self.module, self.distributions)

    @property
    def environment(self) -> dict[str, str]:
        """Variables of its worker process.

        Runtimes that may use a GPU must not see one on the CPU. On it, cuBLAS, cuDNN and TensorRT must compute
        float32 in float32, unless the option ``tf32`` says otherwise.
        """
        if self.device == "cpu":
            return {"CUDA_VISIBLE_DEVICES": ""}
        return {} if self.options.get("tf32") else {"NVIDIA_TF32_OVERRIDE": "0"}

    def absence(self) -> NotAvailable | None:
        """Why it can't run here and how to get it; None when it can."""
        if self.version is None:
            return NotAvailable(f"{self.module or self.name} is not installed", remedy=self.install)
        if self.needs_address and "address" not in self.options:
            return NotAvailable(
                f"it needs an address: {self.name}:{self.address}", remedy=f"write --target {self.name}:{self.address}"
            )
        if self.device == "cuda" and (why := cuda.missing()):
            return NotAvailable(why, remedy=f"it needs an NVIDIA GPU with its driver, and {self.install}")
        if self.probe:
            try:
                self.make(**self.options).version()
            except NotAvailable as error:
                error.remedy = error.remedy or self.install
                return error
        return None

    def missing(self, *, starts: bool = True) -> str | None:
        """``absence`` in one line.

        Args:
            starts: Whether something may be started that stays, such as a server, to find out.
        """
        if not starts and self.version and self.unlisted and (why := self.unlisted()):
            return why
        absence = self.absence()
        return None if absence is None else "; ".join(filter(None, (absence.what, absence.remedy)))


def _read(read: Callable[[str], Any], text: str, shown: str, where: str, remedy: str) -> Any:
    try:
        return read(text)
    except ValueError as error:
        raise BadInput(f"{shown}: {error}", where=where, remedy=remedy) from error
