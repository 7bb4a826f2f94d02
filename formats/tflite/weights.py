"""Puts weights into a TFLite file whose graph is written already, straight from where they lie.

A flatbuffer refers only to what is behind. So the weights come behind the graph, one after the other, each with a
``Buffer`` of its own, and nothing of the graph moves.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from ...artifact import Array
from ...errors import InternalFault
from ...numerics.distinct import DistinctArrays, blocks
from .opening import DATA_ALIGNMENT
from .summary import DTYPE_NAMES

LARGEST = (1 << 31) - 1
"""Bytes of a flatbuffer (``FLATBUFFERS_MAX_BUFFER_SIZE``). In larger files weights lie behind it."""

# A ``Buffer`` with ``data``, and one with ``offset`` and ``size`` instead: the places of its fields (the vtable), then
# the table itself, whose first field leads back to them and whose second one to the weight.
_INSIDE = struct.Struct("<HHHxx iI")
_BEHIND = struct.Struct("<HHHHHxxxxxx ixxxxQQ")
_BUFFER_OF_TENSOR, _BUFFERS_OF_MODEL = 8, 12
"""Places of these fields in the vtables of ``Tensor`` and ``Model``."""


@dataclass(frozen=True)
class Weight:
    """A tensor that is still empty.

    Attributes:
        graph: The name of its graph; empty for the main one.
        tensor: Its index there.
        content: The index of its contents.
    """

    graph: str
    tensor: int
    content: int


def write_with_weights(graph: bytes, weights: Sequence[Weight], contents: DistinctArrays, path: Path) -> None:
    """Write the file ``path``: the flatbuffer ``graph`` and what its tensors hold, equal contents once.

    Args:
        graph: What MLIR writes: each tensor has a buffer of its own.
        weights: Its empty tensors.
        contents: What they hold, which is copied by blocks at most.

    Raises:
        InternalFault: a tensor has contents, or another size.
    """
    model = schema.Model.GetRootAs(graph, 0)
    data = bytearray(graph) + bytes(-len(graph) % DATA_ALIGNMENT)
    # 64 bytes are more than the table and the padding of a weight.
    inside = len(data) + sum(contents[index].nbytes + 64 for index in {w.content for w in weights}) <= LARGEST
    bodies = map(model.Subgraphs, range(1, model.SubgraphsLength()))
    graphs = {"": model.Subgraphs(0)} | {body.Name().decode(): body for body in bodies}
    first = model._tab.Vector(model._tab.Offset(_BUFFERS_OF_MODEL))
    buffers: dict[int, int] = {}
    fields: dict[int, int] = {}
    for weight in weights:
        tensor, array = graphs[weight.graph].Tensors(weight.tensor), contents[weight.content]
        own = _empty_buffer(model, tensor, array)
        buffer = buffers.setdefault(weight.content, own)
        if buffer == own:
            fields[weight.content] = _add_buffer(data, first + 4 * buffer, array, inside)
        else:
            struct.pack_into("<I", data, tensor._tab.Pos + tensor._tab.Offset(_BUFFER_OF_TENSOR), buffer)
    with path.open("wb") as file:
        file.write(data)
        for content, field in fields.items():
            start = _append(file, contents[content], inside)
            struct.pack_into("<I" if inside else "<Q", data, field, start - field if inside else start)
        file.seek(0)
        file.write(data)


def _empty_buffer(model: Any, tensor: Any, array: Array) -> int:
    """The index of a tensor's buffer, which must be empty, the tensor of the size of ``array``."""
    buffer = int(tensor.Buffer())
    shape = tensor.ShapeAsNumpy().tolist() if tensor.ShapeLength() else []
    size = math.prod(shape) * np.dtype(DTYPE_NAMES[tensor.Type()]).itemsize
    if buffer == 0 or model.Buffers(buffer).DataLength() or size != array.nbytes:
        raise InternalFault(f"{tensor.Name().decode()!r} in MLIR's graph is not the weight that it stands for")
    return buffer


def _add_buffer(data: bytearray, element: int, array: Array, inside: bool) -> int:
    """Add a ``Buffer`` for ``array`` and let ``element`` of the model's list refer to it.

    Returns:
        Where the field is that is to tell where ``array`` lies.
    """
    start = len(data)
    if inside:
        data += _INSIDE.pack(6, 8, 4, 8, 0)
        table, field = start + 8, start + 12
    else:
        data += _BEHIND.pack(10, 24, 0, 8, 16, 16, 0, array.nbytes)
        table, field = start + 16, start + 24
    struct.pack_into("<I", data, element, table - element)
    return field


def _append(file: BinaryIO, array: Array, inside: bool) -> int:
    """Write ``array``, aligned; returns where it begins: inside a flatbuffer with its length, which isn't aligned."""
    length = struct.pack("<I", array.nbytes) if inside else b""
    end = file.tell() + len(length)
    file.write(bytes(-end % DATA_ALIGNMENT) + length)
    start = file.tell() - len(length)
    for block in blocks(array):
        file.write(block.data)
    return start
