"""What was at a path before a run wrote to it."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from .. import files


@dataclass(frozen=True)
class Before:
    """What was at a path before it was written.

    A file has a second name, under which it stays when it is replaced, and so has each file of a folder.
    """

    identity: tuple[int, int] | None
    second: Path | None

    @classmethod
    def of(cls, path: Path, second: Path) -> Before:
        identity = _identity(path)
        try:
            files.remove(second)
            if path.is_dir():
                shutil.copytree(path, second, symlinks=True, copy_function=os.link)
            else:
                os.link(path, second)
        except OSError:  # there is nothing, or the file system has no hard links
            files.remove(second)
            return cls(identity, None)
        return cls(identity, second)

    def bring_back(self, path: Path) -> None:
        if _identity(path) != self.identity:
            files.remove(path)
            if self.second is not None:
                self.second.replace(path)

    def forget(self) -> None:
        if self.second is not None:
            files.remove(self.second)


def _identity(path: Path) -> tuple[int, int] | None:
    """Changes when a file is replaced; None when there is none."""
    if not path.exists():
        return None
    status = path.stat()
    return status.st_ino, status.st_mtime_ns
