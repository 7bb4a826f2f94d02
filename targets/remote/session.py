"""A target whose models run at the other end of a runner."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...artifact import Artifact, Feeds, Receipt
from ...errors import CheckFailed, NotAvailable
from ...vocabulary import MeasuredWhere
from .. import session
from ..quantized import QuantizedSignature
from ..session import LoadedModel, check_kind
from .runner import RemoteRunner
from .there.runner import pack, unpack

if TYPE_CHECKING:
    from ...artifact import Array


class RemoteTarget(ABC):
    """A target that runs files of one kind with one backend, in another place.

    Attributes:
        name: What messages call it.
        kind: ``Artifact.kind`` of the files.
        backend: A file of ``there``.
        options: Arguments of the backend's ``load``.
        log_line: What the runtime prints when it loads the first file with its delegate; empty for none. A receipt
            that says otherwise is not believed.
        measured: Where a latency is taken, unless the place says that it is an emulator.
    """

    name: str
    kind = "tflite"
    backend = "litert"
    options: Mapping[str, Any] = {}
    log_line = "Created TensorFlow Lite XNNPACK delegate for CPU"
    measured: MeasuredWhere = "device"
    logged = False
    """Whether the runner that is alive has printed it."""
    _started: RemoteRunner | None = None

    @abstractmethod
    def start(self) -> RemoteRunner:
        """A runner there. Raises as ``RemoteRunner``."""

    def packages(self, runner: RemoteRunner) -> Path | None:
        """A folder of ours with packages that this place lacks, or None."""
        return None

    def unpacked(self, runner: RemoteRunner, packages: Path) -> str:
        """The path there of such a folder, put there when need be."""
        return str(packages.absolute())

    def file(self, runner: RemoteRunner, artifact: Artifact) -> str:
        """The path there of a file, put there when need be."""
        return str(artifact.path.absolute())

    @property
    def runner(self) -> RemoteRunner:
        """The runner, started anew when there is none or it is gone."""
        if self._started is None or not self._started.alive:
            self.logged, self._started = False, self.start()
        return self._started

    def version(self) -> str:
        """The runtime's version there; NotAvailable when there is none."""
        try:
            return self._version()
        except BaseException:
            if self._started is not None:
                self._started.close()
            raise

    def _version(self) -> str:
        runner = self.runner
        told, _ = runner.ask("version", paths=[])
        if told["version"] is None and (packages := self.packages(runner)):
            runner.close()  # it may have imported packages of the place that these don't go with
            runner = self.runner
            told, _ = runner.ask("version", paths=[self.unpacked(runner, packages)])
        if told["version"] is None:
            raise NotAvailable(f"{self.name}: {told['why']}", where=runner.where, remedy=self.remedy(runner))
        return str(told["version"])

    def remedy(self, runner: RemoteRunner) -> str:
        """What brings the runtime there."""
        return "install the runtime there"

    def load(self, artifact: Artifact, *, threads: int = 1) -> LoadedModel:
        """Load a file there.

        Raises:
            RuntimeFailure: the runtime there raised or crashed, or the connection was cut.
            CheckFailed: what it says of its delegate contradicts itself.
        """
        check_kind(artifact, self.kind, self.name)
        if self._started is None or not self._started.alive:
            self.version()
        return _Session(self, self.runner, artifact, threads)


class _Session(LoadedModel):
    def __init__(self, target: RemoteTarget, runner: RemoteRunner, artifact: Artifact, threads: int) -> None:
        self._target, self._runner = target, runner
        path = target.file(runner, artifact)
        self._before = runner.ask("state")[0]
        told, _ = runner.ask("load", path=path, threads=threads, options=dict(target.options))
        self.elapsed_ns = told["ns"]
        self._signature = QuantizedSignature(artifact, told["inputs"], told["outputs"])
        target.logged |= any(target.log_line in line for line in told["log"])
        self._memory = 0, 0
        self._receipt = self._completed(session.receipt(told["receipt"]))

    @property
    def receipt(self) -> Receipt:
        """As of now; the last that was known once the runner is gone."""
        if self._runner.alive:
            self._receipt = self._completed(session.receipt(self._runner.ask("receipt")[0]["receipt"]))
        return self._receipt

    def run(self, feeds: Feeds) -> dict[str, Array]:
        encoded, dequantized = self._signature.encode(feeds)
        header, blobs = pack(encoded)
        told, made = self._runner.ask("run", blobs, **header)
        self.elapsed_ns = told["ns"]
        return self._signature.decode(unpack(told, made), dequantized)

    def prepare(self, feeds: Feeds) -> Callable[[], object]:
        encoded, _ = self._signature.encode(feeds)
        header, blobs = pack(encoded)
        return lambda: self._runner.ask("run", blobs, **header)

    def time(self, feeds: Feeds, repeats: int) -> list[int]:
        encoded, _ = self._signature.encode(feeds)
        header, blobs = pack(encoded)
        times: list[int] = self._runner.ask("time", blobs, repeats=repeats, **header)[0]["ns"]
        return times

    def memory(self) -> tuple[int, int]:
        if self._runner.alive:
            told, _ = self._runner.ask("memory")
            self._memory = told["peak"], told["before"]
        return self._memory

    def _completed(self, receipt: Receipt) -> Receipt:
        """The receipt with what is known of the place, if the runtime's log says the same."""
        line = self._target.log_line
        if line and receipt.delegated and not self._target.logged:
            raise CheckFailed(
                f"{self._target.name} lists {receipt.delegated} delegated nodes, and never printed {line!r}",
                where=self._runner.where,
                remedy="report it, with the version of the runtime there",
            )
        emulated = bool(self._runner.place["emulator"])
        return replace(
            receipt,
            notes=(*receipt.notes, *self._notes(receipt)),
            measured="emulated" if emulated else self._target.measured,
        )

    def _notes(self, receipt: Receipt) -> list[str]:
        place, now = self._runner.place, self._runner.ask("state")[0]
        notes = [f"{place['cpu']}, {place['cores']} cores, {place['machine']}, Python {place['python']}"]
        if place["emulator"]:
            notes.append(f"emulated by {place['emulator']}")
        notes += state(self._before, now)
        if receipt.asked != "none" and not receipt.delegated and not self._target.logged:
            notes.append(f"{receipt.asked} didn't come on: it may not know this processor")
        return notes


def state(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What the processor was like at loading and is like now, as far as the place tells."""
    notes = [f"governor {now['governor']}"] if now["governor"] else []
    if None not in (before["celsius"], now["celsius"]):
        notes.append(f"{before['celsius']:.0f} °C at first, {now['celsius']:.0f} °C at last")
    if None not in (before["mhz"], now["mhz"]):
        most = f" of at most {now['most_mhz']}" if now["most_mhz"] else ""
        notes.append(f"{before['mhz']} MHz at first, {now['mhz']} MHz at last{most}")
    return notes
