"""Converters at work side by side: as many as there are processors, and as memory has room for.

What comes of one doesn't depend on the others: each has a process, a folder and limits of its own, and one that took
too long or too much in company is tried again alone.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from queue import SimpleQueue
from threading import Lock, Thread, get_ident
from typing import TYPE_CHECKING

from .. import files
from ..errors import LimitExceeded, OutOfMemory
from ..formats.model_files import model_files
from ..validate.host import usable_cores
from ..workers.processes import available, kill_group

if TYPE_CHECKING:
    from ..config import ArtifactsTable
    from ..convert.routes import ConverterInfo
    from ..convert.routes.worker import ConvertedFile
    from ..workers.child import Child
    from .progress import Progress

_OF_FREE = 0.9
"""Of the memory that is free, what converters may take where nobody says."""

_EXPECTED_GB = {"direct": 0.3, "tf": 1.0, "onnx2tf": 0.4, "onnx2tf-1": 1.5, "litert-torch": 1.2, "onnx-tf": 1.2}
"""Converter → what it takes for a small model at most, by docs/routes.md and with some room."""
_EXPECTED_GB_OF_OTHERS = 1.5
_OF_WEIGHTS = 8
"""What is expected on top of it, in the model's own bytes."""
_OF_BEFORE = 1.25
"""What is expected of one whose peak is known, in that peak."""


@dataclass(frozen=True)
class Order:
    """What a converter is to do.

    Attributes:
        info: The converter.
        model: A file of the kind that it takes.
        before: Bytes that it took for such a model the last time, if that is known.
    """

    info: ConverterInfo
    model: Path
    before: int | None = None

    @property
    def expected(self) -> int:
        """Bytes of memory that it should get along with."""
        if self.before:
            return int(_OF_BEFORE * self.before)
        weights = sum(files.size(path) for path in model_files(self.model))
        return int(1e9 * _EXPECTED_GB.get(self.info.name, _EXPECTED_GB_OF_OTHERS)) + _OF_WEIGHTS * weights


@dataclass(frozen=True)
class Conclusion:
    """What came of an order.

    Attributes:
        made: The file, or what was raised.
        seconds: Wall time.
        beside: How many others were at work meanwhile, at most.
        limit: Bytes that it was allowed; None where nobody knows how much there is.
    """

    made: ConvertedFile | Exception
    seconds: float = 0.0
    beside: int = 0
    limit: int | None = None

    def result(self) -> ConvertedFile:
        """The file; raises what was raised."""
        if isinstance(self.made, Exception):
            raise self.made
        return self.made


def convert_all(
    orders: Sequence[Order], folder: Path, table: ArtifactsTable, *, timeout_s: float, progress: Progress
) -> dict[str, Conclusion]:
    """Carry out orders, and tell ``progress`` of each from a thread of its own; nothing of a converter is raised.

    Args:
        orders: One for each converter.
        folder: Each gets a folder in it, by its name.
        table: How many work at once, and the memory that they may take together.
        timeout_s: Seconds that one may take.

    Returns:
        Converter → what came of it. None of them is at work any more, however this is left.
    """
    budget = int(table.memory_gb * 1e9) if table.memory_gb else int(_OF_FREE * available()) or None
    team = _Team(folder, timeout_s, progress)
    found = team.carry_out(orders, jobs=table.jobs or usable_cores(), budget=budget)
    for order in orders:  # where company may have been the reason
        outcome = found[order.info.name]
        short = isinstance(outcome.made, (LimitExceeded, OutOfMemory))
        if short and (outcome.beside or outcome.limit != budget):
            found |= team.carry_out([order], jobs=1, budget=budget)
    return found


class _Team:
    """Converters at work, a thread for each."""

    def __init__(self, folder: Path, timeout_s: float, progress: Progress) -> None:
        self._folder, self._timeout_s, self._progress = folder, timeout_s, progress
        self._lock = Lock()
        self._children: dict[int, Child] = {}
        self._over = False

    def carry_out(self, orders: Sequence[Order], *, jobs: int, budget: int | None) -> dict[str, Conclusion]:
        """Start an order as soon as there is a processor and memory for it; one alone gets all the memory."""
        waiting, limits, beside = list(orders), dict[str, int | None](), dict[str, int]()
        found: dict[str, Conclusion] = {}
        threads: list[Thread] = []
        done: SimpleQueue[tuple[str, Conclusion]] = SimpleQueue()

        def work(order: Order, limit: int | None) -> None:
            done.put((order.info.name, self._outcome(order, limit)))

        try:
            while waiting or limits:
                free = None if budget is None else budget - sum(limit or 0 for limit in limits.values())
                fits = (o for o in waiting if not limits or free is None or o.expected <= free)
                order = next(fits, None) if len(limits) < jobs else None
                if order is None:
                    name, outcome = done.get()
                    del limits[name]
                    found[name] = replace(outcome, beside=beside.pop(name))
                    continue
                waiting.remove(order)
                last = not waiting or jobs == 1 or free is None or order.expected > free
                limits[order.info.name] = free if last else order.expected
                beside |= {name: max(beside.get(name, 0), len(limits) - 1) for name in limits}
                threads.append(Thread(target=work, args=(order, limits[order.info.name]), daemon=True))
                threads[-1].start()
        finally:
            self._end()
            for thread in threads:
                thread.join()
        self._over = False
        return found

    def _outcome(self, order: Order, limit: int | None) -> Conclusion:
        """An order carried out in this thread."""
        from ..convert.routes import worker

        info, work = order.info, self._folder / order.info.name
        begin = time.perf_counter()
        made: ConvertedFile | Exception
        try:
            files.remove(work)  # of a first try
            work.mkdir()
            with self._progress.stage(f"route.{info.name}"), self._counted():
                made = worker.run(
                    info, order.model, work, timeout_s=self._timeout_s, most_bytes=limit, begun=self._begun
                )
        except Exception as error:  # noqa: BLE001 - it is raised where its file is recorded
            made = error
        for part in ("model", "tmp", *(("out",) if isinstance(made, Exception) else ())):
            files.remove(work / part)
        return Conclusion(made, time.perf_counter() - begin, limit=limit)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        """Forget the process of this thread afterwards."""
        try:
            yield
        finally:
            with self._lock:
                self._children.pop(get_ident(), None)

    def _begun(self, child: Child) -> None:
        with self._lock:
            self._children[get_ident()] = child
            if self._over:
                kill_group(child.pid)

    def _end(self) -> None:
        """Kill what is still at work, and what is about to begin; their threads end by that."""
        with self._lock:
            self._over = True
            for child in self._children.values():
                kill_group(child.pid)
