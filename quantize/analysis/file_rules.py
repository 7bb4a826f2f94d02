"""Rules of the lint that need the files alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ...formats.tflite import edit as fb
from ...formats.tflite.arithmetic import flops
from ...formats.tflite.ops import OPS, FixedScale
from ...formats.tflite.summary import DTYPE_NAMES
from ...numerics.groups import ranges
from ..bias import LIMIT
from ..float_ops import NO_ARITHMETIC
from .pair import CASTS
from .rules import LEVELS, Linted, Said, Weights

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ...analysis import Severity
    from ...artifact import Array

FAR = 1e6
"""A scale this many times its neighbours' belongs to another tensor, or to none."""

LITTLE = 2.0**-10
"""Share of a result's range, a quarter of an int8 step, that is too little for a channel to count as lost in int16."""

_SUBNORMAL = float(np.finfo(np.float32).smallest_normal)
_MOST_BIAS = 2**31 - 1
_FEW = 16
"""A channel with fewer weights has no outliers, only weights."""
_OUTLIERS = 0.005
"""Share of the weights that may be outliers of the rest; one may always be."""

_SHARES = {"int8": (1 / 256, -128), "uint8": (1 / 256, 0), "int16": (1 / 32768, 0)}
FIXED = {
    "SOFTMAX": _SHARES,
    "LOGISTIC": _SHARES,
    "TANH": {"int8": (1 / 128, 0), "uint8": (1 / 128, 128), "int16": (1 / 32768, 0)},
    **{r.builtin: {"int8": (r.int8.scale, r.int8.zero_point)} for r in OPS.values() if isinstance(r.int8, FixedScale)},
}
"""Operator → dtype → scale and zero point that its kernel has built in (LiteRT 2.3: ``kernels/activations.cc``)."""


def absurd_scales(subject: Linted) -> Iterator[Said]:
    """Scales that are no positive normal numbers, or far from all others of their tensor or file."""
    own = [g.scale for i in subject.activations if (g := subject.pair.grid(int(i)))]
    usual = float(np.median(own)) if own else None
    asked = {found.name: _asked(found) for found in subject.weights()}
    seen = set()
    for op in subject.graph.operators:
        for index in (int(i) for i in [*op.inputs, *op.outputs] if i >= 0 and int(i) not in seen):
            seen.add(index)
            tensor = subject.graph.tensors[index]
            if why := _absurd(tensor, usual if index in subject.activations else None, asked.get(fb.name(tensor))):
                yield Said(subject.place(op), f"{fb.name(tensor)!r} {why}")


def _asked(weights: Weights) -> Array | None:
    """[channels]: the largest scale that the float file's weights ask for; none knows of a file without them."""
    if weights.real is None:
        return None
    tops = np.abs(weights.real).reshape(len(weights.real), -1).max(axis=1)
    return np.asarray(2 * tops / np.abs(weights.steps.astype(np.int32)).max(), np.float64)


def _absurd(tensor: Any, usual: float | None, asked: Array | None) -> str:
    params = tensor.quantization
    if params is None or params.scale is None or not len(params.scale):
        return ""
    scales = np.asarray(params.scale, np.float64)
    broken = ~np.isfinite(scales) | (scales < _SUBNORMAL)
    if broken.any():
        return f"has the scale {scales[broken][0]:.3g}" + (f" in {broken.sum()} channels" if scales.size > 1 else "")
    middle = usual or float(np.median(scales))
    far = scales > FAR * middle
    if scales.size > 1 and DTYPE_NAMES[tensor.type] == "int32":
        far[:] = False  # a bias has its weights' scales, or the rule of biases says so
    elif asked is not None and asked.size == scales.size:
        far &= scales > asked
    if far.any():
        whose = "of the other channels" if scales.size > 1 else "usual in this file"
        return f"has the scale {scales[far][0]:.3g}, {scales[far][0] / middle:.1g} times what is {whose}"
    return ""


def mixed_weights(subject: Linted) -> Iterator[Said]:
    """Channels of weights that share one scale with far larger ones."""
    for found in subject.weights():
        if found.scales.size != 1 or found.steps.shape[0] < 2:
            continue
        tops = np.abs(found.steps.astype(np.int32)).reshape(found.steps.shape[0], -1).max(axis=1)
        small = (tops > 0) & (2 * tops < LEVELS)
        if small.any():
            yield Said(
                found.place,
                f"channels {ranges(np.flatnonzero(small).tolist())} of {found.name!r} have fewer than {LEVELS} levels "
                f"of the one scale that all {small.size} share",
            )


def dead_weights(subject: Linted) -> Iterator[Said]:
    """Channels whose weights quantization made all zero, or all equal; those of the float file, and ones that
    move the result by next to nothing there, are a note."""
    for found in subject.weights():
        rows = found.steps.reshape(found.steps.shape[0], -1)
        same = (rows == rows[:, :1]).all(axis=1) & (rows.shape[1] > 1)
        zero = ~rows.any(axis=1)
        real = None if found.real is None else found.real.reshape(rows.shape)
        lost = same & ~_is_nothing(real) & (np.ptp(real, axis=1) > 0) if real is not None else same & ~zero
        little = lost & (found.moves < LITTLE) if found.moves is not None else np.zeros_like(lost)
        kinds: list[tuple[NDArray[np.bool_], Severity | None, str]] = [
            (lost & ~little, None, ""),
            (little, "note", ", and hardly move the result in the float file either"),
        ]
        for which, severity, more in kinds:
            if which.any():
                channels = f"channels {ranges(np.flatnonzero(which).tolist())} of {found.name!r}"
                yield Said(found.place, f"{channels} became constant{more}", severity)
        there = zero & ~lost
        if there.any():
            zeros = ranges(np.flatnonzero(there).tolist())
            yield Said(
                found.place,
                f"channels {zeros} of {found.name!r} are next to zero in the float file too",
                "note",
            )


def _is_nothing(real: Array) -> NDArray[np.bool_]:
    """Which rows of weights are next to zero beside the others, as of a batch norm that training switched off."""
    tops = np.abs(real).max(axis=1)
    return np.asarray(tops <= tops.max() / FAR, np.bool_)


def outlier_weights(subject: Linted) -> Iterator[Said]:
    """Scales that a few weights take for themselves."""
    for found in subject.weights():
        rows = np.abs(found.steps.astype(np.int32))
        rows = rows.reshape(1, -1) if found.scales.size == 1 else rows.reshape(rows.shape[0], -1)
        count = rows.shape[1]
        if count < _FEW:
            continue
        few = max(1, int(_OUTLIERS * count))
        rest = _without_largest(rows, few)
        real = rest if found.real is None else _without_largest(np.abs(found.real).reshape(rows.shape), few)
        eaten = (2 * rest < LEVELS) & (rows.max(axis=1) >= 4 * LEVELS) & (real > 0)
        if eaten.any():
            which = "" if rows.shape[0] == 1 else f"in channels {ranges(np.flatnonzero(eaten).tolist())} "
            yield Said(
                found.place,
                f"{which}of {found.name!r} at most {few} of {count} weights take the scale: all others have fewer than "
                f"{LEVELS} levels",
            )


def _without_largest(rows: Array, few: int) -> Array:
    """The largest value of each row that isn't among its ``few`` largest."""
    place = rows.shape[1] - 1 - few
    found: Array = np.partition(rows, place, axis=1)[:, place]
    return found


def overflowing_biases(subject: Linted) -> Iterator[Said]:
    """Biases at the end of int32, near it, or that are no longer the float file's."""
    for op, _, _, bias in subject.biased():
        place, steps = subject.place(op), fb.values(subject.model, bias)
        if steps is None or not steps.size:
            continue
        most = int(np.abs(steps.astype(np.float64)).max())
        if steps.dtype == np.int32 and most > LIMIT + 1:
            end = most >= _MOST_BIAS - 1
            said = f"{fb.name(bias)!r} reaches {most:,} of {_MOST_BIAS:,} steps"
            yield Said(place, said + (" and is cut off there" if end else ""), "error" if end else "warning")
        elif off := _off(subject, op, place, bias, steps):
            yield Said(place, f"{fb.name(bias)!r} is off by {off:.3g} steps of the result from the float file's")


def _off(subject: Linted, op: Any, place: Any, bias: Any, steps: Any) -> float:
    """How many steps of the result a bias is off; 0 for less than one, where it is corrected, or nothing tells."""
    corrected = subject.recipe is not None and subject.recipe.bias_correction == "on"
    real = None if corrected else subject.float_constant(place, len(op.inputs) - 1)
    grid, params = subject.pair.grid(int(op.outputs[0])), bias.quantization
    if real is None or grid is None or params is None or params.scale is None or real.size != steps.size:
        return 0.0
    stands = steps.reshape(-1).astype(np.float64) * np.asarray(params.scale, np.float64)
    off = float(np.abs(stands - real.reshape(-1)).max() / grid.scale)
    return off if off > 1 else 0.0


def foreign_bias_scales(subject: Linted) -> Iterator[Said]:
    """Biases whose scale isn't input scale × weight scale: kernels add them as if it were."""
    for op, source, weights, bias in subject.biased():
        found = [t.quantization.scale if t.quantization is not None else None for t in (source, weights, bias)]
        if any(scale is None or not len(scale) for scale in found):
            continue
        inputs, own, given = (np.asarray(scale, np.float64) for scale in found)
        if given.size not in (1, own.size) or not (inputs[0] * own > 0).all():
            continue
        ratio = given / (inputs[0] * own)
        if (np.abs(ratio - 1) > 1e-2).any():
            worst = float(ratio[np.argmax(np.abs(np.log(np.maximum(ratio, 1e-30))))])
            yield Said(subject.place(op), f"{fb.name(bias)!r} has {worst:.3g} times the scale that it is added in")


def fixed_scales(subject: Linted) -> Iterator[Said]:
    """Results in another scale than the one that their kernel has built in."""
    for index, op in subject.activations.items():
        grid = subject.pair.grid(index)
        built_in = FIXED.get(subject.pair.kind(op), {}).get(grid.dtype) if grid else None
        if grid is None or built_in is None:
            continue
        if not np.isclose(grid.scale, built_in[0], rtol=1e-3) or grid.zero_point != built_in[1]:
            yield Said(
                subject.place(op),
                f"its result has scale {grid.scale:.4g} and zero point {grid.zero_point}, and the kernel writes "
                f"{built_in[0]:.4g} and {built_in[1]}",
            )


def ping_pong(subject: Linted) -> Iterator[Said]:
    """Casts of casts."""
    for op in subject.graph.operators:
        if subject.pair.kind(op) not in CASTS or subject.pair.is_constant(int(op.outputs[0])):
            continue
        before = subject.pair.producers.get(int(op.inputs[0]))
        if before is None or subject.pair.kind(before) not in CASTS:
            continue
        source, result = (subject.pair.grid(int(i)) for i in (before.inputs[0], op.outputs[0]))
        same = "the same scale" if source == result else "another scale"
        yield Said(
            subject.place(op),
            f"{subject.pair.kind(before)} → {subject.pair.kind(op)} of "
            f"{fb.name(subject.graph.tensors[before.inputs[0]])!r}, into {same}",
        )


def silent_float(subject: Linted) -> Iterator[Said]:
    """Float operators inside an integer file, by island, with their share of the arithmetic; what the recipe says of
    them isn't silent."""
    if not subject.is_integer:
        return
    count = {id(op): flops(subject.model, subject.graph, op) for op in subject.activations.values()}
    total = max(1, sum(count.values()))
    for island in _islands(subject):
        kept = [subject.kept.get(subject.place(op).tensor, "") for op in island]
        share = sum(count[id(op)] for op in island) / total
        silent = sum(count[id(op)] for op, why in zip(island, kept, strict=True) if not why) / total
        kinds = [subject.pair.kind(op) for op in island]
        listed = ", ".join(f"{kinds.count(k)} {k}" for k in dict.fromkeys(kinds))
        reasons = "; ".join(dict.fromkeys(why.partition(":")[0] for why in kept if why))
        yield Said(
            subject.place(island[0]),
            f"{len(island)} in float ({listed}): {share:.1%} of the arithmetic"
            + (f", on purpose: {reasons}" if reasons else ""),
            "warning" if silent >= 0.01 else "note",
        )


@dataclass(eq=False)
class _Island:
    """Float operators that hand float tensors to each other, by position, and those tensors."""

    operators: list[tuple[int, Any]] = field(default_factory=list)
    tensors: set[int] = field(default_factory=set)


def _islands(subject: Linted) -> list[list[Any]]:
    """The operators of each island, in the order of the file."""
    owner: dict[int, _Island] = {}
    for position, op in enumerate(dict.fromkeys(subject.activations.values())):
        touched = {int(i) for i in [*op.inputs, *op.outputs] if i >= 0 and not subject.pair.is_constant(int(i))}
        floats = {i for i in touched if fb.is_float(subject.graph.tensors[i])}
        if subject.pair.kind(op) in NO_ARITHMETIC or not floats:
            continue
        met = sorted({owner[i] for i in floats if i in owner}, key=lambda one: len(one.tensors))
        island = met.pop() if met else _Island()
        for smaller in met:
            island.operators += smaller.operators
            floats |= smaller.tensors
        island.operators.append((position, op))
        island.tensors |= floats
        owner |= dict.fromkeys(floats, island)
    found = [sorted(island.operators, key=lambda one: one[0]) for island in dict.fromkeys(owner.values())]
    return [[op for _, op in island] for island in sorted(found, key=lambda one: one[0][0])]
