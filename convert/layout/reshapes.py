"""What a Reshape does to the axes of its operand, and in which layouts it needs no data movement.

Everything here is on logical extents (:data:`~.layouts.Dims`); a dynamic dimension is known by its name.
"""

from __future__ import annotations

from .layouts import Dims, Perm

Groups = list[tuple[tuple[int, ...], tuple[int, ...]]]
"""(source axes, target axes) that hold the same elements; axes of extent 1 are in no group."""


def refine(source: Dims, target: Dims) -> Groups | None:
    """The finest common grouping of the axes of a Reshape; None if the extents don't tell.

    ``[N,C,H,W] → [N,C,H·W]`` gives ``(0)↔(0), (1)↔(1), (2,3)↔(2)``.
    """
    left = [(axis, dim) for axis, dim in enumerate(source) if dim != 1]
    right = [(axis, dim) for axis, dim in enumerate(target) if dim != 1]
    groups: Groups = []
    while left and right:
        a, b = [left.pop(0)], [right.pop(0)]
        while (size := _size(a)) != (other := _size(b)):
            if size is None or other is None:
                return None
            # The side that lacks a factor takes another axis.
            grow_left = size[0] < other[0] if size[1] == other[1] else len(size[1]) < len(other[1])
            side, rest = (a, left) if grow_left else (b, right)
            if not rest:
                return None
            side.append(rest.pop(0))
        if size is None:
            return None
        groups.append((tuple(axis for axis, _ in a), tuple(axis for axis, _ in b)))
    return None if left or right else groups


def _size(axes: list[tuple[int, int | str | None]]) -> tuple[int, tuple[str, ...]] | None:
    """Product of the static extents, and the sorted names of the dynamic ones; None if one is unknown."""
    count, names = 1, []
    for _, dim in axes:
        if dim is None or dim == 0:
            return None
        if isinstance(dim, int):
            count *= dim
        else:
            names.append(dim)
    return count, tuple(sorted(names))


def is_direct(groups: Groups, source: Perm, target: Perm) -> bool:
    """Whether a Reshape of an operand in layout ``source`` yields the result in layout ``target``.

    It does if both layouts keep every group whole and in order, and put the groups in the same order.
    """
    orders = []
    for side, perm in ((0, source), (1, target)):
        grouped = {axis for group in groups for axis in group[side]}
        order = sorted(range(len(groups)), key=lambda g: perm.index(groups[g][side][0]))
        if [axis for g in order for axis in groups[g][side]] != [axis for axis in perm if axis in grouped]:
            return False
        orders.append(order)
    return orders[0] == orders[1]


def split(source: Dims, target: Dims) -> list[tuple[int, ...]] | None:
    """For each axis of ``source`` the axes of ``target`` that it is split into; None if it is no pure split.

    ``[N,12,H,W] → [N,3,4,H,W]`` gives ``(0), (1,2), (3), (4)``. Swap the arguments for a pure merge.
    """
    groups = refine(source, target)
    if groups is None or any(len(ours) != 1 for ours, _ in groups):
        return None
    parts: list[list[int]] = [[] for _ in source]
    for (axis,), theirs in groups:
        parts[axis] += theirs
    loose = [axis for axis, dim in enumerate(target) if dim == 1]
    for axis, dim in enumerate(source):
        if dim == 1 and loose:
            parts[axis].append(loose.pop(0))
    for extra in loose:
        # An axis of extent 1 belongs to nobody; it goes with the axis before it.
        home = max((i for i, part in enumerate(parts) if part and part[0] < extra), default=0)
        parts[home].append(extra)
    return [tuple(sorted(part)) for part in parts]
