"""Recognise hard-swish: x · min(max(x + 3, 0), 6) / 6.

Before (one of many orders)::

    x ── Add(3) ── Clip(0, 6) ── Mul(x, ·) ── Div(6) ── y            x ── HardSigmoid(1/6, 1/2) ── Mul(x, ·) ── y

After::

    x ── HardSwish ── y                  HardSwish-14, or from a lower opset edgeworthy::HardSwish

Leaves alone: a hard-sigmoid that gates something else (as in squeeze-and-excitation), which is as good as it is;
private forms of other types than float32.

Source: Howard et al., Searching for MobileNetV3 (2019); ONNX HardSwish-14.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ...artifact import Array
from ...vocabulary import FUSED_DOMAIN
from ..graph.rewriter import Rewriter
from .contract import Pass
from .elementwise import recognise
from .properties import CONSTANTS_LIFTED, NO_LOCAL_FUNCTIONS, TYPED

_SINCE = 14


def _hard_swish(x: Array) -> Array:
    return np.asarray(x * np.clip(x + 3, 0, 6) / 6)


def fuse_hard_swish(rw: Rewriter) -> None:
    for anchor in rw.nodes("Clip", "HardSigmoid", "Min", "Max", "Relu"):
        match = recognise(anchor, {"HardSwish": _hard_swish}, rw.opset)
        if match is None:
            continue
        domain = rw.fused_domain("HardSwish", _SINCE)
        if domain is None:
            rw.refuse(anchor, "it is part of a hard-swish, which can't be lowered as one operator")
        elif domain == FUSED_DOMAIN and match.variable.dtype != ir.DataType.FLOAT:
            rw.refuse(anchor, f"it is part of a hard-swish, but opset {rw.opset} has none and it isn't float32")
        else:
            rw.fuse(match.root, "HardSwish", [match.variable], {}, domain=domain, main=anchor)


PASS = Pass(
    name="fuse_hard_swish",
    run=fuse_hard_swish,
    requires=frozenset({NO_LOCAL_FUNCTIONS, CONSTANTS_LIFTED, TYPED}),
    must_follow=("fold_constants",),
)
