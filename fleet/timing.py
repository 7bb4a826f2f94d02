"""One model file on one device: the job of ``bench`` with many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from pydantic import Field

from ..validate.results import LatencyRow, Report
from ..vocabulary import MeasuredWhere
from ..workers.child import Child
from ..workers.scratch import Scratch
from ..workers.serve import Commands, Tell
from .jobs import Attempt, Begun, Job, JobResult, JobStatus
from .plan import Device


class TimingResult(JobResult):
    """What came of timing a file on a device."""

    file: str
    sha256: str
    device: Device
    measured: MeasuredWhere
    rows: list[LatencyRow] = Field(default_factory=list, description="one for each number of threads")

    @property
    def key(self) -> tuple[str, ...]:
        return (self.model, self.file, self.sha256, self.device.model_dump_json())


@dataclass(frozen=True)
class TimingJob(Job[Report, TimingResult]):
    """What is to be timed.

    Attributes:
        model: Name of the model.
        file: The file or SavedModel folder to time.
        sha256: Its hash, by which an earlier result is known to be of the same file.
        device: Where.
    """

    model: str
    file: Path
    sha256: str
    device: Device

    @property
    def key(self) -> tuple[str, ...]:
        """Jobs of one key give the same result."""
        return (self.model, self.file.name, self.sha256, self.device.model_dump_json())

    @property
    def queue(self) -> str:
        return self.device.queue

    @property
    def resource(self) -> str | None:  # type: ignore[override]
        return self.device.resource

    @property
    def elsewhere(self) -> bool:  # type: ignore[override]
        return self.device.measured == "device"

    @property
    def ships(self) -> Path:
        return self.file

    def placed(self, folder: Path) -> Self:
        return replace(self, file=folder / self.file.name)

    def ask(self, timeout_s: float, begun: Begun = lambda child: None) -> Report:
        """The report of ``bench``."""
        name = f"{self.device.name} with {self.model}"
        remedy = f"look at the device, or raise timeout_s above {timeout_s:g}"
        child = Child(__name__, name=name, where=str(self.file), remedy=remedy, timeout_s=timeout_s)
        begun(child)
        with child:
            return Report.model_validate_json(child.ask("bench", self))

    def judged(self, reply: Report) -> tuple[JobStatus, str]:
        rows = reply.latency.rows if reply.latency else []
        left = [row for row in rows if row.status != "pass"]
        if rows and not left:
            return "pass", ""
        cause = "; ".join(dict.fromkeys(row.failure or row.status for row in left)) or "nothing was timed"
        return "skipped" if left and all(row.status == "skipped" for row in left) else "fail", cause

    def result(self, attempts: Sequence[Attempt], reply: Report | None) -> TimingResult:
        rows = reply.latency.rows if reply and reply.latency else []
        return TimingResult(
            model=self.model,
            status=attempts[-1].status,
            attempts=list(attempts),
            file=self.file.name,
            sha256=self.sha256,
            device=self.device,
            measured=next((row.measured for row in rows if row.status == "pass"), self.device.measured),
            rows=rows,
        )


# ---- The child's side ----


def start(tell: Tell) -> Commands:
    return {"bench": _bench}


def _bench(job: TimingJob) -> str:
    from ..pipeline.verbs import bench

    device = job.device
    with Scratch() as folder:
        report = bench(
            job.file,
            Path(folder) / "out",
            targets=[device.target],
            bench={"threads": device.threads, "seconds": device.seconds},
        )
    return report.model_dump_json()
