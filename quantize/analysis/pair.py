"""A float model and the file that was quantized from it, tensor by tensor.

The quantizer leaves a tensor its name where it changes its dtype, and calls what casts add by other names. So a name
leads from a float activation to its counterpart, and a chain of QUANTIZE and DEQUANTIZE back to one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...formats.tflite import edit as fb
from ...formats.tflite.summary import DTYPE_NAMES
from .. import lookups
from .grid import Grid, grid_of

CASTS = ("QUANTIZE", "DEQUANTIZE")
_OPAQUE = ("string", "resource", "variant")


class FilePair:
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
        for index, tensor in _activations(self.floating):  # results that nobody reads may not be computed
            (self.floats if fb.is_float(tensor) else self.others)[fb.name(tensor)] = index
        self.producers = {int(i): op for op in self.graph.operators for i in op.outputs}
        self._inputs = self._unquantized_inputs()
        self._constant = self._constants()

    def kind(self, op: Any) -> str:
        """As in the schema; of a lookup in several operators (``lookups``) the last is the one of the float model."""
        whole = any(self.is_inside(int(i)) for i in op.inputs) and not self.is_inside(int(op.outputs[0]))
        return "GATHER" if whole else fb.op_name(self.quantized, op)

    def is_inside(self, index: int) -> bool:
        """Whether a tensor is in the middle of what is one operator of the float model."""
        return index >= 0 and lookups.is_part(fb.name(self.graph.tensors[index]))

    def layers(self) -> Iterator[tuple[str, int, Any]]:
        """(float activation, index of its counterpart, the operator that writes it; None: an input), in order."""
        named = {fb.name(self.graph.tensors[i]): i for i in self.producers}
        named |= {fb.name(self.graph.tensors[i]): int(i) for i in self.graph.inputs}
        named |= {name: index for index, name in self._inputs.items()}
        found = [(name, named[name]) for name in self.floats if name in named]
        for name, index in found:
            op = self.producers.get(index)
            yield name, index, None if op is None or self._is_input(op) else op

    def origin(self, index: int) -> str | None:
        """The float model's activation that a tensor holds the value of; None: there is none."""
        while True:
            name = self._inputs.get(index) or fb.name(self.graph.tensors[index])
            if name in self.floats or name in self.others:
                return name
            op = self.producers.get(index)
            if op is None or self.kind(op) not in CASTS:
                return None
            index = int(op.inputs[0])

    def grid(self, index: int) -> Grid | None:
        """Of a tensor of the quantized main graph."""
        return grid_of(self.graph.tensors[index])

    def with_integer_weights(self) -> set[str]:
        """Results of the operators that read constants in fewer bits, as they are or unpacked."""
        found: set[str] = set()
        for op in self.graph.operators:
            stored = [t for t in map(self._stored, op.inputs) if t is not None]
            if self.kind(op) not in CASTS and any(t.quantization and t.quantization.scale is not None for t in stored):
                found.update(lookups.whole(fb.name(self.graph.tensors[o])) for o in op.outputs)
        return found

    def _stored(self, index: int) -> Any | None:
        """The constant that a tensor is, or is unpacked from."""
        op = self.producers.get(int(index))
        tensor = self.graph.tensors[op.inputs[0] if op is not None and self.kind(op) in CASTS else index]
        return tensor if index >= 0 and fb.is_constant(self.quantized, tensor) else None

    def is_constant(self, index: int) -> bool:
        """Whether a tensor is part of the model, or computed of what is."""
        return index in self._constant

    def is_opaque(self, op: Any) -> bool:
        """Whether an operator has state, or reads or writes what is no array."""
        tensors = fb.tensors(self.graph, [*op.inputs, *op.outputs])
        return any(DTYPE_NAMES[t.type] in _OPAQUE or t.isVariable for t in tensors) or not len(op.outputs)

    def _unquantized_inputs(self) -> dict[int, str]:
        """Inputs that no cast leads to the float model's name of: float ones that float operators read, by position."""
        there = {fb.name(self.graph.tensors[i]) for i in (*self.producers, *self.graph.inputs)}
        inputs = self.floating.subgraphs[0].inputs
        names = [fb.name(self.floating.subgraphs[0].tensors[i]) for i in inputs]
        found = zip(map(int, self.graph.inputs), names, strict=True)
        return {index: name for index, name in found if name in self.floats and name not in there}

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
    """Inputs and operators' results of the main graph, without those that nobody reads."""
    graph = model.subgraphs[0]
    read = {int(i) for op in graph.operators for i in op.inputs} | {int(i) for i in graph.outputs}
    for i in dict.fromkeys([*map(int, graph.inputs), *(int(i) for op in graph.operators for i in op.outputs)]):
        if i in read and not fb.is_constant(model, graph.tensors[i]):
            yield i, graph.tensors[i]
