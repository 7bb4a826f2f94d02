"""What a user can do about an output that doesn't pass: one sentence for each rule that it can break."""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal

from ..schemes import Scheme
from ..vocabulary import Whose

OTHER_MODEL = (
    "check that the file was made of this very model; if edgeworthy made it, report it together with the model"
)
RANDOM = "if the model can never get such inputs, give real ones: --labelled or --calibration"

SAME_KERNELS = (
    "kernels of one family give the same bits: bring LiteRT there to the version that is here; if it is, report it "
    "with the file"
)
OTHER_KERNELS = (
    "these kernels compute another thing: `edgeworthy targets doctor` tries the target on one operator; "
    "leave what it gets wrong to another target, and report it to the runtime's makers"
)


def above_floor(output: str, error: float, whose: Whose = "ours") -> str:
    """A float32 error beyond noise."""
    found = (
        "report it to whoever made the file, or take another converter's of the same model (`edgeworthy compare`)"
        if whose == "another"
        else "`edgeworthy convert --check-passes` tells whether converting makes the error, and where"
    )
    return f"{found}; {_allowed(output, error)}, if it is harmless"


def outside_tolerance(output: str, error: float) -> str:
    """An error beyond the user's own tolerance."""
    return f"{_allowed(output, error)}, if it is harmless; without --atol and --rtol the noise floor judges"


def at_edges(output: str, error: float | None) -> str:
    """An error on zeros, ties, equal rows or extremes; None: it isn't one that a number could allow."""
    guard = "if the model can get such inputs, guard what divides, takes a root or compares there by a larger constant"
    return guard if error is None else f"{guard}; if it can't, {_allowed(output, error)}"


def too_noisy(scheme: Scheme, whose: Whose = "ours") -> str:
    """A loss by quantization."""
    if whose == "model":
        return "its scales are the model's own: train it on, or quantize it anew, where they were made"
    if whose == "another":
        return (
            "its float weights are gone, so nothing can be mended in the file: have it made again on more and truer "
            "data, or `edgeworthy quantize` the model or its float .tflite file"
        )
    data = "calibrate on more and truer data (--calibration, --samples), " if scheme.needs_calibration else ""
    return f"{data}keep in float what is sensitive (--exclude), or take another scheme"


def _allowed(output: str, error: float) -> str:
    """``allow it with --atol y:0.003``: the error rounded up to one digit."""
    number = Decimal(error)
    if not number.is_finite() or not number:
        return "allow it with --atol"
    up = number.quantize(Decimal(1).scaleb(number.adjusted()), rounding=ROUND_CEILING)
    return f"allow it with --atol {output}:{float(up):g}"
