"""What all records of a report share; the conventions are in ``results``."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

Status = Literal["pass", "fail", "inconclusive", "error", "skipped", "reference"]
GateStatus = Literal["pass", "fail", "inconclusive"]
"""Of a line of the gate, and of the gate."""


class Record(BaseModel):
    """Base of all: immutable, no unknown keys, no NaN or infinity (JSON has none)."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
