"""The weights of an ONNX model: found, checked against their files, and read once or mapped, each to its own array."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnx_ir as ir

from ...errors import BadInput
from ...numerics.mapped import mapped
from .wire import Span

if TYPE_CHECKING:
    from ...artifact import Array


Load = Callable[[Path, int, int], "Array"]
"""(file, offset, bytes) → the bytes as uint8."""
_MAPPED = 1 << 20
"""Bytes from which on a weight may stay in its file."""


def tensors(model: ir.Model) -> Iterator[tuple[ir.Value | tuple[ir.Node, str], ir.TensorProtocol]]:
    """Every stored tensor with its place: an initializer, or the attribute of a node; subgraphs included."""
    for graph in (*model.graphs(), *(f.graph for f in model.functions.values())):
        for value in graph.initializers.values():
            if value.const_value is not None:
                yield value, value.const_value
        for node in graph:
            for name, attribute in node.attributes.items():
                if attribute.type == ir.AttributeType.TENSOR and not attribute.is_ref():
                    yield (node, name), attribute.as_tensor()


def check_sizes(proto: onnx.ModelProto, spans: Mapping[int, Span], path: Path) -> None:
    """Hold every tensor of a model that isn't in another file against its own shape and type.

    Raises:
        BadInput: one has a negative extent, a type that ONNX doesn't know, or other data than its shape and type need.
    """
    for place, tensor in _stored(proto, spans):
        reason = _wrong_size(tensor)
        if reason:
            raise BadInput(f"{place} {reason}", where=str(path), remedy="export the model again")


def _stored(proto: onnx.ModelProto, spans: Mapping[int, Span]) -> Iterator[tuple[str, onnx.TensorProto]]:
    def below(graph: onnx.GraphProto | onnx.FunctionProto) -> Iterator[tuple[str, onnx.TensorProto]]:
        for node in graph.node:
            for attribute in node.attribute:
                for tensor in (*((attribute.t,) if attribute.HasField("t") else ()), *attribute.tensors):
                    yield f"attribute {attribute.name!r} of {node.op_type} {node.name!r}", tensor
                for inner in (*((attribute.g,) if attribute.HasField("g") else ()), *attribute.graphs):
                    yield from ((f"weight {tensor.name!r}", tensor) for tensor in inner.initializer)
                    yield from below(inner)

    for index, tensor in enumerate(proto.graph.initializer):
        if index not in spans:
            yield f"weight {tensor.name!r}", tensor
    for body in (proto.graph, *proto.functions):
        yield from below(body)


def _wrong_size(tensor: onnx.TensorProto) -> str:
    """What is wrong with a tensor, or an empty string."""
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        return ""
    if any(d < 0 for d in tensor.dims):
        return f"has a negative extent, {list(tensor.dims)}"
    count = math.prod(tensor.dims)
    if tensor.data_type == onnx.TensorProto.STRING:
        have, need, what = len(tensor.string_data), count, "texts"
    elif tensor.data_type not in _BITS:
        return f"has the type {tensor.data_type}, which isn't known"
    elif tensor.HasField("raw_data"):
        have, need, what = len(tensor.raw_data), -(-count * _BITS[tensor.data_type] // 8), "bytes"
    else:
        field = onnx.helper.tensor_dtype_to_field(tensor.data_type)
        numbers = _PER_ELEMENT.get(tensor.data_type, 1.0)
        have, need, what = len(getattr(tensor, field)), math.ceil(count * numbers), "numbers"
    return "" if have == need else f"has {have} {what}, but its type and shape need {need}"


_BITS = {
    kind.value: kind.bitwidth for kind in ir.DataType if kind not in (ir.DataType.UNDEFINED, ir.DataType.STRING)
}  # onnx may know newer ones than onnx-ir
_PER_ELEMENT = {
    onnx.TensorProto.COMPLEX64: 2.0,
    onnx.TensorProto.COMPLEX128: 2.0,
    **{kind: bits / 8 for kind, bits in _BITS.items() if bits < 8},
}
"""Numbers in a typed field per element, where it isn't one."""


def load_initializers(
    model: ir.Model, graph: onnx.GraphProto, spans: Mapping[int, Span], path: Path, load: Load
) -> None:
    """Load the initializers of ``graph`` that were left in the file (index → where), and check all sizes.

    Raises:
        BadInput: an initializer has no name of its own, or another size than its type and shape need.
    """
    seen: set[str] = set()
    for index, proto in enumerate(graph.initializer):
        if not proto.name or proto.name in seen:
            raise BadInput(
                f"weight number {index} has no name of its own: {proto.name!r}",
                where=str(path),
                remedy="export the model again",
            )
        seen.add(proto.name)
        value = model.graph.initializers[proto.name]
        tensor = value.const_value
        if tensor is None or not (index in spans or proto.HasField("raw_data")):
            continue
        stored = spans[index].length if index in spans else len(proto.raw_data)
        if tensor.nbytes != stored:
            raise BadInput(
                f"weight {proto.name!r} has {stored} bytes, but its type and shape need {tensor.nbytes}",
                where=str(path),
                remedy="export the model again",
            )
        if index in spans:
            value.const_value = _tensor(path, tensor, spans[index].offset, load)


def load_external(model: ir.Model, path: Path, load: Load) -> None:
    """Load every tensor that lies in another file, and put it in place of the reference.

    Raises:
        BadInput: the file is missing, too short, or outside the model's folder.
    """
    for place, tensor in list(tensors(model)):
        if not isinstance(tensor, ir.ExternalTensor):
            continue
        file = external_path(path, str(tensor.location), tensor.name or "")
        offset = tensor.offset or 0
        if offset < 0 or offset + tensor.nbytes > file.stat().st_size:
            raise BadInput(
                f"the external data of {tensor.name!r} ends at byte {offset + tensor.nbytes}, "
                f"but the file has {file.stat().st_size}",
                where=str(file),
                remedy="copy the file again: it is cut off, or of another model",
            )
        loaded = _tensor(file, tensor, offset, load)
        if isinstance(place, ir.Value):
            place.const_value = loaded
        else:
            node, name = place
            node.attributes[name] = ir.AttrTensor(name, loaded)


def external_path(path: Path, location: str, tensor: str) -> Path:
    """Where external data lies: beside the model, or beside the file that a link to the model leads to."""
    file = path.parent / location
    homes = (path.parent.resolve(), path.resolve().parent)
    parts = location.replace("\\", "/").split("/")
    inside = any(file.resolve().is_relative_to(home) for home in homes)
    if Path(location).is_absolute() or ".." in parts or not inside:
        raise BadInput(
            f"the external data of {tensor!r} points outside the model's folder: {location!r}",
            where=str(path),
            remedy="external data must lie beside the model; save the model again with relative locations",
        )
    if not file.is_file():
        raise BadInput(
            f"the external data of {tensor!r} is missing: {location!r}",
            where=str(path),
            remedy="put the file beside the model, as the model names it",
        )
    return file


def _tensor(file: Path, tensor: ir.TensorProtocol, offset: int, load: Load) -> ir.Tensor[Array]:
    array = _unpack(load(file, offset, tensor.nbytes), tensor)
    return ir.Tensor(array, tensor.dtype, name=tensor.name)


def read(file: Path, offset: int, nbytes: int) -> Array:
    """Bytes of a file, read straight into an array of their own."""
    buffer = np.empty(nbytes, np.uint8)
    with file.open("rb", buffering=0) as stream:
        stream.seek(offset)
        view = memoryview(buffer.data)
        while view and (count := stream.readinto(view)):
            view = view[count:]
    return buffer


def map_large(file: Path, offset: int, nbytes: int) -> Array:
    """Bytes of a file, which stay there if they are many."""
    return (read if nbytes < _MAPPED else mapped)(file, offset, nbytes)


def _unpack(buffer: Array, tensor: ir.TensorProtocol) -> Array:
    """Raw bytes → array; types under a byte are unpacked by onnx_ir's own rules."""
    shape = tensor.shape.numpy()
    if tensor.dtype.itemsize >= 1:
        return buffer.view(tensor.dtype.numpy()).reshape(shape)
    packed = onnx.TensorProto(dims=shape, data_type=tensor.dtype, raw_data=buffer.tobytes())
    return ir.serde.TensorProtoTensor(packed).numpy()
