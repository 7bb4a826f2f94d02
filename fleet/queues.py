"""The work list on this machine: a thread for every queue, so that no device and no processor has two jobs at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from queue import SimpleQueue
from threading import Event, Thread
from typing import TypeVar

from .jobs import Job, Reply, Result, carry_out

_AnyJob = TypeVar("_AnyJob", bound=Job)  # type: ignore[type-arg]


def by_queue(jobs: Sequence[_AnyJob]) -> dict[str, list[_AnyJob]]:
    """Queue → its jobs, in the order of the list."""
    queues: dict[str, list[_AnyJob]] = {}
    for job in jobs:
        queues.setdefault(job.queue, []).append(job)
    return queues


def carry_out_here(jobs: Sequence[Job[Reply, Result]], *, retries: int, timeout_s: float) -> Iterator[Result]:
    """Yield results in the order of completion. A fault of ours in a thread is raised here."""
    done: SimpleQueue[Result | BaseException] = SimpleQueue()
    stop = Event()

    def work(queue: Sequence[Job[Reply, Result]]) -> None:
        try:
            for job in queue:
                if stop.is_set():
                    return
                done.put(carry_out(job, retries=retries, timeout_s=timeout_s))
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
        stop.set()  # the children of a thread that goes on die with this process
