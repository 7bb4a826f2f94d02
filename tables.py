"""What the tables of `edgeworthy.toml` are made of: their base, the types of their keys, and the flags of those."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, Strict


@dataclass(frozen=True)
class Flag:
    """The command-line flag of a key.

    Attributes:
        name: ``--output``.
        short: ``-o``.
        metavar: Shown in place of the type.
        repeat: Each value needs a flag of its own, as it may hold commas; else ``a,b`` are two.
    """

    name: str
    short: str | None = None
    metavar: str | None = None
    repeat: bool = False


@dataclass(frozen=True)
class MayBePath:
    """Marks a text that may name a file: one that exists, or ``file.py:name``."""


IoDtype = Literal["float32", "int8", "uint8"]
Engine = Literal["ai-edge", "tensorflow", "both"]
FilePath = Annotated[Path, Strict(False)]
PathOrSpec = Annotated[str, MayBePath()]
PositiveInt = Annotated[int, Field(gt=0)]
PositiveFloat = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]

EVERY = "*"
"""The subject of a limit given as one number: it holds for every artifact that it can be measured on."""


def _per_artifact(value: object) -> object:
    """One number is a limit for every artifact."""
    return {EVERY: value} if isinstance(value, (int, float)) and not isinstance(value, bool) else value


Limits = Annotated[dict[str, float], BeforeValidator(_per_artifact)]
"""Artifact or scheme → limit, as in ``{int8 = 0.3}``; a lone number holds for all."""

Tolerances = Annotated[dict[str, Annotated[float, Field(ge=0)]], BeforeValidator(_per_artifact)]
"""Output name → tolerance; a lone number holds for all outputs."""


class Table(BaseModel):
    """Base of all tables: unknown keys are errors, and nothing is silently converted ("yes" is no bool)."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False, use_attribute_docstrings=True
    )
