"""A row of the tables: one file of one model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from .make import FLOAT, SAVED_MODEL, Made

OURS = "edgeworthy"
ENGINES = {"ai-edge-quantizer": FLOAT, "TensorFlow": SAVED_MODEL}
"""An engine by itself → what it starts from."""


@dataclass(frozen=True)
class Row:
    """One file, or why there is none.

    Attributes:
        model: Name of the model.
        scheme: Short name of the scheme.
        by: What made it: ``edgeworthy``, or an engine by itself.
        file: Below the model's folder.
        failure: The cause, in one line.
        float_ops: How many operators stayed float; None where nobody counted.
        convolutional: Whether most of the float file's constants are a convolution's.
        float_mb: Size of the float file, in 10⁶ bytes.
        latency: Median time of the file ÷ that of the float file; None until it is timed.
        microseconds: Median time of the file.
        origin: What made the files of this model, where that isn't what would make them now.

    The others are those of ``judge.Judgement``.
    """

    model: str
    scheme: str
    by: str = OURS
    file: str = ""
    failure: str = ""
    float_ops: int | None = None
    convolutional: bool = False
    float_mb: float | None = None
    sqnr_db: float | None = None
    worst_db: float | None = None
    agreement: float | None = None
    latency: float | None = None
    microseconds: float | None = None
    size: float | None = None
    origin: str = ""

    @classmethod
    def of(cls, model: str, made: Made) -> Row:
        return cls(model, made.scheme, OURS, made.file, made.failure, made.float_ops)

    @property
    def key(self) -> str:
        return f"{self.by}_{self.scheme}".replace(" ", "_")

    def judged(self, judgement: Mapping[str, Any]) -> Row:
        return replace(self, **judgement)

    def failed(self, cause: str) -> Row:
        return replace(self, failure=cause)
