"""Schemes: what a TFLite file stores and computes with, one entry each.

Everything that depends on a scheme reads it here: the quantizer's configuration, how parity judges the file, what
files and rows are called, what the command line offers. A new scheme is one entry of ``SCHEMES``.

The name of a quantized one says how activations are treated (``static``: calibrated ranges, ``dynamic``: ranges
found while running, ``weight_only``: not at all), then the weights (``w``) and the activations (``a``) as ``i``
(integer) or ``fp`` (float) with bits: ``static_wi8_ai8`` is calibrated, with 8-bit integer weights and 8-bit integer
activations. A suffix of the weights says what shares one scale where that isn't a channel: ``t`` the whole tensor,
``b32`` a block of 32.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from .errors import BadInput, did_you_mean

Method = Literal["none", "cast", "weight_only", "dynamic", "static"]
"""``none``: float; ``cast``: weights rounded to another float; the others as in the names."""

Granularity = Literal["tensor", "channel", "block32"]


@dataclass(frozen=True)
class Scheme:
    """What a model stores and computes with.

    Attributes:
        name: The decodable name, also the key of its file in the report (``tflite_NAME``).
        title: What rows call it, as in ``TFLite int8``.
        summary: One line for people.
        method: How it is made.
        weights: Dtype that weights are stored in.
        activations: Dtype that activations are computed in.
        granularity: What shares one scale of the weights; None where there are no scales.
        least_sqnr_db: Least SQNR against the truth that parity passes, in dB; None: judged by the noise floor.
        alias: Short name, for ``--scheme`` and the file.
        default: Whether it is made when none is asked for (a calibrated one: when there is data).
        fast: Who runs it faster than float32.
    """

    name: str
    title: str
    summary: str
    method: Method
    weights: str
    activations: str
    granularity: Granularity | None = None
    least_sqnr_db: float | None = None
    alias: str = ""
    default: bool = True
    fast: str = ""

    @property
    def needs_calibration(self) -> bool:
        """Whether the ranges of activations must be measured on data."""
        return self.method == "static"

    @property
    def by_floor(self) -> bool:
        """Whether it must agree up to float32 noise; the others are held to a signal-to-noise ratio."""
        return self.least_sqnr_db is None

    @property
    def weight_bits(self) -> int:
        return _bits(self.weights)

    @property
    def activation_bits(self) -> int:
        return _bits(self.activations)

    @property
    def size(self) -> float:
        """Bytes of the weights relative to float32, without their scales."""
        return self.weight_bits / 32

    @property
    def short_name(self) -> str:
        return self.alias or self.name

    @property
    def artifact(self) -> str:
        """Key of its TFLite file in the report."""
        return f"tflite_{self.name}"

    @property
    def file_name(self) -> str:
        return f"model_{self.short_name}.tflite"

    @property
    def names(self) -> tuple[str, ...]:
        """What it is called; ``get_scheme`` takes the title too."""
        return (self.alias, self.name) if self.alias else (self.name,)


FLOAT32 = Scheme("float32", "float32", "nothing is quantized", "none", weights="float32", activations="float32")
FLOAT64 = Scheme("float64", "float64", "the truth", "none", weights="float64", activations="float64")

FLOAT16 = Scheme(
    "float16",
    "float16",
    "weights stored in half precision, computed in float32 (or float16 on a GPU)",
    "cast",
    weights="float16",
    activations="float32",
    least_sqnr_db=40.0,
    fast="GPUs, which compute in float16; as fast as float32 elsewhere",
)
INT8 = Scheme(
    "static_wi8_ai8",
    "int8",
    "int8 weights, one scale a channel; int8 activations with calibrated ranges; int32 bias",
    "static",
    weights="int8",
    activations="int8",
    granularity="channel",
    least_sqnr_db=15.0,
    alias="int8",
    fast="CPUs, NPUs, Ethos-U, Edge TPU",
)

DYNAMIC = Scheme(
    "dynamic_wi8_afp32",
    "dynamic",
    "int8 weights, one scale a channel; activations float32, quantized on the fly inside the kernels",
    "dynamic",
    weights="int8",
    activations="float32",
    granularity="channel",
    least_sqnr_db=15.0,
    fast="CPUs, where fully connected layers and wide convolutions dominate",
)

SCHEMES: dict[str, Scheme] = {
    scheme.name: scheme
    for scheme in (
        FLOAT32,
        FLOAT64,
        FLOAT16,
        DYNAMIC,
        Scheme(
            "dynamic_wi4_afp32",
            "dynamic int4",
            "int4 weights of fully connected layers and convolutions, int8 of others; else as dynamic",
            "dynamic",
            weights="int4",
            activations="float32",
            granularity="channel",
            least_sqnr_db=8.0,
            default=False,
            fast="CPUs, where fully connected layers dominate",
        ),
        Scheme(
            "dynamic_wi4b32_afp32",
            "dynamic int4 blocks",
            "int4 weights of fully connected layers, one scale for 32 of a row, int8 of others; else as dynamic",
            "dynamic",
            weights="int4",
            activations="float32",
            granularity="block32",
            least_sqnr_db=8.0,
            default=False,
            fast="CPUs, where fully connected layers dominate",
        ),
        Scheme(
            "weight_only_wi8_afp32",
            "weights int8",
            "int8 weights, one scale a channel, unpacked to float32 before use; everything is computed in float32",
            "weight_only",
            weights="int8",
            activations="float32",
            granularity="channel",
            least_sqnr_db=15.0,
            default=False,
            fast="nobody; it is for the size",
        ),
        Scheme(
            "weight_only_wi4_afp32",
            "weights int4",
            "int4 weights, one scale a channel, unpacked to float32 before use; everything is computed in float32",
            "weight_only",
            weights="int4",
            activations="float32",
            granularity="channel",
            least_sqnr_db=8.0,
            default=False,
            fast="nobody; it is for the size",
        ),
        INT8,
        Scheme(
            "static_wi8t_ai8",
            "int8 per tensor",
            "as int8, with one scale for all weights of a layer, as some accelerators want it",
            "static",
            weights="int8",
            activations="int8",
            granularity="tensor",
            least_sqnr_db=12.0,
            default=False,
            fast="as int8",
        ),
        Scheme(
            "static_wi8_ai16",
            "int16 activations",
            "int8 weights, one scale a channel; int16 activations with calibrated ranges; int64 bias",
            "static",
            weights="int8",
            activations="int16",
            granularity="channel",
            least_sqnr_db=20.0,
            default=False,
            fast="Ethos-U and some NPUs; several times slower than float32 on CPUs",
        ),
        Scheme(
            "static_wi4_ai8",
            "int4 static",
            "int4 weights of fully connected layers and convolutions, int8 of others; else as int8",
            "static",
            weights="int4",
            activations="int8",
            granularity="channel",
            least_sqnr_db=8.0,
            default=False,
            fast="CPUs, where fully connected layers dominate",
        ),
    )
}
"""Every scheme, by name."""

DYNAMIC = SCHEMES["dynamic_wi8_afp32"]

QUANTIZED = tuple(scheme for scheme in SCHEMES.values() if scheme.method != "none")
"""Those that ``--scheme`` takes."""


def made_by(method: Method, weights: str | None = None, activations: str | None = None) -> Scheme:
    """The scheme that a file made by ``method`` goes by: of several the first with these dtypes, if any."""
    of_method = [scheme for scheme in SCHEMES.values() if scheme.method == method]
    for known in ((weights, activations), (None, activations)):
        for scheme in of_method:
            if known[0] in (None, scheme.weights) and known[1] in (None, scheme.activations):
                return scheme
    return of_method[0]


def get_scheme(name: str) -> Scheme:
    """The quantized scheme called ``name``, by full name, alias, or title, as reports say it.

    Raises:
        BadInput: there is no such scheme; lists those that exist.
    """
    known = {called: scheme for scheme in QUANTIZED for called in (scheme.title, *scheme.names)}
    if name not in known:
        # "int16" is a word of a title; by its letters alone it would be taken for int8.
        meant = [s.short_name for s in QUANTIZED if name.lower() in s.title.split()]
        likely = f"did you mean {' or '.join(map(repr, meant))}?" if meant else did_you_mean(name, known)
        raise BadInput(
            f"there is no quantization scheme {name!r}",
            where="--scheme",
            details=[f"{s.alias}: short for {s.name}" for s in QUANTIZED if s.alias]
            + [f"{s.name}: {s.summary}" for s in QUANTIZED],
            remedy=likely or "use one of the schemes above",
        )
    return known[name]


def names() -> list[str]:
    """All that ``--scheme`` takes."""
    return [name for scheme in QUANTIZED for name in scheme.names]


def _bits(dtype: str) -> int:
    return int(re.sub(r"\D", "", dtype))
