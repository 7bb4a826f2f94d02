"""Files at the other end of a runner, by content hash: sent once, from where the last try stopped."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from .runner import RaisedThere, RemoteRunner

_CHUNK = 1 << 20
_FULL = "its disk is full", "free some of it"
_SHUT = "its folder can't be written", "make it the user's"
_DISK = {
    errno.ENOSPC: _FULL, errno.EDQUOT: _FULL, errno.EFBIG: _FULL,
    errno.EACCES: _SHUT, errno.EPERM: _SHUT, errno.EROFS: _SHUT, errno.ENOTDIR: _SHUT,
    errno.ENOENT: _SHUT,
}  # fmt: skip
"""What its disk says → what is wrong, and what helps."""


@dataclass(frozen=True)
class RemoteStore:
    """A folder of a place.

    Attributes:
        folder: As that place calls it; ``~`` is its user's home.
        limit: Bytes that it may hold.
    """

    folder: str = "~/.cache/edgeworthy-runner"
    limit: int = 2_000_000_000

    def put(self, runner: RemoteRunner, path: Path) -> str:
        """The path there of a file of ours.

        Raises:
            RuntimeFailure: the place has no room for it, the folder can't be written, or the connection was cut.
        """
        with path.open("rb") as file, self._told(runner, path.name):
            return self._put(runner, file, path.name)

    def put_folder(self, runner: RemoteRunner, folder: Path) -> str:
        """The path there of a folder of ours; it is sent as a zip. Raises as ``put``."""
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            for path in sorted(folder.rglob("*")):
                if path.is_file() and "__pycache__" not in path.parts:
                    member = zipfile.ZipInfo(path.relative_to(folder).as_posix())  # of no date: one folder, one hash
                    archive.writestr(member, path.read_bytes())
        with self._told(runner, folder.name):
            self._put(runner, packed, folder.name)
            return str(runner.ask("unpack")[0]["path"])

    def _put(self, runner: RemoteRunner, file: BinaryIO, name: str) -> str:
        file.seek(0)
        sha256, size = hashlib.file_digest(file, "sha256").hexdigest(), file.seek(0, io.SEEK_END)  # type: ignore[arg-type]
        for _ in range(2):  # an earlier try may have left something else
            if path := self._send(runner, file, sha256, size):
                return path
        raise runner.failure(f"got {name} otherwise than it was sent, twice", remedy="look at its disk and its memory")

    def _send(self, runner: RemoteRunner, file: BinaryIO, sha256: str, size: int) -> str | None:
        """The path there, or None where it came otherwise than it was sent."""
        found, _ = runner.ask("begin", folder=self.folder, limit=self.limit, sha256=sha256, size=size)
        if "offset" in found:
            file.seek(found["offset"])
            while chunk := file.read(_CHUNK):
                runner.ask("write", [chunk])
            found, _ = runner.ask("finish")
        path: str | None = found["path"]
        return path

    @contextlib.contextmanager
    def _told(self, runner: RemoteRunner, name: str) -> Iterator[None]:
        """What the disk there says, in words of the user's."""
        try:
            yield
        except RaisedThere as error:
            if error.errno not in _DISK:
                raise
            what, remedy = _DISK[error.errno]
            what = f"can't take {name}: {what} ({self.folder})"
            raise runner.failure(what, [error.text], f"{remedy}, or name another folder with workdir=FOLDER") from error
