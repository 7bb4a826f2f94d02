"""What can become of a case, and the comparison that decides between right and wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

Status = Literal[
    "pass",
    "unsupported",  # the preflight listed nodes that can't be lowered
    "convert-error",  # the conversion raised something else
    "does-nothing",  # the TFLite file has operators that do nothing
    "runtime-error",  # the runtime refused the artifact or raised
    "crash",  # the worker died of a signal
    "timeout",  # the worker was killed for taking too long
    "wrong-shape",
    "wrong-dtype",
    "wrong-value",
]
STATUSES: tuple[Status, ...] = get_args(Status)


@dataclass(frozen=True)
class Outcome:
    """The status of one case on one artifact.

    Attributes:
        detail: More of it, in one line.
        declared: It passes only because the model declares the shape of an output that run-time values decide;
            ``detail`` says what becomes of it otherwise.
    """

    status: Status
    detail: str = ""
    declared: bool = False


def compare(got: Mapping[str, Any], expected: Mapping[str, Any], *, rtol: float, atol: float) -> Outcome:
    """Compare outputs by name: shape, then dtype, then numbers, each strictly.

    Numbers agree when ``|got - expected| <= atol + rtol * |expected|``, as in ONNX's own runner; NaN equals
    NaN. A sequence is expected as its tensors, by the names that `formats.onnx.parts` gives them.
    """
    lists = {name: want for name, want in expected.items() if isinstance(want, list)}
    parts = {f"{name}_{index}": part for name, want in lists.items() for index, part in enumerate(want)}
    tensors = {name: want for name, want in expected.items() if name not in lists}
    for name, want in lists.items():
        if f"{name}_{len(want)}" in got:
            return Outcome("wrong-shape", f"{name}: more than {len(want)} tensors")
    for name, want in {**tensors, **parts}.items():
        if name not in got:
            return Outcome("runtime-error", f"no output {name!r}; there are {', '.join(sorted(got))}")
        if not isinstance(want, np.ndarray):
            return Outcome("wrong-dtype", f"{name}: a tensor where a {type(want).__name__} is expected")
        have = np.asarray(got[name])
        if have.shape != want.shape:
            return Outcome("wrong-shape", f"{name}: {list(have.shape)} instead of {list(want.shape)}")
        if have.dtype != want.dtype:
            return Outcome("wrong-dtype", f"{name}: {have.dtype} instead of {want.dtype}")
        close = np.isclose(have, want, rtol=rtol, atol=atol, equal_nan=True)
        if not close.all():
            return Outcome("wrong-value", f"{name}: {_worst(have, want, close)}")
    return Outcome("pass")


def _worst(have: np.ndarray[Any, Any], want: np.ndarray[Any, Any], close: np.ndarray[Any, np.dtype[np.bool_]]) -> str:
    wrong = np.argwhere(~close)
    at = tuple(int(i) for i in wrong[0])
    count = f"{len(wrong)} of {close.size} numbers differ"
    return f"{count}, first {have[at]} instead of {want[at]} at {list(at)}"
