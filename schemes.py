"""Quantization schemes by decodable name.

A name says how activations are treated (``static``: calibrated ranges, ``dynamic``: ranges found while
running), then the weights (``w``) and the activations (``a``) as ``i`` (integer) or ``fp`` (float) with bits:
``static_wi8_ai8`` is calibrated, with 8-bit integer weights and 8-bit integer activations.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from .errors import BadInput


@dataclass(frozen=True)
class Scheme:
    """What a quantized model stores and computes with.

    Attributes:
        name: The decodable name.
        summary: One line for people.
        weights: Dtype that weights are stored in.
        activations: Dtype that activations are computed in.
        needs_calibration: Whether the ranges of activations must be measured on data.
    """

    name: str
    summary: str
    weights: str
    activations: str
    needs_calibration: bool = False


SCHEMES: dict[str, Scheme] = {
    scheme.name: scheme
    for scheme in (
        Scheme(
            "float16",
            "weights stored in half precision, computed in float32 (or float16 on a GPU)",
            weights="float16",
            activations="float32",
        ),
        Scheme(
            "dynamic_wi8_afp32",
            "int8 weights, one scale a channel; activations float32, quantized on the fly inside the kernels",
            weights="int8",
            activations="float32",
        ),
        Scheme(
            "static_wi8_ai8",
            "int8 weights, one scale a channel; int8 activations with calibrated ranges; int32 bias",
            weights="int8",
            activations="int8",
            needs_calibration=True,
        ),
    )
}

ALIASES = {"int8": "static_wi8_ai8"}
"""Short name → scheme name."""

IO_DTYPES = ("float32", "int8", "uint8")
"""Dtypes that the float inputs and outputs of a static scheme can get."""


def get_scheme(name: str) -> Scheme:
    """The scheme called ``name``, or its alias.

    Raises:
        BadInput: there is no such scheme; lists those that exist.
    """
    scheme = SCHEMES.get(ALIASES.get(name, name))
    if scheme is None:
        known = [*ALIASES, *SCHEMES]
        near = difflib.get_close_matches(name, known, n=1)
        raise BadInput(
            f"there is no quantization scheme {name!r}",
            where="--scheme",
            details=[f"{alias}: short for {target}" for alias, target in ALIASES.items()]
            + [f"{scheme.name}: {scheme.summary}" for scheme in SCHEMES.values()],
            remedy=f"did you mean {near[0]!r}?" if near else "use one of the schemes above",
        )
    return scheme
