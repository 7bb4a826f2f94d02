"""One model file on one device, in a process of its own: the unit of a fleet's work."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field

from ..errors import BadInput, EdgeworthyError, NotAvailable
from ..validate.record import Record
from ..validate.results import LatencyRow, Report
from ..vocabulary import MeasuredWhere
from ..workers.child import Child
from ..workers.scratch import Scratch
from ..workers.serve import Commands, Tell
from .plan import Device

_PAUSE_S = 1.0
"""Before a job is tried again: a device that was unplugged needs a moment."""


@dataclass(frozen=True)
class Job:
    """What is to be done.

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


class Attempt(Record):
    """One try of a job."""

    status: Literal["pass", "fail", "skipped"] = Field(description="skipped: the device or a package isn't there")
    cause: str = Field(default="", description="why it failed")
    seconds: float


class JobResult(Record):
    """What came of a job."""

    model: str
    file: str
    sha256: str
    device: Device
    measured: MeasuredWhere
    status: Literal["pass", "fail", "skipped"]
    attempts: list[Attempt] = Field(description="the last one decides")
    rows: list[LatencyRow] = Field(default_factory=list, description="one for each number of threads")

    @property
    def key(self) -> tuple[str, ...]:
        return (self.model, self.file, self.sha256, self.device.model_dump_json())

    @property
    def cause(self) -> str:
        return "" if self.status == "pass" else self.attempts[-1].cause


def carry_out(job: Job, *, retries: int, timeout_s: float, ask: Callable[[], Report] | None = None) -> JobResult:
    """Try a job until it passes, or as often as allowed. Nothing of a model or a device is raised.

    What won't be otherwise the next time is not tried again: bad input, and what this machine lacks.
    """
    attempts: list[Attempt] = []
    rows: list[LatencyRow] = []
    while len(attempts) <= retries:
        if attempts:
            time.sleep(_PAUSE_S)
        begin = time.monotonic()
        status: Literal["pass", "fail", "skipped"] = "pass"
        cause, lasting = "", False
        try:
            report = ask() if ask else _asked(job, timeout_s)
            rows = report.latency.rows if report.latency else []
            failed = [row for row in rows if row.status != "pass"]
            if failed or not rows:
                status = "skipped" if failed and all(r.status == "skipped" for r in failed) else "fail"
                cause = "; ".join(dict.fromkeys(r.failure or r.status for r in failed)) or "nothing was timed"
        except EdgeworthyError as error:
            status = "skipped" if isinstance(error, NotAvailable) else "fail"
            lacking = isinstance(error, NotAvailable) and job.device.measured != "device"
            cause, lasting = str(error), isinstance(error, BadInput) or lacking
        attempts.append(Attempt(status=status, cause=cause, seconds=time.monotonic() - begin))
        if status == "pass" or lasting:
            break
    last = attempts[-1]
    return JobResult(
        model=job.model,
        file=job.file.name,
        sha256=job.sha256,
        device=job.device,
        measured=next((row.measured for row in rows if row.status == "pass"), job.device.measured),
        status=last.status,
        attempts=attempts,
        rows=rows,
    )


def _asked(job: Job, timeout_s: float) -> Report:
    """The report of ``bench`` in a child, which is killed when it takes too long."""
    name = f"{job.device.name} with {job.model}"
    remedy = f"look at the device, or raise timeout_s above {timeout_s:g}"
    with Child(__name__, name=name, where=str(job.file), remedy=remedy, timeout_s=timeout_s) as child:
        return Report.model_validate_json(child.ask("bench", job))


# ---- The child's side ----


def start(tell: Tell) -> Commands:
    return {"bench": _bench}


def _bench(job: Job) -> str:
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
