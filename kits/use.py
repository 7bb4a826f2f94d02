"""Who uses a kit: a lock that processes share for as long as they live, and whoever removes it has alone."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from ..errors import NotAvailable

_used: dict[Path, int] = {}


def hold(folder: Path) -> None:
    """Use a kit from now on; the lock ends with this process, however that ends.

    Where no lock can be written nobody removes a kit either.
    """
    path = _lock(folder)
    if path in _used or not folder.exists():
        return
    with contextlib.suppress(OSError):
        _used[path] = handle = os.open(path, os.O_RDONLY | os.O_CREAT, 0o644)
        fcntl.flock(handle, fcntl.LOCK_SH)


@contextlib.contextmanager
def unused(folder: Path) -> Iterator[None]:
    """What removes a kit: nobody begins to use it meanwhile, and this process no longer does.

    Raises:
        NotAvailable: another process uses it; names it.
    """
    path = _lock(folder)
    if path in _used:
        os.close(_used.pop(path))
    handle = os.open(path, os.O_RDONLY | os.O_CREAT, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(handle)
        raise NotAvailable(
            f"the kit {folder.name} is in use",
            where=str(folder),
            details=_users(path),
            remedy="remove it when they have ended",
        ) from error
    try:
        yield
        path.unlink()
    finally:
        os.close(handle)


def _lock(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.used")


def _users(path: Path) -> list[str]:
    """The processes that hold a lock, as Linux tells: ``1: FLOCK ADVISORY READ 4711 fe:00:1234 0 EOF``."""
    found, inode = [], str(path.stat().st_ino)
    for line in Path("/proc/locks").read_text(encoding="ascii").splitlines() if Path("/proc/locks").exists() else ():
        fields = line.split()
        if fields[-3].rpartition(":")[2] == inode:
            with contextlib.suppress(OSError):
                command = Path(f"/proc/{fields[-4]}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                found.append(f"process {fields[-4]}: {command.strip()}")
    return found
