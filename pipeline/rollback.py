"""What was at a path before a run wrote to it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from .. import files


@dataclass(frozen=True)
class Before:
    """What was at a path before it was written. A file has a second name, under which it stays when it is replaced."""

    identity: tuple[int, int] | None
    second: Path | None

    @classmethod
    def of(cls, path: Path, second: Path) -> Before:
        identity = _identity(path)
        try:
            second.unlink(missing_ok=True)
            os.link(path, second)
        except OSError:  # there is no file, it is a folder, or the file system has no hard links
            return cls(identity, None)
        return cls(identity, second)

    def bring_back(self, path: Path) -> None:
        if _identity(path) != self.identity:
            files.remove(path)
            if self.second is not None:
                self.second.replace(path)

    def forget(self) -> None:
        if self.second is not None:
            self.second.unlink(missing_ok=True)


def _identity(path: Path) -> tuple[int, int] | None:
    """Changes when a file is replaced; None when there is none."""
    if not path.exists():
        return None
    status = path.stat()
    return status.st_ino, status.st_mtime_ns
