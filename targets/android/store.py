"""Files on a device by their SHA-256, in one folder: pushed once, and swept.

``HASH`` is a file, ``HASH.d`` what a tar was unpacked to; what is on its way ends with ``.part`` and is renamed once it
is read back with the right hash. Only such names are ever removed: whatever else lies in the folder isn't ours, and no
name of a file of this machine is ever a name there.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import secrets
import tarfile
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ... import files
from ...errors import RuntimeFailure
from .adb import Adb, CommandFailed, words

_SECONDS_A_BYTE = 1 / 1_000_000
"""A device that reads its own storage more slowly than this counts as hung."""

_IN_USE_S = 3600
_OURS = re.compile(r"^(?P<used>\d+) (?P<kilobytes>\d+) (?P<name>[0-9a-f]{64}(?:\.d)?)$", re.M)
_LISTING = (
    "date +%s; for f in *; do case \"$f\" in *[!0-9a-f.d]*) ;; *) "
    'echo "$(stat -c %Y "$f") $(du -sk "$f" | cut -f1) $f";; esac; done'
)  # fmt: skip


@dataclass(frozen=True)
class DeviceFiles:
    """The folder.

    Attributes:
        folder: Its path there.
        limit: Bytes that it may hold; the longest unused go first, never what was used within the hour.
    """

    adb: Adb
    folder: str
    limit: int = 1 << 30

    def put(self, path: Path) -> str:
        """The name in the folder of a file of ours, executable there, pushed when need be.

        Raises:
            RuntimeFailure: there is no room, the folder can't be written, or the device went away.
        """
        return self._put(path, files.sha256(path))

    def put_bytes(self, data: bytes) -> str:
        """As ``put``, of what is in memory."""
        with tempfile.NamedTemporaryFile(prefix="edgeworthy-") as file:
            file.write(data)
            file.flush()
            return self._put(Path(file.name), hashlib.sha256(data).hexdigest())

    def put_folders(self, root: Path, names: Iterable[str], version: str) -> str:
        """The name in the folder of a copy of these folders below ``root``; it is made once a version.

        Raises as ``put``.
        """
        name = f"{hashlib.sha256(version.encode()).hexdigest()}.d"
        if self._is(f"[ -d {name} ]", name):
            return name
        with tempfile.NamedTemporaryFile(prefix="edgeworthy-", suffix=".tar") as file:
            with tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT) as archive:
                for folder in names:
                    archive.add(root / folder, folder)
            file.flush()
            packed = self.put(Path(file.name))
            size = Path(file.name).stat().st_size
        part = self.temporary()
        self._finish(f"mkdir {part} && tar -xf {packed} -C {part} && mv {part} {name}", f"{part} {packed}", size)
        return name

    def temporary(self) -> str:
        """The name of a file that is not there yet, and is swept when it is left."""
        return f"{secrets.token_hex(8)}.part"

    def discard(self, name: str) -> None:
        """Remove what ``temporary`` named, if the device is still there; the next sweep does it if not."""
        with contextlib.suppress(RuntimeFailure):
            self.shell(f"rm -rf {name}")

    def shell(self, command: str, timeout_s: float | None = None) -> bytes:
        """A command in the folder. Raises as ``Adb.shell``."""
        folder = words(self.folder)
        return self.adb.shell(f"mkdir -p {folder} && cd {folder} && {{ {command}; }}", timeout_s=timeout_s)

    def _put(self, path: Path, sha256: str) -> str:
        size = path.stat().st_size
        if self._is(f'[ "$(stat -c %s {sha256} 2>/dev/null)" = {size} ]', sha256):
            return sha256
        self._sweep(size)
        part = self.temporary()
        try:
            self.adb.push(path, f"{self.folder}/{part}")
        except RuntimeFailure:
            self.discard(part)
            raise
        move = f"chmod 700 {part} && mv -f {part} {sha256}"
        self._finish(f'h=$(sha256sum {part}) && [ "${{h%% *}}" = {sha256} ] && {move}', part, size)
        return sha256

    def _is(self, test: str, name: str) -> bool:
        """Whether it is there; it is marked as used then."""
        return self.shell(f"if {test}; then touch {name}; echo there; fi").strip() == b"there"

    def _finish(self, command: str, parts: str, size: int) -> None:
        """The last step of what was pushed; what it began with is removed, and on a failure what it made."""
        try:
            self.shell(f"{{ {command}; }}; c=$?; rm -rf {parts}; (exit $c)", 60 + size * _SECONDS_A_BYTE)
        except CommandFailed as error:
            raise self.adb.failure(
                "got a file otherwise than it was sent", error.details, "look at its storage, and run it again"
            ) from error

    def _sweep(self, needed: int) -> None:
        """Remove what was left a day ago, and the longest unused until the folder keeps its limit."""
        self.shell("find . -maxdepth 1 -name '*.part' -mtime +0 -exec rm -rf {} +")
        told = self.shell(_LISTING).decode(errors="replace")
        now = int(told.partition("\n")[0])
        found = sorted((int(used), int(kilobytes), name) for used, kilobytes, name in _OURS.findall(told))
        total = needed + sum(kilobytes * 1024 for _, kilobytes, _ in found)
        for used, kilobytes, name in found:
            if total <= self.limit or now - used < _IN_USE_S:
                break
            self.shell(f"rm -rf {name}")
            total -= kilobytes * 1024
