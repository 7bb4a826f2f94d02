"""Another converter's file beside the model: which of its tensors stand for the model's, and in which layout.

Names and shapes say it mostly. Where several layouts fit the shapes, the file is run in each on a few inputs, and the
one that agrees with the model is taken, if exactly one does.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..artifact import Feeds, TensorSpec
from ..errors import BadInput
from ..numerics.comparison import compare
from ..schemes import SCHEMES
from ..source.model_files import ModelFile
from ..validate import matching
from ..validate.made import TensorMatch
from ..validate.parity import AGREE_DB
from ..validate.runners import ROW_FAILURES, Subject

if TYPE_CHECKING:
    from ..artifact import Array
    from ..config import ArtifactsTable

_EQUAL = 0.9
"""Least share of equal elements of outputs that are no floats."""


@dataclass(frozen=True)
class Alignment:
    """How a file goes with the model, and what a reader should know of how that was found."""

    matches: tuple[TensorMatch, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Candidate:
    matches: tuple[TensorMatch, ...]
    quality: float
    agrees: bool


def input_pairs(source: Sequence[TensorSpec], examples: Feeds, file: ModelFile) -> list[matching.Pair]:
    """The inputs matched, on the extents of the example.

    Raises:
        BadInput: there are more or fewer in the file.
    """
    concrete = [TensorSpec(s.name, s.dtype, examples[s.name].shape) for s in source]
    return matching.pairs(concrete, file.inputs, where=str(file.artifact.path), what="input")


def align(
    file: ModelFile,
    source: Sequence[TensorSpec],
    samples: Sequence[Feeds],
    truth: Sequence[Feeds],
    subject: Callable[[Sequence[TensorMatch]], Subject],
    layout: ArtifactsTable,
) -> Alignment:
    """Find how ``file`` goes with the model.

    Args:
        source: The model's inputs.
        samples: Inputs of the model.
        truth: What the model gives on them.
        subject: Makes the file's row of matches.
        layout: What the user says of its layout.

    Raises:
        BadInput: the tensors don't go together, or no layout can be told from the others.
    """
    where = str(file.artifact.path)
    matched = input_pairs(source, samples[0], file)
    candidates: list[_Candidate] = []
    failure: Exception | None = None
    for chosen in matching.choices(matched, layout.layout, where):
        inputs = _records(matched, chosen, "input", file.artifact.inputs)
        try:
            with subject(inputs).open() as runner:
                ran = [runner.run(subject(inputs).feeds(feeds)) for feeds in samples]
        except ROW_FAILURES as error:
            failure = error
            continue
        candidates += _of_outputs(file, inputs, ran, truth, layout, subject)
    if failure and not candidates:  # its row will say so too
        first = _records(matched, matching.choices(matched, layout.layout, where)[0], "input", file.artifact.inputs)
        return Alignment(first, (f"it could not be run: {str(failure).splitlines()[0]}",))
    found = _settled(candidates, where)
    named = {match.file for match in found.matches if match.side == "output"}
    more = [name for name in ran[0] if name not in named]
    note = f"its outputs {', '.join(more)} are none of the model's, and are left out"
    return Alignment(found.matches, (*found.notes, *([note] if more else [])))


def _of_outputs(
    file: ModelFile,
    inputs: tuple[TensorMatch, ...],
    ran: Sequence[Mapping[str, Array]],
    truth: Sequence[Feeds],
    layout: ArtifactsTable,
    subject: Callable[[Sequence[TensorMatch]], Subject],
) -> list[_Candidate]:
    """The arrangements of the outputs, for one of the inputs."""
    ours, theirs = (_specs(arrays[0]) for arrays in (truth, ran))
    matched = matching.pairs(ours, theirs, where=str(file.artifact.path), what="output")
    options = []
    for pair in matched:
        as_it_is = matching.Arrangement(tuple(range(len(pair.model.shape))))
        options.append(matching.fitting(pair, layout.layout) or [as_it_is])  # parity says what is wrong with the shape
    found = []
    for chosen in itertools.product(*options):
        matches = inputs + _records(matched, chosen, "output", file.artifact.outputs)
        row = subject(matches)
        found.append(_judged(matches, [row.outputs(outputs) for outputs in ran], truth, row.scheme))
    return found


def _judged(matches: tuple[TensorMatch, ...], ran: Sequence[Feeds], truth: Sequence[Feeds], scheme: str) -> _Candidate:
    least = SCHEMES[scheme].least_sqnr_db or AGREE_DB
    quality, agrees = math.inf, True
    for name in truth[0]:
        ours, theirs = [t[name] for t in truth], [r[name] for r in ran]
        if any(a.shape != b.shape or a.dtype.kind != b.dtype.kind for a, b in zip(ours, theirs, strict=True)):
            return _Candidate(matches, -math.inf, agrees=False)
        errors = compare(theirs, ours)
        if ours[0].dtype.kind == "f":
            quality, agrees = min(quality, errors.quality_db), agrees and errors.quality_db >= least
        else:
            agrees = agrees and (errors.equal or 0.0) >= _EQUAL
    return _Candidate(matches, quality, agrees)


def _settled(candidates: Sequence[_Candidate], where: str) -> Alignment:
    if len(candidates) == 1:
        return Alignment(candidates[0].matches)
    agreeing = [c for c in candidates if c.agrees]
    count = f"{len(candidates)} layouts fit the shapes"
    if len(agreeing) == 1:
        return Alignment(agreeing[0].matches, (f"{count}, and only this one agrees with the model",))
    if not agreeing:
        best = max(candidates, key=lambda c: c.quality)
        return Alignment(best.matches, (f"{count}, and none agrees with the model; this is the closest",))
    raise BadInput(
        f"{count}, and {len(agreeing)} of them agree with the model",
        where=where,
        details=["; ".join(matching.said(m) for m in c.matches) for c in agreeing],
        remedy="say which it is: --artifact-layout keep (as the model), nhwc or nchw",
    )


def _records(
    matched: Sequence[matching.Pair],
    found: Sequence[matching.Arrangement],
    side: matching.Side,
    specs: Sequence[TensorSpec],
) -> tuple[TensorMatch, ...]:
    dtypes = {spec.name: spec.dtype for spec in specs}
    return tuple(pair.record(side, one, dtypes[pair.file.name]) for pair, one in zip(matched, found, strict=True))


def _specs(arrays: Feeds) -> list[TensorSpec]:
    return [TensorSpec(name, a.dtype.name, a.shape) for name, a in arrays.items()]
