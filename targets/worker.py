"""Each runtime in a process of its own, so that a crash or a hang is a result and idle pools disturb nobody.

Both ends are here, above ``workers``: ``Worker``, and what its process serves. It sleeps between requests; its
thread pools wait passively.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, Self

from ..artifact import Artifact, Feeds, Receipt
from ..errors import BadInput, CheckFailed, InternalFault, NotAvailable
from ..workers.child import START_TIMEOUT_S, Child
from ..workers.processes import memory
from ..workers.serve import Commands, Tell
from . import find, get
from .rules import remedies

if TYPE_CHECKING:
    from ..artifact import Array
    from . import Target
    from .session import LoadedModel


class Worker:
    """A runtime in a process of its own, with a model loaded.

    Use it as a context manager, or call ``load`` and ``close``. After a crash or a hang the process is gone
    and ``alive`` is False; ``load`` starts a new one. After a raise it lives on.

    Args:
        runtime: A target, as ``targets.find`` takes it.
        artifact: The model to load on entry; None to call ``load`` later, also for one model after another.
        threads: Threads for one inference.
        timeout_s: Seconds that loading, a run or a timed turn may take.
        options: The runtime's options, such as ``float64=True``.

    Attributes:
        load_ms: Milliseconds from file to ready, without the import of the runtime.
        first_ms: Milliseconds of the first inference since loading; None before it.
    """

    def __init__(
        self,
        runtime: str,
        artifact: Artifact | None = None,
        *,
        threads: int = 1,
        timeout_s: float = 300.0,
        **options: Any,
    ) -> None:
        self.runtime = runtime
        self.artifact = artifact
        self.threads = threads
        self.timeout_s = timeout_s
        self.options = options
        self.version = ""
        self.load_ms = 0.0
        self.first_ms: float | None = None
        self._receipt: Receipt | None = None
        self._memory = (0, 0)
        self._child: Child | None = None

    def __enter__(self) -> Self:
        if self.artifact is not None:
            try:
                self.load(self.artifact)
            except BaseException:
                self.close()
                raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def alive(self) -> bool:
        return self._child is not None and self._child.alive

    def load(self, artifact: Artifact) -> None:
        """Load a model in place of the one before.

        Raises:
            RuntimeFailure: the runtime raised, crashed or hung.
            OutOfMemory: it was killed, or says so itself.
            BadInput, NotAvailable: as the runtime says.
        """
        self.artifact = artifact
        if not self.alive:
            self._start()
        if self._child is not None:
            self._child.where = str(artifact.path)
        self.first_ms = None
        nanoseconds, self._receipt = self._ask("load", artifact, self.threads)
        self.load_ms = nanoseconds / 1e6

    def run(self, feeds: Feeds) -> dict[str, Array]:
        """Run once; returns output name → array in the model's order. Raises as ``load``."""
        outputs, nanoseconds = self._ask("run", dict(feeds))
        self._note_first(nanoseconds)
        result: dict[str, Array] = outputs
        return result

    def time(self, feeds: Feeds, repeats: int) -> list[int]:
        """Nanoseconds of each of ``repeats`` inferences on the same feeds, or none where nothing is known of them.

        Raises as ``load``.
        """
        times: list[int] = self._ask("time", dict(feeds), repeats)
        if times:
            self._note_first(times[0])
        return times

    @property
    def receipt(self) -> Receipt:
        """What was asked and what ran, as of now; the last that was known once the worker is gone."""
        if self.alive:
            self._receipt = self._ask("receipt")
        if self._receipt is None:
            raise InternalFault("the receipt was asked for before a model was loaded")
        return self._receipt

    @property
    def peak_rss_bytes(self) -> int:
        """Peak resident memory of the worker's process so far."""
        return self._memory_now()[0]

    @property
    def model_rss_bytes(self) -> int:
        """Growth from before the (last) load to the peak: what the model costs on top of its runtime."""
        peak, before = self._memory_now()
        return max(0, peak - before)

    @property
    def pid(self) -> int | None:
        """The process, while there is one."""
        return self._child.pid if self._child is not None else None

    def close(self) -> None:
        """End the process, and whatever it started."""
        if self._child is not None:
            self._child.close()

    def _memory_now(self) -> tuple[int, int]:
        if self.alive:
            self._memory = self._ask("memory")
        return self._memory

    def _note_first(self, nanoseconds: int) -> None:
        if self.first_ms is None:
            self.first_ms = nanoseconds / 1e6

    def _start(self) -> None:
        get(self.runtime, **self.options)  # an unknown name or a missing package is said here, at once
        self.close()
        self._child = Child(
            __name__,
            self.runtime,
            self.options,
            name=self.runtime,
            where=str(self.artifact.path) if self.artifact is not None else None,
            environment=_environment(self.runtime, self.threads),
            remedy="run it on another target: what fails there too is the fault of the file; --timeout gives it longer",
            path=sys.path,  # the user's own modules must be found there as they are here
            timeout_s=self.timeout_s,
            passes=(BadInput, NotAvailable, CheckFailed),
        )
        try:
            self._child.wait()
            self.version = self._ask("version", timeout_s=START_TIMEOUT_S)
        except BaseException:
            self.close()
            raise

    def _ask(self, command: str, *arguments: object, timeout_s: float | None = None) -> Any:
        """One request and its reply."""
        if self._child is None:
            raise InternalFault(f"{self.runtime} was asked to {command} before a model was loaded")
        return self._child.ask(command, *arguments, timeout_s=timeout_s)


def _environment(runtime: str, threads: int) -> dict[str, str]:
    """Passive waiting, and what the target's device asks for."""
    variables = {
        "OMP_NUM_THREADS": str(threads),
        "OMP_WAIT_POLICY": "PASSIVE",
        "KMP_BLOCKTIME": "0",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "TF_NUM_INTRAOP_THREADS": str(threads),
    }
    return variables | find(runtime).environment


# ---- The worker's side ----


def start(tell: Tell, runtime: str, options: dict[str, Any]) -> Commands:
    """What the process serves: a runtime and the model that it holds."""
    served = _Served(get(runtime, **options), find(runtime).require_full_delegation)
    return {
        "version": served.runtime.version,
        "load": served.load,
        "run": served.run,
        "time": served.time,
        "receipt": served.receipt,
        "memory": served.memory,
    }


class _Served:
    def __init__(self, runtime: Target, requires_all: bool) -> None:
        self.runtime = runtime
        self.requires_all = requires_all
        self.model: LoadedModel | None = None
        self.rss_before = 0

    def load(self, artifact: Artifact, threads: int) -> tuple[int, Receipt]:
        self.model = None
        self.rss_before = memory("VmRSS")
        begin = time.perf_counter_ns()
        self.model = self.runtime.load(artifact, threads=threads)
        return self._taken(begin), self.model.receipt

    def run(self, feeds: Feeds) -> tuple[dict[str, Array], int]:
        begin = time.perf_counter_ns()
        outputs = self._loaded().run(feeds)
        nanoseconds = self._taken(begin)
        self._check_delegation()
        return outputs, nanoseconds

    def time(self, feeds: Feeds, repeats: int) -> list[int]:
        times = self._loaded().time(feeds, repeats)
        self._check_delegation()
        return times

    def receipt(self) -> Receipt:
        return self._loaded().receipt

    def _check_delegation(self) -> None:
        """A receipt is complete after the first run."""
        if self.requires_all:
            self.requires_all = False
            receipt = self.receipt()
            if receipt.delegated is None or receipt.delegated != receipt.nodes:
                found = (
                    "doesn't tell what it took"
                    if receipt.delegated is None
                    else (f"took {receipt.delegated} of {receipt.nodes} nodes")
                )
                left = dict.fromkeys(node.split()[0] for node in receipt.fallback)
                why = [note for note in receipt.notes if note.partition(":")[0] in left]
                known = remedies()
                advice = "; ".join(f"{op}: {known[op]}" for op in left if op in known)
                raise CheckFailed(
                    f"require_full_delegation: {receipt.asked} was asked for, and {found}",
                    details=[*receipt.fallback, *why],
                    remedy=f"rewrite these nodes{advice and f' ({advice})'}, or leave require_full_delegation out",
                )

    def memory(self) -> tuple[int, int]:
        return (self.model and self.model.memory()) or (memory("VmHWM"), self.rss_before)

    def _taken(self, begin: int) -> int:
        """Nanoseconds of the load or run that began here at ``begin``, by the clock of where it was done."""
        return time.perf_counter_ns() - begin if (there := self._loaded().elapsed_ns) is None else there

    def _loaded(self) -> LoadedModel:
        if self.model is None:
            raise InternalFault("no model is loaded")
        return self.model
