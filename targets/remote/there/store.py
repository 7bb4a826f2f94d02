"""Files by their SHA-256, in a folder of the place. Self-contained, see ``runner``.

A file is called by its hash, and is read again before it is used; ``HASH.part`` is on its way, and goes on from where
it stopped; ``HASH.d`` is what a zip was unpacked to. Runners share the folder: each holds ``HASH.lock`` of what it
writes (alone) or uses (with others), and the kernel lets it go when the runner ends. What nobody holds is removed, the
longest unused first, when the folder grows above its limit or the disk lacks room. No name of the host's is ever a name
here.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import re
import shutil
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

_CHUNK = 1 << 20
_TRY_S = 0.1


class HashedFiles:
    """The folder, what this runner holds in it, and the file that it is being sent."""

    def __init__(self) -> None:
        self._folder = Path()
        self._locks: dict[str, BinaryIO] = {}
        self._sha256, self._size = "", 0

    def begin(self, folder: str, limit: int, sha256: str, size: int) -> dict[str, Any]:
        """Tells ``path`` of a file that is there, or ``offset``, how many bytes of it are. Waits for who writes it now.

        Raises:
            OSError: the folder can't be written, or the disk has no room (ENOSPC).
        """
        if not re.fullmatch("[0-9a-f]{64}", sha256):
            raise ValueError("this is no SHA-256")
        self._folder, self._sha256, self._size = Path(folder).expanduser(), sha256, size
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        while not self._locked(fcntl.LOCK_EX):
            if self._locked(fcntl.LOCK_SH) and _is(self._path(), sha256, size):
                return self._used()
            time.sleep(_TRY_S)
        if _is(self._path(), sha256, size):
            return self._used()
        self._path().unlink(missing_ok=True)  # the disk lost some of it
        with self._path(".part").open("ab") as part:
            offset = part.tell() if part.tell() <= size else part.truncate(0)
        self._make_room(limit, size - offset)
        return {"offset": offset}

    def write(self, blobs: Sequence[bytearray]) -> dict[str, Any]:
        """Append to the file that was begun; one that the disk turns out to have no room for is removed."""
        part = self._path(".part")
        try:
            with part.open("ab") as file:
                file.writelines(blobs)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                part.unlink(missing_ok=True)
            raise
        return {}

    def finish(self) -> dict[str, Any]:
        """Tells ``path`` of the file, or removes it and tells None if it isn't what was begun."""
        part = self._path(".part")
        if not _is(part, self._sha256, self._size):
            part.unlink(missing_ok=True)
            return {"path": None}
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.rename(self._path())
        return self._used()

    def unpack(self) -> dict[str, Any]:
        """The folder of what is in the zip that was begun last."""
        made, building = self._path(".d"), self._path(f".{os.getpid()}.d")
        if not made.is_dir():
            try:
                with zipfile.ZipFile(self._path()) as archive:
                    archive.extractall(building)  # leaves out the roots and parents of names
                with contextlib.suppress(FileExistsError):
                    building.rename(made)
            finally:
                shutil.rmtree(building, ignore_errors=True)
        return {"path": str(made)}

    def _path(self, suffix: str = "") -> Path:
        return self._folder / f"{self._sha256}{suffix}"

    def _used(self) -> dict[str, Any]:
        """The file is there, and others may use it too."""
        fcntl.flock(self._locks[self._sha256], fcntl.LOCK_SH)
        os.utime(self._path(".lock"))
        return {"path": str(self._path())}

    def _locked(self, kind: int) -> bool:
        """Try to have the lock, or to change it. What couldn't be changed is let go; one that was removed is none."""
        path = self._path(".lock")
        file = self._locks.get(self._sha256)
        if file is None or not _same(path, file):
            file = self._locks[self._sha256] = path.open("ab")
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return _same(path, file)

    def _make_room(self, limit: int, needed: int) -> None:
        """Remove what nobody holds until the folder keeps its limit and the disk has room."""
        sizes: dict[str, int] = {}
        for path in self._folder.rglob("*"):
            with contextlib.suppress(FileNotFoundError):
                name = path.relative_to(self._folder).parts[0].partition(".")[0]
                sizes[name] = sizes.get(name, 0) + path.lstat().st_size
        locks = sorted(self._folder.glob("*.lock"), key=lambda lock: lock.stat().st_mtime)
        for lock in [lock for lock in locks if lock.stem not in self._locks]:
            free = shutil.disk_usage(self._folder).free
            if sum(sizes.values()) + needed <= limit and free >= needed:
                break
            with contextlib.suppress(BlockingIOError, FileNotFoundError), lock.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                for path in sorted(self._folder.glob(f"{lock.stem}*"), key=lambda path: path == lock):
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
                sizes.pop(lock.stem)
        free = shutil.disk_usage(self._folder).free
        if free < needed:
            raise OSError(errno.ENOSPC, f"it has {free} bytes free, and {needed} are needed", str(self._folder))


def _same(path: Path, file: BinaryIO) -> bool:
    """Whether the path still leads to this file."""
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    return False


def _is(path: Path, sha256: str, size: int) -> bool:
    """Whether a file is what it is called."""
    if not path.exists() or path.stat().st_size != size:
        return False
    found = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            found.update(chunk)
    return found.hexdigest() == sha256


_FILES = HashedFiles()

COMMANDS = {"begin": _FILES.begin, "write": _FILES.write, "finish": _FILES.finish, "unpack": _FILES.unpack}
