"""The main graph of a flatbuffer while operators of it become integer ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from ...artifact import Array
from ...formats.tflite import edit as fb
from ...formats.tflite.summary import DTYPE_NAMES

_TYPES = {"int8": fb.TensorType.INT8, "int16": fb.TensorType.INT16, "int32": fb.TensorType.INT32,
          "int64": fb.TensorType.INT64}  # fmt: skip
_STEPS = "/steps"
_CLOSE = 1e-3


@dataclass(frozen=True)
class Scale:
    """What the integers of an activation stand for."""

    dtype: str
    scale: float
    zero_point: int

    def is_close(self, other: Scale) -> bool:
        """Whether rounding to one and then to the other is as good as rounding once."""
        same = (self.dtype, self.zero_point) == (other.dtype, other.zero_point)
        return same and abs(self.scale - other.scale) < _CLOSE * other.scale


class GraphEdit:
    """Tensors are indices, as in the file.

    Attributes:
        operators: Those of the graph, in order; ``tidy`` writes them back.
        outputs: The graph's.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._graph = model.subgraphs[0]
        self.operators: list[Any] = list(self._graph.operators)
        self.outputs = {int(i) for i in self._graph.outputs}
        self._readers: dict[int, list[Any]] = {}
        self._makers: dict[int, Any] = {}
        self._index()

    def _index(self) -> None:
        self._readers, self._makers = {}, {}
        for op in self.operators:
            op.inputs, op.outputs = [int(i) for i in op.inputs], [int(i) for i in op.outputs]
            for index in dict.fromkeys(op.inputs):
                self._readers.setdefault(index, []).append(op)
            self._makers.update(dict.fromkeys(op.outputs, op))

    def kind(self, op: Any) -> str:
        return fb.op_name(self._model, op)

    def readers(self, index: int) -> list[Any]:
        return self._readers.get(index, [])

    def maker(self, index: int) -> Any | None:
        return self._makers.get(index)

    def name(self, index: int) -> str:
        return fb.name(self._graph.tensors[index])

    def is_float(self, index: int) -> bool:
        return fb.is_float(self._graph.tensors[index])

    def constant(self, index: int) -> Array | None:
        """The values of a float32 constant."""
        tensor = self._graph.tensors[index]
        return fb.values(self._model, tensor) if index >= 0 and fb.is_float(tensor) else None

    def scale(self, index: int) -> Scale:
        """Of a tensor that is quantized as a whole."""
        tensor = self._graph.tensors[index]
        found = tensor.quantization
        return Scale(DTYPE_NAMES[tensor.type], float(np.float32(found.scale[0])), int(found.zeroPoint[0]))

    def twin(self, index: int, scale: Scale | None) -> int:
        """A new tensor of the same shape: integers of ``scale``, or float32."""
        like = self._graph.tensors[index]
        tensor = schema.TensorT()
        tensor.name = like.name + (_STEPS if scale else "/real").encode()
        tensor.shape, tensor.shapeSignature, tensor.hasRank = like.shape, like.shapeSignature, like.hasRank
        tensor.type = _TYPES[scale.dtype] if scale else fb.TensorType.FLOAT32
        if scale is not None:
            tensor.quantization = quantization([scale.scale], scale.zero_point)
        self._graph.tensors.append(tensor)
        return len(self._graph.tensors) - 1

    def add_constant(self, index: int, steps: Array, scale: Sequence[float] | Array, zero: int, axis: int = 0) -> int:
        """A new constant in the place of the float one at ``index``."""
        new = self.twin(index, Scale(steps.dtype.name, 1.0, 0))
        tensor = self._graph.tensors[new]
        tensor.buffer = fb.add_buffer(self._model, steps)
        tensor.quantization = quantization(scale, zero, axis)
        return new

    def cast(self, kind: str, source: int, result: int) -> Any:
        """A QUANTIZE or DEQUANTIZE, in no list yet; readers and makers know of it."""
        op = schema.OperatorT()
        op.opcodeIndex = fb.op_code(self._model, getattr(fb.BuiltinOperator, kind), version=2)
        op.inputs, op.outputs = [source], [result]
        op.builtinOptionsType = getattr(schema.BuiltinOptions, f"{kind.capitalize()}Options")
        op.builtinOptions = getattr(schema, f"{kind.capitalize()}OptionsT")()
        return op

    def through_steps(self, op: Any, position: int, scale: Scale) -> Any:
        """Put a QUANTIZE and a DEQUANTIZE before operand ``position``, which ``op`` alone reads; gives the QUANTIZE."""
        index = int(op.inputs[position])
        steps, real = self.twin(index, scale), self.twin(index, None)
        down, up = self.cast("QUANTIZE", index, steps), self.cast("DEQUANTIZE", steps, real)
        at = self.operators.index(op)
        self.operators[at:at] = [down, up]
        op.inputs[position] = real
        self._readers |= {index: [down], steps: [up], real: [op]}
        self._makers |= {steps: down, real: up}
        return down

    def tidy(self) -> None:
        """Take out casts and tensors that nobody reads, and call integers what the float tensor was called."""
        read, kept = set(self.outputs), []
        for op in reversed(self.operators):
            if self.kind(op) not in ("QUANTIZE", "DEQUANTIZE") or read & set(op.outputs):
                kept.append(op)
                read.update(op.inputs)
        self._graph.operators = kept[::-1]
        self._drop_tensors(read | {i for op in kept for i in op.outputs} | {int(i) for i in self._graph.inputs})
        names = {fb.name(t) for t in self._graph.tensors}
        for tensor in self._graph.tensors:
            plain = fb.name(tensor).removesuffix(_STEPS)
            if plain not in names:
                names.add(plain)
                tensor.name = plain.encode()
        fb.drop_unused_buffers(self._model)

    def _drop_tensors(self, used: set[int]) -> None:
        moved = {-1: -1} | {old: new for new, old in enumerate(sorted(i for i in used if i >= 0))}
        graph = self._graph
        graph.tensors = [graph.tensors[i] for i in moved if i >= 0]
        graph.inputs, graph.outputs = [moved[int(i)] for i in graph.inputs], [moved[int(i)] for i in graph.outputs]
        for op in graph.operators:
            op.inputs, op.outputs = [moved[i] for i in op.inputs], [moved[i] for i in op.outputs]
        for signature in self._model.signatureDefs or []:
            if signature.subgraphIndex == 0:
                for entry in [*signature.inputs, *signature.outputs]:
                    entry.tensorIndex = moved[int(entry.tensorIndex)]


def quantization(scale: Sequence[float] | Array, zero: int, axis: int = 0) -> Any:
    """A tensor's parameters: its scales, one zero point for all, and the axis that several scales are along."""
    found = schema.QuantizationParametersT()
    found.scale = np.asarray(scale, np.float32)
    found.zeroPoint = np.full(found.scale.size, zero, np.int64)
    found.quantizedDimension = axis if found.scale.size > 1 else 0
    return found
