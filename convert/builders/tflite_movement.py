"""Forms of what only moves elements that XNNPACK runs faster, made of a function that MLIR has optimized."""

from __future__ import annotations

from math import prod

from litert_converter.mlir import ir

from .ranks import MOST_AXES
from .tfl_dialect import extents_of, int32s, int32s_of, reshaped, step, type_of

_PAD_THEMSELVES = ("tfl.conv_2d", "tfl.depthwise_conv_2d")
"""What XNNPACK joins a PAD before it with."""


def pad_rows(block: ir.Block) -> None:
    """RESHAPE, PAD and RESHAPE, so that the axes behind the last padded one are one with it.

    XNNPACK (LiteRT 2.3) joins no axes of a PAD: of an image it copies pixel by pixel, and row by row in this form.
    """
    for op in list(block.operations):
        if op.operation.name == "tfl.pad" and (found := _rows(op)) is not None:
            flat, pads = found
            padded = [e if e < 0 else e + before + behind for e, (before, behind) in zip(flat, pads, strict=True)]
            with ir.InsertionPoint(op), op.location:
                rows = step(op, "reshape", type_of(flat, op.operands[0]), [op.operands[0], int32s(flat)])
                wide = step(op, "pad", type_of(padded, rows), [rows, int32s(pads)])
                op.results[0].replace_all_uses_with(reshaped(wide, ir.RankedTensorType(op.results[0].type)))
            op.operation.erase()


def _rows(op: ir.OpView) -> tuple[list[int], list[list[int]]] | None:
    """The extents of what is padded, and the pads, with the axes from the last padded one on as one."""
    x, told = extents_of(op.operands[0]), int32s_of(op.operands[1])
    if told is None or not _is_float(op.operands[0]) or len(x) > MOST_AXES or sum(e < 1 for e in x) > 1:
        return None
    if all(use.owner.operation.name in _PAD_THEMSELVES for use in op.results[0].uses):
        return None
    pads = [told[2 * axis : 2 * axis + 2] for axis in range(len(x))]
    last = max((axis for axis, around in enumerate(pads) if any(around)), default=0)
    row, rest = x[last:], prod(x[last + 1 :])
    if last == 0 or rest <= 1 or min(row) < 1:
        return None
    return [*x[:last], prod(row)], [*pads[:last], [n * rest for n in pads[last]]]


def swap_by_places(block: ir.Block, *, parts: int, places: int) -> None:
    """Three TRANSPOSE for one that swaps its last two runs of axes, of which the first is short, at many places.

    ``[places, parts, rest]`` → ``[parts · rest, places]`` → ``[rest · parts, places]`` → ``[places, rest, parts]``:
    XNNPACK's kernels transpose tiles of 4×4 and larger, of which the plain form fills less than half, at each place
    anew; the second of the three copies whole rows. A shuffle of channels is such.

    Args:
        parts: Most extents of the first run.
        places: Least product of the axes before.
    """
    for op in list(block.operations):
        found = _swap(op) if op.operation.name == "tfl.transpose" else None
        if found is None or not 1 < found[1] <= parts or abs(prod(found[0])) < places:
            continue
        lead, first, second = (-1 if min(found[0]) < 0 else prod(found[0])), *found[1:]
        x, whole = op.operands[0], first * second
        with ir.InsertionPoint(op), op.location:
            flat = reshaped(x, type_of([lead, whole], x))
            apart = step(op, "transpose", type_of([whole, lead], x), [flat, int32s([1, 0])])
            apart = reshaped(apart, type_of([first, second, lead], x))
            swapped = step(op, "transpose", type_of([second, first, lead], x), [apart, int32s([1, 0, 2])])
            swapped = reshaped(swapped, type_of([whole, lead], x))
            back = step(op, "transpose", type_of([lead, whole], x), [swapped, int32s([1, 0])])
            op.results[0].replace_all_uses_with(reshaped(back, ir.RankedTensorType(op.results[0].type)))
        op.operation.erase()


def _swap(op: ir.OpView) -> tuple[list[int], int, int] | None:
    """The extents before two runs of axes that change places at the end, and the elements of each run."""
    x, order = extents_of(op.operands[0]), int32s_of(op.operands[1])
    if order is None or not _is_float(op.operands[0]) or sum(e < 0 for e in x) > 1:
        return None
    start = next((axis for axis, source in enumerate(order) if axis != source), len(order))
    if start in (0, len(order)):
        return None
    middle = order[start]
    if order != [*range(start), *range(middle, len(order)), *range(start, middle)] or min(x[start:]) < 1:
        return None
    return x[:start], prod(x[start:middle]), prod(x[middle:])


def _is_float(value: ir.Value) -> bool:
    return isinstance(ir.RankedTensorType(value.type).element_type, ir.F32Type)
