"""What a comparison of converters found: the records of ``compare.json``."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from .host import Host
from .record import Record, Status

Pick = Literal["latency", "size", "parity"]


class RouteRow(Record):
    """What came of one route."""

    route: str
    made_by: str = ""
    status: Status = Field(description="pass; fail: it computes something else; error: it made no file, or one that "
                           "doesn't run; skipped: it isn't installed, or starts from something else")  # fmt: skip
    cause: str = Field(default="", description="why it didn't pass, in a line")
    notes: list[str] = Field(
        default_factory=list,
        description="how its file's inputs and outputs stand for the model's, where they have an axis more or less",
    )
    path: str = Field(default="", description="of its file, in the folder of the run; empty: it made none")
    sha256: str = ""
    parity: str = "–"
    noise_ratio: float | None = Field(default=None, description="error against the truth, in noise floors")
    sqnr_db: float | None = None
    int8_sqnr_db: float | None = Field(default=None, description="of its float file once edgeworthy has quantized it")
    int8_cause: str = Field(default="", description="why there is no int8 file, in a line")
    p50_ms: float | None = None
    p50_low_ms: float | None = Field(default=None, description="lower end of the median's 95 % bootstrap interval")
    p50_high_ms: float | None = None
    size_bytes: int | None = None
    operators: int | None = None
    transposes: int | None = None
    nodes: int | None = Field(default=None, description="that the runtime ran")
    delegated: int | None = Field(default=None, description="of them, those that XNNPACK took")
    partitions: int | None = None
    seconds: float | None = Field(default=None, description="wall time of the converter's process, imports included")
    cpu_seconds: float | None = Field(default=None, description="its processor time")
    beside: int = Field(default=0, description="other converters at work meanwhile, at most: they share in seconds")
    peak_bytes: int | None = Field(default=None, description="its peak resident memory")

    @property
    def converted(self) -> bool:
        return bool(self.path)


class RouteComparison(Record):
    """All of ``compare.json``."""

    schema_version: Literal[1] = 1
    edgeworthy: str
    created: datetime
    command: str = ""
    host: Host
    source: str
    inputs: str = Field(default="", description="what a latency is of")
    rows: list[RouteRow]
    pick: Pick | None = None
    picked: str = Field(default="", description="the route whose file is picked.tflite")
    digest: str = Field(default="", description="of source and options, where one of many is to be known again")
    notes: list[str] = Field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """1: no route made a file that computes what the model does, or there was nothing to pick."""
        return 0 if any(row.status == "pass" for row in self.rows) and (self.picked or not self.pick) else 1
