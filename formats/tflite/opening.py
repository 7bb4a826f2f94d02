"""A TFLite file, opened to be read where it lies."""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ai_edge_litert import schema_py_generated as schema

from ...errors import BadInput

IDENTIFIER = b"TFL3"
DATA_ALIGNMENT = 16
"""``force_align`` of ``Buffer.data`` in the schema; kernels read constants in place."""

_DATA = 4
"""Where the field ``Buffer.data`` is in its table: the schema's first."""


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """The schema's lazy ``Model`` over a memory map of the file."""
    if not path.is_file():
        raise BadInput("there is no such TFLite file", where=str(path), remedy="check the path")
    remedy = "give a .tflite file, such as one that `edgeworthy convert` wrote"
    with path.open("rb") as file:
        head = file.read(8)
        if len(head) < 8 or head[4:8] != IDENTIFIER:
            what = "the file is empty" if not head else "the file is not a TFLite flatbuffer"
            raise BadInput(what, where=str(path), remedy=remedy)
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            try:
                model = schema.Model.GetRootAs(data, 0)
                if not model.SubgraphsLength():
                    raise BadInput("the TFLite file holds no graph", where=str(path), remedy=remedy)
                _check_data(model, len(data))
                yield model
            except (struct.error, LookupError, ValueError, TypeError, AttributeError) as error:
                raise BadInput(
                    "the TFLite file is damaged or cut off", where=str(path), remedy="make or copy it again"
                ) from error


def _check_data(model: Any, size: int) -> None:
    """Raise ValueError when constants end behind the file: runtimes read them where they lie, whatever is there."""
    for number in range(model.BuffersLength()):
        buffer = model.Buffers(number)
        length = buffer.DataLength()
        end = buffer._tab.Vector(buffer._tab.Offset(_DATA)) + length if length else buffer.Offset() + buffer.Size()
        if end > size:
            raise ValueError(f"buffer {number} ends at byte {end} of {size}")
