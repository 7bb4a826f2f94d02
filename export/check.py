"""Runs an exported graph in ONNX Runtime and compares its outputs with the module's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import CheckFailed
from ..workers.child import Child

if TYPE_CHECKING:
    from ..artifact import Array, Feeds

TOLERANCE = {"float16": 2e-2, "float32": 1e-3, "float64": 1e-6}
"""Largest error of a faithful export, relative to the largest magnitude of the output."""

_FLOORS = 30
"""An output passes too if its error is within so many times PyTorch's own float32 error."""

_FLIPS = 1e-3
"""Share of an integer or boolean output that may differ: a comparison of nearly equal numbers may tip over."""

_TIMEOUT_S = 600

Outputs = Mapping[str, "Array"]


@dataclass(frozen=True)
class OutputError:
    """The difference between the exported graph and the module, over all inputs that were tried.

    Attributes:
        max_abs: Largest absolute difference.
        max_rel: The same, relative to the largest magnitude of the module's output.
    """

    max_abs: float
    max_rel: float


def check_export(
    model: Path,
    feeds: Sequence[Feeds],
    wanted: Sequence[Outputs],
    *,
    floor: Callable[[Feeds], Outputs | None],
    hints: Sequence[str] = (),
) -> dict[str, OutputError]:
    """Compare shape, dtype, NaN and numbers of every output; returns output name → error.

    Args:
        model: The ONNX file; its outputs are in the order of ``wanted``.
        feeds: Inputs to run it on.
        wanted: What the module computes on each of them.
        floor: The module's outputs in float64, to tell its own float32 error; asked only where an error is
            large. None where float64 isn't possible.
        hints: Lines to add to the error: what the exporter warned of.

    Raises:
        CheckFailed: an output differs.
        RuntimeFailure: ONNX Runtime raised, crashed or hung.
        OutOfMemory: it was killed, or says so itself.
    """
    errors: dict[str, OutputError] = {}
    for inputs, want, got in zip(feeds, wanted, run_onnx(model, feeds), strict=True):
        for (name, reference), array in zip(want.items(), got, strict=True):
            try:
                error = _compare(reference, array)
                if error.max_rel > TOLERANCE.get(reference.dtype.name, _FLIPS):
                    truth = floor(inputs)
                    _refuse_above_floor(reference, error, truth[name] if truth else None)
            except _DifferError as differ:
                sizes = ", ".join(f"{n}:{list(a.shape)}" for n, a in inputs.items())
                raise CheckFailed(
                    f"the exported graph computes another {name!r} than the module",
                    where=f"output {name!r} on {sizes}",
                    details=[str(differ), *hints],
                    remedy="try the other --exporter, or another --opset; code that branches on values or sizes "
                    "may have been exported as it ran on the example only",
                ) from differ
            before = errors.get(name, OutputError(0.0, 0.0))
            errors[name] = OutputError(max(before.max_abs, error.max_abs), max(before.max_rel, error.max_rel))
    return errors


def run_onnx(model: Path, feeds: Sequence[Feeds]) -> list[list[Array]]:
    """The outputs of ``model`` for each of ``feeds``, in the graph's order, computed in another process.

    Raises:
        RuntimeFailure: ONNX Runtime raised, crashed or hung.
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


class _DifferError(Exception):
    """Two outputs aren't the same; says how."""


def _compare(reference: Array, array: Array) -> OutputError:
    for what, want, got in (
        ("shape", list(reference.shape), list(array.shape)),
        ("type", reference.dtype.name, array.dtype.name),
    ):
        if want != got:
            raise _DifferError(f"the module's {what} is {want}, the exported graph's {got}")
    if reference.size == 0:
        return OutputError(0.0, 0.0)
    if reference.dtype.kind != "f":
        difference = np.abs(reference.astype(np.float64) - array.astype(np.float64))
        return OutputError(float(difference.max()), float(np.mean(difference > 0)))
    # Infinities of one sign on both sides agree, and aren't numbers to subtract.
    special = ~np.isfinite(reference)
    same = np.array_equal(reference[special], array[special], equal_nan=True)
    if not same or not np.isfinite(array[~special]).all():
        raise _DifferError("NaN or infinity stands in other places than in the module's output")
    finite = reference[~special].astype(np.float64)
    if finite.size == 0:
        return OutputError(0.0, 0.0)
    largest = float(np.abs(finite - array[~special].astype(np.float64)).max())
    scale = float(np.abs(finite).max())
    return OutputError(largest, largest / scale if scale else (0.0 if largest == 0 else float("inf")))


def _refuse_above_floor(reference: Array, error: OutputError, truth: Array | None) -> None:
    noise = 0.0
    if truth is not None and reference.dtype.kind == "f":
        with np.errstate(invalid="ignore"):
            noise = float(np.nanmax(np.abs(truth - reference.astype(np.float64))))
        if error.max_abs <= _FLOORS * noise:
            return
    raise _DifferError(
        f"its error is {error.max_abs:.3g} ({error.max_rel:.3g} relative)"
        + (f"; PyTorch's own float32 error is {noise:.3g}" if noise else "")
    )
