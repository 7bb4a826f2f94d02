"""Arrays of equal content, found at a cost that is linear in their bytes and mostly far below."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cached_property

import numpy as np

from ..artifact import Array
from .mapped import let_go

_BLOCK = 1 << 22
"""Bytes that are copied at a time of an array that doesn't lie in order."""
_SAMPLED = 64
"""Elements of an array that are looked at before all of them are."""


class DistinctArrays:
    """Arrays, those of equal dtype, shape and content once.

    An array that is seen again, the same view made anew included, is known by its place in memory; others are first
    compared by a few of their elements, and read as a whole only where these are equal. Views stay views: nothing is
    copied, and what they view stays in memory. It must not change.
    """

    def __init__(self) -> None:
        self._arrays: list[_Content] = []
        self._places: dict[tuple[object, ...], int] = {}
        self._samples: dict[tuple[object, ...], list[int]] = {}

    def __len__(self) -> int:
        return len(self._arrays)

    def __getitem__(self, index: int) -> Array:
        return self._arrays[index].array

    def index(self, array: Array) -> int:
        """The index of the first array that equals this one, byte for byte: its own, if there was none."""
        if (found := self.find(array)) is not None:
            return found
        index = len(self._arrays)
        self._arrays.append(_Content(array))
        # Only of an array that is kept: another one could come to lie in the place of one that is not.
        self._places[_place(array)] = index
        self._samples.setdefault(_sample(array), []).append(index)
        return index

    def find(self, array: Array) -> int | None:
        """As ``index``; None if there was none."""
        if (place := _place(array)) in self._places:
            return self._places[place]
        content = _Content(array)
        twins = self._samples.get(_sample(array), [])
        return next((index for index in twins if self._arrays[index].digest == content.digest), None)


def blocks(array: Array) -> Iterator[Array]:
    """The bytes of ``array`` in the order of its elements, as uint8 vectors: views where they lie so.

    Of a mapped array no more than a block stays in memory if it lies in order, else the array, until its end.
    """
    if array.nbytes <= _BLOCK:
        yield np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    else:
        if array.flags.c_contiguous:
            array = array.reshape(-1)
        rows = _BLOCK * len(array) // array.nbytes
        for start in range(0, len(array), rows or 1):
            yield from blocks(array[start : start + rows] if rows else array[start])
    let_go(array)


class _Content:
    def __init__(self, array: Array) -> None:
        self.array = array

    @cached_property
    def digest(self) -> bytes:
        found = hashlib.blake2b(digest_size=16)
        for block in blocks(self.array):
            found.update(block.data)
        return found.digest()


def _place(array: Array) -> tuple[object, ...]:
    return (array.__array_interface__["data"][0], array.strides, array.shape, array.dtype.str)


def _sample(array: Array) -> tuple[object, ...]:
    sample = array.flat[:: max(1, array.size // _SAMPLED)].tobytes()
    let_go(array)
    return (array.shape, array.dtype.str, sample)
