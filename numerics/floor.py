"""The noise floor: what two right implementations of one function differ by in float arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .comparison import Errors, largest

if TYPE_CHECKING:
    from ..artifact import Array

EPS = {"bfloat16": 2.0**-7, "float16": 2.0**-10, "float32": 2.0**-23}
"""Float type → distance of 1 to the next number. float64 files are judged as float32: runtimes compute some so."""

TINY = {"bfloat16": 2.0**-126, "float16": 2.0**-14, "float32": 2.0**-126}
"""Float type → its least normal number; runtimes may take what is below it for 0."""

LEAST_ULPS = 4.0
"""Least floor of an output, in eps·max|truth|. PyTorch sums pairwise and is off by less; runtimes that add one number
to the other, as TFLite and ONNX Runtime do, are off by ten times as much where a mean is of 4096 numbers."""


@dataclass(frozen=True)
class Floor:
    """Noise floor of an output, as rms and as maximum; ``least``: 4·eps·max|truth| stands in for one of them."""

    rms: float
    max_abs: float
    least: bool

    @classmethod
    def of(cls, truth: Sequence[Array], noise: Errors | None, *, eps: float = EPS["float32"]) -> Floor:
        """From the measured difference of two runs (None: none could be compared), at least 4·eps·max|truth|."""
        least = LEAST_ULPS * eps * largest(truth)
        rms, top = (noise.rms, noise.max_abs) if noise else (0.0, 0.0)
        return cls(max(rms, least), max(top, least), rms < least or top < least)

    def ratio(self, errors: Errors) -> float:
        """Errors in floors: the larger of the rms and the maximum quotient."""
        if errors.max_abs == 0:
            return 0.0
        # A floor of 0 means that the truth is all zero: then any error is infinitely many floors.
        tiny = float(np.finfo(np.float64).tiny)
        quotients = errors.rms / max(self.rms, tiny), errors.max_abs / max(self.max_abs, tiny)
        return min(max(quotients), float(np.finfo(np.float64).max))
