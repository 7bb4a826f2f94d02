"""Float tables that rows are looked up in, as embeddings are, stored as int8 with a scale for each row.

``GATHER(table, ids)`` becomes ``DEQUANTIZE(GATHER(steps, ids)) · GATHER(largest, ids)``: each row is held in 127ths of
its largest value, and those values are a table of one column. Only rows that are asked for are ever unpacked, ids are
checked as before, and every runtime since TFLite 2.7 has the operators. EMBEDDING_LOOKUP of such a table gives zeros
in TFLite and takes five times as long in LiteRT 2.3; a DEQUANTIZE of the whole table takes its float size in memory,
and 0.1 s for 16 M values when it is loaded.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from ..formats.tflite import edit as fb
from .kinds import MIN_ELEMENTS
from .ranges import HUGE

if TYPE_CHECKING:
    from ..artifact import Array

MIN_ROW = 16
"""Values of a row that are worth a scale: of fewer the file would shrink by less than two thirds."""

_MOST_AXES = 4
"""Of the result: more are broadcast by no MUL before LiteRT 1.0."""

_LARGEST = 127
_ROWS, _UNIT, _SCALES = ";rows", ";unit", ";scales"
"""What the results of a lookup's parts are called, behind the name of its own."""


def is_part(name: str) -> bool:
    """Whether a tensor is in the middle of a lookup."""
    return name.endswith((_ROWS, _UNIT, _SCALES))


def whole(name: str) -> str:
    """The lookup's result, of a tensor in the middle of it; else ``name`` itself."""
    return name[: name.rindex(";")] if is_part(name) else name


def is_lookup(model: Any, graph: Any, op: Any) -> bool:
    """Whether an operator gathers rows of a float table that is worth storing in 8 bits."""
    if fb.op_name(model, op) != "GATHER" or op.builtinOptions is None:
        return False
    table, result = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
    if not fb.is_float(table) or not fb.is_constant(model, table) or op.builtinOptions.batchDims:
        return False
    count = int(np.prod(table.shape, dtype=np.int64))
    large = count >= MIN_ELEMENTS and count >= MIN_ROW * int(table.shape[0])
    return large and op.builtinOptions.axis == 0 and len(result.shape) <= _MOST_AXES


def store_rows(model: Any, keep: Collection[str] = ()) -> None:
    """Store tables in 8 bits (``ModelT``, edited in place), where nothing else reads them in float.

    Args:
        keep: Results of the lookups whose tables stay as they are.
    """
    meant = {
        id(op)
        for _, graph, op in fb.operators(model)
        if is_lookup(model, graph, op) and fb.name(graph.tensors[op.outputs[0]]) not in keep
    }
    others = {buffer for _, graph, op in fb.operators(model) if id(op) not in meant for buffer in _read(graph, op)}
    others |= {int(graph.tensors[i].buffer) for graph in model.subgraphs for i in graph.outputs}
    for graph in model.subgraphs:
        packed: dict[int, tuple[int, int] | None] = {}
        operators: list[Any] = []
        for op in graph.operators:
            table = int(op.inputs[0]) if id(op) in meant else -1
            if table >= 0 and table not in packed:
                alone = int(graph.tensors[table].buffer) not in others
                packed[table] = _packed(model, graph, graph.tensors[table]) if alone else None
            parts = packed.get(table)
            operators += [op] if parts is None else _parts(model, graph, op, *parts)
        graph.operators = operators


def _read(graph: Any, op: Any) -> set[int]:
    """Buffers that an operator reads."""
    return {int(tensor.buffer) for tensor in fb.tensors(graph, op.inputs)}


def _packed(model: Any, graph: Any, table: Any) -> tuple[int, int] | None:
    """Tensors of a table's steps and of the largest value of each row; None where 8 bits can't hold it."""
    values = fb.values(model, table)
    if values is None or not np.abs(values).max(initial=0.0) <= HUGE:
        return None
    columns = (len(values), *(1 for _ in values.shape[1:]))
    steps, largest = _steps_of_a_layer(model, graph, values) or _steps(values)
    name, shape = fb.name(table), list(values.shape)
    return (
        _tensor(graph, f"{name}_int8", fb.TensorType.INT8, shape, buffer=fb.add_buffer(model, steps)),
        _tensor(graph, f"{name}_scales", fb.TensorType.FLOAT32, list(columns), buffer=fb.add_buffer(model, largest)),
    )


def _steps(values: Array) -> tuple[Array, Array]:
    """127ths of each row's largest value, and that."""
    largest = np.abs(values).reshape(len(values), -1).max(axis=1)
    unit = np.where(largest > 0, largest, 1).reshape(-1, *(1 for _ in values.shape[1:]))
    return np.rint(values / unit * _LARGEST).astype(np.int8), largest


def _steps_of_a_layer(model: Any, graph: Any, values: Array) -> tuple[Array, Array] | None:
    """The same, as a layer has them that multiplies by the same table: then it is stored once."""
    for tensor in graph.tensors:
        params = tensor.quantization
        if tensor.type != fb.TensorType.INT8 or params is None or params.scale is None:
            continue
        if len(params.scale) != len(values) or params.quantizedDimension or list(tensor.shape) != list(values.shape):
            continue
        steps = fb.values(model, tensor)
        scales = np.asarray(params.scale, np.float32)
        if steps is not None and _holds(steps, scales, values):
            return steps, scales * _LARGEST
    return None


def _holds(steps: Array, scales: Array, values: Array) -> bool:
    """Whether steps are those of the values: none is off by more than half of one, and rounding."""
    for row, scale, value in zip(steps, scales, values, strict=True):
        if (np.abs(row * scale - value) > 0.51 * scale).any():
            return False
    return True


def _parts(model: Any, graph: Any, op: Any, steps: int, largest: int) -> Iterator[Any]:
    """The operators that take the place of a GATHER, in order."""
    ids, result = int(op.inputs[1]), int(op.outputs[0])
    made = graph.tensors[result]
    name, shape, signature = fb.name(made), list(made.shape), made.shapeSignature
    behind = len(graph.tensors[steps].shape) - 1
    rows, unit = (
        _tensor(graph, name + end, dtype, shape, signature)
        for end, dtype in ((_ROWS, fb.TensorType.INT8), (_UNIT, fb.TensorType.FLOAT32))
    )
    scales = _tensor(graph, name + _SCALES, fb.TensorType.FLOAT32, _single(shape, behind), _single(signature, behind))
    yield _operator(model, "GATHER", [steps, ids], rows, op.builtinOptions, version=2)
    yield _operator(model, "GATHER", [largest, ids], scales, op.builtinOptions)
    yield _operator(model, "DEQUANTIZE", [rows], unit, schema.DequantizeOptionsT(), version=2)
    yield _operator(model, "MUL", [unit, scales], result, schema.MulOptionsT())


def _single(extents: Any, behind: int) -> Any:
    """A shape, or its signature, with 1 for the axes of a row."""
    return None if extents is None else [*list(extents)[: len(extents) - behind], *(1 for _ in range(behind))]


def _tensor(graph: Any, name: str, dtype: int, shape: Any, signature: Any = None, *, buffer: int = 0) -> int:
    """A new tensor; one of int8 is in 127ths."""
    tensor = schema.TensorT()
    tensor.name, tensor.type, tensor.buffer = name.encode(), dtype, buffer
    tensor.shape, tensor.shapeSignature = shape, signature
    if dtype == fb.TensorType.INT8:
        tensor.quantization = schema.QuantizationParametersT()
        tensor.quantization.scale = np.array([1 / _LARGEST], np.float32)
        tensor.quantization.zeroPoint = np.zeros(1, np.int64)
    graph.tensors.append(tensor)
    return len(graph.tensors) - 1


def _operator(model: Any, kind: str, inputs: list[int], result: int, options: Any, *, version: int = 1) -> Any:
    op = schema.OperatorT()
    op.opcodeIndex = fb.op_code(model, getattr(fb.BuiltinOperator, kind), version)
    op.inputs, op.outputs = np.array(inputs, np.int32), np.array([result], np.int32)
    op.builtinOptionsType = getattr(schema.BuiltinOptions, f"{kind.capitalize()}Options")
    op.builtinOptions = options
    return op
