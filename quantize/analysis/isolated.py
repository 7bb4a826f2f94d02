"""The quantized operators, each by itself, in one model.

Every activation that an operator reads becomes an input of the model, and every result an output. So one run on the
float model's values, each in the scale of the operand that it is for, gives the error that each operator makes alone.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ...formats.tflite import edit as fb
from ...formats.tflite.summary import DTYPE_NAMES
from .grid import Grid, grid_of
from .pair import CASTS, FilePair

if TYPE_CHECKING:
    from ...artifact import Array


class Isolated:
    """What goes in and what comes out.

    Attributes:
        content: The flatbuffer.
        outputs: Tensors that an operator writes from fed values alone.
    """

    def __init__(self, pair: FilePair) -> None:
        self._twins: dict[int, int] = {}
        self._inside = set[int]()
        self._feeds: dict[int, tuple[str, Grid | None, str]] = {}
        model = copy.copy(pair.quantized)
        graph = copy.copy(pair.graph)
        graph.tensors = list(graph.tensors)
        apart = (self._apart(pair, graph, op) for op in graph.operators)
        graph.operators = [op for op in apart if op is not None]
        kept = (op for op in graph.operators if not all(pair.is_constant(int(i)) for i in op.outputs))
        self.outputs = frozenset(int(i) for op in kept for i in op.outputs)
        graph.inputs, graph.outputs = sorted(self._feeds), sorted(self.outputs)
        model.subgraphs, model.signatureDefs = [graph, *model.subgraphs[1:]], None
        self.content = fb.write(model)

    def feed(self, values: Mapping[str, Array]) -> dict[int, Array]:
        """Tensor index → array, of the float model's activation → array."""
        found = {}
        for index, (name, grid, dtype) in self._feeds.items():
            found[index] = values[name].astype(dtype) if grid is None else grid.quantized(values[name])
        return found

    @property
    def names(self) -> frozenset[str]:
        """The float model's activations that ``feed`` asks for."""
        return frozenset(name for name, _, _ in self._feeds.values())

    def _apart(self, pair: FilePair, graph: Any, op: Any) -> Any:
        """The operator with inputs of its own; None where they can't be fed, or it is a cast of an activation."""
        constant = all(pair.is_constant(int(i)) for i in op.inputs if i >= 0)
        if constant and len(op.inputs):
            return op
        inside = pair.is_inside(int(op.outputs[0])) if len(op.outputs) else False
        if pair.is_opaque(op) or (pair.kind(op) in CASTS and not inside):
            return None
        inputs = [self._input(pair, graph, int(i)) for i in op.inputs]
        if None in inputs:
            return None
        if inside:
            self._inside.add(int(op.outputs[0]))
        found = copy.copy(op)
        found.inputs = np.array(inputs, np.int32)
        return found

    def _input(self, pair: FilePair, graph: Any, index: int) -> int | None:
        """What an operator reads in place of a tensor; None where nothing can be fed."""
        if index < 0 or pair.is_constant(index) or index in self._inside:
            return index
        return self._twin(pair, graph, index)

    def _twin(self, pair: FilePair, graph: Any, index: int) -> int | None:
        """An input that stands for a tensor that another operator writes."""
        if index in self._twins:
            return self._twins[index]
        name, tensor = pair.origin(index), graph.tensors[index]
        grid, dtype = grid_of(tensor), DTYPE_NAMES[tensor.type]
        if name is None or (name in pair.floats) != (grid is not None or dtype.startswith("float")):
            return None
        twin = copy.copy(tensor)
        twin.name, twin.buffer = tensor.name + b";fed", 0
        graph.tensors.append(twin)
        self._twins[index] = len(graph.tensors) - 1
        self._feeds[self._twins[index]] = name, grid, dtype
        return self._twins[index]
