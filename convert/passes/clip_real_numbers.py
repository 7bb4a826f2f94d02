"""Clip what integers stand for, in the place of integers that are clipped between QuantizeLinear and DequantizeLinear.

Before::

    x ── QuantizeLinear(s, z) ── Clip(-8, 7) ── DequantizeLinear(s, z) ── Conv

After::

    x ── QuantizeLinear(s, z) ── DequantizeLinear(s, z) ── Clip(s · (-8 - z), s · (7 - z)) ── QuantizeLinear(s, z)
                                                                                  Conv ── DequantizeLinear(s, z) ──┘

Brevitas writes ranges of less than 8 bits so, and symmetric ones of 8. The integers are the same, and pairs have
nothing between them any more. A Max or Min with one number, and a Relu, are a Clip with one bound. Bounds that no
integer is beyond go: the ends of the type, and a lower one up to the zero point where nothing in x is negative.

Leaves alone: bounds that are computed; a lower one above the upper one; a scale for each channel.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ..graph.quantization import MOVING, RANGES, Parameters, parameters_of
from ..graph.ranges import is_not_negative
from ..graph.reading import constant, producer, rank, sole_consumer
from ..graph.rewriter import Rewriter
from .contract import Pass
from .properties import CONSTANTS_LIFTED, NO_LOCAL_FUNCTIONS, TYPED

Bounds = tuple[int | None, int | None]

_SINCE = 12
"""The opset that Clip, Max and Min take integers of 8 bits from."""


def clip_real_numbers(rw: Rewriter) -> None:
    if rw.opset < _SINCE:
        return
    for node in rw.nodes("Clip", "Max", "Min", "Relu"):
        data = _data(node)
        chain, maker = _rounded_by(data)
        if data is None or maker is None:
            continue
        found = parameters_of(maker, rw.opset)
        bounds = _bounds(node, data)
        if isinstance(found, str) or not found.per_tensor or found.real != ir.DataType.FLOAT:
            continue  # the pair behind it says why
        if isinstance(bounds, str):
            rw.refuse(node, bounds)
        elif (needed := _needed(bounds, found, maker.inputs[0])) == (None, None):
            rw.bypass(node, list(node.inputs).index(data))
        elif chain and node.outputs[0].is_graph_output():
            rw.refuse(node, "its result, which was moved, is an output of the graph")
        else:
            _clip(rw, node, maker, chain, needed, found)


def _data(node: ir.Node) -> ir.Value | None:
    """The operand that isn't a bound."""
    if node.op_type in ("Clip", "Relu"):
        return node.inputs[0]
    free = [v for v in node.inputs if constant(v) is None]
    return free[0] if len(free) == 1 and len(node.inputs) == 2 else None


def _rounded_by(value: ir.Value | None) -> tuple[list[ir.Node], ir.Node | None]:
    """The QuantizeLinear of some integers, and what moves them in between for this reader alone, the last first."""
    chain: list[ir.Node] = []
    while value is not None:
        maker = producer(value, "QuantizeLinear", *MOVING)
        if maker is None or maker.op_type == "QuantizeLinear":
            return chain, None if maker is None or (chain and sole_consumer(value) is None) else maker
        if sole_consumer(value) is None or len(maker.outputs) > 1:
            break
        chain.append(maker)
        value = maker.inputs[0]
    return chain, None


def _bounds(node: ir.Node, data: ir.Value) -> Bounds | str:
    """Lower and upper bound, or why they are of no use."""
    if node.op_type == "Relu":
        return 0, None
    if node.op_type == "Clip":
        given = [node.inputs[i] if i < len(node.inputs) else None for i in (1, 2)]
    else:
        (other,) = (v for v in node.inputs if v is not data)
        given = [other, None] if node.op_type == "Max" else [None, other]
    found: list[int | None] = []
    for value in given:
        array = constant(value)
        if value is not None and array is None:
            return "its bounds are computed at run time"
        own, others = rank(value), rank(data)
        if array is not None and (array.size != 1 or others is None or (own or 0) > others):
            return "its bounds aren't one number each"
        found.append(None if array is None else int(array.reshape(())))
    low, high = found
    if low is not None and high is not None and low > high:
        return f"its lower bound, {low}, is above its upper one, {high}"
    return low, high


def _needed(bounds: Bounds, found: Parameters, x: ir.Value | None) -> Bounds:
    """The bounds that integers may be beyond."""
    low, high = bounds
    least, most = RANGES[found.steps]
    _, zero, _ = found.key
    if low is not None and (low <= least or (low <= zero and is_not_negative(x))):
        low = None
    return low, None if high is not None and high >= most else high


def _clip(rw: Rewriter, node: ir.Node, maker: ir.Node, chain: list[ir.Node], bounds: Bounds, found: Parameters) -> None:
    scale, zero, _ = found.key
    steps = maker.outputs[0]
    real = rw.node("DequantizeLinear", [steps, *maker.inputs[1:]], main=node)
    limits = [
        None if b is None else rw.constant(node, f"{node.name}/bound", np.array((b - zero) * scale, np.float32))
        for b in bounds
    ]
    clip = rw.node("Clip", [real.outputs[0], *limits], main=node)
    again = rw.node("QuantizeLinear", [clip.outputs[0], *maker.inputs[1:]], dict(maker.attributes), main=node)
    first = chain[-1] if chain else node
    rw.insert(first, real, clip, again)
    for made in (real, clip):
        made.outputs[0].type, made.outputs[0].shape = ir.TensorType(ir.DataType.FLOAT), steps.shape
    again.outputs[0].type, again.outputs[0].shape = steps.type, steps.shape
    if chain:
        first.replace_input_with(0, again.outputs[0])
        rw.bypass(node, list(node.inputs).index(chain[0].outputs[0]))
    else:
        rw.replace(node, again.outputs[0])


PASS = Pass(
    name="clip_real_numbers",
    run=clip_real_numbers,
    requires=frozenset({NO_LOCAL_FUNCTIONS, CONSTANTS_LIFTED, TYPED}),
    must_follow=("fold_quantized_constants",),
)
