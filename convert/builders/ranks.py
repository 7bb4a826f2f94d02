"""Ops on more axes than TFLite's kernels and XNNPACK take: axes that stay together merge, the rest goes in steps.

An axis of extent 1 goes. Of two neighbours that an op treats alike, such as both reduced, or both broadcast from the
same operands, one axis is made, over all operands. Where too many are left, the op does some of them first: a
transpose moves a few axes, a reduction takes the last axes, a pad the first, an operand is broadcast beforehand.

Source: XNNPACK's ``XNN_MAX_TENSOR_DIMS``, 6, past which its delegate refuses the *file* for some ops (LiteRT 2.3);
what older runtimes' kernels take, where one is asked for (``Forms.most_axes``); TensorFlow's broadcasts, of at most 5
runs of axes, and softmax; MLIR's PAD.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import reduce
from itertools import chain, pairwise
from typing import Any

import numpy as np

from ...formats.tflite.releases import MANY
from .base import Attribute
from .elementwise import BINARY, COMPARE, Elementwise
from .legality import Attributes
from .neural import Neural
from .padding import Padding
from .reductions import REDUCTIONS, Reductions
from .tensor import Shape, Spec, Tensor, Unsupported, broadcast, element_count

Factors = Sequence[Sequence[tuple[Tensor, int]]]
"""For each extent, the (tensor, axis) whose extents it is the product of."""
Results = tuple[Tensor, ...]

MOST_AXES = 6
_MOST_BROADCAST = 5
"""Runs of axes that are broadcast from the same operands."""
_MOST_OTHERS = 5
_MOST_ALIKE = 8
"""Axes of operands that aren't broadcast, which the kernels go over by element."""


class ManyAxes(Elementwise, Padding, Reductions, Neural):
    """Emits an op of too many axes as one of fewer."""

    def extent_of(self, x: Tensor, axis: int) -> Tensor:
        """One extent as an int32 scalar; a constant where it is static."""
        extent = x.shape[axis]
        if extent is not None:
            return self.const(np.int32(extent))
        return self.reshape(self.slice(self.shape_of(x), [axis], [1]), ())

    def reshape_by(self, x: Tensor, extents: Factors) -> Tensor:
        """``x`` with extents that are each the product of some axes' extents; of none is 1."""
        shape = tuple(element_count([t.shape[axis] for t, axis in factors]) for factors in extents)
        if sum(d is None for d in shape) <= 1:
            return self.reshape(x, shape)
        parts = []
        for factors in extents:
            each = [self.reshape(self.extent_of(t, axis), (1,)) for t, axis in factors] or [self.int32s([1])]
            parts.append(_product(self, self.concat(each, 0)))
        return self.reshape(x, shape, self.concat(parts, 0))

    def emit(
        self, op: str, operands: Sequence[Tensor], results: Sequence[Spec], **attributes: Attribute
    ) -> tuple[Tensor, ...]:
        most, rule = _RULES.get(op, (0, None))
        most = min(most, self.forms.most_axes(op))
        if rule is not None and max(len(t.shape) for ts in (operands, results) for t in ts) > most:
            made = rule(self, op, operands, results, attributes)
            if made is not None:
                return made
        return super().emit(op, operands, results, **attributes)


Narrowing = Callable[[ManyAxes, str, Sequence[Tensor], Sequence[Spec], Attributes], Results | None]
"""Emits an op in fewer axes; None where it is right as it is."""


def _runs(axes: Iterable[int], kind: Callable[[int], Any]) -> list[list[int]]:
    """Neighbouring ``axes`` of one kind; an axis of the kind None is alone."""
    runs: list[list[int]] = []
    last = None
    for axis in axes:
        this = kind(axis)
        if runs and this is not None and this == last:
            runs[-1].append(axis)
        else:
            runs.append([axis])
        last = this
    return runs


def _with_rank(b: ManyAxes, x: Tensor, rank: int) -> Tensor:
    return b.expand_dims(x, range(rank - x.rank)) if x.rank < rank else x


def _merged(b: ManyAxes, x: Tensor, runs: Sequence[Sequence[int]]) -> Tensor:
    """``x`` with an axis for each of ``runs``; the axes in none have the extent 1."""
    return b.reshape_by(x, [[(x, axis) for axis in run] for run in runs])


def _elementwise(
    b: ManyAxes, op: str, operands: Sequence[Tensor], results: Sequence[Spec], attributes: Attributes
) -> Results | None:
    spec, most = results[0], b.forms.most_axes(op)
    shape, rank = spec.shape, len(spec.shape)
    narrow = [t for t in operands if t.shape != shape]
    if not narrow and rank <= _MOST_ALIKE:
        return None
    whole = [_with_rank(b, t, rank) for t in operands]
    runs = _runs((a for a in range(rank) if shape[a] != 1), lambda axis: _spread_from(whole, axis))
    if rank <= min(MOST_AXES, most) and len(runs) <= _MOST_BROADCAST:
        return None
    if len(runs) > min(_MOST_BROADCAST, most):
        # What is broadcast before makes no run here.
        target = b.concat([_result_extent(b, whole, shape, axis) for axis in range(rank)], 0)
        filled = [b.broadcast_to(t, target, shape) if t is narrow[0] else t for t in operands]
        return b.emit(op, filled, results, **attributes) if narrow else None
    merged = [_merged(b, t, runs) for t in whole]
    result = b.emit_one(op, merged, spec.dtype, broadcast(*(t.shape for t in merged)), **attributes)
    alone = {run[0]: [(result, i)] for i, run in enumerate(runs) if len(run) == 1}
    wide = [[(t, axis) for t in whole if t.shape[axis] != 1][:1] for axis in range(rank)]
    return (b.reshape_by(result, [alone.get(axis, wide[axis]) for axis in range(rank)]),)


def _spread_from(operands: Sequence[Tensor], axis: int) -> tuple[bool, ...] | None:
    """Which operands have more than one element along an axis; None where only the run time can tell."""
    extents = [t.shape[axis] for t in operands]
    if None in extents and sum(d != 1 for d in extents) > 1:
        return None
    return tuple(d != 1 for d in extents)


def _result_extent(b: ManyAxes, operands: Sequence[Tensor], shape: Shape, axis: int) -> Tensor:
    """An extent of a broadcast result, int32 [1]."""
    extent = shape[axis]
    if extent is not None:
        return b.int32s([extent])
    found = [b.extent_of(t, axis) for t in operands if t.shape[axis] != 1]
    return b.reshape(reduce(lambda p, q: b.binary("maximum", p, q), found), (1,))


def _broadcast_to(
    b: ManyAxes, op: str, operands: Sequence[Tensor], results: Sequence[Spec], attributes: Attributes
) -> Results | None:
    target, spec = operands[1], results[0]
    rank = len(spec.shape)
    x = _with_rank(b, operands[0], rank)
    kinds = [None if d is None else d == 1 for d in x.shape]
    runs = _runs((a for a in range(rank) if spec.shape[a] != 1), lambda axis: kinds[axis])
    if rank <= MOST_AXES and len(runs) <= _MOST_BROADCAST:
        return None
    return (_filled(b, x, target, spec.shape, runs),)


def _filled(b: ManyAxes, x: Tensor, target: Tensor, shape: Shape, runs: Sequence[list[int]]) -> Tensor:
    """``x`` broadcast to ``target``, whose values are ``shape``; ``runs`` of axes are alike in all."""
    if len(runs) > _MOST_BROADCAST:
        half = len(runs) // 2
        before, after = (list(chain(*part)) for part in (runs[:half], runs[half:]))
        at = after[0]
        partly = b.concat([b.slice(b.shape_of(x), [0], [at]), b.slice(target, [at], [x.rank - at])], 0)
        x = _filled(b, x, partly, (*x.shape[:at], *shape[at:]), [before, *runs[half:]])
        return _filled(b, x, target, shape, [*runs[:half], after])
    extents = [_product(b, b.gather(target, b.int32s(run), 0)) for run in runs]
    narrow = tuple(element_count([shape[axis] for axis in run]) for run in runs)
    return b.reshape(b.broadcast_to(_merged(b, x, runs), b.concat(extents, 0), narrow), shape, target)


def _product(b: ManyAxes, extents: Tensor) -> Tensor:
    """int32 [N] → their product, int32 [1]."""
    if extents.shape == (1,):
        return extents
    if extents.value is not None:
        return b.int32s([int(np.prod(extents.value))])
    return b.reduce("reduce_prod", extents, [0], keep_dims=True)


def _transpose(
    b: ManyAxes, op: str, operands: Sequence[Tensor], results: Sequence[Spec], attributes: Attributes
) -> Results | None:
    x, order = operands[0], operands[1].value
    if order is None:
        return None
    perm = [int(axis) for axis in order]
    rank = {axis: i for i, axis in enumerate(a for a in range(x.rank) if x.shape[a] != 1)}
    place = iter(range(x.rank))
    # Axes that follow each other before and after have one difference between the two places.
    runs = _runs((a for a in perm if a in rank), lambda axis: next(place) - rank[axis])
    back = [[(x, axis)] for axis in perm]
    laid = sorted(range(len(runs)), key=lambda i: runs[i])
    merged = _merged(b, x, [runs[i] for i in laid])
    block = [laid.index(i) for i in range(len(runs))]  # the transpose of what has merged
    if len(runs) <= MOST_AXES:
        return (b.reshape_by(b.transpose(merged, block), back),)
    first = _some_first(block, MOST_AXES)
    return (b.reshape_by(b.transpose(b.transpose(merged, first), [first.index(i) for i in block]), back),)


def _some_first(perm: Sequence[int], most: int) -> list[int]:
    """As many leading axes of ``perm`` as move in a transpose of ``most`` runs, and the others as they were."""
    found = list(perm)
    for count in range(2, len(perm)):
        order = [*perm[:count], *(axis for axis in range(len(perm)) if axis not in perm[:count])]
        if 1 + sum(after != before + 1 for before, after in pairwise(order)) > most:
            break
        found = order
    return found


def _reduction(
    b: ManyAxes, op: str, operands: Sequence[Tensor], results: Sequence[Spec], attributes: Attributes
) -> Results | None:
    x, given = operands[0], operands[1].value
    if given is None:
        return None
    over = {int(axis) for axis in given}
    runs = _runs((a for a in range(x.rank) if x.shape[a] != 1), lambda axis: axis in over)
    back = [[(x, a)] if a not in over else [] for a in range(x.rank) if attributes["keep_dims"] or a not in over]
    reduced = [i for i, run in enumerate(runs) if run[0] in over]
    merged = _merged(b, x, runs)
    if len(runs) > MOST_AXES:
        merged = b.reduce(op, merged, reduced[len(reduced) // 2 :], keep_dims=True)
    return (b.reshape_by(b.reduce(op, merged, reduced, keep_dims=True), back),)


def _concatenation(
    b: ManyAxes, op: str, operands: Sequence[Tensor], results: Sequence[Spec], attributes: Attributes
) -> Results | None:
    axis, first, spec = attributes["axis"], operands[0], results[0]
    sides = [*range(axis)], [axis], [*range(axis + 1, first.rank)]
    joined = b.concat([_merged(b, part, sides) for part in operands], 1)
    return (b.reshape_by(joined, [[(first, a)] if a != axis else [(joined, 1)] for a in range(len(spec.shape))]),)


def _reverse(
    b: ManyAxes, op: str, operands: Sequence[Tensor], results: Sequence[Spec], attributes: Attributes
) -> Results | None:
    x, axes = operands[0], operands[1].value
    if axes is None:
        return None
    axis = int(axes.item())
    sides = [*range(axis)], [axis], [*range(axis + 1, x.rank)]
    return (b.reshape_by(b.reverse(_merged(b, x, sides), 1), [[(x, a)] for a in range(x.rank)]),)


def _slice(
    b: ManyAxes, op: str, operands: Sequence[Tensor], results: Sequence[Spec], attributes: Attributes
) -> Results | None:
    x, (begin, size) = operands[0], (t.value for t in operands[1:])
    if begin is None or size is None:
        return None
    cut = [a for a in range(x.rank) if begin[a] or size[a] not in (-1, x.shape[a])]
    runs = _runs((a for a in range(x.rank) if a in cut or x.shape[a] != 1), lambda axis: None if axis in cut else False)
    if len(runs) > b.forms.most_axes(op):
        half = cut[: len(cut) // 2]
        first = b.slice(
            x, *([int(v[a]) if a in half else w for a in range(x.rank)] for v, w in ((begin, 0), (size, -1)))
        )
        return (b.slice(first, [0 if a in half else int(begin[a]) for a in range(x.rank)], [int(v) for v in size]),)
    at = {run[0]: i for i, run in enumerate(runs)}
    merged = b.slice(
        _merged(b, x, runs), *([int(v[axis]) if axis in cut else w for axis in at] for v, w in ((begin, 0), (size, -1)))
    )
    return (b.reshape_by(merged, [[(merged, at[a])] if a in cut else [(x, a)] for a in range(x.rank)]),)


def _over_rows(
    b: ManyAxes, op: str, operands: Sequence[Tensor], results: Sequence[Spec], attributes: Attributes
) -> Results | None:
    x = operands[0]
    rows = _merged(b, x, [[*range(x.rank - 1)], [x.rank - 1]])
    made = b.emit_one(op, [rows], results[0].dtype, rows.shape, **attributes)
    return (b.reshape_by(made, [[(x, axis)] for axis in range(x.rank)]),)


def _fully_connected(
    b: ManyAxes, op: str, operands: Sequence[Tensor], results: Sequence[Spec], attributes: Attributes
) -> Results | None:
    x, weights, bias = operands
    rows = _merged(b, x, [[*range(x.rank - 1)], [x.rank - 1]])
    result = b.fully_connected(rows, weights, bias)
    return (b.reshape_by(result, [*([(x, axis)] for axis in range(x.rank - 1)), [(result, 1)]]),)


def _pad(
    b: ManyAxes, op: str, operands: Sequence[Tensor], results: Sequence[Spec], attributes: Attributes
) -> Results | None:
    x, amounts = operands[0], operands[1].value
    if amounts is None:
        raise Unsupported(f"the pads of {x.rank} axes must be constant", "make them a constant of the model")
    wider = [bool(pads.any()) for pads in amounts]
    runs = _runs((a for a in range(x.rank) if wider[a] or x.shape[a] != 1), lambda axis: None if wider[axis] else False)
    some = amounts[[run[0] for run in runs]]
    merged = _merged(b, x, runs)
    if len(runs) > _MOST_OTHERS:
        half, zeros = len(runs) // 2, np.zeros_like(some)
        steps = [np.concatenate([some[:half], zeros[half:]]), np.concatenate([zeros[:half], some[half:]])]
    else:
        steps = [some]
    for pads in steps:
        shape = tuple(None if d is None else d + int(p.sum()) for d, p in zip(merged.shape, pads, strict=True))
        merged = b.emit_one(op, [merged, b.const(pads), *operands[2:]], x.dtype, shape)
    at = {run[0]: i for i, run in enumerate(runs)}
    return (b.reshape_by(merged, [[(merged, at[a])] if wider[a] else [(x, a)] for a in range(x.rank)]),)


_RULES: dict[str, tuple[int, Narrowing]] = {
    **dict.fromkeys((*BINARY, *COMPARE, "select_v2"), (_MOST_BROADCAST, _elementwise)),
    **dict.fromkeys(REDUCTIONS, (MOST_AXES, _reduction)),
    **dict.fromkeys(("pad", "padv2"), (_MOST_OTHERS, _pad)),
    **dict.fromkeys(("softmax", "log_softmax"), (_MOST_OTHERS, _over_rows)),
    "broadcast_to": (_MOST_BROADCAST, _broadcast_to),
    "concatenation": (MOST_AXES, _concatenation),
    "fully_connected": (MOST_AXES, _fully_connected),
    "reverse_v2": (MOST_AXES, _reverse),
    "slice": (MANY, _slice),
    "transpose": (MOST_AXES, _transpose),
}
"""Op → the axes up to which it is right as it is, and what is done with more."""
