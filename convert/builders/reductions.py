"""Reducing, sorting and accumulating ops of the TFLite vocabulary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .base import BuilderBase
from .kernels import working_dtype
from .tensor import Shape, Spec, Tensor, normalize_axis

REDUCTIONS = frozenset(["mean", "sum", "reduce_max", "reduce_min", "reduce_prod", "reduce_any", "reduce_all"])


@dataclass(frozen=True)
class RuntimeAxes:
    """Axes (1-D int32) that are known at run time only, and the shapes of a reduction over them."""

    axes: Tensor
    kept: Shape
    dropped: Shape


Axes = Sequence[int] | RuntimeAxes


def reduced_shape(shape: Shape, axes: Sequence[int], keep_dims: bool) -> Shape:
    """``shape`` with ``axes`` (counted from the front) at 1, or gone."""
    if keep_dims:
        return tuple(1 if axis in axes else d for axis, d in enumerate(shape))
    return tuple(d for axis, d in enumerate(shape) if axis not in axes)


class Reductions(BuilderBase):
    """Ops that go over an axis."""

    def reduce(self, op: str, x: Tensor, axes: Axes, *, keep_dims: bool) -> Tensor:
        """One of :data:`REDUCTIONS` over ``axes``; those of a :class:`RuntimeAxes` come at run time."""
        if op not in REDUCTIONS:
            raise ValueError(f"{op} is not a reducing TFLite op")
        if isinstance(axes, RuntimeAxes):
            shape = axes.kept if keep_dims else axes.dropped
            return self._same(op, [x], shape, extra=[axes.axes], keep_dims=keep_dims)
        at = sorted({normalize_axis(a, x.rank) for a in axes})
        shape = reduced_shape(x.shape, at, keep_dims)
        if shape == x.shape and all(x.shape[axis] == 1 for axis in at):
            return x
        return self._same(op, [x], shape, extra=[self.int32s(at)], keep_dims=keep_dims)

    def arg_extreme(self, op: str, x: Tensor, axis: int) -> Tensor:
        """``arg_max`` or ``arg_min``: index (int64) of the first extreme element along ``axis``, which goes."""
        at = normalize_axis(axis, x.rank)
        work = working_dtype(op, x.dtype)
        operands = [self.cast(x, work), self.const(np.int32(at))]
        return self.emit_one(op, operands, "int64", reduced_shape(x.shape, [at], False))

    def segment(self, op: str, x: Tensor, ids: Tensor, count: Tensor) -> Tensor:
        """The slices x[i] with ids[i] = k (int32 [N]) reduced to slice k of [``count``, ...] (an int32 scalar).

        ``op`` is ``unsorted_segment_max``, ``_min`` or ``_prod``; a k without slices gets what changes nothing.
        """
        extent = None if count.value is None else int(count.value)
        return self._same(op, [x], (extent, *x.shape[1:]), extra=[ids, count])

    def cumsum(self, x: Tensor, axis: Tensor, *, exclusive: bool, reverse: bool) -> Tensor:
        """Running sum along ``axis`` (int32 scalar, may be negative). TFLite: CUMSUM."""
        return self._same("cumsum", [x], x.shape, extra=[axis], exclusive=exclusive, reverse=reverse)

    def top_k(self, x: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
        """The ``k`` (int32 scalar) largest elements of the last axis and their int32 indices. TFLite: TOPK_V2."""
        extent = None if k.value is None else int(k.value)
        shape = (*x.shape[:-1], extent)
        work = working_dtype("topk_v2", x.dtype)
        values, indices = self.emit("topk_v2", [self.cast(x, work), k], [Spec(work, shape), Spec("int32", shape)])
        return self.cast(values, x.dtype), indices

    def non_max_suppression(
        self, boxes: Tensor, scores: Tensor, most: Tensor, overlap: Tensor, least: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Indices (int32 [``most``]) of the boxes [N,4] that are kept, best first, and how many there are (a scalar).

        A box (two opposite corners) goes where the quotient of its intersection and its union with a better one is
        ``overlap`` or more, or its score ``least`` or less. TFLite: NON_MAX_SUPPRESSION_V4, which takes the boxes of
        equal scores in no order that can be told.
        """
        extent = None if most.value is None else int(most.value)
        operands = [self.cast(boxes, "float32"), self.cast(scores, "float32"), most, overlap, least]
        indices, count = self.emit("non_max_suppression_v4", operands, [Spec("int32", (extent,)), Spec("int32", ())])
        return indices, count
