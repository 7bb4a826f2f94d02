"""What ``post_training`` and its ``worker`` process say to each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..artifact import Array, FloatOp
    from .contenders import Contender
    from .recipe import Recipe


@dataclass(frozen=True)
class Request:
    """What to make of which model; see ``post_training.quantize``. ``example``: input name → array, as the model's."""

    model: Path
    output: Path
    recipe: Recipe
    threads: int
    example: Mapping[str, Array] = field(default_factory=dict)
    modules: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """What became of it.

    Attributes:
        engine: What quantized it, with its version.
        recipe: As it was decided, on every operator that doesn't follow the scheme, and by which range method.
        float_ops: See ``post_training.Quantization``.
        notes: The same.
        ranges: Every way of rounding that was tried; empty where none was to be chosen.
    """

    engine: str
    recipe: Recipe
    float_ops: tuple[FloatOp, ...]
    notes: tuple[str, ...] = ()
    ranges: tuple[Contender, ...] = ()
