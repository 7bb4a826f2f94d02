"""The version of ONNX's format that a file says it has, and the one that its contents need.

``onnx.helper.make_model`` stamps a model with the newest version that the installed ``onnx`` knows, whatever is in it,
and runtimes refuse stamps that are newer than they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import onnx
from google.protobuf.message import Message  # type: ignore[import-untyped]

from .file import parse
from .wire import number, with_number

OLDEST = 10
"""No file is stamped with less: every runtime of the last years reads it."""

_FIELD = 1  # ModelProto.ir_version
_TYPES = {"FLOAT4E2M1": 11, "FLOAT8E8M0": 12, "INT2": 13, "UINT2": 13, "FLOAT6E2M3": 14, "FLOAT6E3M2": 14}
"""Element type → the version that brought it (``onnx.proto``, "IR VERSION")."""

_FIELDS = {"configuration": 11, "device_configurations": 11, "opaque_type": 14}
"""Field of any message → the version that brought it."""

_TYPE_FIELDS = ("data_type", "elem_type")
_TYPE_ATTRIBUTES = ("to", "dtype", "output_dtype")
"""Attributes of operators that name an element type."""


def stamped(path: Path) -> int:
    """The version that a file says it has; 0 where it says none."""
    return number(path, _FIELD) or 0


def needed(proto: onnx.ModelProto) -> int:
    """The oldest version, from ``OLDEST`` on, that has all that is in a model."""
    return max([OLDEST, *_versions(proto)])


def restamped(path: Path) -> bytes | None:
    """A file's bytes with the version that its contents need; None where it says no newer one.

    Raises:
        BadInput: see ``summary.summarize``.
    """
    proto, _ = parse(path)
    version = needed(proto)
    return with_number(path, _FIELD, version) if proto.ir_version > version else None


def _versions(message: Message) -> Iterator[int]:
    """The versions that brought what is in a message."""
    if isinstance(message, onnx.AttributeProto) and message.name in _TYPE_ATTRIBUTES:
        yield _of_type(message.i)
    for field, value in message.ListFields():
        yield _FIELDS.get(field.name, OLDEST)
        if field.name in _TYPE_FIELDS:
            yield _of_type(value)
        elif field.message_type is not None:
            for inner in [value] if isinstance(value, Message) else value:
                yield from _versions(inner)


def _of_type(code: int) -> int:
    names = onnx.TensorProto.DataType
    return _TYPES.get(names.Name(code), OLDEST) if code in names.values() else OLDEST
