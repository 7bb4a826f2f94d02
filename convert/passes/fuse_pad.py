"""Let a convolution or a max pooling do the padding before it.

Before::

    x ── Pad(0; top, left, bottom, right) ── Conv(pads) ── y

After::

    x ── Conv(pads + top, left, bottom, right) ── y

A MaxPool takes a Pad with the lowest number, or one with 0 over values that are never negative (after Relu, Sigmoid …).

Leaves alone: other modes than constant; other values; batch and channel axes; negative pads (a crop); ``auto_pad``; a
Pad that something else than such operators uses; AveragePool, which TFLite averages without the padding, so that a Pad
before it has to stay; pooling windows that would lie in the padding altogether, or with ``ceil_mode``.

Source: ONNX Pad-2, -11, -13, -18 and later.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ..graph.ranges import is_not_negative
from ..graph.reading import constant, integers, rank, scalar
from ..graph.rewriter import Rewriter
from .contract import Pass
from .properties import CONSTANTS_LIFTED, NO_LOCAL_FUNCTIONS, TYPED

_TAKERS = ("Conv", "ConvInteger", "MaxPool")


def fuse_pad(rw: Rewriter) -> None:
    for pad in rw.nodes("Pad"):
        consumers = pad.outputs[0].consumers()
        if not consumers or pad.outputs[0].is_graph_output():
            continue
        if any(c.op_type not in _TAKERS or c.domain != "" or c.graph is not pad.graph for c in consumers):
            continue
        pads = _spatial_pads(rw, pad)
        reason = "it pads other axes than the spatial ones, crops, or isn't constant" if pads is None else None
        for consumer in consumers:
            reason = reason or _objection(rw, pad, consumer, pads or ())
        if reason is not None:
            rw.refuse(pad, reason)
            continue
        for consumer in consumers:
            _take(rw, pad, consumer, pads or ())


def _spatial_pads(rw: Rewriter, pad: ir.Node) -> tuple[int, ...] | None:
    """Begins then ends of the spatial axes, if the node pads these only, and by constant amounts."""
    dims = rank(pad.inputs[0])
    if dims is None or rw.attribute(pad, "mode") != "constant":
        return None
    given = rw.attribute(pad, "pads") if len(pad.inputs) < 2 else integers(pad.inputs[1])
    axes_input = pad.inputs[3] if len(pad.inputs) > 3 else None
    axes = tuple(range(dims)) if axes_input is None else integers(axes_input)
    if given is None or axes is None:
        return None
    begins, ends = [0] * dims, [0] * dims
    for i, axis in enumerate(axes):
        begins[axis], ends[axis] = given[i], given[i + len(axes)]
    if any(begins[:2]) or any(ends[:2]) or min(*begins, *ends) < 0:
        return None
    return (*begins[2:], *ends[2:])


def _objection(rw: Rewriter, pad: ir.Node, consumer: ir.Node, pads: tuple[int, ...]) -> str | None:
    """Why a node can't take the padding, or None."""
    if [v for v in consumer.inputs if v is pad.outputs[0]] != [consumer.inputs[0]]:
        return f"{consumer.name} uses it otherwise than as its input"
    if rw.attribute(consumer, "auto_pad") not in ("NOTSET", "VALID"):
        return f"{consumer.name} pads by itself (auto_pad)"
    fill = _fill(rw, pad)
    if consumer.op_type == "Conv":
        return None if fill == 0 else f"it pads with {fill}, a convolution with 0"
    if consumer.op_type == "ConvInteger":
        zero = 0 if len(consumer.inputs) < 3 else scalar(consumer.inputs[2])
        return None if fill == zero else f"it pads with {fill}, a convolution with the zero point {zero}"
    return _pool_objection(rw, pad, consumer, pads, fill)


def _pool_objection(rw: Rewriter, pad: ir.Node, pool: ir.Node, pads: tuple[int, ...], fill: float | None) -> str | None:
    dtype = pad.inputs[0].dtype if pad.inputs[0] is not None else None
    if dtype is None or fill is None:
        return "its value is not a constant"
    if rw.attribute(pool, "ceil_mode") or len(pool.outputs) > 1:
        return f"{pool.name} rounds its size up, or tells the places of the maxima"
    kernel = tuple(rw.attribute(pool, "kernel_shape"))
    total = [a + b for a, b in zip(pads, _pads_of(rw, pool, len(pads)), strict=True)]
    if any(p >= k for p, k in zip(total, kernel * 2, strict=True)):
        return f"a window of {pool.name} could lie in the padding altogether"
    array = np.dtype(dtype.numpy())
    lowest = -np.inf if array.kind == "f" else float(np.iinfo(array).min)
    least = float(np.finfo(array).min) if array.kind == "f" else lowest
    if fill in (lowest, least) or (fill == 0 and is_not_negative(pad.inputs[0])):
        return None
    return f"it pads with {fill}, a max pooling with the lowest number"


def _fill(rw: Rewriter, pad: ir.Node) -> float | None:
    """The number a Pad puts in; None if it depends on the inputs."""
    if len(pad.inputs) < 2:
        value = rw.attribute(pad, "value")
        return 0.0 if value is None else float(value)
    given = pad.inputs[2] if len(pad.inputs) > 2 else None
    if given is None:
        return 0.0
    array = constant(given)
    return None if array is None or array.size != 1 else float(array.reshape(()))


def _pads_of(rw: Rewriter, node: ir.Node, size: int) -> tuple[int, ...]:
    return tuple(rw.attribute(node, "pads") or (0,) * size)


def _take(rw: Rewriter, pad: ir.Node, consumer: ir.Node, pads: tuple[int, ...]) -> None:
    total = [a + b for a, b in zip(pads, _pads_of(rw, consumer, len(pads)), strict=True)]
    consumer.attributes["pads"] = ir.AttrInt64s("pads", total)
    consumer.attributes.pop("auto_pad", None)
    consumer.replace_input_with(0, pad.inputs[0])
    rw.changed += 1
    rw.remove_dead([pad])


PASS = Pass(
    name="fuse_pad",
    run=fuse_pad,
    requires=frozenset({NO_LOCAL_FUNCTIONS, CONSTANTS_LIFTED, TYPED}),
    must_follow=("fold_constants", "fold_shapes"),
)
