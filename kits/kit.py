"""A kit as data: ``kits/NAME.toml``, and ``kits/NAME.txt`` where it has a Python environment of its own."""

from __future__ import annotations

import difflib
import hashlib
import platform
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from ..errors import BadInput, NotAvailable

FOLDER = Path(__file__).parent

Origin = Literal["debian", "npm", "pypi"]


@dataclass(frozen=True)
class File:
    """A file of a registry.

    Attributes:
        name: The package.
        version: Its version, as the registry writes it.
        path: Where it is: below Debian's ``pool``'s parent, below npm's registry; on PyPI the wheel's name.
        size: Bytes.
        sha256: Hex.
    """

    name: str
    version: str
    path: str = ""
    size: int = 0
    sha256: str = ""

    @property
    def filename(self) -> str:
        """Its name in a folder of downloads: what ``apt-get download``, ``pip download`` or ``npm pack`` give it."""
        base = PurePosixPath(self.path).name
        if base.endswith(".deb") and ":" in self.version:  # the pool leaves the epoch out
            name, _, architecture = base.split("_")
            return f"{name}_{self.version.replace(':', '%3a')}_{architecture}"
        return f"{self.name.strip('@').replace('/', '-')}-{self.version}.tgz" if base.endswith(".tgz") else base


@dataclass(frozen=True)
class Part:
    """Files of one registry that go to one folder of the kit.

    Attributes:
        source: The registry.
        into: The folder, relative to the kit's.
        files: Packages.
        take: Patterns of paths in the package, of which one has to fit (``*`` stands for slashes too).
        leave: Patterns of those among them to leave out.
        suite: Debian's.
        architecture: Debian's; for PyPI the machine of the wheels.
    """

    source: Origin
    into: str
    files: tuple[File, ...]
    take: tuple[str, ...] = ("*",)
    leave: tuple[str, ...] = ()
    suite: str = ""
    architecture: str = ""

    def takes(self, path: str) -> bool:
        """Whether a file of a package belongs to the kit."""
        return any(fnmatchcase(path, p) for p in self.take) and not any(fnmatchcase(path, p) for p in self.leave)


@dataclass(frozen=True)
class Kit:
    """Everything that a target or another converter needs besides edgeworthy's own packages.

    ``{kit}`` in ``python`` and ``environment`` stands for the kit's folder. No file of it names that: it may be moved.

    Attributes:
        name: What ``targets install`` takes.
        summary: What it is.
        package: The package of its parts or requirements whose version it goes by.
        targets: The targets that need it.
        routes: The converters that need it (``convert.routes``). A kit for neither is one that only tests need.
        machines: ``platform.machine()`` of the Linux hosts that it is for; empty for any.
        python: How its own Python is started, or empty.
        environment: Variables of the processes that use it.
        check: Python that ends well if the kit works; its own runs it, with the folder as argument.
        requirements: Packages of a Python environment of its own (``{kit}/env``), as pip takes them.
        borrows: Packages of edgeworthy's own environment that the kit's uses: large ones, of which one is enough.
        claims: The oldest Python that its packages say they need, where they work on ours all the same.
        before: The first Python that its packages have no wheels for; empty where that isn't known.
        snapshot: When it was locked: ``snapshot.debian.org`` has Debian's archive of that time.
        parts: Files of registries.
        write: Files to write, path → text.
    """

    name: str
    summary: str
    package: str
    targets: tuple[str, ...] = ()
    routes: tuple[str, ...] = ()
    machines: tuple[str, ...] = ()
    python: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    check: str = ""
    requirements: tuple[str, ...] = ()
    borrows: tuple[str, ...] = ()
    claims: str = ""
    before: str = ""
    snapshot: str = ""
    parts: tuple[Part, ...] = ()
    write: Mapping[str, str] = field(default_factory=dict)

    @property
    def install(self) -> str:
        """The command that fetches it."""
        return f"edgeworthy {'routes' if self.routes else 'targets'} install {self.name}"

    @property
    def lock(self) -> Path:
        """The file that this was read from."""
        return FOLDER / f"{self.name}.toml"

    @property
    def locked_requirements(self) -> Path:
        return FOLDER / f"{self.name}.txt"

    @property
    def version(self) -> str:
        """That of its package."""
        files = {file.name: file.version for part in self.parts for file in part.files}
        return (files | dict(line.split("==") for line in self.requirements))[self.package]

    @cached_property
    def digest(self) -> str:
        """Changes with whatever would make other files of it: hex SHA-256."""
        made_of = repr((self.parts, sorted(self.write.items()), self.requirements, self.borrows)).encode()
        return hashlib.sha256(
            made_of + (self.locked_requirements.read_bytes() if self.requirements else b"")
        ).hexdigest()

    @property
    def size(self) -> int:
        """Bytes to fetch by hash; those of a Python environment are not known beforehand."""
        return sum(file.size for part in self.parts for file in part.files)

    def serves(self, name: str) -> bool:
        """Whether this is its name, or that of what needs it: a target with or without address and options, a route."""
        head = name.partition(",")[0]
        names = {self.name, *self.targets, *self.routes}
        return any(":".join(head.split(":")[:count]) in names for count in range(1, head.count(":") + 2))

    def check_host(self) -> None:
        """Raise NotAvailable on a machine, or in a Python, that it isn't for."""
        here = platform.machine()
        if sys.platform != "linux" or (self.machines and here not in self.machines):
            raise NotAvailable(
                f"kit {self.name} is for Linux{' on ' + ' or '.join(self.machines) if self.machines else ''}, "
                f"and this is {sys.platform} on {here}",
                remedy="run it there",
            )
        if self.before and sys.version_info[:2] >= tuple(map(int, self.before.split("."))):
            raise NotAvailable(
                f"kit {self.name} has packages for Python before {self.before} alone, and this is "
                f"{sys.version_info.major}.{sys.version_info.minor}",
                remedy="install edgeworthy in an older Python",
            )


def read(name: str) -> Kit:
    """The kit of ``kits/NAME.toml``."""
    table = tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
    parts = tuple(_part(part) for part in table.pop("parts", ()))
    return Kit(name=name, parts=parts, **{key: _frozen(value) for key, value in table.items()})


class Kits(Mapping[str, Kit]):
    """Every kit, by name; read when it is first looked into."""

    def __getitem__(self, name: str) -> Kit:
        return self._read[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read)

    def __len__(self) -> int:
        return len(self._read)

    @cached_property
    def _read(self) -> dict[str, Kit]:
        return {path.stem: read(path.stem) for path in sorted(FOLDER.glob("*.toml"))}


KITS = Kits()


def find(name: str) -> Kit:
    """The kit of this name, or of the target or route of this name (``browser:wasm``).

    Raises:
        BadInput: there is none; names the nearest, or all where none is near.
    """
    for kit in KITS.values():
        if kit.serves(name):
            return kit
    names = dict.fromkeys([*KITS, *(name for kit in KITS.values() for name in (*kit.targets, *kit.routes))])
    near = difflib.get_close_matches(name, names, n=2)
    raise BadInput(
        f"there is no kit {name!r}",
        where="NAME",
        details=[] if near else [f"{kit.name}: {kit.summary}" for kit in KITS.values()],
        remedy=f"did you mean {' or '.join(map(repr, near))}?" if near else "use one of these",
    )


def _part(table: dict[str, Any]) -> Part:
    files = tuple(File(**file) for file in table.pop("files"))
    return Part(files=files, **{key: _frozen(value) for key, value in table.items()})


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
