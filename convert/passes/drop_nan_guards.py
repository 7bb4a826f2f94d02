"""Take out the guard against rows that are masked altogether, where nothing is masked.

Before (how ``torch.onnx`` writes ``scaled_dot_product_attention``)::

    s = MatMul(q, kᵀ) ── Softmax ── p ── IsNaN ── Where(·, 0, p) ── y

After::

    s = MatMul(q, kᵀ) ── Softmax ── y

A softmax is NaN only where a whole row is −∞, or where a NaN or +∞ comes in. Products and sums of finite numbers are
neither, so the guard can act only on numbers that are beyond float32 already.

Leaves alone: scores that a mask is added to or selected into, unless the mask is a constant without −∞.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ..graph.reading import constant, is_constant, producer, scalar
from ..graph.rewriter import Rewriter
from .contract import Pass
from .properties import CONSTANTS_LIFTED, NO_LOCAL_FUNCTIONS, TYPED

_FINITE = frozenset({"Conv", "Gemm", "MatMul"})
"""Operators of products and sums, which exporters give finite operands."""

_KEEPING = frozenset({"Add", "Flatten", "Mul", "Reshape", "Squeeze", "Sub", "Transpose", "Unsqueeze"})


def drop_nan_guards(rw: Rewriter) -> None:
    for where in rw.nodes("Where"):
        test = producer(where.inputs[0], "IsNaN")
        softmax = None if test is None else producer(where.inputs[2], "Softmax")
        if test is None or softmax is None or test.inputs[0] is not where.inputs[2] or scalar(where.inputs[1]) is None:
            continue
        if _is_finite(softmax.inputs[0]):
            rw.bypass(where, 2)
        else:
            rw.refuse(where, "a row of its scores may be masked altogether")


def _is_finite(value: ir.Value | None) -> bool:
    """Whether a value is made of products, sums and finite constants alone."""
    if is_constant(value):
        array = constant(value)
        return array is not None and bool(np.isfinite(array).all())
    node = None if value is None else value.producer()
    if node is None or node.domain != "":
        return False
    if node.op_type == "Div":
        return _is_finite(node.inputs[0]) and (scalar(node.inputs[1]) or 0.0) != 0.0
    shaping = node.op_type in ("Reshape", "Squeeze", "Unsqueeze")
    operands = node.inputs[:1] if shaping else node.inputs
    return node.op_type in _FINITE or (node.op_type in _KEEPING and all(_is_finite(v) for v in operands))


PASS = Pass(
    name="drop_nan_guards",
    run=drop_nan_guards,
    requires=frozenset({NO_LOCAL_FUNCTIONS, CONSTANTS_LIFTED, TYPED}),
    must_follow=("fold_constants",),
)
