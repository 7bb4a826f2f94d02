"""Many jobs over several children: a job that kills or hangs its child has that as its result."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import wait
from typing import Any

from .child import START_TIMEOUT_S, Child, Death
from .serve import Answered, Raised


@dataclass(frozen=True)
class Pool:
    """Runs jobs in children that serve ``module``, whose command ``run`` takes a job and gives its result.

    A child takes one job after the other, so that it imports its packages once. When it dies of a signal or takes
    longer than the time limit, a new one goes on with the rest.

    Attributes:
        module: See ``serve``.
        arguments: Of the module's ``start``.
        children: How many there are at a time.
        timeout_s: Time limit of one job.
        start_s: Time limit of a child's start.
        environment: Variables to set in the children.
        path: Their ``sys.path``, see ``Child``.
    """

    module: str
    arguments: Sequence[object] = ()
    children: int = 2
    timeout_s: float = 30.0
    start_s: float = START_TIMEOUT_S
    environment: Mapping[str, str] | None = None
    path: Sequence[str] | None = None

    def run(self, jobs: Iterable[Any]) -> Iterator[tuple[Any, Any | Raised | Death]]:
        """Yield ``(job, result)`` in the order of completion; what raised or died has a `Raised` or a `Death`.

        Raises:
            EdgeworthyError: a child can't start; what it said is in the message.
        """
        queue = deque(jobs)
        team: dict[Child, Any] = {self._child(): _START for _ in range(min(self.children, len(queue)))}
        try:
            while team:
                patience = max(0.0, min(child.deadline for child in team) - time.monotonic())
                ready = wait([child.connection for child in team], patience)
                for child, job in list(team.items()):
                    late = time.monotonic() >= child.deadline
                    reply = child.take(patience=0) if child.connection in ready or late else None
                    if reply is None:
                        continue
                    if job is _START:
                        child.value(reply)
                    else:
                        yield job, reply.value if isinstance(reply, Answered) else reply
                    if queue and isinstance(reply, Death):
                        team[self._child()] = _START
                    if queue and not isinstance(reply, Death):
                        team[child] = queue.popleft()
                        child.request("run", team[child])
                    else:
                        child.close()
                        del team[child]
        finally:
            for child in team:
                child.close()

    def _child(self) -> Child:
        return Child(
            self.module,
            *self.arguments,
            name=self.module,
            environment=self.environment,
            path=self.path,
            timeout_s=self.timeout_s,
            start_s=self.start_s,
        )


_START = object()
"""The job of a child that isn't ready yet."""
