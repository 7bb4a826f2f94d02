"""Add up convolutions of one value, as they are trained side by side, in their weights.

Before (RepVGG, MobileOne, FastViT, RepLKNet)::

    x ── Conv(W₃ [M,C,3,3], b₃, pads 1) ── Add ── Add ── y
    x ── Conv(W₁ [M,C,1,1], b₁) ───────────┘      │
    x ── Mul(g:[C,1,1]) ── Add(h:[C,1,1]) ────────┘

After::

    x ── Conv(W₃ + W₁ in the middle + g there, b₃ + b₁ + h) ── y

and likewise with Sub. The product and the sum beside a depthwise convolution alone: on the diagonal of a dense one g is
so much larger than its other weights that int8 has no steps left for these.

Leaves alone: results that something else uses, weights that aren't constants or are shared; convolutions of other
strides, dilations or groups; two of which neither's window holds the other's (1×7 beside 7×1); x itself, as in a
residual block.

Source: Ding et al., RepVGG: Making VGG-style ConvNets Great Again (2021).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir

from ...artifact import Array
from ..graph.reading import constant, is_constant, producer, sole_consumer, static_shape
from ..graph.rewriter import Rewriter
from .contract import Pass
from .properties import CONSTANTS_LIFTED, NO_LOCAL_FUNCTIONS, TYPED


@dataclass(frozen=True)
class _Window:
    """A convolution of x: weights [M, C/group, …] and bias [M] in float64, and how its window goes."""

    weight: Array
    bias: Array
    group: int
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    begin: tuple[int, ...]
    end: tuple[int, ...]

    @property
    def kernel(self) -> tuple[int, ...]:
        return self.weight.shape[2:]

    def within(self, other: _Window) -> Array | None:
        """The weights where ``other``, whose window holds this one, has its own; None where it doesn't."""
        if (self.group, self.strides) != (other.group, other.strides) or len(self.kernel) != len(other.kernel):
            return None
        before = []
        for size, large, step, *ends in zip(
            self.kernel, other.kernel, other.dilations, self.begin, other.begin, self.end, other.end, strict=True
        ):
            first, rest = divmod(ends[1] - ends[0], step)
            if rest or first < 0 or ends[3] - ends[2] != step * (large - size - first):
                return None
            before.append((first, large - size - first))
        same = all(a == b or size == 1 for a, b, size in zip(self.dilations, other.dilations, self.kernel, strict=True))
        return np.pad(self.weight, [(0, 0), (0, 0), *before]) if same and min(map(min, before)) >= 0 else None


def merge_convolutions(rw: Rewriter) -> None:
    for node in rw.nodes("Add", "Sub"):
        left, right = (producer(value, "Conv") for value in node.inputs)
        for conv, index in ((left, 1), (right, 0)):
            value, x = node.inputs[index], None if conv is None else conv.inputs[0]
            mine = None if conv is None or sole_consumer(conv.outputs[0]) is not node else _read(rw, conv)
            if conv is None or mine is None or value is None or x is None or conv.graph is not node.graph:
                continue
            found = _other(rw, node, value, x, mine)
            if found is not None:
                signs = (1, -1 if node.op_type == "Sub" else 1)
                _merge(rw, node, conv, mine, found, (signs[1 - index], signs[index]))
                break


def _merge(rw: Rewriter, node: ir.Node, conv: ir.Node, mine: _Window, other: _Window, signs: tuple[int, int]) -> None:
    """``conv`` computes the sum of both, with ``signs``, and ``node`` goes."""
    large, small, order = mine, other, signs
    placed = small.within(large)
    if placed is None:
        large, small, order = other, mine, signs[::-1]
        placed = small.within(large)
    dtype = conv.outputs[0].dtype
    if placed is None or dtype is None:
        return
    sums = order[0] * large.weight + order[1] * placed, order[0] * large.bias + order[1] * small.bias
    with np.errstate(over="ignore"):
        weight, bias = (array.astype(dtype.numpy()) for array in sums)
    if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
        rw.refuse(node, f"its sum with the weights of {rw.called(conv)} is out of the range of their type")
        return
    for index, (name, array) in enumerate((("weight", weight), ("bias", bias)), 1):
        rw.set_input(conv, index, rw.constant(conv, f"{conv.name}/{name}", array))
    for name, numbers in (
        ("kernel_shape", large.kernel), ("dilations", large.dilations), ("pads", (*large.begin, *large.end)),
    ):  # fmt: skip
        conv.attributes.add(ir.AttrInt64s(name, numbers))
    rw.replace(node, conv.outputs[0])
    rw.drop_replaced()


def _read(rw: Rewriter, conv: ir.Node) -> _Window | None:
    """A Conv of constant weights that nothing else uses."""
    weight, bias = conv.inputs[1], conv.inputs[2] if len(conv.inputs) > 2 else None
    shape = static_shape(weight)
    if weight is None or shape is None or not is_constant(weight) or len(weight.uses()) > 1:
        return None
    if rw.attribute(conv, "auto_pad") not in ("NOTSET", None) or not (bias is None or is_constant(bias)):
        return None
    axes = len(shape) - 2
    strides, dilations = (tuple(rw.attribute(conv, name) or (1,) * axes) for name in ("strides", "dilations"))
    pads = tuple(rw.attribute(conv, "pads") or (0,) * (2 * axes))
    added = np.zeros(shape[0]) if bias is None else np.asarray(constant(bias), np.float64)
    number = np.asarray(constant(weight), np.float64)
    return _Window(number, added, rw.attribute(conv, "group"), strides, dilations, pads[:axes], pads[axes:])


def _other(rw: Rewriter, node: ir.Node, value: ir.Value, x: ir.Value, mine: _Window) -> _Window | None:
    """``value``, which ``node`` alone takes, as a convolution of x: one that is there, or a product and a sum."""
    maker = value.producer()
    if maker is None or maker.graph is not node.graph or sole_consumer(value) is not node:
        return None
    if maker.op_type == "Conv" and maker.domain == "":
        return _read(rw, maker) if maker.inputs[0] is x else None
    channels = mine.weight.shape[0]
    if channels != mine.group or mine.weight.shape[1] != 1 or any(step != 1 for step in mine.strides):
        return None
    gain, shift, user = np.ones(channels), np.zeros(channels), node
    while value is not x:
        maker = producer(value, "Add", "Mul")
        if maker is None or maker.graph is not node.graph or sole_consumer(value) is not user:
            return None
        at = next((i for i, v in enumerate(maker.inputs) if is_constant(v)), None)
        number = None if at is None else _by_channel(maker.inputs[at], channels, len(mine.weight.shape))
        inner = None if at is None else maker.inputs[1 - at]
        if number is None or inner is None:
            return None
        shift = shift + gain * number if maker.op_type == "Add" else shift
        gain = gain * number if maker.op_type == "Mul" else gain
        value, user = inner, maker
    ones, none = (1,) * len(mine.kernel), (0,) * len(mine.kernel)
    weight = gain.reshape(channels, 1, *ones)
    return replace(mine, weight=weight, bias=shift, dilations=ones, begin=none, end=none)


def _by_channel(value: ir.Value | None, channels: int, rank: int) -> Array | None:
    """A constant as a number for each channel, axis 1 of ``rank``; None if it varies otherwise."""
    shape = static_shape(value)
    if shape is None or len(shape) > rank:
        return None
    along = shape[1 - rank] if len(shape) >= rank - 1 else 1
    if along not in (1, channels) or np.prod(shape) != along:
        return None
    return np.broadcast_to(np.asarray(constant(value), np.float64).reshape(-1), (channels,))


PASS = Pass(
    name="merge_convolutions",
    run=merge_convolutions,
    requires=frozenset({NO_LOCAL_FUNCTIONS, CONSTANTS_LIFTED, TYPED}),
    must_follow=("fuse_pad", "split_batch_norm"),
)
