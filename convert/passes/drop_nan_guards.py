"""Take out the guard against rows that are masked altogether, where nothing is masked.

Before (how ``torch.onnx`` writes ``scaled_dot_product_attention``)::

    s = MatMul(q, kᵀ) ── Softmax ── p ── IsNaN ── Where(·, 0, p) ── y

After::

    s = MatMul(q, kᵀ) ── Softmax ── y

A softmax is NaN only where a whole row is −∞, or where a NaN or +∞ comes in. Products of finite numbers are neither,
nor are their sums with masks that choose between finite constants, such as 0 and float32's lowest number, so the guard
can act only on numbers that are beyond float32 already.

Leaves alone: scores with a mask that has −∞, or is computed in another way; masks that together are beyond their type,
as twice the lowest number is.
"""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from ..graph.reading import constant, is_constant, producer, scalar
from ..graph.rewriter import Rewriter
from .contract import Pass
from .properties import CONSTANTS_LIFTED, NO_LOCAL_FUNCTIONS, TYPED

_PRODUCTS = frozenset({"Conv", "Gemm", "MatMul"})
"""Operators of products and sums, which exporters give finite operands; how large they are isn't asked."""

_ORDINARY = 1.0
"""What a product counts as, beside masks: the lowest number and less than 1e31 are the lowest number."""

_MOST, _MOST_OF_HALVES = (float(np.finfo(dtype).max) for dtype in (np.float32, np.float16))


def drop_nan_guards(rw: Rewriter) -> None:
    for where in rw.nodes("Where"):
        test = producer(where.inputs[0], "IsNaN")
        softmax = None if test is None else producer(where.inputs[2], "Softmax")
        if test is None or softmax is None or test.inputs[0] is not where.inputs[2] or scalar(where.inputs[1]) is None:
            continue
        if math.isfinite(_bound(softmax.inputs[0])):
            rw.bypass(where, 2)
        else:
            rw.refuse(where, "a row of its scores may be masked altogether")


def _bound(value: ir.Value | None) -> float:
    """What no number of a value is beyond, by the constants in it; infinity where that isn't sure, or its type ends."""
    if value is None:
        return math.inf
    if is_constant(value):
        array = constant(value)
        found = math.inf if array is None or array.dtype.kind not in "fiu" else float(np.abs(array).max(initial=0.0))
    else:
        found = _of_node(value.producer())
    most = _MOST_OF_HALVES if value.dtype == ir.DataType.FLOAT16 else _MOST  # to which float64 comes as well
    return found if found <= most else math.inf


def _of_node(node: ir.Node | None) -> float:
    if node is None or node.domain != "":
        return math.inf
    inputs = node.inputs
    match node.op_type:
        case op if op in _PRODUCTS:
            return _ORDINARY
        case "Add" | "Sub":
            return sum(map(_bound, inputs))
        case "Mul":
            return math.prod(map(_bound, inputs))
        case "Div":
            return _bound(inputs[0]) / abs(scalar(inputs[1]) or 0.0) if scalar(inputs[1]) else math.inf
        case "Where":
            return max(map(_bound, inputs[1:]))
        case "Expand" | "Flatten" | "Reshape" | "Squeeze" | "Transpose" | "Unsqueeze":
            return _bound(inputs[0])
    return math.inf


PASS = Pass(
    name="drop_nan_guards",
    run=drop_nan_guards,
    requires=frozenset({NO_LOCAL_FUNCTIONS, CONSTANTS_LIFTED, TYPED}),
    must_follow=("fold_constants",),
)
