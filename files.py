"""Files that appear complete or not at all: write beside, then rename."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from .errors import BadInput

_CHUNK = 1 << 20
_KEPT = 256
REFUSALS = (
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ENAMETOOLONG,
)  # fmt: skip
"""What a system says of a place that nothing can be written to."""
_SAVED_MODEL = (
    "saved_model.pb", "fingerprint.pb", "keras_metadata.pb", "variables", "assets", "assets.extra",
)  # fmt: skip
"""What a SavedModel's folder consists of (TensorFlow, ``saved_model/constants.h``); the first makes it one."""
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""How it says that a disk is full, or that the user may have no more of it."""


def relative(path: Path, folder: Path) -> str:
    """Where ``path`` is, as seen from ``folder``, with ``..`` where it lies elsewhere, and links followed."""
    return Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()


def absent(path: Path, remedy: str) -> BadInput:
    """The error of a path that isn't a file's, where one is read: whether nothing is there, or what is."""
    if path.is_dir():
        return BadInput("this is a folder, not a file", where=str(path), remedy="name the file in it")
    what = "no such file"
    if path.exists():
        what, remedy = "this is no regular file", "save what it gives as a file, and name that"
    elif path.is_symlink():
        what, remedy = "this link leads nowhere", "make the link again, or name the file itself"
    return BadInput(what, where=str(path), remedy=remedy)


def tidy(path: Path) -> Path:
    """The same place without ``..`` and links, as a user reads it: from the working folder, where it is below."""
    whole, here = path.resolve(), Path.cwd().resolve()
    return whole.relative_to(here) if whole.is_relative_to(here) else whole


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a path beside ``path`` to write to; on success it is renamed to ``path``.

    Raises:
        BadInput: the folder can't be written, or the disk is full.
    """
    with writable(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        os.close(handle)
        part = Path(name)
        try:
            yield part
            _sync(part)
            part.chmod(0o644)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)


@contextmanager
def atomic_directory(path: Path) -> Iterator[Path]:
    """Yield an empty folder beside ``path`` to fill; on success it takes the place of ``path``.

    Raises:
        BadInput: the folder can't be written, or the disk is full.
    """
    with writable(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent))
        try:
            yield part
            part.chmod(0o755)
            old = path.with_name(f"{part.name}.old")
            if path.exists():
                path.replace(old)
            part.replace(path)
            remove(old)
        finally:
            remove(part)


def remove(path: Path) -> None:
    """Remove a file or a folder, if there is one."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` (UTF-8) to ``path``, atomically."""
    with atomic_file(path) as part:
        part.write_text(text, encoding="utf-8")


def identity(path: Path) -> tuple[int, ...] | None:
    """Changes when a file is replaced or written to; None when there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _members(folder: Path) -> Iterator[Path]:
    """The files of a folder; of a SavedModel those that are of it, as other converters put their files there too."""
    is_model = (folder / _SAVED_MODEL[0]).is_file()
    for part in [folder / name for name in _SAVED_MODEL] if is_model else [folder]:
        yield from filter(Path.is_file, [part, *part.rglob("*")])


def sha256(path: Path) -> str:
    """Hex SHA-256 of a file, or of a folder's relative names and contents in sorted order.

    What was hashed before is read again only if it was changed since.
    """
    found = sorted(_members(path)) if path.is_dir() else [path]
    names = tuple(p.relative_to(path).as_posix() if path.is_dir() else "" for p in found)
    return _sha256(path, names, tuple(identity(p) for p in found))


@lru_cache(_KEPT)
def _sha256(path: Path, names: tuple[str, ...], identities: object) -> str:
    digest = hashlib.sha256()
    for name in names:
        if name:
            digest.update(name.encode() + b"\0")
        with (path / name if name else path).open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    return digest.hexdigest()


def size(path: Path) -> int:
    """Bytes of a file, or of all files below a folder; one that has several names there counts once."""
    if path.is_dir():
        found = [p.stat() for p in _members(path)]
        return sum({(stat.st_dev, stat.st_ino): stat.st_size for stat in found}.values())
    return path.stat().st_size


@contextmanager
def writable(path: Path) -> Iterator[None]:
    """What the system says against writing to ``path``, as an error of ours.

    Raises:
        BadInput: the folder can't be written, or the disk is full.
    """
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise BadInput(
                "the disk is full",
                where=str(path),
                remedy="free some space or choose another folder with --output; nothing half-written is left",
            ) from error
        no_place = error.errno == errno.ENOENT and not path.parent.is_dir()
        if no_place or error.errno in REFUSALS:
            raise BadInput(
                f"can't write here: {refusal(error, path)}",
                where=str(path),
                remedy="choose a folder you may write to with --output",
            ) from error
        raise


def refusal(error: OSError, path: Path) -> str:
    """What the system says of a path that can't be made; where it only says that there is none yet, who refuses it."""
    if error.errno != errno.ENOENT:
        return error.strerror or str(error)
    there = next(p for p in path.absolute().parents if p.is_dir())
    return f"nothing can be made in {there}"


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
