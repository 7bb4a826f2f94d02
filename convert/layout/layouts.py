"""Permutations, the physical layouts of a value, and what it costs to change one.

A *layout* of a value is a permutation of its axes: ``perm[i]`` is the logical axis (the one the ONNX graph
meant before the layout step) that lies at physical position ``i``. *Natural* is the identity. *Channels-last*
moves axis 1 to the end: NCL → NLC, NCHW → NHWC, NCDHW → NDHWC. Other ranks have no channels-last layout.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import onnx_ir as ir

Perm = tuple[int, ...]

Dims = tuple[int | str | None, ...]
"""Extents: a number, the name of a dynamic dimension, or None when nothing is known."""

TO_CHANNELS_LAST: dict[int, Perm] = {3: (0, 2, 1), 4: (0, 2, 3, 1), 5: (0, 2, 3, 4, 1)}
"""Rank → channels-last permutation."""

NOMINAL = 64
"""What a dynamic dimension counts as in a cost (a dynamic batch, axis 0, counts as 1)."""

T = TypeVar("T")


def natural(rank: int) -> Perm:
    return tuple(range(rank))


def inverse(perm: Perm) -> Perm:
    return tuple(perm.index(i) for i in range(len(perm)))


def permute(items: Sequence[T], perm: Perm) -> tuple[T, ...]:
    """``items`` in the order that a Transpose by ``perm`` gives them."""
    return tuple(items[i] for i in perm)


def compose(first: Perm, second: Perm) -> Perm:
    """The one permutation that does what Transpose by ``first`` and then by ``second`` do."""
    return permute(first, second)


def dims_of(value: ir.Value | None) -> Dims | None:
    """The extents of a value; None if it is absent, not a tensor, or of unknown rank."""
    if value is None or value.shape is None or isinstance(value.type, ir.SequenceType | ir.OptionalType):
        return None
    return tuple(d if isinstance(d, int) else d.value for d in value.shape)


def moves_data(perm: Perm, dims: Dims) -> bool:
    """Whether a Transpose by ``perm`` changes the order of elements in memory (unit axes move for free)."""
    kept = [axis for axis in perm if dims[axis] != 1]
    return kept != sorted(kept)


def reshape_target(source: Dims, target: Dims) -> list[int] | None:
    """The shape operand with which ONNX Reshape (``allowzero=0``) makes ``target`` out of ``source``.

    None if no constant says it: two dynamic extents that are not where they were, or an extent of 0.
    """
    result: list[int] = []
    for position, dim in enumerate(target):
        if dim == 0:
            return None
        if isinstance(dim, int):
            result.append(dim)
        elif dim is not None and position < len(source) and source[position] == dim:
            result.append(0)
        else:
            result.append(-1)
    return None if result.count(-1) > 1 else result


def is_reshape(perm: Perm, dims: Dims) -> bool:
    """Whether a Transpose by ``perm`` of a value with ``dims`` can be a Reshape instead."""
    return not moves_data(perm, dims) and reshape_target(dims, permute(dims, perm)) is not None


def nbytes(dims: Dims, dtype: ir.DataType | None) -> int:
    """Bytes of a tensor; dynamic dimensions count as nominal sizes."""
    count = 1
    for axis, dim in enumerate(dims):
        count *= dim if isinstance(dim, int) else (NOMINAL if axis else 1)
    bits = dtype.bitwidth if dtype is not None and dtype not in _NO_BITWIDTH else 32
    return max(1, count * bits // 8)


def transpose_cost(dims: Dims, dtype: ir.DataType | None) -> int:
    """What going from natural to channels-last, or back, costs: the bytes moved, or 1 if a Reshape does it."""
    perm = TO_CHANNELS_LAST[len(dims)]
    if is_reshape(perm, dims) and is_reshape(inverse(perm), permute(dims, perm)):
        return 1
    return nbytes(dims, dtype) + 1


_NO_BITWIDTH = (ir.DataType.UNDEFINED, ir.DataType.STRING)
