"""How the numbers of one file become integers, beyond what each operator computes in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..schemes import Scheme
from .range_methods import MIN_MAX
from .weight_ranges import WeightRange


@dataclass(frozen=True)
class Rounding:
    """One way.

    Attributes:
        ranges: Method that makes samples to ranges of activations (see ``range_methods``).
        weights: How far the integers of weights reach (see ``weight_ranges``).
        bias_correction: Whether biases make up for the mean error of the weights (see ``bias_correction``).
    """

    ranges: str = MIN_MAX
    weights: WeightRange = "max"
    bias_correction: bool = False

    def __str__(self) -> str:
        clipped = [] if self.weights == "max" else [f"weights by {self.weights}"]
        return ", ".join([self.ranges, *clipped, *["biases corrected"] * self.bias_correction])


Refinement = dict[str, Any]
"""What of a ``Rounding`` is otherwise."""


def refinements(scheme: Scheme) -> list[Refinement]:
    """What may make a file of a calibrated scheme truer, whatever its ranges; what never does for it isn't there.

    Clipped weights: in 8 bits rounding costs less than what would be cut off.
    """
    return [{"weights": "octav"}] * (scheme.weight_bits < 8) + [{"bias_correction": True}]
