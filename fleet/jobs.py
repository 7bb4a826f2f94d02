"""A job: what is done with one model in a process of its own, how often it is tried, and what came of it."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, Literal, Self, TypeVar

from pydantic import Field

from ..errors import BadInput, EdgeworthyError, NotAvailable, OutOfMemory
from ..validate.record import Record
from ..workers.child import Child
from .plan import HERE

JobStatus = Literal["pass", "fail", "skipped"]

_PAUSE_S = 1.0
"""Before a job is tried again: a device that was unplugged needs a moment."""


class Attempt(Record):
    """One try of a job."""

    status: JobStatus = Field(description="skipped: the device or a package isn't there")
    cause: str = Field(default="", description="why it failed")
    seconds: float


class JobResult(Record):
    """What came of a job; every kind of job has fields of its own."""

    model: str
    status: JobStatus
    attempts: list[Attempt] = Field(description="the last one decides")

    @property
    def cause(self) -> str:
        return "" if self.status == "pass" or not self.attempts else self.attempts[-1].cause


Begun = Callable[[Child], None]
Reply = TypeVar("Reply")
Result = TypeVar("Result", bound=JobResult)


class Job(ABC, Generic[Reply, Result]):
    """One entry of a work list. It can be pickled.

    Attributes:
        model: Name of the model.
        queue: What only one job at a time may use.
        resource: The custom resource that a machine of a cluster has to have, or None.
        anywhere: Whether every machine of a cluster will do, each with one job at a time.
        elsewhere: Whether it needs a thing that may be back the next time, such as a device on a cable.
    """

    model: str
    resource: str | None = None
    anywhere: bool = False
    elsewhere: bool = False

    @property
    def queue(self) -> str:
        return HERE

    @abstractmethod
    def ask(self, timeout_s: float, begun: Begun = lambda child: None) -> Reply:
        """Have it done in a child, which is killed when it takes too long; ``begun`` is given the child."""

    @abstractmethod
    def judged(self, reply: Reply) -> tuple[JobStatus, str]:
        """Whether a reply is what was wanted, and if not, why."""

    @abstractmethod
    def result(self, attempts: Sequence[Attempt], reply: Reply | None) -> Result:
        """What came of it; of a job that never got so far there is no reply."""

    @property
    @abstractmethod
    def ships(self) -> Path | None:
        """The file that a machine elsewhere needs, with the parts that lie beside it."""

    @abstractmethod
    def placed(self, folder: Path) -> Self:
        """The same job where ``ships`` lies in this folder, which is for all that it writes, too."""

    @property
    def brings(self) -> Path | None:
        """The folder whose content comes back."""
        return None

    def brought(self, result: Result, packed: bytes) -> Result:
        """The result of a machine elsewhere as one of here; ``packed`` is what ``brings`` held there, a tar file.

        Raises:
            BadInput: it would overwrite what isn't edgeworthy's.
        """
        return result


def carry_out(
    job: Job[Reply, Result], *, retries: int, timeout_s: float, ask: Callable[[], Reply] | None = None
) -> Result:
    """Try a job until it passes, or as often as allowed. Nothing of a model or a device is raised.

    What won't be otherwise the next time is not tried again: bad input, and what this machine lacks.
    """
    attempts: list[Attempt] = []
    reply: Reply | None = None
    while len(attempts) <= retries:
        if attempts:
            time.sleep(_PAUSE_S)
        begin, lasting = time.monotonic(), False
        reply = None
        try:
            reply = ask() if ask else job.ask(timeout_s)
            status, cause = job.judged(reply)
        except EdgeworthyError as error:
            absent = isinstance(error, NotAvailable) and not isinstance(error, OutOfMemory)
            status, cause = "skipped" if absent else "fail", str(error)
            lasting = isinstance(error, BadInput) or (absent and not job.elsewhere)
        attempts.append(Attempt(status=status, cause=cause, seconds=time.monotonic() - begin))
        if status == "pass" or lasting:
            break
    return job.result(attempts, reply)


def failed(job: Job[Reply, Result], cause: str) -> Result:
    """The result of a job that nobody could begin, or whose end nobody knows."""
    return job.result([Attempt(status="fail", cause=cause, seconds=0.0)], None)
