"""Tidies up after a browser, run as a program of its own: ``guard.py FOLDER``.

It waits for the end of its stdin, which comes when the process at the other end closes it or ends, even by SIGKILL.
Then it ends every process of the browser that still runs, and removes the folder.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import time
from pathlib import Path

_PATIENCE_S = 3.0
"""A browser ends by itself when the one who drives it is gone."""

_LONGEST_S = 20.0
"""Not even SIGKILL ends a process that waits for a dead disk."""


def processes(folder: Path) -> dict[int, list[str]]:
    """Process → command line of those that were started on a profile in this folder (Linux)."""
    found = {}
    marks = (f"--user-data-dir={folder}/", f"--database={folder}/")
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
                # Chromium's helpers write their whole command line as one word.
                if any(mark in word for mark in marks for word in words):
                    found[int(entry.name)] = words
    return found


def tidy(folder: Path) -> None:
    """End what runs on the folder, and remove it."""
    begin = time.monotonic()
    while (found := processes(folder)) and (waited := time.monotonic() - begin) < _LONGEST_S:
        if waited >= _PATIENCE_S:
            for pid in found:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.stdin.buffer.read()
    tidy(Path(sys.argv[1]))
