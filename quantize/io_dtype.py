"""The dtype of a quantized model's inputs and outputs.

The quantizer leaves them int8. Here they become float32 or uint8 by a QUANTIZE behind each input and a QUANTIZE or
DEQUANTIZE before each output, or by nothing at all where the operator next to them stayed float.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from ..formats.tflite import edit as fb

_INTEGERS = (fb.TensorType.INT8, fb.TensorType.INT16)


def set_io_dtype(model: Any, dtype: str) -> None:
    """Make the int8 (or int16) inputs and outputs of the main graph ``dtype`` (``ModelT``, edited in place).

    Args:
        dtype: ``float32``; ``int8`` (nothing to do); or ``uint8``, the same numbers shifted by 128.
    """
    _drop_idle_requantization(model)
    if dtype == "int8":
        return
    graph = model.subgraphs[0]
    inputs = {i: _replace_input(model, graph, i, dtype) for i in dict.fromkeys(graph.inputs) if _steps(graph, i)}
    graph.inputs = [inputs.get(i, i) for i in graph.inputs]
    outputs = {i: _replace_output(model, graph, i, dtype) for i in dict.fromkeys(graph.outputs) if _steps(graph, i)}
    graph.outputs = [outputs.get(i, i) for i in graph.outputs]
    for signature in model.signatureDefs or []:
        if signature.subgraphIndex == 0:
            for entry in signature.inputs:
                entry.tensorIndex = inputs.get(entry.tensorIndex, entry.tensorIndex)
            for entry in signature.outputs:
                entry.tensorIndex = outputs.get(entry.tensorIndex, entry.tensorIndex)
    _drop_unread_casts(model, graph)


def _replace_input(model: Any, graph: Any, index: int, dtype: str) -> int:
    """Put an input of ``dtype`` before the int8 tensor ``index``; returns the new tensor's index."""
    outer = _twin(graph, index, dtype)
    if dtype == "float32":
        for op in graph.operators:
            if fb.op_name(model, op) == "DEQUANTIZE" and op.inputs[0] == index:
                _redirect(graph, op.outputs[0], outer)
    graph.operators.insert(0, _cast(model, "QUANTIZE", outer, index))
    return outer


def _replace_output(model: Any, graph: Any, index: int, dtype: str) -> int:
    """Put an output of ``dtype`` behind the int8 tensor ``index``; returns the new output's index."""
    if dtype == "float32":
        for op in graph.operators:
            kind = fb.op_name(model, op)
            if index in op.outputs and kind == "QUANTIZE" and fb.is_float(graph.tensors[op.inputs[0]]):
                return int(op.inputs[0])
            if index in op.inputs and kind == "DEQUANTIZE" and op.outputs[0] not in graph.outputs:
                return int(op.outputs[0])
    outer = _twin(graph, index, dtype)
    constant = fb.values(model, graph.tensors[index])
    if constant is not None:  # XNNPACK mixes up the outputs when one is a cast of a constant
        _store_cast(model, graph, index, outer, constant)
        return outer
    graph.operators.append(_cast(model, "DEQUANTIZE" if dtype == "float32" else "QUANTIZE", index, outer))
    return outer


def _steps(graph: Any, index: int) -> bool:
    tensor = graph.tensors[index]
    scale = tensor.quantization.scale if tensor.quantization is not None else None
    return bool(tensor.type in _INTEGERS and scale is not None and len(scale))


def _twin(graph: Any, index: int, dtype: str) -> int:
    """A new tensor like ``index``, of ``dtype``."""
    inner = graph.tensors[index]
    outer = schema.TensorT()
    outer.name = inner.name + f"_{dtype}".encode()
    outer.shape, outer.shapeSignature, outer.hasRank = inner.shape, inner.shapeSignature, inner.hasRank
    outer.type = fb.TensorType.FLOAT32 if dtype == "float32" else fb.TensorType.UINT8
    if dtype == "uint8":
        outer.quantization = schema.QuantizationParametersT()
        outer.quantization.scale = np.asarray(inner.quantization.scale, np.float32)
        outer.quantization.zeroPoint = np.asarray(inner.quantization.zeroPoint, np.int64) + 128
    graph.tensors.append(outer)
    return len(graph.tensors) - 1


def _cast(model: Any, kind: str, source: int, target: int) -> Any:
    op = schema.OperatorT()
    op.opcodeIndex = fb.op_code(model, getattr(fb.BuiltinOperator, kind), version=2)
    op.inputs, op.outputs = [source], [target]
    op.builtinOptionsType = getattr(schema.BuiltinOptions, f"{kind.capitalize()}Options")
    op.builtinOptions = getattr(schema, f"{kind.capitalize()}OptionsT")()
    return op


def _store_cast(model: Any, graph: Any, index: int, outer: int, constant: Any) -> None:
    """Give tensor ``outer`` the values that casting the constant ``index`` would have."""
    inner, target = graph.tensors[index].quantization, graph.tensors[outer]
    shifted = constant.astype(np.int32) - int(inner.zeroPoint[0])
    cast = (shifted * np.float32(inner.scale[0])).astype(np.float32)
    if target.type == fb.TensorType.UINT8:
        cast = (shifted + int(target.quantization.zeroPoint[0])).astype(np.uint8)
    target.buffer = fb.add_buffer(model, cast)


def _drop_idle_requantization(model: Any) -> None:
    """Take out int8 → int8 QUANTIZE with equal parameters; the engine leaves some that differ by rounding only."""
    for graph in model.subgraphs:
        for op in list(graph.operators):
            if fb.op_name(model, op) != "QUANTIZE" or op.outputs[0] in graph.outputs:
                continue
            before, after = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
            if before.type != after.type or fb.is_constant(model, before):
                continue
            same = np.allclose(before.quantization.scale, after.quantization.scale, rtol=1e-6, atol=0)
            if same and np.array_equal(before.quantization.zeroPoint, after.quantization.zeroPoint):
                _redirect(graph, op.outputs[0], op.inputs[0])
                graph.operators.remove(op)


def _redirect(graph: Any, old: int, new: int) -> None:
    """Let everything that reads tensor ``old`` read ``new``."""
    for op in graph.operators:
        op.inputs = [new if i == old else i for i in op.inputs]


def _drop_unread_casts(model: Any, graph: Any) -> None:
    """Take out QUANTIZE and DEQUANTIZE whose result nothing reads; from the end, as one may feed another."""
    read = {int(i) for i in graph.outputs}
    used = []
    for op in reversed(graph.operators):
        if fb.op_name(model, op) not in ("QUANTIZE", "DEQUANTIZE") or op.outputs[0] in read:
            used.append(op)
            read.update(int(i) for i in op.inputs)
    graph.operators = used[::-1]
