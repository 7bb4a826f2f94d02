"""Runs an exported graph in ONNX Runtime and compares its outputs with the module's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import CheckFailed
from ..numerics.comparison import Errors, change, compare, problems
from ..numerics.floor import Floor
from ..workers.child import Child
from .errors import BRANCHES

if TYPE_CHECKING:
    from ..artifact import Array, Feeds

TOLERANCE = {"float16": 2e-2, "float32": 1e-3, "float64": 1e-6}
"""Largest error of a faithful export, relative to the largest magnitude of the output."""

_FLOORS = 30
"""An output passes too if its error is within so many noise floors: PyTorch's own error against float64."""

_STEP = 2e-2
"""The same of the error's rms where the graph rounds to steps of a scale: what lies between two steps may tip over and
go on as the other, and a step of 8 bits is 4e-3."""

_FLIPS = 1e-3
"""Share of an integer or boolean output that may differ: a comparison of nearly equal numbers may tip over."""

_TIMEOUT_S = 600

Outputs = Mapping[str, "Array"]


@dataclass(frozen=True)
class OutputError:
    """The difference between the exported graph and the module, over all inputs that were tried.

    Attributes:
        max_abs: Largest absolute difference.
        max_rel: The same, relative to the largest magnitude of the module's output; of an integer or boolean output
            the share of the elements that differ.
    """

    max_abs: float
    max_rel: float


def check_export(
    model: Path,
    feeds: Sequence[Feeds],
    wanted: Sequence[Outputs],
    *,
    floor: Callable[[Feeds], Outputs | None],
    edges: Mapping[str, tuple[Feeds, Outputs]] | None = None,
    hints: Sequence[str] = (),
    rounds: bool = False,
) -> dict[str, OutputError]:
    """Compare shape, dtype, NaN and numbers of every output; returns output name → error.

    Args:
        model: The ONNX file; its outputs are in the order of ``wanted``.
        feeds: Inputs to run it on.
        wanted: What the module computes on each of them.
        floor: The module's outputs in float64, to tell its own float32 error; asked only where an error is
            large. None where float64 isn't possible.
        edges: Name → inputs at an edge (``source.variations.edges``), and what the module computes there. Their
            finite outputs must be finite; the numbers are for parity to judge.
        hints: Lines to add to the error: what the exporter warned of.
        rounds: Whether the graph rounds to steps of a scale.

    Raises:
        CheckFailed: an output differs.
        RuntimeFailure: ONNX Runtime raised, crashed or hung.
        OutOfMemory: it was killed, or says so itself.
    """
    errors: dict[str, OutputError] = {}
    extremes = edges or {}
    results = run_onnx(model, [*feeds, *(inputs for inputs, _ in extremes.values())])
    for inputs, want, got in zip(feeds, wanted, results[: len(feeds)], strict=True):
        for (name, reference), array in zip(want.items(), got, strict=True):
            try:
                error = _compare(reference, array, partial(_of, floor, inputs, name), rounds=rounds)
            except _DifferError as differ:
                sizes = ", ".join(f"{n}:{list(a.shape)}" for n, a in inputs.items())
                raise _other(name, sizes, str(differ), hints) from differ
            before = errors.get(name, OutputError(0.0, 0.0))
            errors[name] = OutputError(max(before.max_abs, error.max_abs), max(before.max_rel, error.max_rel))
    for (edge, (inputs, want)), got in zip(extremes.items(), results[len(feeds) :], strict=True):
        for (name, reference), array in zip(want.items(), got, strict=True):
            if bad := _not_finite(name, reference, array, floor, inputs):
                raise _other(name, edge, f"{bad} elements are NaN or infinite where the module's are finite", hints)
    return errors


def _not_finite(
    name: str, reference: Array, array: Array, floor: Callable[[Feeds], Outputs | None], inputs: Feeds
) -> int:
    """Elements that are finite in the module, in its own type and in float64, and not in the graph."""
    if reference.dtype.kind != "f" or reference.shape != array.shape:
        return 0
    bad = np.isfinite(reference) & ~np.isfinite(array)
    truth = floor(inputs) if bad.any() else None
    return int(np.sum(bad if truth is None else bad & np.isfinite(truth[name])))


def _other(name: str, inputs: str, how: str, hints: Sequence[str]) -> CheckFailed:
    """``hints``: lines at which the tracer took one side for good; then it is they, and no other exporter helps."""
    return CheckFailed(
        f"the exported graph computes another {name!r} than the module",
        where=f"output {name!r} on {inputs}",
        details=[how, *hints],
        remedy=BRANCHES if hints else "try the other --exporter, or another --opset",
    )


def run_onnx(model: Path, feeds: Sequence[Feeds]) -> list[list[Array]]:
    """The outputs of ``model`` for each of ``feeds``, in the graph's order, computed in another process.

    Raises:
        RuntimeFailure: ONNX Runtime raised, crashed or hung.
        OutOfMemory: it was killed, or says so itself.
    """
    with Child(
        f"{__package__}.ort_child",
        name="ONNX Runtime",
        where=model.name,
        remedy="try another --opset or --exporter torchscript; `pip install --upgrade onnxruntime` may help",
        timeout_s=_TIMEOUT_S,
    ) as child:
        child.ask("load", model)
        return [child.ask("run", dict(inputs)) for inputs in feeds]


def _of(floor: Callable[[Feeds], Outputs | None], inputs: Feeds, name: str) -> Array | None:
    truth = floor(inputs)
    return truth[name] if truth else None


class _DifferError(Exception):
    """Two outputs aren't the same; says how."""


def _compare(reference: Array, array: Array, truth: Callable[[], Array | None], *, rounds: bool) -> OutputError:
    """The error of an output; ``truth`` is asked where it is large."""
    if found := problems(array, reference):
        raise _DifferError("against the module's own: " + "; ".join(found))
    errors = compare([array], [reference])
    relative = change(errors, reference.dtype)
    if rounds and reference.dtype.kind == "f" and errors.rms <= _STEP * float(np.abs(reference).max(initial=0)):
        return OutputError(errors.max_abs, relative)
    if relative > TOLERANCE.get(reference.dtype.name, _FLIPS):
        _refuse_above_floor(reference, errors, relative, truth() if reference.dtype.kind == "f" else None)
    return OutputError(errors.max_abs, relative)


def _refuse_above_floor(reference: Array, errors: Errors, relative: float, truth: Array | None) -> None:
    noise = compare([reference], [truth]) if truth is not None and truth.shape == reference.shape else None
    if noise is not None and Floor(noise.rms, noise.max_abs, least=False).ratio(errors) <= _FLOORS:
        return
    raise _DifferError(
        f"its error is {errors.max_abs:.3g} ({relative:.3g} relative)"
        + (f"; PyTorch's own {reference.dtype} error is {noise.max_abs:.3g}" if noise and not noise.exact else "")
    )
