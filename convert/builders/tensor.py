"""The value a lowering handler passes around, and the shape arithmetic it needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...artifact import Array
from .remedies import BROKEN, FIXED_SIZE

Shape = tuple[int | None, ...]
"""Extents; None is a dynamic one."""


class Unsupported(Exception):
    """A node can't be lowered.

    Args:
        reason: Why, as half a sentence: "the axes must be constant".
        remedy: What the user can do about it.
    """

    def __init__(self, reason: str, remedy: str = "rewrite this part of the model") -> None:
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy


@dataclass(frozen=True)
class Steps:
    """What a quantized tensor's integers stand for, ``scale * (q - zero_point)``, of the tensor as a whole."""

    scale: float
    zero_point: int


@dataclass(frozen=True)
class Spec:
    """dtype (numpy name) and shape of a tensor, and what its integers stand for where they are steps of a scale."""

    dtype: str
    shape: Shape
    steps: Steps | None = None


@dataclass(frozen=True, eq=False)
class Tensor:
    """A tensor of the graph being built.

    Attributes:
        handle: What the builder needs to refer to it: an MLIR value, a TensorFlow tensor, or nothing.
        dtype: numpy dtype name.
        shape: Extents, None where dynamic.
        value: The contents, if the tensor is constant.
        reshaped: The tensor that this one is a reshape of.
        steps: What its integers stand for, if it is quantized.
    """

    handle: Any
    dtype: str
    shape: Shape
    value: Array | None = None
    reshaped: Tensor | None = None
    steps: Steps | None = None

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def is_static(self) -> bool:
        return all(d is not None for d in self.shape)

    @property
    def static_shape(self) -> tuple[int, ...]:
        """The shape, which must be static.

        Raises:
            Unsupported: a dimension is dynamic.
        """
        return static(self.shape)

    def is_taken_whole(self, begin: Tensor, end: Tensor, strides: Tensor, begin_mask: int, end_mask: int) -> bool:
        """Whether a STRIDED_SLICE goes over all of every axis, one by one."""
        if begin.value is None or end.value is None or not strides.is_all(1):
            return False
        return all(
            (begin_mask >> axis & 1 or first == 0) and (end_mask >> axis & 1 or (extent is not None and last >= extent))
            for axis, (extent, first, last) in enumerate(zip(self.shape, begin.value, end.value, strict=True))
        )

    def is_all(self, number: float) -> bool:
        """Whether it is a constant, all of whose elements are ``number``; one without elements is."""
        if self.value is None or not (self.value.reshape(-1)[:1] == number).all():
            return False
        return bool((self.value == number).all())

    @property
    def is_float(self) -> bool:
        return self.dtype in ("float16", "float32", "float64")


def static(shape: Shape) -> tuple[int, ...]:
    """``shape``, all of whose extents must be known.

    Raises:
        Unsupported: one is dynamic.
    """
    known = tuple(d for d in shape if d is not None)
    if len(known) < len(shape):
        raise Unsupported(
            f"the shape {format_shape(shape)} must be static here",
            FIXED_SIZE,
        )
    return known


def format_shape(shape: Shape) -> str:
    return "[" + ",".join("?" if d is None else str(d) for d in shape) + "]"


def broadcast(*shapes: Shape) -> Shape:
    """The shape of an elementwise result under multidirectional broadcasting.

    Raises:
        Unsupported: two extents can't be broadcast.
    """
    rank = max((len(s) for s in shapes), default=0)
    result: list[int | None] = []
    for axis in range(-rank, 0):
        extents = [s[axis] for s in shapes if len(s) >= -axis]
        known = {d for d in extents if d is not None and d != 1}
        if len(known) > 1:
            raise Unsupported(f"the shapes {', '.join(map(format_shape, shapes))} can't be broadcast", BROKEN)
        result.append(known.pop() if known else None if None in extents else 1)
    return tuple(result)


def normalize_axis(axis: int, rank: int) -> int:
    """``axis`` counted from the front.

    Raises:
        Unsupported: the axis is outside the tensor.
    """
    if not -rank <= axis < max(rank, 1):
        raise Unsupported(f"axis {axis} is outside a tensor of rank {rank}", BROKEN)
    return axis % max(rank, 1)


def window_output(extent: int | None, window: int, stride: int, dilation: int, padding: str) -> int | None:
    """Output extent of a sliding window under TFLite's ``SAME`` or ``VALID`` padding."""
    if extent is None:
        return None
    if padding == "SAME":
        return -(-extent // stride)
    return -(-(extent - (window - 1) * dilation) // stride)


def element_count(shape: Sequence[int | None]) -> int | None:
    count = 1
    for dim in shape:
        if dim is None:
            return None
        count *= dim
    return count


def as_int32(values: Sequence[int] | Array) -> Array:
    """Whole numbers as TFLite takes its axes, shapes, pads and indices.

    Raises:
        Unsupported: one doesn't fit.
    """
    array = np.asarray(values if isinstance(values, np.ndarray) else list(values))
    if array.dtype.kind in "iu" and array.size and (array.min() < -(1 << 31) or array.max() >= 1 << 31):
        worst = array.max() if array.max() >= 1 << 31 else array.min()
        raise Unsupported(
            f"{worst} is beyond TFLite's 32-bit axes, extents and indices",
            "give the model smaller sizes with --input, and indices below 2**31",
        )
    return array.astype(np.int32)
