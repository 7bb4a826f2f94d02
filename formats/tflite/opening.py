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
                yield model
            except (struct.error, LookupError, ValueError, TypeError, AttributeError) as error:
                raise BadInput(
                    "the TFLite file is damaged or cut off", where=str(path), remedy="make or copy it again"
                ) from error
