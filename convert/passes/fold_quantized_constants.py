"""Compute Quantize- and DequantizeLinear of constants: weights, and biases, become what they stand for.

Before::

    int8 weights ── DequantizeLinear(scale) ── Conv          float weights ── QuantizeLinear ── DequantizeLinear ── Conv

After::

    float32 weights, each a whole number of steps of its channel's scale ── Conv

No scale is lost by it: the values tell theirs (``convert.integer.grid``), also after a batch norm was folded into them.

Leaves alone: scales that aren't constant; scales of 0, zero points of another type or shape, and axes that don't exist,
which the lowering refuses; float8 and float4.
"""

from __future__ import annotations

import numpy as np

from ...artifact import Array
from ..graph.quantization import RANGES, Parameters, parameters_of
from ..graph.reading import constant
from ..graph.rewriter import Rewriter
from .contract import Pass
from .properties import CONSTANTS_LIFTED, NO_LOCAL_FUNCTIONS, TYPED


def fold_quantized_constants(rw: Rewriter) -> None:
    for node in rw.nodes("QuantizeLinear", "DequantizeLinear"):
        data = constant(node.inputs[0])
        if data is None or node.outputs[0].is_graph_output():
            continue
        found = parameters_of(node, rw.opset)
        if isinstance(found, str):
            rw.refuse(node, found)
            continue
        result = _quantized(data, found) if node.op_type == "QuantizeLinear" else _dequantized(data, found)
        rw.replace(node, rw.constant(node, f"{node.outputs[0].name or node.name}/folded", result))


def _quantized(array: Array, found: Parameters) -> Array:
    low, high = RANGES[found.steps]
    steps = np.rint(array.astype(np.float32) / found.scale) + found.zero_point
    return np.asarray(np.clip(steps, low, high)).astype(found.steps.numpy())


def _dequantized(array: Array, found: Parameters) -> Array:
    # Biases of 32 bits aren't exact in float32; all else is, so that rounding the product is the only rounding.
    steps = array.astype(np.float64) - found.zero_point
    return np.asarray(steps * found.scale).astype(found.real.numpy())


PASS = Pass(
    name="fold_quantized_constants",
    run=fold_quantized_constants,
    requires=frozenset({NO_LOCAL_FUNCTIONS, CONSTANTS_LIFTED, TYPED}),
    must_follow=("lift_constants", "infer_shapes"),
)
