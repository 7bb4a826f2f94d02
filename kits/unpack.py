"""Packages of Debian, npm and PyPI, unpacked without their tools and without root.

A member is written only below the folder that it is unpacked to, never as a device, with no bits beyond the owner's
(``tarfile.data_filter``, PEP 706). Nothing of a package is run.
"""

from __future__ import annotations

import io
import lzma
import stat
import tarfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from ..errors import NotAvailable
from .kit import Part

_AR_MAGIC, _AR_HEADER = b"!<arch>\n", 60


def unpack(package: Path, part: Part, folder: Path) -> None:
    """Unpack what ``part`` takes of a ``.deb``, a ``.tgz`` of npm or a wheel into ``folder``.

    Paths are those in the package; npm's, below its one top folder.

    Raises:
        NotAvailable: it can't be read, holds nothing of what is taken, or would write outside of ``folder``.
        OSError: the disk is full.
    """
    if not hasattr(tarfile, "data_filter"):
        raise NotAvailable("this Python can't unpack archives safely", remedy="use Python 3.11.4 or later")
    folder.mkdir(parents=True, exist_ok=True)
    try:
        if package.suffix == ".whl":
            count = _unzip(package, part, folder)
        elif package.suffix == ".deb":
            with tarfile.open(fileobj=io.BytesIO(_data(package)), mode="r:*") as archive:
                count = _untar(archive, part, folder, strip=0)
        else:
            with tarfile.open(package, mode="r:gz") as archive:
                count = _untar(archive, part, folder, strip=1)
    except (tarfile.TarError, lzma.LZMAError, zipfile.BadZipFile, zlib.error, EOFError, ValueError, KeyError) as error:
        raise NotAvailable(
            f"can't unpack {package.name}: {error}", where=str(package), remedy="report it: its lock file is wrong"
        ) from error
    if not count:
        raise NotAvailable(
            f"{package.name} holds nothing of {' '.join(part.take)}",
            where=str(package),
            remedy="report it: its lock file is wrong",
        )


def _untar(archive: tarfile.TarFile, part: Part, folder: Path, *, strip: int) -> int:
    count, wanted = 0, set(part.take)
    for member in archive:
        if not wanted:  # the rest of a large archive needn't be decompressed; a pattern never leaves the set
            break
        name = "/".join(PurePosixPath(member.name).parts[strip:])
        if member.isdir() or not part.takes(name):
            continue
        member.name = name
        if member.islnk():
            member.linkname = "/".join(PurePosixPath(member.linkname).parts[strip:])
        archive.extract(member, folder, set_attrs=True, filter="data")
        wanted.discard(name)
        count += 1
    return count


def _unzip(package: Path, part: Part, folder: Path) -> int:
    count = 0
    with zipfile.ZipFile(package) as archive:
        for member in archive.infolist():
            path = PurePosixPath(member.filename)
            if path.is_absolute() or ".." in path.parts or stat.S_ISLNK(member.external_attr >> 16):
                raise ValueError(f"{member.filename!r} is outside of where it is unpacked to")
            if member.is_dir() or not part.takes(member.filename):
                continue
            archive.extract(member, folder)
            count += 1
    return count


def _data(package: Path) -> bytes:
    """``data.tar.*`` of a Debian package, an ``ar`` archive (deb(5)); Debian's own are compressed as xz.

    Raises:
        ValueError: it is none, is cut off, or has no such member.
    """
    content = package.read_bytes()
    at = len(_AR_MAGIC)
    if not content.startswith(_AR_MAGIC):
        raise ValueError("it is no ar archive")
    while at + _AR_HEADER <= len(content):
        header = content[at : at + _AR_HEADER]
        name, size = header[:16].decode("ascii").strip().rstrip("/"), int(header[48:58])
        at += _AR_HEADER
        if at + size > len(content):
            raise ValueError("it is cut off")
        if name.startswith("data.tar"):
            return content[at : at + size]
        at += size + size % 2
    raise ValueError("it has no data.tar")
