"""Which tensor of another converter's file stands for which of the model, and in which layout.

By name, after what converters put around names is taken off (``serving_default_x:0``); else by the only shape and dtype
that goes; else by order. Layouts are those that converters change: channels to the last axis, or to the second.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from ..artifact import TensorSpec
from ..errors import BadInput
from .made import TensorMatch

IoLayout = Literal["keep", "nhwc", "nchw"]
Side = Literal["input", "output"]
Permutation = tuple[int, ...]


@dataclass(frozen=True)
class Pair:
    """A tensor of the model, the file's that stands for it, and how they found each other."""

    model: TensorSpec
    file: TensorSpec
    by: Literal["name", "shape", "order"]

    def record(self, side: Side, axes: Permutation, dtype: str) -> TensorMatch:
        """As the report holds it; ``dtype`` is the one that the file has."""
        moved = list(axes) if axes != tuple(range(len(axes))) else []
        cast = dtype if dtype != self.model.dtype else ""
        return TensorMatch(
            side=side, model=self.model.name, file=self.file.name, by=self.by, axes=moved,
            model_dtype=self.model.dtype, file_dtype=cast,
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
    for goes in (_fits(_same_kind), _fits(_alike)):
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


def choices(matched: Sequence[Pair], layout: IoLayout | None, where: str) -> list[list[Permutation]]:
    """Every arrangement of the inputs that goes with their shapes: for each, the axes of every pair.

    Raises:
        BadInput: an input of the file is of another shape or dtype in any layout.
    """
    options = []
    for pair in matched:
        fits = layouts(pair.model.shape, pair.file.shape)
        if len(fits) > 1 and layout is not None:
            fits = layouts(pair.model.shape, pair.file.shape, layout) or fits
        if not fits or not _alike(pair.model.dtype, pair.file.dtype):
            raise BadInput(
                f"the model's input {pair.model} doesn't go with the file's {pair.file} in any layout",
                where=where,
                details=[f"they were matched by {pair.by}"],
                remedy=f"{_remedy(pair)}, or give a file that was made of this model",
            )
        options.append(fits)
    return [list(chosen) for chosen in itertools.product(*options)]


def said(match: TensorMatch) -> str:
    """A match in words: ``input image is the file's x, by name, its channels last``."""
    text = f"{match.side} {match.model} is the file's {match.file}, by {match.by}"
    if match.axes:
        text += ", its channels last" if match.axes[-1] == 1 else ", its channels second"
    return text + (f", as {match.file_dtype}" if match.file_dtype else "")


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


def _same_kind(one: str, other: str) -> bool:
    """Whether both are floats (quantized inputs are such), integers or truth values."""
    kinds = [("float" in d, "int" in d, d == "bool") for d in (one, other)]
    return kinds[0] == kinds[1]


def _alike(one: str, other: str) -> bool:
    """Whether values of the model's dtype may be handed over as the file's: truth values as integers, too."""
    return _same_kind(one, other) or (one == "bool" and "int" in other)
