"""Recognise layer normalization over the last axes.

Before (one of several forms)::

    x ── ReduceMean ── Sub(x, ·) ── d ── Pow(2) ── ReduceMean ── Add(ε) ── Sqrt ── Div(d, ·) ── Mul(γ) ── Add(β) ── y

After::

    x ── LayerNormalization(γ, β; axis, ε) ── y      LayerNormalization-17, or edgeworthy::LayerNormalization

Leaves alone: means over other axes than the last ones, such as the channels of NCHW; types other than float32; private
forms over several axes. A Mul or Add stays if it isn't with a constant of the shape of the normalized axes.

Source: Ba, Kiros and Hinton, Layer Normalization (2016); ONNX LayerNormalization-17.
"""

from __future__ import annotations

import onnx_ir as ir

from ..graph.reading import producer
from ..graph.rewriter import Rewriter
from .contract import Pass
from .norms import fuse_norm, mean_over_last, quotient
from .properties import CONSTANTS_LIFTED, NO_LOCAL_FUNCTIONS, TYPED


def fuse_layer_norm(rw: Rewriter) -> None:
    for node in rw.nodes("Div", "Mul"):
        found = quotient(rw, node)
        if found is None:
            continue
        variable = _centred(rw, found.base, found.axes)
        # Some exporters subtract the mean twice, once for the variance and once for the result.
        if variable is not None and _centred(rw, found.numerator, found.axes) is variable:
            fuse_norm(rw, found, variable, "LayerNormalization", since=17, bias=True)


def _centred(rw: Rewriter, value: ir.Value, axes: tuple[int, ...]) -> ir.Value | None:
    """x if a value is x less its mean over ``axes``."""
    difference = producer(value, "Sub")
    if difference is None:
        return None
    source, over = mean_over_last(rw, difference.inputs[1])
    return source if source is difference.inputs[0] and over == axes else None


PASS = Pass(
    name="fuse_layer_norm",
    run=fuse_layer_norm,
    requires=frozenset({NO_LOCAL_FUNCTIONS, CONSTANTS_LIFTED, TYPED}),
    must_follow=("fold_constants", "expand_functions"),
)
