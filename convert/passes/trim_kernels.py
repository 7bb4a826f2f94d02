"""Cut off the rows and columns of a convolution's kernel that see nothing but padding, wherever the window stands.

Before (a window of 7×7 on an image of 2×2; one of dilation 36 on an image of 28×28)::

    x [N,C,2,2] ── Conv(W [M,C,7,7], pads 3) ── y

    x [N,C,28,28] ── Conv(W [M,C,3,3], dilations 36, pads 36) ── y

After::

    x ── Conv(W[2:5, 2:5] [M,C,3,3], pads 1) ── y

    x ── Conv(W[1:2, 1:2] [M,C,1,1]) ── y

Leaves alone: weights that are computed or dequantized, extents that aren't known, ``auto_pad``; what would take a
border away from the image instead.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from ..graph.reading import constant, is_constant, static_shape
from ..graph.rewriter import Rewriter
from .contract import Pass
from .properties import CONSTANTS_LIFTED, NO_LOCAL_FUNCTIONS


@dataclass(frozen=True)
class _Axis:
    """A spatial axis of a convolution: extents, padding at both ends, and what a window keeps of the kernel."""

    size: int
    kernel: int
    stride: int
    dilation: int
    begin: int
    end: int
    first: int = 0

    @property
    def windows(self) -> int:
        return (self.size + self.begin + self.end - self.dilation * (self.kernel - 1) - 1) // self.stride + 1

    def trimmed(self) -> _Axis:
        """The axis with the taps alone that see the image from some window; itself where that can't be written."""
        starts = np.arange(self.windows) * self.stride - self.begin
        at = starts[:, None] + np.arange(self.kernel) * self.dilation
        seen = np.flatnonzero(((at >= 0) & (at < self.size)).any(axis=0))
        if seen.size == 0 or seen.size == self.kernel:
            return self
        first, kernel = int(seen[0]), int(seen[-1] - seen[0]) + 1
        dilation = self.dilation if kernel > 1 else 1
        begin = self.begin - first * self.dilation
        reach = (self.windows - 1) * self.stride + dilation * (kernel - 1) + 1
        found = _Axis(self.size, kernel, self.stride, dilation, begin, max(reach - self.size - begin, 0), first)
        return found if begin >= 0 and found.windows == self.windows else self


def trim_kernels(rw: Rewriter) -> None:
    for node in rw.nodes("Conv"):
        axes = _axes(rw, node)
        trimmed = [axis.trimmed() for axis in axes]
        weight = constant(node.inputs[1]) if trimmed != axes else None
        if weight is None:
            continue
        kept = (slice(axis.first, axis.first + axis.kernel) for axis in trimmed)
        part = np.ascontiguousarray(weight[(slice(None), slice(None), *kept)])
        rw.set_input(node, 1, rw.constant(node, f"{node.name}/trimmed", part))
        for name, numbers in (
            ("kernel_shape", [axis.kernel for axis in trimmed]),
            ("dilations", [axis.dilation for axis in trimmed]),
            ("pads", [*(axis.begin for axis in trimmed), *(axis.end for axis in trimmed)]),
        ):
            node.attributes.add(ir.AttrInt64s(name, numbers))
        rw.changed += 1
    rw.drop_replaced()


def _axes(rw: Rewriter, node: ir.Node) -> list[_Axis]:
    """The spatial axes; none where something about them isn't known."""
    x, weight = node.inputs[:2]
    shape = static_shape(weight)
    if x is None or x.shape is None or shape is None or not is_constant(weight):
        return []
    sizes, kernel = [extent for extent in x.shape[2:] if isinstance(extent, int)], shape[2:]
    if len(sizes) < len(kernel) or rw.attribute(node, "auto_pad") not in ("NOTSET", None):
        return []
    ones = (1,) * len(sizes)
    strides, dilations = (rw.attribute(node, name) or ones for name in ("strides", "dilations"))
    pads = rw.attribute(node, "pads") or (0,) * (2 * len(sizes))
    ends = pads[: len(sizes)], pads[len(sizes) :]
    return [_Axis(*numbers) for numbers in zip(sizes, kernel, strides, dilations, *ends, strict=True)]


PASS = Pass(
    name="trim_kernels",
    run=trim_kernels,
    requires=frozenset({NO_LOCAL_FUNCTIONS, CONSTANTS_LIFTED}),
    must_follow=("fuse_pad", "infer_shapes"),
)
