"""What a target is, and what it says of itself."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from ..errors import NotAvailable

if TYPE_CHECKING:
    from ..artifact import Artifact
    from .session import LoadedModel

_ENVIRONMENTS: Mapping[str, dict[str, str]] = {"cpu": {"CUDA_VISIBLE_DEVICES": ""}, "cuda": {}}
"""Device → what its worker's environment needs: runtimes that may use a GPU must not see one on the CPU."""


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
class TargetInfo:
    """All that others know of a target. The file of a target declares it, or a package of a third party.

    Attributes:
        name: What ``--target`` takes.
        title: What rows are called, before the scheme of a TFLite file.
        summary: One line.
        kind: Kind of file that it runs, as ``Artifact.kind``.
        module: The Python module of the runtime.
        distributions: Packages that bring the module, as pip calls them.
        install: How to get it.
        make: Makes the runtime, given its options. Importing it must not import the runtime.
        options: Options that belong to the name.
        device: What it computes on.
        default: Whether it is used when no target is asked for.
        probe: Whether only the imported runtime can tell if it works here (GPUs).
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
    device: Literal["cpu", "cuda"] = "cpu"
    default: bool = False
    probe: bool = False

    @property
    def version(self) -> str | None:
        """The installed version, without importing it; None when it isn't installed."""
        if importlib.util.find_spec(self.module) is None:
            return None
        for distribution in self.distributions:
            try:
                return importlib.metadata.version(distribution)
            except importlib.metadata.PackageNotFoundError:
                continue
        return "unknown"

    @property
    def environment(self) -> dict[str, str]:
        """Variables of its worker process."""
        return _ENVIRONMENTS[self.device]

    def missing(self) -> str | None:
        """Why it can't run here and how to get it; None when it can."""
        if self.version is None:
            return f"{self.module} is not installed; {self.install}"
        if self.probe:
            try:
                self.make(**self.options).version()
            except NotAvailable as error:
                return f"{error.what}; {error.remedy or self.install}"
        return None
