"""Recognise group normalization, which PyTorch exports as one of instances between two Reshapes.

Before::

    x [N,C,…] ── Reshape [N,groups,·] ── InstanceNormalization(scale, bias [groups]) ── Reshape ── y [N,C,…]

After::

    x ── GroupNormalization(num_groups) ── y

which can lie channels-last: the Reshapes tie what is around them to the order of PyTorch's axes, a TRANSPOSE before and
one behind each norm.

Leaves alone: images of dynamic size or channels, which the lowering wouldn't take; opsets below 18, which have no such
operator.

Source: Wu and He, Group Normalization (2018); ONNX GroupNormalization-18, whose scale is per group, and -21, per
channel.
"""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from ..graph.reading import constant, producer, sole_consumer
from ..graph.rewriter import Rewriter
from .contract import Pass
from .properties import CONSTANTS_LIFTED, NO_LOCAL_FUNCTIONS, TYPED

_SINCE, _PER_CHANNEL = 18, 21


def fuse_group_norm(rw: Rewriter) -> None:
    for norm in rw.nodes("InstanceNormalization"):
        before, behind = producer(norm.inputs[0], "Reshape"), sole_consumer(norm.outputs[0])
        if before is None or behind is None or behind.op_type != "Reshape" or behind.inputs[0] is not norm.outputs[0]:
            continue
        groups = _groups(before.inputs[0], before.outputs[0], behind.outputs[0])
        if groups is None:
            continue
        if rw.opset < _SINCE or not rw.is_lowered("GroupNormalization"):
            rw.refuse(norm, f"it is a group normalization, and opset {rw.opset} has none")
            continue
        weights = _weights(rw, norm, groups, before.inputs[0])
        if weights is not None:
            attributes = {"num_groups": groups, "epsilon": float(rw.attribute(norm, "epsilon"))}
            rw.fuse(behind, "GroupNormalization", [before.inputs[0], *weights], attributes, main=norm)


def _groups(x: ir.Value | None, grouped: ir.Value, y: ir.Value) -> int | None:
    """Into how many groups the channels of ``x`` [N,C,…] go; None where that isn't what the Reshapes do."""
    shapes = [None if value is None or value.shape is None else list(value.shape) for value in (x, grouped, y)]
    before, between, behind = shapes
    if before is None or between is None or behind is None or len(before) < 3 or len(between) != 3:
        return None
    if before[1:] != behind[1:]:
        return None
    inner = [d for d in before[1:] if isinstance(d, int)]
    groups = between[1]
    if len(inner) < len(before) - 1 or not isinstance(groups, int) or not groups or inner[0] % groups:
        return None
    # One of the two settles the other.
    return groups if between[0] == before[0] or between[2] == math.prod(inner) // groups else None


def _weights(rw: Rewriter, norm: ir.Node, groups: int, x: ir.Value | None) -> list[ir.Value] | None:
    """Scale and bias, for each channel where the opset wants that; None where they aren't constant then."""
    given = [value for value in norm.inputs[1:3] if value is not None]
    if rw.opset < _PER_CHANNEL:
        return given
    arrays = [constant(value) for value in given]
    channels = x.shape[1] if x is not None and x.shape is not None else None
    if not isinstance(channels, int) or any(array is None for array in arrays):
        rw.refuse(norm, "it is a group normalization, and its scale or bias is computed")
        return None
    spread = [np.repeat(array, channels // groups) for array in arrays if array is not None]
    return [rw.constant(norm, f"{value.name}/channels", array) for value, array in zip(given, spread, strict=True)]


PASS = Pass(
    name="fuse_group_norm",
    run=fuse_group_norm,
    requires=frozenset({NO_LOCAL_FUNCTIONS, CONSTANTS_LIFTED, TYPED}),
    must_follow=("fold_constants", "fold_shapes"),
)
