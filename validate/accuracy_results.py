"""The records of accuracy in a report."""

from __future__ import annotations

from pydantic import Field

from ..schemes import FLOAT32
from .record import Record, Status


class WorstSample(Record):
    """A sample on which a runner does worse than the reference."""

    sample: int = Field(description="its place in the labelled data, from 0")
    loss: float = Field(description="of what the reference scores on it; 1: it was right, and is wrong")
    label: str = Field(default="", description="the right class; empty where that is no one word")
    before: str = Field(default="", description="what the reference says")
    after: str = Field(default="", description="what this runner says")
    picture: str = Field(default="", description="PNG as a data URI; empty where the input is no image")


class AccuracyRow(Record):
    """One runner on the labelled data. Shares are between 0 and 1."""

    name: str
    runtime: str
    artifact: str | None = None
    scheme: str = FLOAT32.name
    status: Status
    failure: str | None = None
    correct: int | None = Field(default=None, description="samples; None where there is more than right and wrong")
    total: int | None = None
    accuracy: float | None = Field(default=None, description="by the metric of the task")
    low: float | None = Field(default=None, description="lower end of its 95 % interval (Wilson, else bootstrap)")
    high: float | None = None
    more: dict[str, float] = Field(default_factory=dict, description="other numbers of the task, such as mAP@.5")
    drop: float | None = Field(
        default=None, description="the reference's accuracy minus this one's, on the same samples"
    )
    drop_low: float | None = Field(
        default=None, description="95 % interval of the drop (paired: Agresti-Min adjusted Wald, else bootstrap)"
    )
    drop_high: float | None = None
    changed: int | None = Field(default=None, description="samples whose answer differs from the reference's")
    lost: int | None = Field(default=None, description="samples that the reference does better: right → wrong")
    won: int | None = Field(default=None, description="samples that the reference does worse: wrong → right")
    worst: list[WorstSample] = Field(default_factory=list, description="those that lost most; at most 8 of all rows")


class AccuracyResult(Record):
    """Labelled data through every runner."""

    status: Status
    metric: str = Field(default="top-1", description="top-1, mIoU, mAP@[.5:.95], or the name of the user's function")
    data: str = Field(description="where the labelled data came from")
    output: str = Field(description="the output that holds the class scores")
    samples: int
    reference: str = Field(description="name of the row that drops are taken against")
    rows: list[AccuracyRow]
    notes: list[str] = Field(default_factory=list)
