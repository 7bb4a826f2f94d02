"""Where a model can run: one file a target, each a ``Target`` with a receipt of what ran.

``targets.get(name)`` gives a runtime for this process; ``targets.worker.Worker`` runs one in a process of its
own. Nothing of a runtime is imported before it is asked for its version or to load a model.

A package of a third party adds a target by an entry point of the group ``edgeworthy.targets`` whose value is a
``TargetInfo``. One that can't be loaded breaks nothing: ``BROKEN`` says why, and so do ``targets`` and ``doctor``.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any

from ..errors import BadInput, EdgeworthyError, NotAvailable, did_you_mean
from . import onnx_reference, onnxruntime, pytorch, tensorflow, tflite
from .info import Target, TargetInfo
from .planned import PLANNED

__all__ = ["PLANNED", "TARGETS", "Target", "TargetInfo", "find", "get", "listed"]

GROUP = "edgeworthy.targets"

_FILES = (pytorch, onnxruntime, onnx_reference, tensorflow, tflite)
"""The order of the hops."""


class Targets(Mapping[str, TargetInfo]):
    """Every target, by name; entry points are loaded when it is first looked into."""

    def __getitem__(self, name: str) -> TargetInfo:
        return self._found[0][name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._found[0])

    def __len__(self) -> int:
        return len(self._found[0])

    @property
    def broken(self) -> dict[str, str]:
        """Name of an entry point that can't be used → why."""
        return self._found[1]

    @property
    def names(self) -> dict[str, str]:
        """Every name and alias → the name."""
        return {alias: target.name for target in self.values() for alias in (target.name, *target.aliases)}

    @property
    def usual(self) -> list[str]:
        """Those that are used when none is asked for."""
        return [target.name for target in self.values() if target.default]

    @cached_property
    def _found(self) -> tuple[dict[str, TargetInfo], dict[str, str]]:
        table = {target.name: target for file in _FILES for target in file.TARGETS}
        broken: dict[str, str] = {}
        for entry in importlib.metadata.entry_points(group=GROUP):
            try:
                target = _load(entry)
            except EdgeworthyError as error:
                broken[entry.name] = "; ".join(filter(None, (error.what, error.where, error.remedy)))
                continue
            if target.name in table:
                broken[entry.name] = f"{entry.value}: there is a target {target.name!r} already"
            else:
                table[target.name] = target
        return table, broken


TARGETS = Targets()


def _load(entry: importlib.metadata.EntryPoint) -> TargetInfo:
    from ..source.factories import user_code

    package = entry.dist.name if entry.dist else "the package that brings it"
    with user_code(entry.value, f"{package} can't be used", f"mend or uninstall {package}"):
        found = entry.load()
    if not isinstance(found, TargetInfo):
        raise BadInput(f"{entry.value} is no TargetInfo", remedy=f"mend or uninstall {package}")
    return found


def find(text: str) -> TargetInfo:
    """The target of ``NAME[:ADDRESS][,OPTION=VALUE …]``, whether or not it can run here.

    Raises:
        BadInput: there is no such target, which names the nearest; or it takes no such address or option.
        NotAvailable: there is none yet, or the package that brings it can't be loaded; says what it would need.
    """
    head, *said = text.split(",")
    options = dict(pair.partition("=")[::2] for pair in said)
    for name, address in _readings(head):
        if name in TARGETS.names:
            return TARGETS[TARGETS.names[name]].given(address, options)
        if name in PLANNED:
            planned = PLANNED[name]
            raise NotAvailable(
                f"target {name} is not built yet: {planned.summary}",
                where="--target",
                details=[f"it would need {planned.needs}"],
                remedy=planned.next_step,
            )
        if name in TARGETS.broken:
            raise NotAvailable(f"target {name} can't be loaded: {TARGETS.broken[name]}", where="--target")
    raise BadInput(
        f"there is no target {head!r}",
        where="--target",
        details=[f"{t.name}: {t.summary}" for t in TARGETS.values()],
        remedy=did_you_mean(head, [*TARGETS.names, *PLANNED], most=3) or "use one of these",
    )


def _readings(head: str) -> Iterator[tuple[str, str]]:
    """Name and address, the longest name first: a name may hold colons itself, as ``litert:gpu`` does."""
    parts = head.split(":")
    for count in range(len(parts), 0, -1):
        yield ":".join(parts[:count]), ":".join(parts[count:])


def listed(texts: Iterable[str]) -> list[str]:
    """Targets out of lists with commas, each once: ``a,b`` is two, and ``a,option=value`` is one with an option."""
    found: list[str] = []
    for piece in ",".join(texts).split(","):
        if "=" in piece and found:
            found[-1] += f",{piece}"
        else:
            found.append(piece)
    return list(dict.fromkeys(found))


def get(name: str, **options: Any) -> Target:
    """The runtime of this name (see ``find``), with options such as pytorch's ``float64=True``.

    Raises:
        BadInput: there is no such target.
        NotAvailable: its package isn't installed, or it is not built yet.
    """
    target = find(name)
    if target.version is None:
        what = f"{target.name} needs {target.module}, which" if target.module else f"what {target.name} needs"
        raise NotAvailable(f"{what} is not installed", remedy=target.install)
    return target.make(**{**target.options, **options})
