"""The output folder as a workspace: one run at a time, and stages that run only when something changed.

Next to the artifacts, ``OUT/.edgeworthy/`` keeps one JSON record for every stage: the key (a hash of the
stage's inputs and options, of the installed packages and of edgeworthy's own code), the files it made with
their hashes, and its result. A stage is taken over when key and files are the same as then. Everything is
local to OUT, so that a folder carries its own history and deleting it deletes all.
"""

from __future__ import annotations

import errno
import fcntl
import itertools
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from .. import files
from ..errors import BadInput, CheckFailed
from . import fingerprint
from .rollback import Before
from .state import PAGES, StageRecord, State, alive

T = TypeVar("T")


@dataclass(frozen=True)
class Done(Generic[T]):
    """A stage's result, how long it took, and whether it was taken over from an earlier run."""

    result: T
    seconds: float
    cached: bool


class Workspace:
    """OUT, locked for this process. Use it as a context manager.

    On entry, what a killed run left half-written is swept away. When the block ends in ``BadInput``, whatever
    this process made since the last ``keep`` is taken back, so that nothing is left behind and the files of
    an earlier run are there again.

    Args:
        output: The folder; it is made when it doesn't exist.
        reuse: False redoes every stage.
        inputs: Files that the run reads, which are not ours even where a stage would write the same.

    Raises:
        BadInput: the folder can't be made or written, or another run is using it.
    """

    def __init__(self, output: Path, *, reuse: bool = True, inputs: Iterable[Path] = ()) -> None:
        self.output = output
        self.reuse = reuse
        self.inputs = {path.resolve() for path in inputs}
        self.records = State(output)
        self.vouched: dict[str, StageRecord] = {}
        self._state = self.records.folder
        self._before: dict[Path, Before] = {}
        self._counter = itertools.count()  # of second names: one that is given back is never given again
        self._folders: list[Path] = []
        self._lock: int | None = None

    def __enter__(self) -> Workspace:
        with _usable(self.output):
            self._folders = [p for p in (self._state, *self._state.parents) if not p.exists()]
            try:
                self._state.mkdir(parents=True, exist_ok=True)
                self._lock = os.open(self._state / "lock", os.O_RDWR | os.O_CREAT, 0o644)
            except OSError:
                self._leave_folders()
                raise
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            self._lock = None
            raise BadInput(
                "another run is writing to this folder",
                where=str(self.output),
                remedy="wait until it ends, or choose another folder with --output",
            ) from None
        self._sweep()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if isinstance(error, BadInput):
            self._take_back(list(self._before))
        self.keep()
        if self._lock is not None:
            if not any(self._state.glob("*.json")) and self._folders:
                files.remove(self._state)
            os.close(self._lock)
            self._lock = None
        self._leave_folders()

    def stage(
        self,
        name: str,
        result: type[T],
        depends: Mapping[str, object],
        make: Callable[[], T],
        *,
        outputs: Sequence[Path] = (),
        about: Mapping[str, str] | None = None,
        origins: Mapping[str, str] | None = None,
        final: Callable[[T], bool] = lambda _: True,
        spent: float = 0.0,
    ) -> Done[T]:
        """Take a stage over from an earlier run, or make it.

        Args:
            name: Of the record; one name holds one result.
            result: Type of the result, for reading it back (anything pydantic can handle).
            depends: All that the result depends on besides code and packages, as JSON-able values.
            make: Gives the result, and writes ``outputs``.
            outputs: Files and folders below OUT that the stage may write.
            about: Artifact name → SHA-256 of what the result speaks of; see ``latest``.
            origins: ``source`` or a file of OUT → SHA-256 of what ``outputs`` are made from.
            final: Whether a result is one to take over.
            spent: Seconds that went into it before.
        """
        if (done := self.earlier(name, result, depends, final)) is not None:
            return done
        own = [path for path in outputs if self._makes_its_own(path)]
        if own:
            self._retract_pages()
        self.makes(*own)
        self.records.begin(own)
        begin = time.perf_counter()
        try:
            with _disk_full(self.output):
                value = make()
        except CheckFailed:  # what was refused isn't handed out
            self._take_back(own)
            raise
        seconds = spent + time.perf_counter() - begin
        record = StageRecord(
            key=fingerprint.of_stage(name, depends),
            files=self.records.hashes(own),
            about=dict(about or {}),
            origins=dict(origins or {}),
            result=TypeAdapter(result).dump_python(value, mode="json"),
            seconds=seconds,
        )
        self._write(name, record)
        self.records.end(own)
        return Done(value, seconds, cached=False)

    def earlier(
        self, name: str, result: type[T], depends: Mapping[str, object], final: Callable[[T], bool] = lambda _: True
    ) -> Done[T] | None:
        """What ``stage`` would take over from an earlier run; it does, if there is such a thing."""
        record = self.records.read(name) if self.reuse else None
        if record is None or record.key != fingerprint.of_stage(name, depends) or not self._intact(record):
            return None
        try:
            value = TypeAdapter(result).validate_python(record.result)
        except ValidationError:  # written by other code that happens to hash alike: make it again
            return None
        if not final(value):
            return None
        self.vouched[name] = record
        return Done(value, record.seconds, cached=True)

    def latest(self, name: str, result: type[T], about: Mapping[str, str]) -> Done[T] | None:
        """The last result of a stage, whatever its options, if it speaks of exactly these artifacts."""
        record = self.records.read(name)
        if record is None or record.about != dict(about):
            return None
        try:
            return Done(TypeAdapter(result).validate_python(record.result), record.seconds, cached=True)
        except ValidationError:
            return None

    def scratch(self, name: str) -> Path:
        """A path for what isn't an artifact, such as a snapshot of the weights."""
        return self._state / name

    def makes(self, *paths: Path) -> None:
        """Note that ``paths`` are about to be written, so that they can be taken back."""
        for path in paths:
            if path not in self._before:
                self._before[path] = Before.of(path, self._state / f".{path.name}.{next(self._counter)}.part")

    def claim(self, paths: Iterable[Path], *, force: bool = False) -> None:
        """Make sure that ``paths`` may be written.

        Raises:
            BadInput: the run reads one of them, or, without ``force``, one is a file that we didn't make.
        """
        paths = [path for path in paths if path.exists() or path.is_symlink()]
        if read := [path for path in paths if path.resolve() in self.inputs]:
            raise BadInput(
                "the run would overwrite what it reads",
                where=str(read[0]),
                remedy="choose another folder with --output",
            )
        if not force:
            self.records.refuse_foreign(paths)

    def pages(self, paths: Sequence[Path], write: Callable[[], object]) -> None:
        """Write a report to ``paths``, in place of those of earlier runs."""
        self._retract_pages()
        self.makes(*paths)
        self.records.begin(paths)
        write()
        self._write(PAGES, StageRecord(files=self.records.hashes(paths)))
        self.records.end(paths)

    def leave_only_vouched(self, source: str, *, whole: bool) -> None:
        """Remove what earlier runs made and this one doesn't vouch for; the user's files stay.

        Args:
            source: Hash of the model.
            whole: Only what this run made or took over stays. After a run of single stages, what other stages made
                from files that are still there stays too.
        """
        others = {name: r for name, r in self.records.records().items() if r.files and name not in self.vouched}
        known = {"source": source} | self.records.hashes(
            self.output / p.name for p in self.inputs if self._lies_here(p)
        )
        known |= {path: digest for r in self.vouched.values() for path, digest in r.files.items()}
        kept = set() if whole else alive(others, known)
        stay = {*known, *(path for name in kept for path in others[name].files)}
        made = {path for name, r in others.items() if name not in kept for path in r.files} | self.records.unfinished()
        stale = [self.output / path for path in made - stay]
        self.remove(p for p in stale if p.resolve() not in self.inputs and self.records.is_ours(p))
        self.records.end(stale)
        self.remove(self.records.path(name) for name in others.keys() - kept)

    def remove(self, paths: Iterable[Path]) -> None:
        """Remove files and folders of ours; they can be taken back."""
        for path in list(paths):
            self.makes(path)
            files.remove(path)

    def require(self, size: int) -> None:
        """Refuse to begin what needs ``size`` bytes: LLVM, for one, ends the process on a full disk.

        Raises:
            BadInput: there is less space.
        """
        if shutil.disk_usage(self.output).free < size:
            raise _full(self.output)

    def keep(self) -> None:
        """Whatever was written so far stays, even if the block ends in ``BadInput``."""
        for before in self._before.values():
            before.forget()
        self._before.clear()

    def _take_back(self, paths: Sequence[Path]) -> None:
        """Put back what was at ``paths`` before this run wrote there."""
        for path in paths:
            before = self._before.pop(path)
            before.bring_back(path)
            before.forget()
        self.records.end(path for path in paths if path.parent == self.output)

    def _leave_folders(self) -> None:
        """Remove the folders that were made on entry and that nothing was written to."""
        for folder in self._folders:
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()

    def _intact(self, record: StageRecord) -> bool:
        paths = {self.output / name: digest for name, digest in record.files.items()}
        return all(p.exists() and files.sha256(p) == digest for p, digest in paths.items())

    def _write(self, name: str, record: StageRecord) -> None:
        self.makes(self.records.path(name))
        self.records.write(name, record)
        self.vouched[name] = record

    def _lies_here(self, path: Path) -> bool:
        return path.parent == self.output.resolve()

    def _makes_its_own(self, path: Path) -> bool:
        """What the run reads is ours only if it was before."""
        return path.resolve() not in self.inputs or (path.exists() and self.records.is_ours(path))

    def _retract_pages(self) -> None:
        """A report of an earlier run doesn't speak of the files that are about to be written."""
        if (record := self.records.read(PAGES)) is not None:
            paths = [self.output / name for name in record.files]
            self.remove(path for path in paths if self.records.is_ours(path))
            self.remove([self.records.path(PAGES)])

    def _sweep(self) -> None:
        """Remove what a run that was killed had begun to write (see ``files.atomic_file``)."""
        for folder in (self.output, self._state):
            for part in (*folder.glob(".*.part"), *folder.glob(".*.part.old")):
                files.remove(part)


def sweep(output: Path) -> None:
    """Remove what a killed run has left half-written in an output folder, unless another run is at work in it."""
    if State(output).folder.is_dir():
        with suppress(BadInput), Workspace(output):
            pass


@contextmanager
def _disk_full(folder: Path) -> Iterator[None]:
    """Every library has its own exception for a full disk; all of them quote the system's words."""
    try:
        yield
    except Exception as error:
        if os.strerror(errno.ENOSPC) not in str(error):
            raise
        raise _full(folder) from error


def _full(folder: Path) -> BadInput:
    return BadInput(
        "the disk is full",
        where=str(folder),
        remedy="free some space or choose another folder with --output; nothing half-written is left",
    )


@contextmanager
def _usable(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BadInput(
            f"can't use this as the output folder: {files.refusal(error, folder)}",
            where=str(folder),
            remedy="choose a folder you may write to with --output",
        ) from error
