"""Kits on this machine: installed, looked at, started, removed.

A kit lies in ``HOME/kits/NAME``, whole or not at all: it is built beside and renamed once it is complete and its check
has passed. ``kit.json`` in it says of which lock it is, and lists every file by hash and size.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from .. import files
from ..errors import NotAvailable
from ..workers.processes import not_started
from . import python, use, whole
from .fetch import check_offline, fetch
from .kit import Kit, find
from .place import check_place, exists, home
from .unpack import unpack

STAMP = "kit.json"
_CHECK_S = 300
_ENVIRONMENT = "env"

_ALONE = {"PYTHONHOME": "", "PYTHONPATH": "", "PYTHONNOUSERSITE": "1"}
"""What a kit's own Python must not see: the packages of another."""

KitProgress = Callable[[str, int, int], None]
"""Is told what is being done, how many bytes are there, and how many there will be."""


def _silent(what: str, done: int, total: int) -> None:
    """Progress that nobody looks at."""


@dataclass(frozen=True)
class Launch:
    """How an installed kit is used.

    Attributes:
        folder: Where it is.
        python: The beginning of a command line that runs its own Python; empty where it has none.
        environment: Variables of the process that uses it.
    """

    folder: Path
    python: tuple[str, ...]
    environment: dict[str, str]


@dataclass(frozen=True)
class Installation:
    """A kit on this machine.

    Attributes:
        kit: Which.
        folder: Where it is, or would be.
        status: ``outdated`` is one of another lock, or whose environment is of another Python than this one;
            ``broken`` one that lost a file, has a changed one, or borrows what is gone.
        faults: What is wrong with it.
        size: Bytes on disk.
    """

    kit: Kit
    folder: Path
    status: Literal["absent", "outdated", "broken", "ready"]
    faults: tuple[str, ...] = ()
    size: int = 0

    @property
    def wording(self) -> str:
        """The status as a sentence goes on."""
        first, *more = self.faults or ("",)
        why = f" ({first}{f', and {len(more)} more' if more else ''})" if first else ""
        return _WORDING[self.status] + why

    @property
    def remedy(self) -> str:
        """The command that makes it ready."""
        return self.kit.install + (" rebuilds it" if self.status == "broken" else "")


_WORDING = {
    "absent": "not installed",
    "outdated": "of another version of edgeworthy or of Python",
    "broken": "damaged",
    "ready": "installed",
}


def look(kit: Kit, *, sizes: bool = False, thorough: bool = False) -> Installation:
    """The state of a kit; ``sizes`` looks for every file, ``thorough`` reads it, else the stamp alone is looked at."""
    folder = _folder(kit)
    stamp = folder / STAMP
    if not exists(folder):
        return Installation(kit, folder, "absent")
    try:
        written = json.loads(stamp.read_text(encoding="utf-8"))
        lock, listed, size = str(written["lock"]), dict(written["files"]), int(written["size"])
        known = dict(written.get("sizes", {}))  # of a kit that is older than these, files are only looked for
    except (OSError, ValueError, KeyError, TypeError) as error:
        return Installation(kit, folder, "broken", (f"{STAMP}: {error}",))
    if lock != kit.digest or (kit.requirements and not python.site(folder / _ENVIRONMENT).exists()):
        return Installation(kit, folder, "outdated", size=size)
    faults = (*_python_faults(kit, folder), *python.borrowing_faults(kit, folder / _ENVIRONMENT))
    if not faults and thorough:
        faults = tuple(whole.changed(folder, STAMP, listed))
    elif not faults and sizes:
        faults = tuple(whole.lost(folder, listed, known))
    return Installation(kit, folder, "broken" if faults else "ready", faults, size)


def site(kit: Kit) -> Path:
    """Where the packages of a kit's own environment are, installed or not; it is in use from now on.

    Raises:
        NotAvailable: it is damaged, as far as sizes tell.
    """
    use.hold(_folder(kit))
    state = look(kit, sizes=True)
    if state.status == "broken":
        raise _unfit(state)
    return python.site(state.folder / _ENVIRONMENT)


def version(name: str) -> str | None:
    """The version of an installed kit, as ``TargetInfo.installed`` tells it; None where it isn't."""
    kit = find(name)
    return kit.version if look(kit).status == "ready" else None


def launch(kit: Kit) -> Launch:
    """How to use a kit, which nobody removes as long as this process lives.

    Raises:
        NotAvailable: it isn't installed, of another version, or damaged, as far as sizes tell.
    """
    use.hold(_folder(kit))
    state = look(kit, sizes=True)
    if state.status != "ready":
        raise _unfit(state)
    return _launch(kit, state.folder)


def install(kit: Kit, *, offline: Path | None = None, tell: KitProgress = _silent) -> Installation:
    """Make a kit ready: fetched, unpacked, tried, renamed. One that is whole and works is left as it is.

    Args:
        offline: A folder to take files from, instead of asking registries.

    Raises:
        NotAvailable: this host is none of its kind, a file can't be had, the disk is full, or it doesn't work here.
        BadInput: variables can't hold the path of the user's data folder.
    """
    kit.check_host()
    check_place(home())
    if offline is not None and not offline.is_dir():
        raise NotAvailable("there is no such folder", where=str(offline), remedy="name a folder with --offline")
    with _alone(kit, tell):
        state = look(kit, thorough=True)
        if state.status == "ready" and _works(kit, state.folder):
            return state
        _sweep(state.folder)
        cache = _cache(kit)
        with files.atomic_directory(state.folder) as built, _disk(home()):
            _fill(kit, built, cache, offline, tell)
            tell("check", kit.size, kit.size)
            _check(kit, built)
            listed = whole.listing(built, STAMP)
            stamp = {"lock": kit.digest, "size": files.size(built), "files": listed}
            stamp["sizes"] = whole.sizes(built, listed)
            (built / STAMP).write_text(json.dumps(stamp, indent=0), encoding="utf-8")
        files.remove(cache)
        return look(kit)


def remove(kit: Kit, *, tell: KitProgress = _silent) -> Installation:
    """Remove a kit, and what was fetched of it; returns its state before.

    Raises:
        NotAvailable: another process uses it, or it can't be removed.
    """
    if not exists(home() / "kits"):
        return look(kit)
    with _alone(kit, tell):
        state = look(kit)
        if state.folder.exists():  # renamed first: half a kit is never to be seen
            going = state.folder.with_name(f".{kit.name}.going.part")
            files.remove(going)
            with use.unused(state.folder):
                state.folder.replace(going)
        _sweep(state.folder)
        files.remove(_cache(kit))
    return state


def check_whole(kit: Kit) -> None:
    """Look at every file of an installed kit, as before or after a work that relies on them.

    Raises:
        NotAvailable: it isn't installed, or was changed since.
    """
    state = look(kit, thorough=True)
    if state.status != "ready":
        raise _unfit(state)


def _unfit(state: Installation) -> NotAvailable:
    return NotAvailable(f"kit {state.kit.name} is {state.wording}", remedy=state.remedy)


def check(kit: Kit) -> None:
    """Run an installed kit's own check; raises NotAvailable as ``install`` and ``launch``."""
    _check(kit, launch(kit).folder)


def _fill(kit: Kit, built: Path, cache: Path, offline: Path | None, tell: KitProgress) -> None:
    if offline:
        check_offline(kit, offline, cache)
    done = 0
    for its, file in ((part, file) for part in kit.parts for file in part.files):
        path = fetch(kit, its, file, cache, offline=offline, tell=partial(_tell_sum, tell, done, kit.size))
        done += file.size
        tell(file.filename, done, kit.size)
        unpack(path, its, built / its.into)
    if kit.requirements:
        tell(f"pip install {' '.join(kit.requirements)}", done, kit.size)
        python.build(kit, built / _ENVIRONMENT, offline=offline)
    for name, text in kit.write.items():
        path = built / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _tell_sum(tell: KitProgress, before: int, total: int, what: str, size: int) -> None:
    tell(what, before + size, total)


def _check(kit: Kit, folder: Path) -> None:
    """Run the kit's Python on its check; without one of its own it is whole once it is unpacked."""
    used = _launch(kit, folder)
    if not (used.python and kit.check):
        return
    command = [*used.python, "-c", kit.check, str(folder)]
    environment = os.environ | used.environment
    try:
        ran = subprocess.run(
            command, env=environment, capture_output=True, text=True, errors="replace", timeout=_CHECK_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        what, remedy = f"kit {kit.name} hangs on this machine", "run it again with less beside it"
        raise NotAvailable(what, details=[f"{_CHECK_S} s"], remedy=remedy) from error
    except OSError as error:
        raise not_started(f"kit {kit.name}", command[0], error) from error
    if ran.returncode:
        raise NotAvailable(
            f"kit {kit.name} doesn't work on this machine: its check ended with {ran.returncode}",
            details=ran.stderr.strip().splitlines()[-5:],
            remedy="report it with these lines",
        )


def _python_faults(kit: Kit, folder: Path) -> tuple[str, ...]:
    """Whether its own Python is gone: a link to one that was uninstalled since."""
    path = Path(kit.python[0].replace("{kit}", str(folder))) if kit.python else folder
    return () if path.exists() else (f"{path.relative_to(folder)} is gone",)


def _works(kit: Kit, folder: Path) -> bool:
    """Whether a whole kit still does: the Python that it was made with may be gone."""
    try:
        _check(kit, folder)
    except NotAvailable:
        return False
    return True


def _launch(kit: Kit, folder: Path) -> Launch:
    def there(text: str) -> str:
        return text.replace("{kit}", str(folder))

    own = {name: there(text) for name, text in kit.environment.items()} | python.lent(kit)
    return Launch(folder, tuple(map(there, kit.python)), _ALONE | own if kit.python else own)


def _folder(kit: Kit) -> Path:
    return home() / "kits" / kit.name


def _cache(kit: Kit) -> Path:
    return home() / "downloads" / kit.name


def _sweep(folder: Path) -> None:
    """Remove what an install left that was killed; only while nobody else installs this kit."""
    for left in folder.parent.glob(f".{folder.name}.*.part*"):
        files.remove(left)


@contextlib.contextmanager
def _alone(kit: Kit, tell: KitProgress) -> Iterator[None]:
    """Nobody else installs or removes this kit meanwhile; waits for one who does."""
    path = home() / "kits" / f".{kit.name}.lock"
    with _disk(home()):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        os.set_inheritable(handle, True)  # see `fetch.client`
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            tell("waiting for another install of it", 0, kit.size)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


@contextlib.contextmanager
def _disk(path: Path) -> Iterator[None]:
    """What a disk refuses, as an error that says so."""
    try:
        yield
    except OSError as error:
        if error.errno in files.FULL:
            raise NotAvailable(
                f"the disk is full: {error.strerror}",
                where=str(path),
                remedy="free some space, or choose another place with EDGEWORTHY_HOME; nothing half-written is left",
            ) from error
        if error.errno in files.REFUSALS or (error.errno == errno.ENOENT and not path.is_dir()):
            raise NotAvailable(
                f"can't write here: {files.refusal(error, path)}",
                where=str(error.filename or path),
                remedy="choose a place you may write to with EDGEWORTHY_HOME",
            ) from error
        raise
