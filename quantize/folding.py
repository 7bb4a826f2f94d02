"""Operators on constants alone, computed once.

MLIR's optimizer scales weights by a following multiplication, and leaves the product to the runtime where weights are
too large for it to fold. The quantizer knows weights only as constants.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ai_edge_litert.interpreter import Interpreter, OpResolverType

from ..formats.tflite import edit as fb

if TYPE_CHECKING:
    from ..artifact import Array

_KEPT = ("CALL", "CALL_ONCE", "DEQUANTIZE", "IF", "VAR_HANDLE", "WHILE")
"""Operators with effects, and float16 constants, which are unfolded on purpose."""

_SMALL = 1024
"""Bytes that a result may have whatever it is made from; a FILL or TILE is worth more than its result."""


def fold_constants(content: bytes) -> bytes:
    """The flatbuffer with the results of constant operators of its main graph in their place.

    A result's shape may have been declared dynamic; as a constant it has the one that it was computed in.
    """
    model = fb.read(content)
    graph = model.subgraphs[0]
    likely = _constant_operators(model, graph, {})
    if not likely:
        return content
    results = sorted(int(i) for position in likely for i in graph.operators[position].outputs)
    values = _computed(content, likely, results)
    # What is declared dynamic shows its size only now.
    folded = likely & _constant_operators(model, graph, {index: value.nbytes for index, value in values.items()})
    if not folded:
        return content
    inside = {int(i) for position in folded for i in graph.operators[position].outputs}
    graph.operators = [op for position, op in enumerate(graph.operators) if position not in folded]
    read = {int(i) for op in graph.operators for i in op.inputs} | {int(i) for i in graph.outputs}
    for index in sorted(inside & read):
        fb.set_constant(model, graph.tensors[index], values[index])
    fb.drop_unused_buffers(model)
    return fb.write(model)


def _constant_operators(model: Any, graph: Any, known: Mapping[int, int]) -> set[int]:
    """Positions of the operators that read constants only, directly or through each other.

    Args:
        known: Tensor index → bytes of its values; for others the declared shape counts.
    """
    sizes = {
        index: len(model.buffers[tensor.buffer].data)
        for index, tensor in enumerate(graph.tensors)
        if fb.is_constant(model, tensor)
    }
    found = set()
    for position, op in enumerate(graph.operators):
        inputs = [int(i) for i in op.inputs if i >= 0]
        kind = fb.op_name(model, op)
        if not inputs or not all(i in sizes for i in inputs) or kind in _KEPT or kind.startswith("CUSTOM:"):
            continue
        results = {int(i): known.get(int(i), fb.nbytes(graph.tensors[i])) for i in op.outputs}
        # Without bytes there is no constant to put in its place.
        if all(results.values()) and sum(results.values()) <= max(_SMALL, sum(sizes[i] for i in inputs)):
            found.add(position)
            sizes |= results
    return found


def _computed(content: bytes, positions: set[int], results: list[int]) -> dict[int, Array]:
    """Run the operators at ``positions`` by themselves; tensor index → value."""
    model = fb.read(content)
    graph = model.subgraphs[0]
    graph.operators = [op for position, op in enumerate(graph.operators) if position in positions]
    graph.inputs, graph.outputs, model.signatureDefs = [], results, None
    interpreter = Interpreter(
        model_content=fb.write(model),
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    interpreter.invoke()
    return {index: interpreter.get_tensor(index) for index in results}
