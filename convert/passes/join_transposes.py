"""Write a chain of Reshape and Transpose behind a Gather as one Transpose, where several of it move something.

Before (windows of tokens, by ``torch.nn.functional.unfold``)::

    Gather ── [9,16,1,24,1] ── Transpose ── [1,24,9,16,1] ── Reshape ── [1,216,16] ── Transpose ── Reshape ── y

After::

    Gather ── [9,16,1,24,1] ── Reshape ── [9,384] ── Transpose ── Reshape ── y [32,12,9]

Leaves alone: chains behind other operators, of which the layout makes more, as it knows those that take images; results
that something else uses in between; extents that aren't numbers; what has more than five axes when it is one.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import onnx_ir as ir

from ..graph.reading import permutation, producer, sole_consumer, static_shape
from ..graph.rewriter import Rewriter
from .contract import Pass
from .properties import CONSTANTS_LIFTED, NO_LOCAL_FUNCTIONS, TYPED

_MOVING = ("Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten")
_MOST_AXES = 5


class _Parts:
    """The axes of the chain's input in parts, of extents above 1, where they lie now.

    Attributes:
        extents: Part → its extent.
        source: The parts as they lie in the chain's input.
        axes: The parts of each axis now.
    """

    def __init__(self, extents: Sequence[int]) -> None:
        self.extents = dict(enumerate(extents))
        self.axes = [[at] if extent != 1 else [] for at, extent in enumerate(extents)]
        self.source = [at for axis in self.axes for at in axis]

    @property
    def now(self) -> list[int]:
        return [part for axis in self.axes for part in axis]

    def reshape(self, extents: Sequence[int]) -> bool:
        """False where an extent takes a piece of a part that doesn't divide it."""
        left, self.axes = self.now, []
        for extent in extents:
            axis: list[int] = []
            while (missing := extent // prod(self.extents[part] for part in axis)) > 1:
                part = left.pop(0)
                if self.extents[part] > missing:
                    if self.extents[part] % missing:
                        return False
                    left.insert(0, self._divide(part, missing))
                elif missing % self.extents[part]:
                    return False
                axis.append(part)
            self.axes.append(axis)
        return not left

    def _divide(self, part: int, first: int) -> int:
        """Part ``part`` becomes its ``first`` and a new one behind it, which is returned."""
        rest = len(self.extents)
        self.extents[rest], self.extents[part] = self.extents[part] // first, first
        self.source.insert(self.source.index(part) + 1, rest)
        return rest

    def joined(self) -> tuple[list[int], list[int]]:
        """Extents of the input and the permutation that it takes, with what stays together as one axis."""
        groups: list[list[int]] = []
        places = {part: at for at, part in enumerate(self.source)}
        for part in self.now:
            if groups and places[part] == places[groups[-1][-1]] + 1:
                groups[-1].append(part)
            else:
                groups.append([part])
        order = sorted(range(len(groups)), key=lambda at: places[groups[at][0]])
        extents = [prod(self.extents[part] for part in groups[at]) for at in order]
        return extents, [order.index(at) for at in range(len(groups))]


def join_transposes(rw: Rewriter) -> None:
    for last in rw.nodes(*_MOVING):
        then = sole_consumer(last.outputs[0])
        if then is None or then.op_type not in _MOVING or then.domain != "" or then.inputs[0] is not last.outputs[0]:
            _join(rw, last)


def _join(rw: Rewriter, last: ir.Node) -> None:
    chain = [last]
    while (before := producer(chain[0].inputs[0], *_MOVING)) is not None and before.graph is last.graph:
        if sole_consumer(before.outputs[0]) is not chain[0]:
            break
        chain.insert(0, before)
    if producer(chain[0].inputs[0], "Gather") is None or sum(map(_moves, chain)) < 2:
        return
    x, result = chain[0].inputs[0], static_shape(last.outputs[0])
    parts = _traced(chain)
    extents, perm = ([], []) if parts is None else parts.joined()
    if x is not None and result is not None and parts is not None and len(perm) <= _MOST_AXES:
        _write(rw, last, x, extents, perm, result)
        rw.drop_replaced()
        rw.changed += 1


def _write(
    rw: Rewriter, last: ir.Node, x: ir.Value, extents: list[int], perm: list[int], result: tuple[int, ...]
) -> None:
    """``last`` becomes ``x`` reshaped to ``extents`` and transposed, with as few reshapes as that takes."""
    source = static_shape(x) or ()
    if len(perm) > 1:
        own = [at for at, extent in enumerate(source) if extent != 1]
        if [source[at] for at in own] == extents:
            # Its axes as they are: those of extent 1 go where the result has some, or to the front.
            units = iter([at for at, extent in enumerate(source) if extent == 1])
            moved = [extents[at] for at in perm]
            fits = len(source) == len(result) and [extent for extent in result if extent != 1] == moved
            wide = iter([own[at] for at in perm])
            perm = [next(units if extent == 1 else wide) for extent in result] if fits else [*units, *wide]
            extents = list(source)
        else:
            x = rw.value_before(last, "Reshape", [x, rw.shape_constant(last, f"{last.name}/parts", extents)], extents)
        if [extents[at] for at in perm] == list(result):
            rw.become(last, "Transpose", [x], {"perm": perm})
            return
        x = rw.value_before(last, "Transpose", [x], [extents[at] for at in perm], {"perm": perm})
    rw.become(last, "Reshape", [x, rw.shape_constant(last, f"{last.name}/extents", result)])
    if static_shape(x) == result:
        rw.bypass(last)


def _moves(node: ir.Node) -> bool:
    """Whether a node is a Transpose that moves more than axes of extent 1."""
    extents, perm = static_shape(node.inputs[0]), permutation(node) if node.op_type == "Transpose" else None
    wide = [at for at in perm or () if extents is None or extents[at] != 1]
    return wide != sorted(wide)


def _traced(chain: Sequence[ir.Node]) -> _Parts | None:
    """Where a chain puts the parts of its input's axes; None where that can't be told."""
    shapes = [static_shape(value) for value in (chain[0].inputs[0], *(node.outputs[0] for node in chain))]
    if any(shape is None or 0 in shape for shape in shapes):
        return None
    parts = _Parts(shapes[0] or ())
    for node, shape in zip(chain, shapes[1:], strict=True):
        perm = permutation(node) if node.op_type == "Transpose" else None
        if perm is not None:
            parts.axes = [parts.axes[at] for at in perm]
        elif not parts.reshape(shape or ()):
            return None
    return parts


PASS = Pass(
    name="join_transposes",
    run=join_transposes,
    requires=frozenset({NO_LOCAL_FUNCTIONS, CONSTANTS_LIFTED, TYPED}),
    must_follow=("fold_constants", "unwrap_transposes", "gather_rows"),
)
