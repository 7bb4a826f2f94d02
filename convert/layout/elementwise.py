"""Rules of the elementwise operators."""

from __future__ import annotations

from .layouts import TO_CHANNELS_LAST, Dims, moves_data, permute
from .placement import Op, Placement, Port, Site, constant_of, follow_first, keep


def elementwise(op: Op) -> Placement | None:
    """Any layout, with numpy broadcasting.

    Operands of the result's rank follow. One of lower rank must be constant, or keep its order in memory when
    it is brought to the result's rank channels-last; the rewrite does that (it permutes the constant).
    """
    target = op.out_dims[0]
    if target is None or len(target) not in TO_CHANNELS_LAST or "broadcast" in op.node.attributes:
        return None
    rank = len(target)
    found = []
    for value, dims in zip(op.inputs, op.in_dims, strict=True):
        if value is None or (dims is not None and _is_scalar(dims, rank)):
            found.append(Port.ANY)
        elif dims is None:
            return None
        elif len(dims) == rank:
            found.append(Port.FOLLOWS)
        elif constant_of(value) is not None or _lifted(dims, rank) is not None:
            found.append(Port.NATURAL)
        else:
            return None
    return Placement(tuple(found), (Port.FOLLOWS,) * len(op.outputs), _lift_operands)


def like_first(op: Op) -> Placement | None:
    """Elementwise in input 0; the other operands are no tensors of its shape (a type, a ratio, a limit)."""
    return None if op.rank() is None else follow_first(op, keep)


def _is_scalar(dims: Dims, rank: int) -> bool:
    """Whether broadcasting such an operand to ``rank`` is the same in every layout."""
    return len(dims) < rank and all(dim == 1 for dim in dims)


def _lifted(dims: Dims, rank: int) -> Dims | None:
    """The channels-last extents of an operand of lower rank; None if it would have to be transposed."""
    full = (1,) * (rank - len(dims)) + dims
    lifted = permute(full, TO_CHANNELS_LAST[rank])
    if moves_data(TO_CHANNELS_LAST[rank], full) or sum(not isinstance(dim, int) for dim in lifted) > 1:
        return None
    return lifted


def _lift_operands(site: Site) -> None:
    perm = site.outputs[0] or ()
    for index, dims in enumerate(site.op.in_dims):
        value = site.node.inputs[index]
        if value is None or dims is None or len(dims) == len(perm) or _is_scalar(dims, len(perm)):
            continue
        if (tensor := constant_of(value)) is not None:
            lifted = site.edit.permuted(value, tensor, perm)
        else:
            extents = _lifted(dims, len(perm)) or ()
            operand = site.edit.integers([d if isinstance(d, int) else -1 for d in extents])
            lifted = site.edit.after(value, "Reshape", (value, operand), extents, "channels_last")
        site.edit.set_input(site.node, index, lifted)
