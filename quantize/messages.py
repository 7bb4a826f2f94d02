"""What ``post_training`` and its ``worker`` process say to each other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .float_ops import FloatOp

READY = "ready"
TAKEN = "taken"


@dataclass(frozen=True)
class Request:
    """What to make of which model; see ``post_training.quantize``."""

    model: Path
    output: Path
    scheme: str
    io_dtype: str
    exclude: tuple[str, ...]
    threads: int


@dataclass(frozen=True)
class Answer:
    """What became of it."""

    engine: str
    float_ops: tuple[FloatOp, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Failure:
    """An exception that is none of ours."""

    message: str
    traceback: str
