"""How far an array is from a reference.

Shapes, dtypes, NaN and Inf come first (``problems``); numbers are only taken of arrays of one shape, and
always in float64. With ``a`` the array and ``b`` the reference, over all elements of all samples:

- maximum, mean absolute and rms error of ``a - b``;
- ``max_rel = max|a-b| / max|b|``: the worst error on the scale of the output;
- ``p99_rel``: 99th percentile of ``|a-b| / |b|`` where ``|b| > 1e-3 · max|b|``, of the worst sample;
- cosine of the angle between ``a`` and ``b``;
- SQNR ``10·log10(Σb² / Σ(a-b)²)`` in dB, of floats (the index of a class is no signal);
- top-1 agreement: share of the decisions that are the same (see ``decisions``).

Elements where both are NaN, or both the same infinity, count as equal and enter no other number.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from ..errors import BadInput

if TYPE_CHECKING:
    from ..artifact import Array

_REL_FROM = 1e-3
_SUM_WITHIN = 1e-2


class Errors(BaseModel):
    """How far an output is from a reference, over all elements of all samples; computed in float64.

    ``a`` is the output, ``b`` the reference.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    max_abs: float = Field(description="max |a-b|")
    mean_abs: float = Field(description="mean |a-b|")
    max_rel: float | None = Field(description="max |a-b| / max |b|; None when b is all zero and a is not")
    p99_rel: float | None = Field(
        description="99th percentile of |a-b| / |b| over elements with |b| above 1e-3 of max |b|; of the "
        "sample where it is largest"
    )
    rms: float = Field(description="root mean square of a-b")
    cosine: float | None = Field(description="cosine of the angle between a and b; None when one is all zero")
    sqnr_db: float | None = Field(description="10·log10(Σb² / Σ(a-b)²); None when exact, b is all zero, or not floats")
    exact: bool = Field(description="every element equal")
    equal: float | None = Field(default=None, description="share of the elements that are equal")
    top1_agreement: float | None = Field(
        default=None,
        description="share of the decisions that are the same, one a sample (step, pixel); None: no scores",
    )

    @property
    def quality_db(self) -> float:
        """The SQNR for comparing: infinite when exact, and minus infinity where there is noise and no signal."""
        if self.exact:
            return math.inf
        return -math.inf if self.sqnr_db is None else self.sqnr_db


def problems(actual: Array, reference: Array, *, dtype: str | None = None) -> list[str]:
    """What keeps two arrays from being compared by numbers, each in a sentence; empty when nothing does.

    Args:
        dtype: The numpy dtype name that ``actual`` must have; None takes the reference's.
    """
    found = []
    want = dtype or str(reference.dtype)
    if actual.dtype.name != want:
        found.append(f"dtype is {actual.dtype}, and {want} was expected")
    if actual.shape != reference.shape:
        found.append(f"shape is {list(actual.shape)}, and {list(reference.shape)} was expected")
        return found
    if actual.dtype.kind != "f" or reference.dtype.kind != "f":
        return found
    floats, wanted = actual.astype(np.float64), reference.astype(np.float64)
    for name, test in (("NaN", np.isnan), ("+Inf", np.isposinf), ("-Inf", np.isneginf)):
        here, there = test(floats), test(wanted)
        wrong, missing = int(np.sum(here & ~there)), int(np.sum(there & ~here))
        if wrong:
            found.append(f"{wrong} of {actual.size} elements are {name} where the reference has another value")
        if missing:
            found.append(f"{missing} of {actual.size} elements should be {name} and are not")
    return found


def is_class_like(array: Array) -> bool:
    """Whether an output looks like scores of classes: floats of shape [batch, classes], classes ≥ 2."""
    return array.ndim == 2 and array.shape[1] >= 2 and array.dtype.kind == "f"


def decisions(array: Array, reference: Array) -> tuple[Array, Array] | None:
    """What an output and its reference decide, one class a row; None where the reference is no scores.

    Scores are floats [batch, classes]; a distribution (of a step, a pixel) along the last axis or axis 1, which is
    never negative and sums to 1; and a column [batch, 1] of probabilities, which says yes from 0.5 on.
    """
    if is_class_like(reference) and is_class_like(array):
        return np.argmax(array, axis=1), np.argmax(reference, axis=1)
    if reference.dtype.kind != "f" or array.dtype.kind != "f" or reference.ndim < 2 or not reference.size:
        return None
    if not (np.min(reference) >= 0 and np.max(reference) <= 1 + _SUM_WITHIN):
        return None
    if reference.ndim == 2 and reference.shape[1] == 1:
        return array >= 0.5, reference >= 0.5
    for axis in (reference.ndim - 1, 1):
        if reference.shape[axis] > 1 and np.allclose(
            reference.sum(axis, dtype=np.float64), 1, rtol=0, atol=_SUM_WITHIN
        ):
            return np.argmax(array, axis), np.argmax(reference, axis)
    return None


def _finite(array: Array) -> NDArray[np.float64]:
    values = array.astype(np.float64).ravel()
    return values[np.isfinite(values)]


def _bounded(value: Any) -> float:
    """The largest float for infinity: a report holds numbers."""
    return float(np.nan_to_num(value))


class Comparison:
    """Errors over several samples; memory doesn't grow with their number."""

    def __init__(self) -> None:
        self._elements = self._equal = self._numbers = 0
        self._max_abs = self._max_reference = 0.0
        self._sum_abs = self._sum_noise = self._sum_actual = self._sum_reference = self._sum_product = 0.0
        self._p99: float | None = None
        self._rows = self._same_top1 = 0
        self._floats = self._decides = True

    def add(self, actual: Array, reference: Array) -> None:
        """Take in one sample.

        Raises:
            BadInput: the shapes differ.
        """
        if actual.shape != reference.shape:
            raise BadInput(
                f"can't compare shape {list(actual.shape)} with {list(reference.shape)}",
                remedy="compare outputs of the same shape: those of one model, on the same inputs",
            )
        both_nan = (actual != actual) & (reference != reference)
        self._elements += actual.size
        self._equal += int(np.sum((actual == reference) | both_nan))
        decided = decisions(actual, reference) if self._decides else None
        if decided is None:
            self._decides = False
        else:
            self._rows += decided[1].size
            self._same_top1 += int(np.sum(decided[0] == decided[1]))
        self._floats = self._floats and actual.dtype.kind == "f"
        a, b = actual.astype(np.float64).ravel(), reference.astype(np.float64).ravel()
        finite = np.isfinite(a) & np.isfinite(b)
        if not finite.all():
            a, b = a[finite], b[finite]
        if a.size:
            self._add_numbers(a, b)

    def _add_numbers(self, a: NDArray[np.float64], b: NDArray[np.float64]) -> None:
        with np.errstate(over="ignore"):
            noise = np.nan_to_num(np.abs(a - b))
        top = float(np.max(np.abs(b)))
        self._numbers += a.size
        self._max_abs = max(self._max_abs, float(np.max(noise)))
        self._max_reference = max(self._max_reference, top)
        with np.errstate(over="ignore", invalid="ignore"):  # squares beyond 1e308, of float64's own extremes
            self._sum_abs = _bounded(self._sum_abs + np.sum(noise))
            self._sum_noise = _bounded(self._sum_noise + noise @ noise)
            self._sum_actual = _bounded(self._sum_actual + a @ a)
            self._sum_reference = _bounded(self._sum_reference + b @ b)
            self._sum_product = _bounded(self._sum_product + a @ b)
        large = np.abs(b) > _REL_FROM * top
        if large.any():
            p99 = float(np.percentile(noise[large] / np.abs(b[large]), 99))
            self._p99 = p99 if self._p99 is None else max(self._p99, p99)

    def errors(self) -> Errors:
        """The numbers over all samples so far."""
        count = max(1, self._numbers)
        lengths = math.sqrt(self._sum_actual) * math.sqrt(self._sum_reference)
        noisy, signal = self._sum_noise > 0, self._sum_reference > 0
        has_sqnr = noisy and signal and self._floats
        return Errors(
            max_abs=self._max_abs,
            mean_abs=self._sum_abs / count,
            max_rel=self._max_abs / self._max_reference if signal else None if noisy else 0.0,
            p99_rel=self._p99,
            rms=math.sqrt(self._sum_noise / count),
            cosine=min(1.0, max(-1.0, self._sum_product / lengths)) if lengths else None,
            sqnr_db=10 * math.log10(self._sum_reference / self._sum_noise) if has_sqnr else None,
            exact=self._equal == self._elements,
            equal=self._equal / self._elements if self._elements else 1.0,
            top1_agreement=self._same_top1 / self._rows if self._decides and self._rows else None,
        )


def compare(actuals: Sequence[Array], references: Sequence[Array]) -> Errors:
    """Errors over several samples.

    Raises:
        BadInput: the shapes of a pair, or the numbers of samples, differ.
    """
    if len(actuals) != len(references):
        raise BadInput(
            f"can't compare {len(actuals)} samples with {len(references)}", remedy="give both of them the same samples"
        )
    comparison = Comparison()
    for actual, reference in zip(actuals, references, strict=True):
        comparison.add(actual, reference)
    return comparison.errors()


def change(errors: Errors, dtype: np.dtype[Any]) -> float:
    """How far arrays of a dtype are apart, in one figure.

    Of floats ``max|a-b| / max|b|``, and infinity where ``b`` is all zero and ``a`` is not; of integers and bools the
    share of the elements that differ. 0: nothing does.
    """
    if dtype.kind == "f":
        return math.inf if errors.max_rel is None else errors.max_rel
    return 1.0 - (1.0 if errors.equal is None else errors.equal)


def largest(arrays: Sequence[Array]) -> float:
    """max |x| over the finite elements of all arrays; 0 without any."""
    tops = [float(np.max(np.abs(f))) for a in arrays if (f := _finite(a)).size]
    return max(tops, default=0.0)


def outside(actual: Array, reference: Array, *, atol: float, rtol: float) -> int:
    """Number of elements with ``|a-b| > atol + rtol·|b|`` (equal NaN and infinities are inside).

    Raises:
        BadInput: the shapes differ.
    """
    if actual.shape != reference.shape:
        raise BadInput(
            f"can't compare shape {list(actual.shape)} with {list(reference.shape)}",
            remedy="compare outputs of the same shape: those of one model, on the same inputs",
        )
    a, b = actual.astype(np.float64), reference.astype(np.float64)
    return int(np.sum(~np.isclose(a, b, rtol=rtol, atol=atol, equal_nan=True)))
