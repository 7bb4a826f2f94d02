"""A float model and the file that was quantized from it, tensor by tensor.

The quantizer leaves a tensor its name where it changes its dtype, and calls what casts add by other names. So a name
leads from a float activation to its counterpart, and a chain of QUANTIZE and DEQUANTIZE back to one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...formats.tflite import edit as fb
from ...formats.tflite.summary import DTYPE_NAMES, STEPS

if TYPE_CHECKING:
    from ...artifact import Array

CASTS = ("QUANTIZE", "DEQUANTIZE")
_OPAQUE = ("string", "resource", "variant")


@dataclass(frozen=True)
class Grid:
    """The values that a tensor can have: ``scale · (q - zero_point)`` of an integer dtype."""

    scale: float
    zero_point: int
    dtype: str

    @property
    def limits(self) -> tuple[float, float]:
        """The least and the largest of them."""
        info = np.iinfo(self.dtype)
        return self.scale * (int(info.min) - self.zero_point), self.scale * (int(info.max) - self.zero_point)

    def quantized(self, values: Array) -> Array:
        """Floats as steps, saturated; as QUANTIZE does it."""
        info = np.iinfo(self.dtype)
        steps = np.rint(values.astype(np.float64) / self.scale) + self.zero_point
        found: Array = np.clip(np.nan_to_num(steps), info.min, info.max).astype(self.dtype)
        return found

    def real(self, steps: Array) -> Array:
        """Steps as the float64 that they stand for."""
        found: Array = (steps.astype(np.float64) - self.zero_point) * self.scale
        return found


def grid_of(tensor: Any) -> Grid | None:
    """Of an activation in steps; None for a float or one without a usable scale."""
    params, dtype = tensor.quantization, DTYPE_NAMES[tensor.type]
    if params is None or params.scale is None or len(params.scale) != 1 or dtype not in STEPS:
        return None
    scale = float(params.scale[0])
    if not np.isfinite(scale) or scale <= 0:
        return None
    zero_points = params.zeroPoint
    return Grid(scale, int(zero_points[0]) if zero_points is not None and len(zero_points) else 0, dtype)


class Pair:
    """Two models as objects, and what stands for what.

    Attributes:
        floating, quantized: ``ModelT``.
        floats: Float activation → its index in the float model's main graph.
        others: The same of activations of other dtypes.
        producers: Tensor index of the quantized main graph → the operator that writes it.
    """

    def __init__(self, floating: bytes, quantized: bytes) -> None:
        self.floating, self.quantized = fb.read(floating), fb.read(quantized)
        self.graph = self.quantized.subgraphs[0]
        self.floats: dict[str, int] = {}
        self.others: dict[str, int] = {}
        for index, tensor in _activations(self.floating):
            (self.floats if fb.is_float(tensor) else self.others)[fb.name(tensor)] = index
        self.producers = {int(i): op for op in self.graph.operators for i in op.outputs}
        self._constant = self._constants()

    def kind(self, op: Any) -> str:
        return fb.op_name(self.quantized, op)

    def layers(self) -> Iterator[tuple[str, int, Any]]:
        """(float activation, index of its counterpart, the operator that writes it; None: an input), in order."""
        named = {fb.name(self.graph.tensors[i]): i for i in self.producers}
        named |= {fb.name(self.graph.tensors[i]): int(i) for i in self.graph.inputs}
        found = [(name, named[name]) for name in self.floats if name in named]
        for name, index in found:
            op = self.producers.get(index)
            yield name, index, None if op is None or self._is_input(op) else op

    def origin(self, index: int) -> str | None:
        """The float model's activation that a tensor holds the value of; None: there is none."""
        while True:
            name = fb.name(self.graph.tensors[index])
            if name in self.floats or name in self.others:
                return name
            op = self.producers.get(index)
            if op is None or self.kind(op) not in CASTS:
                return None
            index = int(op.inputs[0])

    def is_constant(self, index: int) -> bool:
        """Whether a tensor is part of the model, or computed of what is."""
        return index in self._constant

    def is_opaque(self, op: Any) -> bool:
        """Whether an operator has state, or reads or writes what is no array."""
        tensors = fb.tensors(self.graph, [*op.inputs, *op.outputs])
        return any(DTYPE_NAMES[t.type] in _OPAQUE or t.isVariable for t in tensors) or not len(op.outputs)

    def _is_input(self, op: Any) -> bool:
        return self.kind(op) in CASTS and int(op.inputs[0]) in {int(i) for i in self.graph.inputs}

    def _constants(self) -> set[int]:
        found = {i for i, t in enumerate(self.graph.tensors) if fb.is_constant(self.quantized, t)}
        for op in self.graph.operators:
            inputs = [int(i) for i in op.inputs if i >= 0]
            if inputs and found.issuperset(inputs):
                found.update(int(i) for i in op.outputs)
        return found


def _activations(model: Any) -> Iterator[tuple[int, Any]]:
    """Inputs and operators' results of the main graph."""
    graph = model.subgraphs[0]
    for i in dict.fromkeys([*map(int, graph.inputs), *(int(i) for op in graph.operators for i in op.outputs)]):
        if not fb.is_constant(model, graph.tensors[i]):
            yield i, graph.tensors[i]
