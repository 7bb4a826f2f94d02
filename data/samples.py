"""What every source of data is: samples that are numbered from 0 and read when they are asked for."""

from __future__ import annotations

import errno
import os
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING

import numpy as np

from ..errors import BadInput

if TYPE_CHECKING:
    from ..artifact import Array

Label = int | str
"""The class of a sample: its number, or the name of its folder."""

LABEL_KEYS = ("labels", "label")
"""Names that the labels may have among arrays and columns."""

_IN_MEMORY = 16 << 20
"""Bytes of kept samples from which on they lie in a temporary file."""


@dataclass(frozen=True)
class Sample:
    """One sample: input name → what it gives to the input (a row, see `fitting`), and its class where that is known."""

    arrays: Mapping[str, Array]
    label: Label | None = None


class Samples(ABC):
    """Samples of a model's inputs.

    Attributes:
        where: The file, folder or function that they come from, for errors.
        noun: What a person calls them.
        prepared: How they became arrays, for the report; empty where they were arrays.
        direct: Whether any sample can be read at any time. If not, those before it have to be read too.
        consumed: Whether they were read from the beginning and only as far as they were needed, as a generator is.
        classes: The classes of all samples, as far as they are known.
    """

    where: str
    noun: str = "samples"
    prepared: str = ""
    direct: bool = True
    consumed: bool = False
    classes: frozenset[Label] = frozenset()

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def read(self, indices: Sequence[int]) -> Iterator[Sample]:
        """The samples with these numbers, which ascend.

        Raises:
            BadInput: one can't be read or doesn't fit the inputs; says which.
        """


@dataclass
class Kept:
    """Samples in a temporary file, which is in memory while it is small and ends with this object."""

    _file: IO[bytes] = field(default_factory=lambda: tempfile.SpooledTemporaryFile(_IN_MEMORY))  # noqa: SIM115
    _places: list[tuple[dict[str, tuple[int, str, tuple[int, ...]]], Label | None]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self._places)

    def add(self, sample: Sample) -> None:
        """Keep a sample.

        Raises:
            BadInput: the disk is full.
        """
        end = self._file.seek(0, os.SEEK_END)
        places = {}
        with disk_full(tempfile.gettempdir(), "set TMPDIR to a folder with more space, or use fewer samples"):
            for name, array in sample.arrays.items():
                places[name] = (end, array.dtype.str, array.shape)
                end += self._file.write(np.ascontiguousarray(array).data.cast("B") if array.size else b"")
        self._places.append((places, sample.label))

    def __getitem__(self, index: int) -> Sample:
        places, label = self._places[index]
        arrays = {}
        for name, (begin, dtype, shape) in places.items():
            self._file.seek(begin)
            count = int(np.prod(shape))
            content = self._file.read(count * np.dtype(dtype).itemsize)
            arrays[name] = np.frombuffer(content, dtype, count).reshape(shape)
        return Sample(arrays, label)


def direct(samples: Samples, indices: Sequence[int]) -> Samples:
    """The same samples, of which those with these numbers can be read in any order."""
    return samples if samples.direct else _Some(samples, indices)


class _Some(Samples):
    """Some of the samples of a source that gives them in order: read once, and kept."""

    def __init__(self, samples: Samples, indices: Sequence[int]) -> None:
        self.where, self.noun, self.prepared = samples.where, samples.noun, samples.prepared
        self.classes = samples.classes
        self._count = len(samples)
        self._kept = Kept()
        ascending = sorted(indices)
        for sample in samples.read(ascending):
            self._kept.add(sample)
        self._position = {index: position for position, index in enumerate(ascending)}

    def __len__(self) -> int:
        return self._count

    def read(self, indices: Sequence[int]) -> Iterator[Sample]:
        return (self._kept[self._position[index]] for index in indices)


@contextmanager
def disk_full(where: str, remedy: str) -> Iterator[None]:
    """Say so when the disk is full, as BadInput."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise BadInput("the disk is full", where=where, remedy=remedy) from error
