"""The records of ``recommend``: what was tried, what it is like, and which to take."""

from __future__ import annotations

from pydantic import Field

from .made import Tradeoff
from .record import Record, Status


class VariantResult(Record):
    """One way to store the model, against the float32 file. None: not measured."""

    name: str = Field(description="as in 'int8, sums of products alone'")
    scheme: str
    status: Status = Field(
        description="pass: it keeps to all limits; fail: it doesn't; error: there is no such file, or it can't be run; "
        "skipped: not tried"
    )
    failure: str | None = Field(default=None, description="why there is no file, or why it was not tried")
    same_as: str | None = Field(default=None, description="the way before it that makes the same file")
    file: str = Field(default="", description="relative to the output folder; its recipe lies beside it")
    sha256: str = ""
    size_bytes: int | None = None
    tradeoff: Tradeoff | None = None
    latency_ms: float | None = Field(default=None, description="median of one inference")
    accuracy: float | None = Field(default=None, description="on the labelled data")
    drop: float | None = Field(default=None, description="float32's accuracy minus this one's, on the same samples")
    drop_low: float | None = Field(default=None, description="lower end of its 95 % interval")
    drop_high: float | None = None
    missed: list[str] = Field(default_factory=list, description="the limits that it doesn't keep to")
    beaten_by: str | None = Field(
        default=None, description="the best of those before it that are worse in nothing and better in something"
    )
    why: str = Field(default="", description="what speaks for and against it, in words")


class RecommendationResult(Record):
    """Which of the ways to store a model to take."""

    status: Status = Field(description="fail: none keeps to all limits")
    pick: str | None = Field(description="name of the variant to take; None: none keeps to all limits")
    said: str = Field(description="the recommendation in words")
    reasons: list[str] = Field(default_factory=list)
    variants: list[VariantResult] = Field(description="the best first; then those that miss a limit; then failures")
    asked: list[str] = Field(default_factory=list, description="the limits")
    prefer: str = Field(description="what decides among those that keep to them")
    device: str = Field(description="what static schemes were quantized for")
    timed_on: str = Field(default="", description="where latencies were taken; empty: nowhere")
    judged_on: str = Field(description="the samples that errors are of; no range was taken from them")
    samples: int
    metric: str = Field(default="", description="of accuracy; empty: there were no labelled data")
    labelled: str = Field(default="", description="the labelled data")
    left_out: list[str] = Field(default_factory=list, description="what there was no time for")
    written: list[str] = Field(default_factory=list, description="files of the pick, relative to the output folder")
    again: str = Field(default="", description="the command that makes the same file")
    notes: list[str] = Field(default_factory=list)

    def variant(self, name: str | None) -> VariantResult | None:
        """The variant of this name."""
        return next((one for one in self.variants if one.name == name), None)
