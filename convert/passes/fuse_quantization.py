"""Make one operator of QuantizeLinear and the DequantizeLinear behind it.

Before::

    x ── QuantizeLinear(s, z) ─┬─ DequantizeLinear(s, z) ── Conv
                               └─ DequantizeLinear(s, z) ── Add

After::

    x ── edgeworthy::QuantizeDequantize(s, z) ─┬─ Conv
                                               └─ Add

Where integers are moved in between, as by a MaxPool or Reshape, what they stand for is moved instead: the
DequantizeLinear goes before it.

As one operator the pair stays together on its way through layouts and is lowered to TFLite's two, from which integer
kernels come (``convert.integer``).

Leaves alone: a scale for each channel, which no TFLite kernel has of activations; other integers than int8, uint8 and
symmetric int16; a result that is used as the integers that it is, such as an output of the graph.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ...vocabulary import FUSED_DOMAIN
from ..graph.quantization import MOVING, Parameters, parameters_of
from ..graph.reading import producer, sole_consumer
from ..graph.rewriter import Rewriter
from .contract import Pass
from .properties import CONSTANTS_LIFTED, NO_LOCAL_FUNCTIONS, TYPED

_KINDS = (ir.DataType.INT8, ir.DataType.UINT8, ir.DataType.INT16)


def fuse_quantization(rw: Rewriter) -> None:
    for node in rw.nodes("DequantizeLinear"):
        _read_earlier(rw, node)
    for node in rw.nodes("QuantizeLinear"):
        found = parameters_of(node, rw.opset)
        reason = found if isinstance(found, str) else _objection(found)
        if reason or isinstance(found, str):
            rw.refuse(node, reason or "")
            continue
        for reader in list(node.outputs[0].consumers()):
            if reader.op_type != "DequantizeLinear" or reader.domain or reader.graph is not node.graph:
                continue
            back = parameters_of(reader, rw.opset)
            if isinstance(back, str) or not back.per_tensor or back.key != found.key or back.real != found.real:
                rw.refuse(reader, "its scale and zero point aren't those that its operand was quantized with")
                continue
            _fuse(rw, node, reader, found)


def _read_earlier(rw: Rewriter, node: ir.Node) -> None:
    """Put a DequantizeLinear before the operators that move its operand, if they do so for it alone."""
    found = parameters_of(node, rw.opset)
    if isinstance(found, str) or not found.per_tensor:
        return
    while True:
        moved = node.inputs[0]
        maker = producer(moved, *MOVING)
        if moved is None or maker is None or sole_consumer(moved) is not node or len(maker.outputs) > 1:
            return
        source = maker.inputs[0]
        if source is None or source.type is None:
            return
        earlier = rw.node("DequantizeLinear", [source, *node.inputs[1:]], main=node)
        rw.insert(maker, earlier)
        earlier.outputs[0].type, earlier.outputs[0].shape = node.outputs[0].type, source.shape
        maker.replace_input_with(0, earlier.outputs[0])
        moved.type = node.outputs[0].type
        rw.replace(node, moved)
        node = earlier


def _objection(found: Parameters) -> str | None:
    if found.real != ir.DataType.FLOAT:
        return f"it quantizes {found.real.name.lower()}"
    if not found.per_tensor:
        return "it has a scale for each channel of an activation, which no TFLite kernel takes"
    if found.steps not in _KINDS:
        return f"TFLite has no kernels for activations of {found.steps.name.lower()}"
    if found.steps == ir.DataType.INT16 and found.key[1]:
        return "TFLite's kernels take int16 activations with a zero point of 0 only"
    return None


def _fuse(rw: Rewriter, node: ir.Node, reader: ir.Node, found: Parameters) -> None:
    zero = node.inputs[2] if len(node.inputs) > 2 else None
    if zero is None:
        zero = rw.constant(node, f"{node.name}/zero_point", np.array(0, found.steps.numpy()))
    rw.fuse(reader, "QuantizeDequantize", [node.inputs[0], node.inputs[1], zero], {}, main=node, domain=FUSED_DOMAIN)


PASS = Pass(
    name="fuse_quantization",
    run=fuse_quantization,
    requires=frozenset({NO_LOCAL_FUNCTIONS, CONSTANTS_LIFTED, TYPED}),
    must_follow=("fold_quantized_constants", "clip_real_numbers"),
)
