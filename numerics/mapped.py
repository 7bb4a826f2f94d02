"""Arrays that stay in their file: what is looked at of them is in memory, and only until it is let go."""

from __future__ import annotations

import mmap
from pathlib import Path

import numpy as np

from ..artifact import Array


def mapped(path: Path, offset: int, nbytes: int) -> Array:
    """``nbytes`` bytes of a file at ``offset``, as a read-only uint8 vector. The file must not be cut off meanwhile."""
    return np.memmap(path, np.uint8, "r", offset, (nbytes,)).view(np.ndarray)


def let_go(array: Array) -> None:
    """Give back the memory that a mapped array, or a view of one, takes: it is read from the file again when needed."""
    base: object = array
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, mmap.mmap):
        base.madvise(mmap.MADV_DONTNEED)
