"""Recognise root-mean-square normalization over the last axes.

Before (one of several forms)::

    x ── Pow(2) ── ReduceMean ── Add(ε) ── Sqrt ── Reciprocal ── Mul(x, ·) ── Mul(γ) ── y

After::

    x ── RMSNormalization(γ; axis, ε) ── y           RMSNormalization-23, or edgeworthy::RMSNormalization

Leaves alone: what ``fuse_layer_norm`` leaves alone, for the same reasons.

Source: Zhang and Sennrich, Root Mean Square Layer Normalization (2019); ONNX RMSNormalization-23.
"""

from __future__ import annotations

from ..graph.rewriter import Rewriter
from .contract import Pass
from .norms import fuse_norm, quotient
from .properties import CONSTANTS_LIFTED, NO_LOCAL_FUNCTIONS, TYPED


def fuse_rms_norm(rw: Rewriter) -> None:
    for node in rw.nodes("Div", "Mul"):
        found = quotient(rw, node)
        if found is not None and found.base is found.numerator:
            fuse_norm(rw, found, found.base, "RMSNormalization", since=23, bias=False)


PASS = Pass(
    name="fuse_rms_norm",
    run=fuse_rms_norm,
    requires=frozenset({NO_LOCAL_FUNCTIONS, CONSTANTS_LIFTED, TYPED}),
    must_follow=("fold_constants", "expand_functions", "fuse_layer_norm"),
)
