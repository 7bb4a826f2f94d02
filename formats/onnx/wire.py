"""Splits an ONNX file into its structure and its weights without parsing the weights.

A protobuf parser copies every weight, and the file's bytes are in memory beside it: twice the model before
the first line of work. Here the wire format (https://protobuf.dev/programming-guides/encoding) is walked over
a memory map. Large ``raw_data`` fields of the main graph's initializers are left out of the bytes that the
parser gets, and where they lie is told, so that each can be read once, to where it is needed.

Field numbers are those of ``onnx.proto3``: ModelProto.graph = 7, GraphProto.initializer = 5,
TensorProto.raw_data = 9.
"""

from __future__ import annotations

import io
import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

LARGE = 4096
"""Bytes from which on an initializer's data is left in the file."""

_GRAPH, _INITIALIZER, _RAW_DATA = 7, 5, 9
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class WireError(ValueError):
    """The bytes are no protobuf message, or end too early."""


@dataclass(frozen=True)
class Span:
    """Where a tensor's bytes lie in the file."""

    offset: int
    length: int


def split(path: Path) -> tuple[bytes, dict[int, Span]]:
    """A serialized ModelProto without its large weights, and initializer index → where its data lies.

    Raises:
        WireError: the file is no protobuf message, or is cut off.
        OSError: the file can't be read.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        spans: dict[int, Span] = {}
        pieces: list[bytes] = []
        for number, start, payload, end in _fields(data, 0, len(data)):
            if number == _GRAPH:
                pieces += _message(_GRAPH, _graph(data, payload, end, spans))
            else:
                pieces.append(data[start:end])
        return b"".join(pieces), spans


def number(path: Path, field: int) -> int | None:
    """A number in a field of the message that a file is; None where it has none.

    Raises:
        WireError, OSError: as ``split``.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        found = (payload for n, _, payload, _ in _fields(data, 0, len(data)) if n == field)
        at = next(found, None)
        return None if at is None else _varint(data, at, len(data))[0]


def with_number(path: Path, field: int, value: int) -> bytes:
    """The bytes of a file, with another number in a field of the message that it is.

    Raises:
        WireError, OSError: as ``split``.
    """
    copy = io.BytesIO()
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        copy.write(_encode(field << 3 | _VARINT) + _encode(value))
        with memoryview(data) as view:
            for n, start, _, end in _fields(data, 0, len(data)):
                if n != field:
                    copy.write(view[start:end])
    return copy.getvalue()


def _graph(data: mmap.mmap, begin: int, stop: int, spans: dict[int, Span]) -> list[bytes]:
    pieces: list[bytes] = []
    index = 0
    copied = begin  # everything before is in `pieces`
    for number, start, payload, end in _fields(data, begin, stop):
        if number != _INITIALIZER:
            continue
        if end - payload >= LARGE:
            pieces.append(data[copied:start])
            pieces += _message(_INITIALIZER, _tensor(data, payload, end, index, spans))
            copied = end
        index += 1
    pieces.append(data[copied:stop])
    return pieces


def _tensor(data: mmap.mmap, begin: int, stop: int, index: int, spans: dict[int, Span]) -> list[bytes]:
    pieces: list[bytes] = []
    for number, start, payload, end in _fields(data, begin, stop):
        if number == _RAW_DATA and end - payload >= LARGE:
            spans[index] = Span(payload, end - payload)
        else:
            pieces.append(data[start:end])
    return pieces


def _fields(data: mmap.mmap, begin: int, stop: int) -> Iterator[tuple[int, int, int, int]]:
    """Field number, and where its tag, its payload and the next field begin."""
    position = begin
    while position < stop:
        start = position
        tag, position = _varint(data, position, stop)
        number, kind = tag >> 3, tag & 7
        payload = position
        if kind == _BYTES:
            length, payload = _varint(data, position, stop)
            position = payload + length
        elif kind == _VARINT:
            _, position = _varint(data, position, stop)
        elif kind == _FIXED32:
            position += 4
        elif kind == _FIXED64:
            position += 8
        else:
            raise WireError(f"unknown wire type {kind} at byte {start}")
        if position > stop:
            raise WireError(f"what begins at byte {start} goes on for {position - stop} bytes beyond the end")
        if number == 0:
            raise WireError(f"field number 0 at byte {start}")
        yield number, start, payload, position


def _varint(data: mmap.mmap, position: int, stop: int) -> tuple[int, int]:
    value = shift = 0
    while position < stop and shift < 64:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
    raise WireError(f"a number is cut off at byte {position}")


def _message(number: int, pieces: list[bytes]) -> list[bytes]:
    """The length-delimited field ``number`` with ``pieces`` as its content."""
    return [_encode(number << 3 | _BYTES), _encode(sum(map(len, pieces))), *pieces]


def _encode(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
