"""Which tensor of another converter's file stands for which of the model, and in which layout.

By name, after what converters put around names is taken off (``serving_default_x:0``); else by the only shape and dtype
that goes; else by order. Layouts are those that converters change: channels to the last axis, or to the second; and an
axis of extent 1, such as a batch of one, may be there that the model lacks, or lack.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from ..artifact import TensorSpec
from ..errors import BadInput
from .made import TensorMatch

if TYPE_CHECKING:
    from ..artifact import Array

IoLayout = Literal["keep", "nhwc", "nchw"]
Side = Literal["input", "output"]
Permutation = tuple[int, ...]


@dataclass(frozen=True)
class Arrangement:
    """How a file's tensor consists of the model's elements.

    Attributes:
        axes: Of the model's tensor, in the file's order; both with the axis of extent 1 that one of them lacks.
        added: That axis where the model lacks it, counted before the axes move.
        dropped: That axis where the file lacks it, counted after they moved.
    """

    axes: Permutation
    added: int | None = None
    dropped: int | None = None


@dataclass(frozen=True)
class Pair:
    """A tensor of the model, the file's that stands for it, and how they found each other."""

    model: TensorSpec
    file: TensorSpec
    by: Literal["name", "shape", "order"]

    def record(self, side: Side, found: Arrangement, dtype: str) -> TensorMatch:
        """As the report holds it; ``dtype`` is the one that the file has."""
        axes = found.axes
        moved = list(axes) if axes != tuple(range(len(axes))) else []
        cast = dtype if dtype != self.model.dtype else ""
        return TensorMatch(
            side=side, model=self.model.name, file=self.file.name, by=self.by, axes=moved,
            added=found.added, dropped=found.dropped, model_dtype=self.model.dtype, file_dtype=cast,
        )  # fmt: skip


def pairs(
    model: Sequence[TensorSpec],
    file: Sequence[TensorSpec],
    *,
    where: str,
    what: Side,
) -> list[Pair]:
    """One pair for each tensor of the model, in its order.

    Args:
        model: With the extents that it is run on.
        file: Dynamic dimensions go with any extent. It may have outputs besides, where names or shapes tell which.
        where: The file, for errors.

    Raises:
        BadInput: there are fewer in the file, or more and nothing tells which of them are the model's.
    """
    found: dict[str, tuple[TensorSpec, Literal["name", "shape", "order"]]] = {}

    def left() -> tuple[list[TensorSpec], list[TensorSpec]]:
        taken = {spec.name for spec, _ in found.values()}
        return [s for s in model if s.name not in found], [s for s in file if s.name not in taken]

    def take(by: Literal["name", "shape"], goes: Callable[[TensorSpec, TensorSpec], bool]) -> bool:
        ours, theirs = left()
        for one in ours:
            others = [t for t in theirs if goes(one, t)]
            if len(others) == 1 and sum(goes(o, others[0]) for o in ours) == 1:
                found[one.name] = (others[0], by)
        return len(left()[0]) < len(ours)

    take("name", lambda one, other: one.name == other.name)
    take("name", lambda one, other: plain(one.name) == plain(other.name))
    for goes in (_fits(_same_kind), _fits(_alike), _nearly(_same_kind), _nearly(_alike)):
        while take("shape", goes):
            pass
    ours, theirs = left()
    if len(file) != len(model) and (ours or what == "input" or len(file) < len(model)):
        raise BadInput(
            f"the model has {len(model)} {what}s and the file {len(file)}: they can't be matched",
            where=where,
            details=[*(f"the model's {s}" for s in model), *(f"the file's {s}" for s in file)],
            remedy="give a file that was made of this model",
        )
    found |= {one.name: (other, "order") for one, other in zip(ours, theirs, strict=False)}
    return [Pair(spec, *found[spec.name]) for spec in model]


def layouts(
    extents: Sequence[int | str], file: Sequence[int | str], layout: IoLayout | None = None
) -> list[Permutation]:
    """The axes of the model's tensor that the file's may consist of, each another arrangement of its elements.

    Args:
        extents: Of the model's tensor.
        file: Of the file's; a name goes with any extent.
        layout: What the user says of it: as in the model, with the channels moved last, or moved to the second axis.
    """
    rank = len(extents)
    if len(file) != rank:
        return []
    keep = tuple(range(rank))
    nhwc, nchw = (0, *keep[2:], 1)[:rank], (0, rank - 1, *keep[1:-1])[:rank]
    moves = {"keep": keep, "nhwc": nhwc, "nchw": nchw} if rank > 2 else {"keep": keep}
    fit: dict[Permutation, Permutation] = {}
    for name, axes in moves.items():
        wanted = layout is None or name == layout or rank <= 2
        if wanted and all(isinstance(f, str) or extents[a] == f for a, f in zip(axes, file, strict=True)):
            fit.setdefault(tuple(a for a in axes if extents[a] != 1), axes)  # axes of 1 move no element
    return list(fit.values())


def arrangements(
    extents: Sequence[int | str], file: Sequence[int | str], layout: IoLayout | None = None
) -> list[Arrangement]:
    """``layouts``, where one of the two may have an axis of extent 1 more, the first if it can be that.

    An axis of 1 moves no element: where several places of it fit, the elements come in the same order.
    """
    more, rank = len(file) - len(extents), max(len(extents), len(file))
    if abs(more) != 1:
        return [Arrangement(axes) for axes in layouts(extents, file, layout)]
    found: dict[Permutation, Arrangement] = {}
    for place in range(rank):
        ours = [*extents[:place], 1, *extents[place:]] if more > 0 else extents
        theirs = file if more > 0 else [*file[:place], 1, *file[place:]]
        numbers = [a - (more > 0 and a > place) for a in range(rank)]
        for axes in layouts(ours, theirs, layout if place == 0 else "keep"):
            order = tuple(numbers[a] for a in axes if ours[a] != 1)
            found.setdefault(order, Arrangement(axes, *((place, None) if more > 0 else (None, place))))
    return list(found.values())


def as_file(match: TensorMatch, array: Array) -> Array:
    """The model's tensor in the shape and layout of the file's.

    Raises:
        BadInput: the axis that the file lacks is longer than 1, or the axes don't fit.
    """
    if match.added is not None:
        array = np.expand_dims(array, match.added)
    return _without(match, _moved(match, array, match.axes), match.dropped)


def as_model(match: TensorMatch, array: Array) -> Array:
    """The file's tensor in the shape and layout of the model's.

    Raises:
        BadInput: the axis that the model lacks is longer than 1, or the axes don't fit.
    """
    if match.dropped is not None:
        array = np.expand_dims(array, match.dropped)
    return _without(match, _moved(match, array, [int(i) for i in np.argsort(match.axes)]), match.added)


def choices(matched: Sequence[Pair], layout: IoLayout | None, where: str) -> list[list[Arrangement]]:
    """Every arrangement of the inputs that goes with their shapes: for each, that of every pair.

    Raises:
        BadInput: an input of the file is of another shape or dtype in any layout.
    """
    options = []
    for pair in matched:
        fits = fitting(pair, layout)
        if not fits or not _alike(pair.model.dtype, pair.file.dtype):
            raise BadInput(
                f"the model's input {pair.model} doesn't go with the file's {pair.file} in any layout",
                where=where,
                details=[f"they were matched by {pair.by}"],
                remedy=f"{_remedy(pair)}, or give a file that was made of this model",
            )
        options.append(fits)
    return [list(chosen) for chosen in itertools.product(*options)]


def fitting(pair: Pair, layout: IoLayout | None) -> list[Arrangement]:
    """The arrangements that go with a pair's shapes; the user decides what these leave open."""
    fits = arrangements(pair.model.shape, pair.file.shape)
    if len(fits) > 1 and layout is not None:
        fits = arrangements(pair.model.shape, pair.file.shape, layout) or fits
    return fits


def said(match: TensorMatch) -> str:
    """A match in words: ``input image is the file's x, by name, its channels last``."""
    text = f"{match.side} {match.model} is the file's {match.file}, by {match.by}{reshaped(match)}"
    if match.axes:
        text += ", its channels last" if match.axes[-1] == 1 else ", its channels second"
    return text + (f", as {match.file_dtype}" if match.file_dtype else "")


def reshaped(match: TensorMatch) -> str:
    """What a match says of an axis of extent 1, to go on with; empty where both have it."""
    if match.added is not None:
        return f", which has an axis of extent 1 more ({_ordinal(match.added)})"
    return "" if match.dropped is None else f", which lacks an axis of extent 1 ({_ordinal(match.dropped)})"


def plain(name: str) -> str:
    """A name without what converters put around it: the signature, the tensor's index, signs that aren't letters."""
    bare = re.sub(r":\d+$", "", name).removeprefix("serving_default_")
    return re.sub(r"[^a-z0-9]+", "_", bare.lower()).strip("_")


def _remedy(pair: Pair) -> str:
    """The shape in the model's layout that the file takes, if only extents are in the way."""
    for axes in ((0, 1, 2, 3), (0, 3, 1, 2), (0, 2, 3, 1)) if len(pair.file.shape) == 4 else ():
        shape = [pair.file.shape[a] for a in axes]
        if len(pair.model.shape) == 4 and list(pair.model.shape[1:]) == shape[1:]:
            return f"run the model on what the file takes: --input '{_text(pair.model, shape)}'"
    if len(pair.file.shape) == len(pair.model.shape) and list(pair.file.shape[1:]) == list(pair.model.shape[1:]):
        return f"run the model on what the file takes: --input '{_text(pair.model, pair.file.shape)}'"
    return "say with --input on which shape the model shall run"


def _text(spec: TensorSpec, shape: Sequence[int | str]) -> str:
    return str(TensorSpec(spec.name, spec.dtype, tuple(shape)))


def _fits(alike: Callable[[str, str], bool]) -> Callable[[TensorSpec, TensorSpec], bool]:
    return lambda one, other: alike(one.dtype, other.dtype) and bool(layouts(one.shape, other.shape))


def _nearly(alike: Callable[[str, str], bool]) -> Callable[[TensorSpec, TensorSpec], bool]:
    return lambda one, other: alike(one.dtype, other.dtype) and bool(arrangements(one.shape, other.shape))


def _moved(match: TensorMatch, array: Array, axes: Sequence[int]) -> Array:
    if not axes:
        return array
    if len(axes) != array.ndim:
        raise BadInput(
            f"axes {match.axes} don't permute {match.model!r}: its shape is {list(array.shape)}",
            remedy="feed the file and the model inputs of the same shape: edgeworthy inspect shows both",
        )
    return np.require(np.transpose(array, axes), requirements="C")


def _without(match: TensorMatch, array: Array, axis: int | None) -> Array:
    if axis is None:
        return array
    if axis >= array.ndim or array.shape[axis] != 1:
        raise BadInput(
            f"axis {axis} of {match.model!r} should be of extent 1: its shape is {list(array.shape)}",
            remedy="feed the file and the model inputs of the same shape: edgeworthy inspect shows both",
        )
    return np.squeeze(array, axis)


def _ordinal(axis: int) -> str:
    return "the first" if axis == 0 else f"axis {axis}"


def _same_kind(one: str, other: str) -> bool:
    """Whether both are floats (quantized inputs are such), integers or truth values."""
    kinds = [("float" in d, "int" in d, d == "bool") for d in (one, other)]
    return kinds[0] == kinds[1]


def _alike(one: str, other: str) -> bool:
    """Whether values of the model's dtype may be handed over as the file's: truth values as integers, too."""
    return _same_kind(one, other) or (one == "bool" and "int" in other)
