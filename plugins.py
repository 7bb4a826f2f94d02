"""What packages of third parties add: an entry point for each, whose value says all that others know of it.

The group ``edgeworthy.targets`` adds targets, ``edgeworthy.converters`` converters. One that can't be loaded breaks
nothing: ``broken`` says why, and so does ``edgeworthy doctor``.
"""

from __future__ import annotations

import importlib.machinery
import importlib.metadata
import importlib.util
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Generic, NamedTuple, Protocol, TypeVar

from .errors import BadInput, EdgeworthyError, NotAvailable, did_you_mean
from .source.factories import user_code


class Entry(Protocol):
    """What is registered."""

    @property
    def name(self) -> str: ...

    @property
    def summary(self) -> str: ...


E = TypeVar("E", bound=Entry)


class _Found(NamedTuple, Generic[E]):
    table: dict[str, E]
    packages: dict[str, str]
    broken: dict[str, str]


class Registry(Mapping[str, E]):
    """Every entry by name, ours and those of other packages, which are loaded when it is first looked into.

    Args:
        what: ``target``; the group is ``edgeworthy.targets``.
        kind: The class of the values.
        own: Ours.
    """

    def __init__(self, what: str, kind: type[E], own: Iterable[E] = ()) -> None:
        self.what = what
        self._kind = kind
        self._own = tuple(own)

    def __getitem__(self, name: str) -> E:
        return self._found.table[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._found.table)

    def __len__(self) -> int:
        return len(self._found.table)

    @property
    def packages(self) -> dict[str, str]:
        """Name → the package of a third party that brings it, and its version."""
        return self._found.packages

    @property
    def broken(self) -> dict[str, str]:
        """Name of an entry point that can't be used → why."""
        return self._found.broken

    def find(self, name: str, *, where: str, also: Iterable[str] = ()) -> E:
        """The entry of this name, whether or not it can be used here.

        Args:
            name: What a user asks for.
            where: Of errors.
            also: Other names that may have been meant.

        Raises:
            BadInput: there is no such entry; names the nearest.
            NotAvailable: the package that brings it can't be loaded.
        """
        if name in self:
            return self[name]
        if name in self.broken:
            raise NotAvailable(
                f"{self.what} {name} can't be loaded: {self.broken[name]}",
                where=where,
                remedy="update or reinstall the package that brings it, or uninstall it",
            )
        none = f"install a package that brings it: none adds a {self.what} here"
        raise BadInput(
            f"there is no {self.what} {name!r}",
            where=where,
            details=[f"{entry.name}: {entry.summary}" for entry in self.values()],
            remedy=did_you_mean(name, dict.fromkeys([*self, *also]), most=3) or ("use one of these" if self else none),
        )

    @cached_property
    def _found(self) -> _Found[E]:
        found: _Found[E] = _Found({entry.name: entry for entry in self._own}, {}, {})
        for point in importlib.metadata.entry_points(group=f"edgeworthy.{self.what}s"):
            try:
                entry = self._load(point)
            except EdgeworthyError as error:
                found.broken[point.name] = "; ".join(filter(None, (error.what, error.where, error.remedy)))
                continue
            if entry.name in found.table:
                found.broken[point.name] = f"{point.value}: there is a {self.what} {entry.name!r} already"
                continue
            found.table[entry.name] = entry
            found.packages[entry.name] = f"{point.dist.name} {point.dist.version}" if point.dist else "unknown"
        return found

    def _load(self, point: importlib.metadata.EntryPoint) -> E:
        package = point.dist.name if point.dist else "the package that brings it"
        with user_code(point.value, f"{package} can't be used", f"mend or uninstall {package}"):
            entry = point.load()
        if not isinstance(entry, self._kind):
            raise BadInput(f"{point.value} is no {self._kind.__name__}", remedy=f"mend or uninstall {package}")
        return entry


def installed_version(module: str, distributions: Iterable[str]) -> str | None:
    """The installed version of a module, without importing it; None when it isn't installed.

    Args:
        module: Its name in Python.
        distributions: Packages that may bring it, as pip calls them.
    """
    if not _is_there(module):
        return None
    for distribution in distributions:
        try:
            return importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            continue
    return "unknown"


def _is_there(module: str) -> bool:
    """Whether there is a module; unlike ``find_spec`` this imports no package that a dotted one is in."""
    first, *rest = module.split(".")
    spec = importlib.util.find_spec(first)
    if spec is None or not rest:
        return spec is not None
    places = [Path(folder, *rest) for folder in spec.submodule_search_locations or ()]
    suffixes = importlib.machinery.all_suffixes()
    return any(place.is_dir() or any(Path(f"{place}{end}").is_file() for end in suffixes) for place in places)
