"""Which operators of a quantized model stayed float, read from the flatbuffer itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..artifact import FloatOp
from ..formats.tflite import edit as fb
from ..schemes import Scheme
from . import lookups
from .kinds import MIN_ELEMENTS

NO_ARITHMETIC = ("QUANTIZE", "DEQUANTIZE", "SHAPE", "RANK")
"""Operators that are neither float nor integer."""


def float_operators(
    model: Any, scheme: Scheme, *, supported: frozenset[str], reasons: Mapping[str, str]
) -> list[FloatOp]:
    """List them in order of execution.

    Args:
        model: The quantized model.
        supported: Operators that the engine can quantize under the scheme.
        reasons: Output name → why an operator was kept in float.
    """
    found = []
    packed = {
        (number, int(op.outputs[0])): int(op.inputs[0])
        for number, _, op in fb.operators(model)
        if fb.op_name(model, op) == "DEQUANTIZE"
    }
    for number, graph, op in fb.operators(model):
        kind = fb.op_name(model, op)
        if kind in NO_ARITHMETIC or not op.outputs:
            continue
        name = fb.name(graph.tensors[op.outputs[0]])
        if lookups.is_part(name):
            continue
        if any(lookups.is_part(fb.name(tensor)) for tensor in fb.tensors(graph, op.inputs)):
            kind = "GATHER"
        if name not in reasons:
            stored = [packed.get((number, int(i)), int(i)) for i in op.inputs]
            stayed = _is_float(graph, op) if scheme.needs_calibration else _has_float_weights(model, graph, stored)
            if not stayed:
                continue
        reason = reasons.get(name, "")
        if not reason and kind not in supported:
            reason = f"the quantizer has no {scheme.name} form of it"
        if not reason and number:
            reason = "it is in the body of a control-flow operator, which calibration doesn't see"
        found.append(FloatOp(kind, name, reason))
    return found


def _is_float(graph: Any, op: Any) -> bool:
    return any(fb.is_float(tensor) for tensor in fb.tensors(graph, [*op.inputs, *op.outputs]))


def _has_float_weights(model: Any, graph: Any, stored: list[int]) -> bool:
    """Whether there is a large float32 constant and none that is compressed (then the float one is a bias).

    Args:
        stored: What an operator reads, before it is unpacked.
    """
    constants = [t for t in fb.tensors(graph, stored) if fb.is_constant(model, t)]
    if any(t.type in (fb.TensorType.INT8, fb.TensorType.INT4) for t in constants):
        return False
    sizes = [v.size for t in constants if fb.is_float(t) and (v := fb.values(model, t)) is not None]
    return max(sizes, default=0) >= MIN_ELEMENTS
