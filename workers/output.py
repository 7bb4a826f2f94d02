"""What a child process prints: kept in a file without a name, of which a flood leaves the end alone."""

from __future__ import annotations

import os
import tempfile

from .stack import read_log

_TAIL_BYTES, _MOST_BYTES = 1 << 18, 1 << 26
"""Of a flood of output, what is read of it, and what may lie on the disk before it is dropped."""


class Output:
    """A file for a process's standard output and error.

    Attributes:
        file: It; as long as the process lives.
    """

    def __init__(self) -> None:
        self.file = tempfile.TemporaryFile()  # noqa: SIM115
        self._begin = 0

    def mark(self) -> None:
        """What comes from now on counts."""
        self._begin = os.fstat(self.file.fileno()).st_size

    def read(self) -> tuple[list[str], list[str]]:
        """What was printed since the mark, and the user's code in a crash's stack."""
        size = os.fstat(self.file.fileno()).st_size
        begin = max(self._begin, size - _TAIL_BYTES)
        text = os.pread(self.file.fileno(), max(0, size - begin), begin)
        return read_log(text.decode(errors="replace").replace("\0", ""))

    def drop_flood(self) -> None:
        """Free the disk of what was printed, but for its end. The process writes on where it was, after a hole."""
        handle, status = self.file.fileno(), os.fstat(self.file.fileno())
        if status.st_blocks * 512 > _MOST_BYTES:
            begin = max(0, status.st_size - _TAIL_BYTES)
            tail = os.pread(handle, _TAIL_BYTES, begin)
            os.ftruncate(handle, 0)
            os.pwrite(handle, tail, begin)

    def close(self) -> None:
        """Free the disk of it."""
        self.file.close()
