"""TFLite flatbuffers as objects that can be edited, and back to bytes.

Objects are those of the generated schema (``ModelT`` and the like). Tensors are found by name: names are unique here.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import flatbuffers  # type: ignore[import-untyped]
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils

from ...numerics.distinct import DistinctArrays
from ...vocabulary import SIGNATURE
from .opening import DATA_ALIGNMENT, IDENTIFIER
from .summary import DTYPE_NAMES, OP_NAMES

if TYPE_CHECKING:
    from ...artifact import Array

TensorType = schema.TensorType
BuiltinOperator = schema.BuiltinOperator


def load(path: Path) -> bytes:
    """The bytes of a file, rewritten only if its tensors have no names of their own, or its main graph no signature.

    One is made of its tensors' names: edits give others to what takes the place of an input or output.
    """
    content = path.read_bytes()
    model = _unpacked(content)
    changed = [_sign(model), _name_tensors(model)]
    return write(model) if any(changed) else content


def read(content: bytes) -> Any:
    """The ``ModelT`` of a flatbuffer; the data of its buffers are uint8 arrays, views into ``content``."""
    model = _unpacked(content)
    _name_tensors(model)
    return model


def write(model: Any) -> bytes:
    """Serialize: constants inside the flatbuffer, aligned; equal ones stored once, scales and zero points too."""
    _share_buffers(model)
    for code in model.operatorCodes or ():
        _fill_old_field(code)
    size = sum(len(buffer.data) for buffer in model.buffers if buffer.data is not None)
    builder = _Builder(size + (size >> 6) + (1 << 20))
    builder.Finish(model.Pack(builder), file_identifier=IDENTIFIER)
    return bytes(memoryview(builder.Bytes)[builder.head :])


def main_signature(model: Any) -> Any | None:
    """The signature of the main graph, as ``summary`` takes it: ``serving_default`` of several; None: there is none."""
    found = [signature for signature in model.signatureDefs or [] if signature.subgraphIndex == 0]
    return next((s for s in found if s.signatureKey == SIGNATURE.encode()), found[0] if found else None)


def op_name(model: Any, op: Any) -> str:
    """The operator's name as in the schema, such as ``CONV_2D``; ``CUSTOM:name`` of a custom one."""
    code = model.operatorCodes[op.opcodeIndex]
    if code.customCode:
        return f"CUSTOM:{code.customCode.decode()}"
    builtin = max(code.builtinCode, code.deprecatedBuiltinCode)
    return OP_NAMES.get(builtin, f"BUILTIN_{builtin}")


def operators(model: Any) -> Iterator[tuple[int, Any, Any]]:
    """Every operator with its subgraph: ``(subgraph index, subgraph, operator)``."""
    for index, graph in enumerate(model.subgraphs):
        for op in graph.operators:
            yield index, graph, op


def tensors(graph: Any, indices: list[int]) -> list[Any]:
    """The tensors at ``indices``, without operands left out (-1)."""
    return [graph.tensors[i] for i in indices if i >= 0]


def name(tensor: Any) -> str:
    return str(tensor.name.decode())


def is_constant(model: Any, tensor: Any) -> bool:
    data = model.buffers[tensor.buffer].data
    return data is not None and len(data) > 0


def nbytes(tensor: Any) -> int:
    """Bytes of a tensor's values; of a dynamic shape, with 1 for what isn't known."""
    shape = [] if tensor.shape is None else [abs(int(d)) for d in tensor.shape]
    count = int(np.prod(shape, dtype=np.int64))
    return -(-count // 2) if tensor.type == TensorType.INT4 else count * np.dtype(DTYPE_NAMES[tensor.type]).itemsize


def is_float(tensor: Any) -> bool:
    return bool(tensor.type == TensorType.FLOAT32)


def values(model: Any, tensor: Any) -> Array | None:
    """The constant that a tensor holds, as a read-only view in its dtype and shape; None if it holds none.

    int4 comes as int8: two to a byte, the first in the low half.
    """
    if not is_constant(model, tensor):
        return None
    data = model.buffers[tensor.buffer].data
    array: Array
    if tensor.type == TensorType.INT4:
        halves = np.stack([data << 4, data & 0xF0], axis=-1).reshape(-1).view(np.int8) >> 4
        array = halves[: int(np.prod(tensor.shape, dtype=np.int64))]
    else:
        array = data.view(DTYPE_NAMES[tensor.type])
    return array.reshape([] if tensor.shape is None else list(tensor.shape))


def add_buffer(model: Any, constant: Array, dtype: int | None = None) -> int:
    """A new buffer that holds ``constant``; returns its index. ``dtype``: the tensor's; int4 is packed."""
    buffer = schema.BufferT()
    data: Array = np.ascontiguousarray(constant).reshape(-1).view(np.uint8)
    if dtype == TensorType.INT4:
        data = np.pad(data, (0, data.size % 2)).reshape(-1, 2)
        data = (data[:, 0] & 0xF) | (data[:, 1] << 4)
    buffer.data = data
    model.buffers.append(buffer)
    return len(model.buffers) - 1


def set_constant(model: Any, tensor: Any, constant: Array) -> None:
    """Make ``tensor`` hold ``constant``, in the constant's own shape, whatever was declared."""
    tensor.buffer = add_buffer(model, constant)
    tensor.shape, tensor.shapeSignature = list(constant.shape), None


def carry_shape_signatures(model: Any) -> None:
    """Declare results of QUANTIZE and DEQUANTIZE dynamic where their operand is.

    The quantizer adds casts whose results have the declared extents alone, as if they were fixed.
    """
    for _, graph, op in operators(model):
        if op_name(model, op) in ("QUANTIZE", "DEQUANTIZE"):
            source, result = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
            result.shape, result.shapeSignature = source.shape, source.shapeSignature


def drop_unused_buffers(model: Any) -> None:
    """Empty the buffers of constants that no operator reads any more."""
    used = {int(entry.buffer) for entry in model.metadata or []}
    for graph in model.subgraphs:
        ends = [*graph.inputs, *graph.outputs]
        read = {int(i) for op in graph.operators for i in [*op.inputs, *op.outputs]} | {int(i) for i in ends}
        read |= {i for tensor in graph.tensors for i in _scales_elsewhere(tensor)}
        for index, tensor in enumerate(graph.tensors):
            if index not in read:
                tensor.buffer = 0
            used.add(int(tensor.buffer))
    for index, buffer in enumerate(model.buffers):
        if index not in used:
            buffer.data = None


def _scales_elsewhere(tensor: Any) -> set[int]:
    """Tensors that hold the scales and zero points of blocks of another."""
    details = tensor.quantization.details if tensor.quantization is not None else None
    return set() if not isinstance(details, schema.BlockwiseQuantizationT) else {details.scales, details.zeroPoints}


def op_code(model: Any, builtin: int, version: int = 1) -> int:
    """The index of an operator code, added where it is missing."""
    for index, code in enumerate(model.operatorCodes):
        if code.builtinCode == builtin and code.version >= version:
            return index
    code = schema.OperatorCodeT()
    code.builtinCode, code.version = builtin, version
    _fill_old_field(code)
    model.operatorCodes.append(code)
    return len(model.operatorCodes) - 1


def _fill_old_field(code: Any) -> None:
    """Give a code in the old field too, one byte whose largest value stands for all that are above its range.

    The quantizer leaves it at 0, which is ADD to those who look there first, such as OpenVINO.
    """
    builtin = max(code.builtinCode, code.deprecatedBuiltinCode)
    code.builtinCode = builtin
    code.deprecatedBuiltinCode = min(builtin, BuiltinOperator.PLACEHOLDER_FOR_GREATER_OP_CODES)


def _share_buffers(model: Any) -> None:
    """Let constants of one dtype and shape with equal contents have one buffer."""
    contents = DistinctArrays()
    first: dict[tuple[object, ...], int] = {}
    constants = [
        tensor for graph in model.subgraphs for tensor in graph.tensors if tensor.buffer and is_constant(model, tensor)
    ]
    before = {int(tensor.buffer) for tensor in constants}
    for tensor in constants:
        shape = () if tensor.shape is None else tuple(tensor.shape)
        key = (contents.index(model.buffers[tensor.buffer].data), tensor.type, shape)
        tensor.buffer = first.setdefault(key, int(tensor.buffer))
    for buffer in before - {int(tensor.buffer) for tensor in constants}:
        model.buffers[buffer].data = None


def _unpacked(content: bytes) -> Any:
    """The objects of a flatbuffer, all data as uint8 arrays.

    Constants may lie behind the flatbuffer, at an offset (from 256 KiB on the quantizer writes them there); those come
    as ``bytes``, which numpy takes for one string.
    """
    model = flatbuffer_utils.read_model_from_bytearray(content)
    for buffer in model.buffers:
        if buffer.data is not None:
            buffer.data = np.frombuffer(buffer.data, np.uint8)
    return model


def _sign(model: Any) -> bool:
    """Give the main graph a signature of its tensors' names where it has none; says whether it had to."""
    if main_signature(model) is not None:
        return False
    graph, others = model.subgraphs[0], list(model.signatureDefs or [])
    signature = schema.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = SIGNATURE.encode(), 0
    while any(signature.signatureKey == other.signatureKey for other in others):
        signature.signatureKey += b"_main"
    signature.inputs, signature.outputs = (
        [_end(graph, int(i)) for i in side] for side in (graph.inputs, graph.outputs)
    )
    model.signatureDefs = [signature, *others]
    return True


def _end(graph: Any, index: int) -> Any:
    found = schema.TensorMapT()
    found.name, found.tensorIndex = graph.tensors[index].name or b"", index
    return found


def _name_tensors(model: Any) -> bool:
    """Give each tensor a name of its own (the first to have a name keeps it); says whether it had to."""
    seen: set[bytes] = set()
    changed = False
    for g, graph in enumerate(model.subgraphs):
        for i, tensor in enumerate(graph.tensors):
            unique = wanted = tensor.name or f"tensor_{g}_{i}".encode()
            n = 1
            while unique in seen:
                unique, n = wanted + f"_{n}".encode(), n + 1
            changed |= unique != tensor.name
            seen.add(unique)
            tensor.name = unique
    return changed


class _Builder(flatbuffers.Builder):  # type: ignore[misc]
    """A builder that aligns constants as the schema asks, and writes equal small vectors once.

    A per-channel scale goes with a vector of zero points just as long, most of them all zero; in a small model
    these vectors weigh as much as the weights.
    """

    head: int

    def __init__(self, initial_size: int) -> None:
        super().__init__(initial_size)
        self._written: dict[tuple[str, bytes], int] = {}

    def CreateNumpyVector(self, x: Array) -> int:
        if x.dtype == np.uint8:
            return self._data(x)
        key = (x.dtype.str, x.tobytes())
        if key not in self._written:
            self._written[key] = super().CreateNumpyVector(x)
        return self._written[key]

    def _data(self, x: Array) -> int:
        self.StartVector(1, x.size, DATA_ALIGNMENT)
        self.head = self.head - x.size
        self.Bytes[self.head : self.head + x.size] = x.tobytes()
        return int(self.EndVector())
