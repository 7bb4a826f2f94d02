"""Rules of the operators that only move data: Reshape, Transpose, Expand, Tile; and Shape, which asks."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain, product

import onnx_ir as ir

from ..graph.reading import permutation
from .edit import ir_shape
from .layouts import (
    TO_CHANNELS_LAST,
    Dims,
    Perm,
    compose,
    dims_of,
    inverse,
    moves_data,
    natural,
    permute,
    reshape_target,
)
from .placement import Op, Placement, Port, Site, constant_of, follow_first, keep
from .reshapes import is_direct, refine, split


def _layouts(dims: Dims) -> list[Perm]:
    """Natural, and channels-last if the rank has it."""
    rank = len(dims)
    return [natural(rank)] + ([TO_CHANNELS_LAST[rank]] if rank in TO_CHANNELS_LAST else [])


# --- Reshape, Flatten, Squeeze, Unsqueeze -----------------------------------------------------------------


def reshape(op: Op) -> Placement | None:
    """Follows where groups of axes stay whole, such as H·W ↔ H, W; free where both layouts hold the same order."""
    source, target = op.in_dims[0], op.out_dims[0]
    groups = None if source is None or target is None else refine(source, target)
    if source is None or target is None or groups is None:
        return None
    possible = {
        (a != natural(len(a)), b != natural(len(b)))
        for a, b in product(_layouts(source), _layouts(target))
        if is_direct(groups, a, b) and reshape_target(permute(source, a), permute(target, b)) is not None
    }
    others = (Port.ANY,) * (len(op.inputs) - 1)
    if (True, True) in possible:
        return Placement((Port.FOLLOWS, *others), (Port.FOLLOWS,), _reshape)
    if (True, False) in possible:
        return Placement((Port.ANY, *others), (Port.NATURAL,), _reshape)
    if (False, True) in possible:
        return Placement((Port.NATURAL, *others), (Port.ANY,), _reshape)
    return _flattened(op, source, target)


def _reshape(site: Site) -> None:
    source, target = _physical(site)
    operand = site.edit.integers(reshape_target(source, target) or ())
    site.edit.become(site.node, "Reshape", (site.node.inputs[0], operand))


def _physical(site: Site) -> tuple[Dims, Dims]:
    """Extents of input 0 and output 0 as they lie."""
    source, target = site.op.in_dims[0] or (), site.op.out_dims[0] or ()
    return permute(source, site.layout()), permute(target, site.outputs[0] or ())


def _flattened(op: Op, source: Dims, target: Dims) -> Placement | None:
    """``[N,C,H,W] → [N,C·H·W]`` into dense layers with constant weights: permute their rows instead."""
    rank = op.rank()
    whole = rank is not None and len(target) == 2 and source[0] == target[0] and _static(source[1:])
    if not whole or reshape_target(source, target) is None or op.outputs[0].is_graph_output():
        return None
    uses = list(op.outputs[0].uses())
    if not uses or not all(_is_dense(use.node, use.idx) for use in uses):
        return None
    return Placement((Port.ANY,) * len(op.inputs), (Port.NATURAL,), _flatten)


def _static(dims: Dims) -> bool:
    return all(isinstance(dim, int) for dim in dims)


def _is_dense(node: ir.Node, index: int) -> bool:
    if index != 0 or node.domain != "" or node.op_type not in ("Gemm", "MatMul"):
        return False
    flipped = node.attributes.get("transA")
    weights = constant_of(node.inputs[1])
    return weights is not None and len(weights.shape) == 2 and (flipped is None or not flipped.as_int())


def _flatten(site: Site) -> None:
    features = site.op.in_dims[0] or ()
    rows = tuple(axis - 1 for axis in site.layout()[1:])
    for use in list(site.op.outputs[0].uses()):
        weights = use.node.inputs[1]
        tensor = constant_of(weights)
        if weights is None or tensor is None:
            continue
        flipped = use.node.attributes.get("transB")
        axis = 1 if flipped is not None and flipped.as_int() else 0
        extents = tuple(dim for dim in features[1:] if isinstance(dim, int))
        site.edit.set_input(use.node, 1, site.edit.reordered(weights, tensor, axis, extents, rows))
    _reshape(site)
    # Its elements are no longer in the order that the name stood for.
    result = site.op.outputs[0]
    result.name = site.edit.unique(f"{result.name}_channels_last")


# --- Transpose, alone or between two Reshapes -------------------------------------------------------------


def rearrangement(op: Op) -> Placement | None:
    """A Transpose, or a Reshape–Transpose–Reshape that splits axes and merges axes (channel or pixel shuffle).

    It can take and give every layout. Where one pair of layouts makes the Transpose vanish, its ports are
    pinned to that pair, or follow; else they are free.
    """
    source, target = op.in_dims[0], op.out_dims[0]
    turned = dims_of(_turn(op).inputs[0])
    if source is None or target is None or turned is None or len(permutation(_turn(op)) or ()) != len(turned):
        return None  # the preflight refuses a permutation of another rank
    vanishing = set()
    for a, b in product(_layouts(source), _layouts(target)):
        form = _form(op, a, b)
        if form is None:
            return None
        if not moves_data(form.perm, form.split):
            vanishing.add((a != natural(len(a)), b != natural(len(b))))
    turns = vanishing == {(True, False), (False, True)}
    incoming = outgoing = Port.ANY
    if (True, True) in vanishing:
        incoming = outgoing = Port.FOLLOWS
    elif vanishing == {(True, False)}:
        incoming, outgoing = Port.CHANNELS_LAST, Port.NATURAL
    elif vanishing == {(False, True)}:
        incoming, outgoing = Port.NATURAL, Port.CHANNELS_LAST
    return Placement((incoming,), (outgoing,), _rearrange, absorbs=True, turns=turns)


@dataclass(frozen=True)
class _Form:
    """A rearrangement between two layouts (physical extents).

    Attributes:
        split: What the first Reshape gives (a lone Transpose: what there is).
        into: The layout of that.
        perm: The Transpose's permutation.
        turned: What the Transpose gives.
        out_of: The layout of that.
        merged: What the second Reshape gives.
    """

    split: Dims
    into: Perm
    perm: Perm
    turned: Dims
    out_of: Perm
    merged: Dims


def _form(op: Op, a: Perm, b: Perm) -> _Form | None:
    """``op`` from layout ``a`` to layout ``b``; None if a Reshape can't be said by a constant, or isn't a pure
    split (the first) or merge (the second)."""
    source, target = op.in_dims[0], op.out_dims[0]
    if source is None or target is None:
        return None
    if len(op.nodes) == 1:
        inner, outer, into, out_of = source, target, a, b
    else:
        inner, outer = (dims_of(value) or () for value in (_turn(op).inputs[0], _turn(op).outputs[0]))
        parts, wholes = split(source, inner), split(target, outer)
        if parts is None or wholes is None:
            return None
        into = tuple(chain.from_iterable(parts[axis] for axis in a))
        out_of = tuple(chain.from_iterable(wholes[axis] for axis in b))
    perm = compose(compose(inverse(into), permutation(_turn(op)) or ()), out_of)
    form = _Form(permute(inner, into), into, perm, permute(outer, out_of), out_of, permute(target, b))
    if len(op.nodes) == 1:
        return form
    said = reshape_target(permute(source, a), form.split), reshape_target(form.turned, form.merged)
    return None if None in said else form


def _turn(op: Op) -> ir.Node:
    return op.nodes[len(op.nodes) // 2]


def _rearrange(site: Site) -> None:
    form = _form(site.op, site.layout(), site.outputs[0] or ())
    if form is None:
        return
    turn = _turn(site.op)
    if moves_data(form.perm, form.split):
        turn.attributes["perm"] = ir.AttrInt64s("perm", form.perm)
    else:
        _to_reshape(site, turn, form.split, form.turned)
    if len(site.op.nodes) == 3:
        first, _, last = site.op.nodes
        _to_reshape(site, first, _physical(site)[0], form.split)
        _to_reshape(site, last, form.turned, form.merged)
        for node, dims, perm in ((first, form.split, form.into), (turn, form.turned, form.out_of)):
            node.outputs[0].shape = ir_shape(dims)
            site.edit.layouts[node.outputs[0]] = perm


def _to_reshape(site: Site, node: ir.Node, source: Dims, target: Dims) -> None:
    """Make ``node`` a Reshape, or an Identity if there is nothing to do."""
    data = node.inputs[0]
    operand = reshape_target(source, target)
    if source == target:
        site.edit.become(node, "Identity", (data,))
    elif operand is not None:
        site.edit.become(node, "Reshape", (data, site.edit.integers(operand)))


# --- the rest ---------------------------------------------------------------------------------------------


def expand(op: Op) -> Placement | None:
    """Follows if the operand has the result's rank and each extent of the result is known or the operand's."""

    def rewrite(site: Site) -> None:
        site.edit.set_input(site.node, 1, site.edit.integers(permute(extents, site.layout())))

    source, target = op.in_dims[0], op.out_dims[0]
    if op.rank() is None or source is None or target is None or len(source) != len(target):
        return None
    extents = [t if isinstance(t, int) else 1 for t in target]
    unknown = any(not isinstance(t, int) and (t is None or s != t) for s, t in zip(source, target, strict=True))
    return None if unknown else follow_first(op, rewrite)


def tile(op: Op) -> Placement | None:
    """Follows if the repeats are constant."""

    def rewrite(site: Site) -> None:
        site.set_integers("repeats", 1, permute(repeats or (), site.layout()))

    repeats = op.integers("repeats", 1)
    return None if repeats is None else follow_first(op, rewrite)


def shape(op: Op) -> Placement | None:
    """Takes any layout: the extents are put back in natural order, which moves a few integers."""

    def rewrite(site: Site) -> None:
        value, rank = site.node.inputs[0], len(site.layout())
        start, end = site.op.integer("start", 0), site.op.integer("end", rank)
        wanted = range(*slice(start, end).indices(rank))
        if value is not None:
            extents = site.edit.after(value, "Shape", (value,), (rank,), "shape", dtype=ir.DataType.INT64)
            indices = site.edit.integers([site.axis(axis) for axis in wanted])
            site.edit.become(site.node, "Gather", (extents, indices), {"axis": 0})

    return None if op.rank() is None else Placement((Port.ANY,), (Port.ANY,), rewrite)


def size(op: Op) -> Placement | None:
    """The number of elements is the same in every layout."""
    return None if op.rank() is None else Placement((Port.ANY,), (Port.ANY,), keep)
