"""What ``post_training`` and its ``worker`` process say to each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..artifact import Array, FloatOp


@dataclass(frozen=True)
class Request:
    """What to make of which model; see ``post_training.quantize``. ``example``: input name → array, as the model's."""

    model: Path
    output: Path
    scheme: str
    io_dtype: str
    exclude: tuple[str, ...]
    threads: int
    example: Mapping[str, Array] = field(default_factory=dict)
    modules: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """What became of it."""

    engine: str
    float_ops: tuple[FloatOp, ...]
    notes: tuple[str, ...] = ()
