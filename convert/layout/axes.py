"""Rules of the operators that name axes: concatenation, softmax, reductions, slices, pads, layer normalization."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import onnx_ir as ir

from ...artifact import Array
from .elementwise import like_first
from .layouts import TO_CHANNELS_LAST, Dims, Perm, nbytes, permute
from .placement import Op, Placement, Port, Rewrite, Site, constant_of, follow_first, keep


def one_axis(default: int | None = None, *, last: bool = False) -> Callable[[Op], Placement | None]:
    """Attribute ``axis`` counts the axes of input 0; every operand and result of its rank follows.

    Args:
        default: The axis where the attribute is absent (None: it must be there).
        last: TFLite has the operator for the last axis only, so any other costs two transpositions.
    """

    def rule(op: Op) -> Placement | None:
        rank = op.rank()
        if rank is None or (default is None and "axis" not in op.node.attributes):
            return None
        operands = [_of_rank(dims, rank) for dims, v in zip(op.in_dims, op.inputs, strict=True) if v is not None]
        results = [_of_rank(dims, rank) for dims in op.out_dims]
        if None in operands or None in results:
            return None
        axis = op.integer("axis", default or 0) % rank
        cost = 2 * nbytes(op.in_dims[0] or (), op.outputs[0].dtype) if last else 0
        return Placement(
            tuple(_of_rank(dims, rank) or Port.ANY for dims in op.in_dims),
            tuple(_of_rank(dims, rank) or Port.ANY for dims in op.out_dims),
            _remap_axis(default or 0),
            natural_cost=0 if axis == rank - 1 else cost,
            channels_last_cost=0 if axis == TO_CHANNELS_LAST[rank][-1] else cost,
        )

    return rule


def _remap_axis(default: int) -> Callable[[Site], None]:
    def rewrite(site: Site) -> None:
        axis = site.axis(site.op.integer("axis", default))
        site.node.attributes["axis"] = ir.AttrInt64("axis", axis)

    return rewrite


def _of_rank(dims: Dims | None, rank: int) -> Port | None:
    """The port of an operand that has the data's rank, or is a vector or scalar; None for other ones."""
    if dims is None:
        return None
    return Port.FOLLOWS if len(dims) == rank else Port.ANY if len(dims) < 2 else None


def softmax(op: Op) -> Placement | None:
    """Like :func:`one_axis`; before opset 13 the axes from ``axis`` on are one, which isn't agnostic."""
    return None if op.opset < 13 else one_axis(-1, last=True)(op)


def quantization(op: Op) -> Placement | None:
    """Per tensor: elementwise. Per channel: along ``axis`` (default 1). In blocks: not moved."""
    scale = op.in_dims[1] if len(op.in_dims) > 1 else None
    if scale is None or len(scale) > 1:
        return None
    return like_first(op) if all(dim == 1 for dim in scale) else one_axis(1)(op)


def cumulative_sum(op: Op) -> Placement | None:
    """The axis is input 1, a constant."""
    axis = op.constant(1)
    if op.rank() is None or axis is None:
        return None
    return follow_first(op, lambda site: _set_axis_input(site, axis))


def _set_axis_input(site: Site, axis: Array) -> None:
    physical = np.full_like(axis, site.axis(int(axis.item())))
    site.edit.set_input(site.node, 1, site.edit.shared(physical, "axis"))


def gather(op: Op) -> Placement | None:
    """A vector of indices keeps the axis (other axes follow); a scalar index takes the axis away."""
    indices = op.in_dims[1]
    if op.rank() is None or indices is None or len(indices) > 1:
        return None
    if len(indices) == 1:
        return one_axis(0)(op)
    return _reduction(op, (op.integer("axis", 0),), False, _remap_axis(0))


def arg_reduce(op: Op) -> Placement | None:
    """ArgMax and ArgMin: one axis, kept with extent 1 or taken away."""
    return _reduction(op, (op.integer("axis", 0),), bool(op.integer("keepdims", 1)), _remap_axis(0))


def reduction(op: Op) -> Placement | None:
    """ReduceMean and its kin; ``axes`` is an attribute or, from opset 13 or 18 on, a constant input."""
    rank = op.rank()
    axes = op.integers("axes", 1)
    if rank is None or (axes is None and op.has_input(1)):
        return None
    if not axes and op.integer("noop_with_empty_axes", 0):
        return like_first(op)
    keepdims = bool(op.integer("keepdims", 1))
    if not axes:
        return _reduction(op, range(rank), keepdims, keep)
    return _reduction(op, axes, keepdims, lambda site: site.set_integers("axes", 1, sorted(map(site.axis, axes))))


def _reduction(op: Op, axes: Sequence[int], keepdims: bool, rewrite: Rewrite) -> Placement | None:
    """Input 0 follows; the result too if ``axes`` are kept.

    If they go away, what is left of a channels-last operand must be channels-last, or in natural order.
    """
    rank = op.rank()
    if rank is None or op.out_dims[0] is None:
        return None
    output = Port.FOLLOWS if keepdims else _remainder(rank, {axis % rank for axis in axes})
    if output is None:
        return None
    others = (Port.NATURAL,) * (len(op.inputs) - 1)
    return Placement((Port.FOLLOWS, *others), (output,), rewrite)


def _remainder(rank: int, gone: set[int]) -> Port | None:
    left = [axis for axis in range(rank) if axis not in gone]
    order: Perm = tuple(left.index(axis) for axis in TO_CHANNELS_LAST[rank] if axis not in gone)
    if order == tuple(range(len(order))):
        return Port.NATURAL
    return Port.FOLLOWS if order == TO_CHANNELS_LAST.get(len(order)) else None


def slices(op: Op) -> Placement | None:
    """Slice: constant ``axes`` (or all the leading ones); starts, ends and steps may be computed."""
    old = "starts" in op.node.attributes
    axes = op.integers("axes", 3)
    if axes is None and not op.has_input(3):
        axes = _leading(op, old)
    if op.rank() is None or axes is None:
        return None
    return follow_first(op, lambda site: site.set_integers("axes", 3, [site.axis(a) for a in axes], attribute=old))


def _leading(op: Op, old: bool) -> tuple[int, ...] | None:
    """The axes that a Slice without ``axes`` is about: as many as it has ``starts``."""
    dims = (len(op.node.attributes["starts"].as_ints()),) if old else op.in_dims[1]
    count = dims[0] if dims else None
    return tuple(range(count)) if isinstance(count, int) else None


def pad(op: Op) -> Placement | None:
    """Pad with constant ``pads`` for all axes, or with constant ``axes`` (opset 18)."""

    def rewrite(site: Site) -> None:
        if axes is not None:
            site.set_integers("axes", 3, [site.axis(axis) for axis in axes])
        elif pads is not None:
            half = len(pads) // 2
            perm = site.layout()
            site.set_integers("pads", 1, permute(pads[:half], perm) + permute(pads[half:], perm))

    axes, pads = op.integers("axes", 3), op.integers("pads", 1)
    if op.rank() is None or (axes is None and (op.has_input(3) or pads is None)):
        return None
    return follow_first(op, rewrite)


def layer_normalization(op: Op) -> Placement | None:
    """Normalizes the axes from ``axis`` on; agnostic if these are the last ones in both layouts.

    That is so for ``axis`` 0 and 1, with constant scale and bias over exactly these axes.
    """

    def rewrite(site: Site) -> None:
        suffix = tuple(position - axis for position in site.layout()[axis:])
        for index in range(1, len(site.op.inputs)):
            value = site.node.inputs[index]
            if value is not None and (tensor := constant_of(value)) is not None and tensor.size > 1:
                site.edit.set_input(site.node, index, site.edit.permuted(value, tensor, suffix))

    rank = op.rank()
    axis = op.integer("axis", -1) % rank if rank else 0
    if rank is None or axis > 1 or any(op.uses_output(i) for i in range(1, len(op.outputs))):
        return None
    for index in range(1, len(op.inputs)):
        tensor = constant_of(op.inputs[index])
        if op.has_input(index) and (tensor is None or (tensor.size != 1 and len(tensor.shape) != rank - axis)):
            return None
    return follow_first(op, rewrite)
