"""Put the order of PixelShuffle's channels into the convolution before it.

Before::

    x ── Conv(W [b²·C,…], B) ── (Relu …) ── DepthToSpace(mode CRD) ── y

After::

    x ── Conv(W and B by DCR's order) ── (Relu …) ── DepthToSpace(mode DCR) ── y

TFLite's DEPTH_TO_SPACE has the order of DCR; that of CRD costs a GATHER of all pixels, which XNNPACK (LiteRT 2.3)
leaves.

Leaves alone: weights that are computed or dequantized; results that something else uses in between; one channel after
all, whose orders are the same; convolutions in groups.

Source: Shi et al., Real-Time Single Image and Video Super-Resolution (2016); ONNX DepthToSpace-13.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ..graph.reading import constant, sole_consumer
from ..graph.rewriter import Rewriter
from .contract import Pass
from .properties import CONSTANTS_LIFTED, NO_LOCAL_FUNCTIONS, TYPED

_BY_ELEMENT = ("Relu", "LeakyRelu", "Sigmoid", "Tanh")


def fold_pixel_shuffle(rw: Rewriter) -> None:
    for shuffle in rw.nodes("DepthToSpace"):
        if rw.opset < 11 or rw.attribute(shuffle, "mode") != "CRD":
            continue
        conv = _convolution(rw, shuffle)
        arrays = [] if conv is None else [constant(value) for value in conv.inputs[1:] if value is not None]
        if conv is None or any(array is None for array in arrays):
            rw.refuse(shuffle, "no convolution of constant weights stands before it: its channels are gathered")
            continue
        block = int(rw.attribute(shuffle, "blocksize"))
        for index, array in enumerate(arrays, 1):
            if array is not None and len(array) > block**2:
                order = np.arange(len(array)).reshape(-1, block**2).T.reshape(-1)
                rw.set_input(conv, index, rw.constant(conv, f"{conv.name}/shuffled", array[order]))
        rw.become(shuffle, "DepthToSpace", shuffle.inputs, {"blocksize": block, "mode": "DCR"})


def _convolution(rw: Rewriter, shuffle: ir.Node) -> ir.Node | None:
    """The Conv that makes what is shuffled, for nothing else."""
    node, value = shuffle, shuffle.inputs[0]
    while value is not None and sole_consumer(value) is node:
        made = value.producer()
        if made is None or made.domain or made.graph is not shuffle.graph:
            return None
        if made.op_type == "Conv":
            return made if rw.attribute(made, "group") == 1 else None  # else a channel would change its group
        if made.op_type not in _BY_ELEMENT:
            return None
        node, value = made, made.inputs[0]
    return None


PASS = Pass(
    name="fold_pixel_shuffle",
    run=fold_pixel_shuffle,
    requires=frozenset({NO_LOCAL_FUNCTIONS, CONSTANTS_LIFTED, TYPED}),
    must_follow=("fold_affine", "fold_constants"),
)
