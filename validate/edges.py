"""Judges a float artifact on edges: zeros, ties, equal rows and extremes, where a lost constant shows.

Every edge is judged by itself, so that no floor of one lets an error on another pass, and only where it can tell:

- where PyTorch's own arithmetic isn't finite (or the truth isn't), nothing is asked of the artifact;
- elsewhere it must be finite, and within ``multiple`` floors of that edge's own noise, or to half of its digits: the
  rounding errors of equal numbers have one sign, so sums of them drift, and a lost constant changes much more;
- integers must be equal where PyTorch in float32 has them as in float64;
- of tied values any may come first: where the truth itself jumps when the inputs move a little, one way or the
  opposite way (``source.variations.nudged``), a tie decided, and the artifact may be as far off as that jump.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ..errors import BadInput, CheckFailed
from ..numerics.floor import LEAST_ULPS
from ..source.variations import TIED, edges, nudged
from .results import EdgeError
from .runners import Runner, Subject

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..artifact import Array, Feeds


@dataclass(frozen=True)
class Edge:
    """Inputs at an edge, and the same moved a little, where that could break a tie."""

    feeds: Feeds
    moved: Sequence[Feeds] = ()

    @classmethod
    def of(cls, examples: Feeds) -> dict[str, Edge]:
        """Name → edge, of inputs like the example."""
        return {n: cls(f, nudged(f, examples) if n in TIED else ()) for n, f in edges(examples).items()}


@dataclass
class Run:
    """Outputs of a subject at an edge; ``moved`` of the truth only. A ``failure`` instead, if it raised."""

    outputs: dict[str, Array] = field(default_factory=dict)
    moved: list[dict[str, Array]] = field(default_factory=list)
    failure: str | None = None


def run(subject: Subject, runner: Runner, edges: Mapping[str, Edge], *, moved: bool) -> dict[str, Run]:
    """Run a subject on every edge; ``moved``: and around those with ties."""

    def outputs(feeds: Feeds) -> dict[str, Array]:
        return subject.outputs(runner.run(subject.feeds(feeds)))

    runs = {}
    for name, edge in edges.items():
        runs[name] = made = Run()
        try:
            made.outputs = outputs(edge.feeds)
            made.moved = [outputs(feeds) for feeds in edge.moved if moved]
        except (CheckFailed, BadInput) as error:
            made.failure = str(error).splitlines()[0]
    return runs


def shortfalls(
    name: str,
    runs: Mapping[str, Run],
    truths: Mapping[str, Run],
    noisy: Mapping[str, Run],
    *,
    multiple: float,
    eps: float,
    tiny: float,
    tolerance: tuple[float, float] | None = None,
) -> Iterator[EdgeError]:
    """What is wrong with an output at each edge.

    Args:
        runs: Of the artifact.
        truths: Of the truth, with what it gives around ties.
        noisy: Of the run that shows the noise of float arithmetic; the truth's own if there is none.
        multiple: Floors within which an error is noise.
        eps: Of the model's float type; ``4·eps·max|truth|`` is the least floor,
        tiny: and so is its least normal number.
        tolerance: (atol, rtol) that the user gave; an error within it passes too.
    """
    for edge, truth in truths.items():
        usual = noisy.get(edge, truth)
        if truth.failure or usual.failure or edge not in runs:
            continue
        made = runs[edge]
        if made.failure:
            yield EdgeError(edge=edge, problem=made.failure)
            continue
        arrays = [r.outputs.get(name) for r in (made, truth, usual)]
        actual, wanted, typical = arrays
        if actual is None or wanted is None or typical is None or wanted.shape != typical.shape:
            continue  # a missing output is said once, of the samples
        around = [m[name] for m in truth.moved if name in m and m[name].shape == wanted.shape]
        problem, error = _wrong(actual, wanted, typical, around, multiple, eps, tiny, tolerance)
        if problem:
            yield EdgeError(edge=edge, problem=problem, max_abs=error)


def _wrong(
    actual: Array,
    truth: Array,
    typical: Array,
    around: Sequence[Array],
    multiple: float,
    eps: float,
    tiny: float,
    tolerance: tuple[float, float] | None,
) -> tuple[str, float | None]:
    """What is wrong in words, empty if nothing is; and the largest error, where it is one of size."""
    if actual.shape != truth.shape:
        return f"shape is {list(actual.shape)}, and {list(truth.shape)} was expected", None
    if actual.dtype.kind != "f" or truth.dtype.kind != "f":
        settled = typical == truth
        for other in around:
            settled &= other == truth
        count = int(np.sum(settled & (actual != truth)))
        return f"{count} of {actual.size} elements differ" if count else "", None
    a, t, p = (x.astype(np.float64) for x in (actual, truth, typical))
    judged = np.isfinite(t) & np.isfinite(p)
    if not judged.any():
        return "", None
    bad = int(np.sum(judged & ~np.isfinite(a)))
    if bad:
        return f"{bad} of {actual.size} elements are NaN or infinite where PyTorch's are finite", None
    largest = float(np.abs(t)[judged].max())
    floor = max(float(np.abs(p - t)[judged].max()), LEAST_ULPS * eps * largest, tiny)
    limit = np.maximum(multiple * np.maximum(floor, _unsettled(t, around)), math.sqrt(eps) * largest)
    if tolerance is not None:
        limit = np.maximum(limit, tolerance[0] + tolerance[1] * np.abs(t))
    with np.errstate(invalid="ignore"):
        excess = judged & (np.abs(a - t) > limit)
    if not excess.any():
        return "", None
    error = float(np.abs(a - t)[excess].max())
    off = f"{int(excess.sum())} of {actual.size} elements are off"
    return f"{off}, by {error:.3g} at most, where noise is {floor:.3g}", error


def _unsettled(truth: NDArray[np.float64], around: Sequence[Array]) -> NDArray[np.float64]:
    """How far each element of the truth jumps where its inputs move; 0 where it moves the less the less they do.

    Args:
        around: The truth as its inputs move one way and the other, and both 64 times less.
    """
    if len(around) != 4:
        return np.zeros(truth.shape)
    moves = [np.nan_to_num(np.abs(other.astype(np.float64) - truth), nan=np.inf) for other in around]
    far, near = np.maximum(*moves[:2]), np.maximum(*moves[2:])
    jumps: NDArray[np.float64] = np.where(near > far / 4, np.maximum(far, near), 0)
    return jumps
