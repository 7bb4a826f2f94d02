"""Folders for temporary files that go with their owner, however it ends.

A context manager removes its folder on the way out, and a process that is killed has no way out. So each folder is
locked by its owner, whose lock dies with it, and whoever makes a folder removes those that nobody holds.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from pathlib import Path

_PREFIX = "edgw."  # short: sockets lie in it, and the whole name of one has 107 characters
_YOUNG_S = 60.0
"""A folder may be this old and not yet locked."""


class Scratch:
    """An empty folder among the temporary ones. Use it as a context manager, or close it.

    Attributes:
        path: Where it is.
    """

    def __init__(self) -> None:
        _sweep(Path(tempfile.gettempdir()))
        self.path = Path(tempfile.mkdtemp(prefix=_PREFIX))
        self._lock = _locked(self.path)

    @property
    def environment(self) -> dict[str, str]:
        """Variables that make a process use it; but PyTorch's compiled kernels outlive the process."""
        kept = f"{tempfile.gettempdir()}/torchinductor_{os.getuid()}"
        kept = os.environ.get("TORCHINDUCTOR_CACHE_DIR", kept)
        return {"TMPDIR": str(self.path), "TORCHINDUCTOR_CACHE_DIR": kept}

    def __enter__(self) -> Path:
        return self.path

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove it and all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)  # what a dying process still writes is swept by the next
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _locked(folder: Path) -> int | None:
    """A handle that holds the folder's lock; None where another process holds it."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return None
    return handle


def _sweep(parent: Path) -> None:
    """Remove the folders of owners that are gone, as far as they are this user's."""
    for folder in parent.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):  # another one sweeps too, or it isn't ours
            about = folder.lstat()
            if about.st_uid != os.getuid() or time.time() - about.st_mtime < _YOUNG_S:
                continue
            handle = _locked(folder)
            if handle is not None:
                shutil.rmtree(folder, ignore_errors=True)
                os.close(handle)
