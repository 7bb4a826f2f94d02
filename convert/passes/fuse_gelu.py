"""Recognise GELU, in its exact form and in its approximation by tanh.

Before (one of many orders)::

    x ── Div(√2) ── Erf ── Add(1) ── Mul(x, ·) ── Mul(0.5) ── y
    x ── Pow(3) ── Mul(0.044715) ── Add(x, ·) ── Mul(√(2/π)) ── Tanh ── Add(1) ── Mul(0.5·x, ·) ── y

After::

    x ── Gelu(approximate) ── y          Gelu-20, or from a lower opset edgeworthy::Gelu

Leaves alone: expressions whose values differ from GELU's by more than the rounding of their constants, such as
x·sigmoid(1.702·x); private forms of other types than float32.

Source: Hendrycks and Gimpel, Gaussian Error Linear Units (2016); ONNX Gelu-20.
"""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from ...artifact import Array
from ...vocabulary import FUSED_DOMAIN
from ..graph.rewriter import Rewriter
from .contract import Pass
from .elementwise import erf, recognise
from .properties import CONSTANTS_LIFTED, NO_LOCAL_FUNCTIONS, TYPED

_SINCE = 20


def _gelu(x: Array) -> Array:
    return np.asarray(0.5 * x * (1 + erf(x / math.sqrt(2))))


def _tanh_gelu(x: Array) -> Array:
    return np.asarray(0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))))


_FUNCTIONS = {"none": _gelu, "tanh": _tanh_gelu}


def fuse_gelu(rw: Rewriter) -> None:
    for anchor in rw.nodes("Erf", "Tanh", "Sigmoid"):
        match = recognise(anchor, _FUNCTIONS, rw.opset)
        if match is None:
            continue
        domain = rw.fused_domain("Gelu", _SINCE)
        if domain is None:
            rw.refuse(anchor, "it is part of a GELU, which can't be lowered as one operator")
        elif domain == FUSED_DOMAIN and match.variable.dtype != ir.DataType.FLOAT:
            rw.refuse(anchor, f"it is part of a GELU, but opset {rw.opset} has none and it isn't float32")
        else:
            attributes, overload = {"approximate": match.name}, "tanh" if match.name == "tanh" else ""
            rw.fuse(match.root, "Gelu", [match.variable], attributes, main=anchor, domain=domain, overload=overload)


PASS = Pass(
    name="fuse_gelu",
    run=fuse_gelu,
    requires=frozenset({NO_LOCAL_FUNCTIONS, CONSTANTS_LIFTED, TYPED}),
    must_follow=("fold_constants",),
)
