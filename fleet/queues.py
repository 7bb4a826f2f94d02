"""The work list on this machine: a thread for every queue, so that no device and no processor has two jobs at once."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from functools import partial
from queue import SimpleQueue
from threading import Lock, Thread, get_ident
from typing import TypeVar

from ..workers.child import Child
from ..workers.processes import kill_group
from .jobs import Job, Reply, Result, carry_out

_AnyJob = TypeVar("_AnyJob", bound=Job)  # type: ignore[type-arg]


def by_queue(jobs: Sequence[_AnyJob]) -> dict[str, list[_AnyJob]]:
    """Queue → its jobs, in the order of the list."""
    queues: dict[str, list[_AnyJob]] = {}
    for job in jobs:
        queues.setdefault(job.queue, []).append(job)
    return queues


def carry_out_here(
    jobs: Sequence[Job[Reply, Result]], *, retries: int, timeout_s: float
) -> Generator[Result, None, None]:
    """Yield results in the order of completion. A fault of ours in a thread is raised here.

    None of the jobs is at work any more, however this is left.
    """
    done: SimpleQueue[Result | BaseException] = SimpleQueue()
    crew = _Crew()

    def work(queue: Sequence[Job[Reply, Result]]) -> None:
        try:
            for job in queue:
                ask = partial(crew.ask, job, timeout_s)
                done.put(carry_out(job, retries=retries, timeout_s=timeout_s, ask=ask))
        except BaseException as error:  # noqa: BLE001 - it is raised in the thread that asked
            done.put(error)

    threads = [Thread(target=work, args=(queue,), daemon=True) for queue in by_queue(jobs).values()]
    for thread in threads:
        thread.start()
    try:
        for _ in jobs:
            result = done.get()
            if isinstance(result, BaseException):
                raise result
            yield result
    finally:
        crew.end()
        for thread in threads:
            thread.join()


class _Over(BaseException):
    """There is nobody left to ask for."""


class _Crew:
    """The processes of jobs at work, which can be ended together."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._children: dict[int, Child] = {}
        self._over = False

    def ask(self, job: Job[Reply, Result], timeout_s: float) -> Reply:
        if self._over:
            raise _Over
        try:
            return job.ask(timeout_s, self._begun)
        finally:
            with self._lock:
                self._children.pop(get_ident(), None)

    def end(self) -> None:
        with self._lock:
            self._over = True
            for child in self._children.values():
                kill_group(child.pid)

    def _begun(self, child: Child) -> None:
        with self._lock:
            self._children[get_ident()] = child
            if self._over:
                kill_group(child.pid)
