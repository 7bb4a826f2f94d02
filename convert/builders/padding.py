"""Ops of the TFLite vocabulary that put a border around a tensor."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from .kernels import working_dtype
from .shaping import Shaping
from .tensor import Shape, Tensor, as_int32

_MOST_PADDED = 1 << 22
"""Bytes up to which a constant is padded at once."""


class Padding(Shaping):
    """Borders of a value, and of what is beside them."""

    def pad(self, x: Tensor, pads: Sequence[tuple[int, int]], value: float | int | bool = 0) -> Tensor:
        """``x`` padded with ``value``; ``pads`` is (before, after) per axis. TFLite: PAD or PADV2."""
        if not any(map(any, pads)):
            return x
        shape = tuple(None if d is None else d + lo + hi for d, (lo, hi) in zip(x.shape, pads, strict=True))
        amounts = self.const(as_int32(np.asarray(pads)))
        if x.value is not None and prod(d or 0 for d in shape) * x.value.itemsize <= _MOST_PADDED:
            return self.const(np.pad(x.value, pads, constant_values=value))
        if value == 0:
            return self._same("pad", [x], shape, extra=[amounts])
        return self.pad_by(x, amounts, self.const(np.asarray(value, x.dtype)), shape)

    def pad_by(self, x: Tensor, amounts: Tensor, value: Tensor, shape: Shape) -> Tensor:
        """``x`` padded with the scalar ``value`` by ``amounts`` [rank, 2] (int32). TFLite: PADV2."""
        if amounts.is_all(0):
            return x
        work = working_dtype("padv2", x.dtype)
        operands = [self.cast(x, work), amounts, self.cast(value, work)]
        return self.cast(self.emit_one("padv2", operands, work, shape), x.dtype)

    def mirror_pad(self, x: Tensor, pads: Sequence[tuple[int, int]], mode: str) -> Tensor:
        """``x`` padded by its own mirror image; ``mode`` is REFLECT or SYMMETRIC. TFLite: MIRROR_PAD.

        By the form ``mirror_in_slices``: SLICE of each border element and CONCATENATION, axis by axis.
        """
        if not any(map(any, pads)):
            return x
        sliced = self.forms.numbers("mirror_in_slices")
        if sliced is not None and max(map(max, pads)) <= sliced["border"] and _are_known(x.shape, pads):
            self.because("a border of slices is faster than MIRROR_PAD")
            for axis, around in enumerate(pads):
                x = self._mirrored(x, axis, *around, skipped=int(mode == "REFLECT"))
            return x
        shape = tuple(None if d is None else d + lo + hi for d, (lo, hi) in zip(x.shape, pads, strict=True))
        return self._same("mirror_pad", [x], shape, extra=[self.const(as_int32(np.asarray(pads)))], mode=mode)

    def _mirrored(self, x: Tensor, axis: int, low: int, high: int, *, skipped: int) -> Tensor:
        """One axis between mirrored borders, of which the ``skipped`` outermost elements are no part."""
        extent = x.shape[axis] or 0  # without a border it may be dynamic
        front = [skipped + i for i in reversed(range(low))]
        behind = [extent - 1 - skipped - i for i in range(high)]

        def one(at: int) -> Tensor:
            begin, size = (
                [number if a == axis else rest for a in range(x.rank)] for number, rest in ((at, 0), (1, -1))
            )
            return self.slice(x, begin, size)

        sides = [[self.concat([*map(one, side)], axis)] if side else [] for side in (front, behind)]
        return self.concat([*sides[0], x, *sides[1]], axis)


def _are_known(shape: Shape, pads: Sequence[tuple[int, int]]) -> bool:
    """Whether the extents of all axes with a border are."""
    return all(d is not None or not any(around) for d, around in zip(shape, pads, strict=True))
