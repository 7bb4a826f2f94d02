"""Integers of 64 bits: unsigned ones, which hardly a kernel of TFLite takes, and the bits of both.

A uint64 is computed with as the int64 of the same bits. Two's complement makes sums, products and moves equal; what
depends on the order is done on numbers that are 2⁶³ less. Bits are those of two int32.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .kernels import BY_ORDER
from .ranks import ManyAxes
from .tensor import Shape, Tensor

_WIDE = ("int64", "uint64")
_LOWEST = np.iinfo(np.int64).min
_2_63 = 2.0**63


class Wide(ManyAxes):
    """The vocabulary on 64 bits."""

    def bitcast(self, x: Tensor, dtype: str) -> Tensor:
        """The bits of ``x`` as ``dtype``: one of half its size adds an axis of 2, one of twice it takes it away.

        TFLite: BITCAST.
        """
        if x.dtype == dtype:
            return x
        if x.value is not None:
            return self.const(x.value.reshape(-1).view(dtype).reshape(_bitcast_shape(x, dtype)))
        return self.emit_one("bitcast", [x], dtype, _bitcast_shape(x, dtype))

    def halves(self, x: Tensor) -> Tensor:
        """64-bit integers [...] → int32 [..., 2], the low half first."""
        return self.bitcast(x, "int32")

    def shifted_left(self, x: Tensor, count: Tensor) -> Tensor:
        """Integers times 2^``count`` (int32, from 0 to 64), as many bits of it as ``x`` has."""
        powers = self.const(np.asarray([*(1 << np.arange(63, dtype=np.int64)), _LOWEST, 0], np.int64))
        return self.cast(self.mul(self.cast(x, "int64"), self.gather(powers, count, 0)), x.dtype)

    def shifted_right(self, x: Tensor, count: Tensor) -> Tensor:
        """64-bit integers without their last ``count`` bits (int32, from 0 to 63); a sign moves in."""
        signed = "int32" if x.dtype == "int64" else "uint32"
        low, high = (self.squeeze(part, [-1]) for part in self.split(self.halves(x), [1, 1], -1))
        low, high = self.bitcast(low, "uint32"), self.bitcast(high, signed)
        within = self.binary("floor_mod", count, self.like(count, 32))
        over = self.shifted_left(self.bitcast(high, "uint32"), self.sub(self.like(within, 32), within))
        is_short = self.compare("less", count, self.like(count, 32))
        moved = self._shifted_32(high, within)
        nothing = self._shifted_32(high, self.like(within, 31)) if signed == "int32" else self.like(high, 0)
        # The two parts of the low half have no bit in common.
        below = self.binary("bitwise_xor", self._shifted_32(low, within), over)
        parts = [
            self.bitcast(self.select(is_short, below, self.bitcast(moved, "uint32")), "int32"),
            self.bitcast(self.select(is_short, moved, nothing), "int32"),
        ]
        return self.bitcast(self.pack(parts, -1), x.dtype)

    def cast(self, x: Tensor, dtype: str) -> Tensor:
        if "uint64" not in (x.dtype, dtype) or x.dtype == dtype or x.value is not None:
            return super().cast(x, dtype)
        if dtype == "uint64":
            if not x.is_float:
                return self.bitcast(super().cast(x, "int64"), "uint64")
            large = self.compare("greater_equal", x, self.like(x, _2_63))
            rest = super().cast(self.select(large, self.sub(x, self.like(x, _2_63)), x), "int64")
            return self.bitcast(self.select(large, self._flipped(rest), rest), "uint64")
        bits = self.bitcast(x, "int64")
        if not np.issubdtype(dtype, np.floating):
            return super().cast(bits, dtype)
        large = self.compare("less", bits, self.like(bits, 0))
        number = super().cast(self.select(large, self._flipped(bits), bits), "float32")
        return super().cast(self.select(large, self.add(number, self.like(number, _2_63)), number), dtype)

    def binary(self, op: str, a: Tensor, b: Tensor) -> Tensor:
        if a.dtype == b.dtype == "uint64" and op in ("floor_mod", "div"):
            return self._remainder(a, b) if op == "floor_mod" else self._quotient(a, b)
        if a.dtype == b.dtype and a.dtype in _WIDE:
            if op == "bitwise_xor":
                return self.bitcast(super().binary(op, self.halves(a), self.halves(b)), a.dtype)
            if op == "right_shift":
                return self.shifted_right(a, self.cast(b, "int32"))
        return super().binary(op, a, b)

    def top_k(self, x: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
        if x.dtype != "uint64":
            return super().top_k(x, k)
        values, indices = super().top_k(self._flipped(self.cast(x, "int64")), k)
        return self.cast(self._flipped(values), "uint64"), indices

    def _same(self, op: str, data: Sequence[Tensor], shape: Shape, **more: Any) -> Tensor:
        if op not in BY_ORDER or any(t.dtype != "uint64" for t in data):
            return super()._same(op, data, shape, **more)
        result = super()._same(op, [self._flipped(self.cast(t, "int64")) for t in data], shape, **more)
        return result if more.get("result_dtype") else self.cast(self._flipped(result), "uint64")

    def _flipped(self, x: Tensor) -> Tensor:
        """int64 with the other sign bit: 2⁶³ less, or more."""
        return self.add(x, self.like(x, _LOWEST))

    def _shifted_32(self, x: Tensor, count: Tensor) -> Tensor:
        return super().binary("right_shift", x, self.cast(count, x.dtype))

    def _remainder(self, a: Tensor, b: Tensor) -> Tensor:
        """uint64: that of twice the half, and the last bit. No number that FLOOR_MOD sees has the sign bit set."""
        half = self.shifted_right(a, self.const(np.int32(1)))
        last = self.sub(a, self.add(half, half))
        half, divisor = self.bitcast(half, "int64"), self.bitcast(b, "int64")
        large = self.compare("less", divisor, self.like(divisor, 0))
        some = self.binary("floor_mod", half, self.select(large, self.like(divisor, 1), divisor))
        rest = self.bitcast(self.select(large, half, some), "uint64")
        twice = self.add(self.add(rest, rest), last)
        return self.select(self.compare("less", twice, b), twice, self.sub(twice, b))

    def _quotient(self, a: Tensor, b: Tensor) -> Tensor:
        """uint64: a less its remainder, shifted by the zeros at b's end, times the inverse of b's odd part mod 2⁶⁴."""
        whole = self.sub(a, self._remainder(a, b))
        signed = self.bitcast(b, "int64")
        negative = self.bitcast(self.unary("neg", signed), "uint64")
        # b + -b = 0 = (b xor -b) + 2·(b and -b); the sum of both without carry is all bits above the lowest.
        above = self.binary("bitwise_xor", b, negative)
        lowest = self.shifted_right(self.sub(self.like(above, 0), above), self.const(np.int32(1)))
        lowest = self.select(self.compare("equal", above, self.like(above, 0)), self.like(b, 1 << 63), lowest)
        exponent = self.mul(self.unary("log", self.cast(lowest, "float32")), self.const(np.float32(1 / np.log(2))))
        zeros = self.cast(self.unary("round", exponent), "int32")
        odd = self.shifted_right(b, zeros)
        inverse, two = odd, self.like(odd, 2)  # right in 3 bits, and in twice as many after each step
        for _ in range(5):
            inverse = self.mul(inverse, self.sub(two, self.mul(odd, inverse)))
        return self.mul(self.shifted_right(whole, zeros), inverse)


def _bitcast_shape(x: Tensor, dtype: str) -> Shape:
    before, after = np.dtype(x.dtype).itemsize, np.dtype(dtype).itemsize
    if before == after:
        return x.shape
    return (*x.shape, before // after) if before > after else x.shape[:-1]
