"""Samples in arrays: of ``.npy`` and ``.npz`` files, row by row and never whole, and in memory.

A row of an ``.npy`` file, or of an archive's member that is stored as it is, is read where it lies. A compressed member
is decompressed from its beginning, once for all rows that are wanted. An array in Fortran's order, whose rows lie
scattered, is the exception: it is read whole.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from ..artifact import TensorSpec
from ..errors import BadInput
from ..source.example_inputs import reading_arrays
from .fitting import Fitting, as_array
from .samples import LABEL_KEYS, Label, Sample, Samples

if TYPE_CHECKING:
    from ..artifact import Array

_PIECE = 1 << 20
_LOCAL_HEADER = 30
"""Bytes of a member's header in the archive, before its name and extra field (PKWARE APPNOTE 4.3.7)."""


@dataclass(frozen=True)
class _InMemory:
    """An array that is there."""

    array: Array
    direct = True

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.array.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    def rows(self, shape: tuple[int, ...], indices: Sequence[int]) -> Iterator[Array]:
        """Rows of the array seen as ``shape``."""
        seen = self.array.reshape(shape)
        return (seen[i] for i in indices)


@dataclass(frozen=True)
class _InFile:
    """An array whose content lies in a file as it is, from ``begin`` on."""

    file: IO[bytes]
    begin: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    direct = True

    def rows(self, shape: tuple[int, ...], indices: Sequence[int]) -> Iterator[Array]:
        size = _bytes(self.dtype, shape[1:])
        for i in indices:
            self.file.seek(self.begin + i * size)
            yield _row(self.file.read(size), self.dtype, shape[1:])


@dataclass(frozen=True)
class _Compressed:
    """An array in a compressed member of an archive."""

    path: Path
    member: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    direct = False

    def rows(self, shape: tuple[int, ...], indices: Sequence[int]) -> Iterator[Array]:
        size = _bytes(self.dtype, shape[1:])
        with zipfile.ZipFile(self.path) as archive, archive.open(self.member) as stream:
            _header(stream)
            at = 0
            for i in indices:
                _skip(stream, (i - at) * size)
                yield _row(stream.read(size), self.dtype, shape[1:])
                at = i + 1
            _skip(stream)  # the member's checksum is compared at its end


_Stored = _InMemory | _InFile | _Compressed


class ArraySamples(Samples):
    """Samples along the first axis of arrays; an array of integers called ``labels`` beside them is their classes.

    Args:
        arrays: Input name → ``[samples, …]``, or ``[samples, batch, …]`` in the input's full shape.
        path: The file that they are in, if they are in one.

    Raises:
        BadInput: an array is missing or doesn't fit its input, or there are different numbers of samples.
    """

    def __init__(
        self, arrays: Mapping[str, _Stored], inputs: Sequence[TensorSpec], where: str, path: Path | None = None
    ) -> None:
        self.where = where
        self._path = path
        self._fitting = Fitting(inputs, where)
        _require(arrays, inputs, where)
        self._arrays = {spec.name: arrays[spec.name] for spec in inputs}
        self._shapes = {s.name: self._fitting.rows_of(s, (a := arrays[s.name]).dtype, a.shape) for s in inputs}
        self.direct = all(array.direct for array in self._arrays.values())
        counts = {name: shape[0] for name, shape in self._shapes.items()}
        if len(set(counts.values())) > 1:
            raise BadInput(
                "the inputs have different numbers of samples",
                where=where,
                details=[f"{name}: {count}" for name, count in counts.items()],
                remedy="give every input the same number of samples along the first axis",
            )
        self._count = next(iter(counts.values()), 0)
        self._labels = self._read_labels({name: array for name, array in arrays.items() if name not in self._arrays})
        self.classes = frozenset(self._labels)

    def __len__(self) -> int:
        return self._count

    def read(self, indices: Sequence[int]) -> Iterator[Sample]:
        specs = self._fitting.inputs
        sources = [self._rows(self._arrays[s.name], self._shapes[s.name], indices) for s in specs]
        for i, rows in zip(indices, zip(*sources, strict=True), strict=True):
            fitted = {s.name: self._fitting.row(s, row, i) for s, row in zip(specs, rows, strict=True)}
            yield Sample(fitted, self._labels[i] if self._labels else None)

    def _rows(self, array: _Stored, shape: tuple[int, ...], indices: Sequence[int]) -> Iterator[Array]:
        if self._path is None:
            yield from array.rows(shape, indices)
            return
        with reading_arrays(self._path, opened=array.direct):
            yield from array.rows(shape, indices)

    def _read_labels(self, others: Mapping[str, _Stored]) -> list[Label]:
        key = next((key for key in LABEL_KEYS if key in others), None)
        if key is None:
            return []
        array = others[key]
        if array.dtype.kind not in "iu" or int(np.prod(array.shape)) != self._count:
            return []
        return [int(v) for v in self._rows(array, (self._count,), range(self._count))]


def in_memory(arrays: Mapping[str, Array], inputs: Sequence[TensorSpec], where: str) -> ArraySamples:
    """Samples of arrays that are there."""
    return ArraySamples({name: _InMemory(as_array(array, where)) for name, array in arrays.items()}, inputs, where)


def npz(path: Path, inputs: Sequence[TensorSpec]) -> ArraySamples:
    """Samples of an archive with an array under each input's name; further arrays do no harm.

    Raises:
        BadInput: it is cut off, damaged, or holds pickled objects, or its arrays don't fit.
    """
    with reading_arrays(path):
        if not zipfile.is_zipfile(path):
            raise ValueError("it is no .npz archive, or its end is missing")
        with zipfile.ZipFile(path) as archive:
            wanted = {*(spec.name for spec in inputs), *LABEL_KEYS}
            members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            _require(members, inputs, str(path))
            arrays = {name: _member(path, archive, info) for name, info in members.items() if name in wanted}
    return ArraySamples(arrays, inputs, str(path), path)


def npy(path: Path, inputs: Sequence[TensorSpec]) -> ArraySamples:
    """Samples of a file with one array, for a model with one input.

    Raises:
        BadInput: as ``npz``, or there are more inputs.
    """
    if len(inputs) != 1:
        raise BadInput(
            f"one array can't feed a model with {len(inputs)} inputs",
            where=str(path),
            details=[f"input: {spec}" for spec in inputs],
            remedy="give an .npz with one array per input",
        )
    with reading_arrays(path):
        file = path.open("rb")
        array = _lying(file, path.stat().st_size)
    return ArraySamples({inputs[0].name: array}, inputs, str(path), path)


def _member(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> _Stored:
    if info.compress_type != zipfile.ZIP_STORED:
        with archive.open(info) as stream:
            dtype, shape, fortran = _header(stream)
            if fortran:
                return _InMemory(np.frombuffer(stream.read(), dtype).reshape(shape, order="F"))
        if info.file_size < _bytes(dtype, shape):
            raise ValueError(f"the member {info.filename} is cut off")
        return _Compressed(path, info.filename, dtype, shape)
    with archive.open(info) as stream:
        _skip(stream)  # to compare its checksum
    file = path.open("rb")
    file.seek(info.header_offset)
    local = file.read(_LOCAL_HEADER)
    begin = info.header_offset + _LOCAL_HEADER + sum(int.from_bytes(local[i : i + 2], "little") for i in (26, 28))
    file.seek(begin)
    return _lying(file, begin + info.file_size)


def _lying(file: IO[bytes], end: int) -> _Stored:
    """The array whose header begins here, in a file or a member that ends at ``end``."""
    dtype, shape, fortran = _header(file)
    if file.tell() + _bytes(dtype, shape) > end:
        raise ValueError(f"an array {dtype}{list(shape)} is announced, and the file ends before")
    if fortran:
        return _InMemory(np.frombuffer(file.read(_bytes(dtype, shape)), dtype).reshape(shape, order="F"))
    return _InFile(file, file.tell(), dtype, shape)


def _header(file: IO[bytes]) -> tuple[np.dtype[Any], tuple[int, ...], bool]:
    """Dtype, shape, and whether it is in Fortran's order; the file is left at the content."""
    version = np.lib.format.read_magic(file)
    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}.get(version)
    if read is None:
        raise ValueError(f"version {version} of the .npy format is for structured records")
    shape, fortran, dtype = read(file)
    if dtype.hasobject:
        raise ValueError("object arrays need allow_pickle")
    return dtype, tuple(map(int, shape)), bool(fortran) and len(shape) > 1


def _row(content: bytes, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Array:
    if len(content) != _bytes(dtype, shape):
        raise ValueError("the file ends before its arrays do")
    return np.frombuffer(content, dtype).reshape(shape)


def _bytes(dtype: np.dtype[Any], shape: tuple[int, ...]) -> int:
    return int(np.prod(shape, dtype=np.int64)) * dtype.itemsize


def _skip(stream: IO[bytes], count: int | None = None) -> None:
    """Read past so many bytes, or to the end."""
    while (count is None or count > 0) and (piece := stream.read(_PIECE if count is None else min(count, _PIECE))):
        count = None if count is None else count - len(piece)


def _require(have: Mapping[str, object], inputs: Sequence[TensorSpec], where: str) -> None:
    """Check that every input has an array."""
    missing = [spec.name for spec in inputs if spec.name not in have]
    if missing:
        raise BadInput(
            f"there is no array for input {', '.join(map(repr, missing))}",
            where=where,
            details=[f"array: {name}" for name in have] + [f"input: {spec}" for spec in inputs],
            remedy="name the arrays like the inputs, as in np.savez(path, **{name: array})",
        )
