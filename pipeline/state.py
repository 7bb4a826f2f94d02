"""``OUT/.edgeworthy``: what is remembered of every stage, and so which files of OUT are ours.

A file is ours when a record names it with the hash that it has. One that edgeworthy didn't make, or that was changed
since, is the user's: it is never overwritten unasked and never removed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from .. import files
from ..errors import BadInput

FOLDER = ".edgeworthy"
PAGES = "report"
"""The record of the files that a report was written to."""

_WRITING = "writing"


class StageRecord(BaseModel):
    """What is remembered of a stage.

    Attributes:
        key: Hash of all that the result depends on.
        files: What it made, relative to OUT, with their hashes.
        about: Artifact → hash: what the result speaks of.
        origins: What its files were made from: ``source``, or a file of OUT → its hash.
    """

    model_config = ConfigDict(extra="forbid")

    key: str = ""
    files: dict[str, str] = {}
    about: dict[str, str] = {}
    origins: dict[str, str] = {}
    result: object = None
    seconds: float = 0.0


class State:
    """The records of an output folder."""

    def __init__(self, output: Path) -> None:
        self.output = output
        self.folder = output / FOLDER

    def path(self, name: str) -> Path:
        return self.folder / f"{name}.json"

    def read(self, name: str) -> StageRecord | None:
        try:
            return StageRecord.model_validate_json(self.path(name).read_text(encoding="utf-8"))
        except (OSError, ValidationError, UnicodeDecodeError):
            return None

    def write(self, name: str, record: StageRecord) -> None:
        files.write_text(self.path(name), record.model_dump_json())

    def records(self) -> dict[str, StageRecord]:
        found = {path.stem: self.read(path.stem) for path in sorted(self.folder.glob("*.json"))}
        return {name: record for name, record in found.items() if record is not None}

    def hashes(self, paths: Iterable[Path]) -> dict[str, str]:
        """Those of ``paths`` that exist, relative to OUT, with their hashes."""
        return {self.name(p): files.sha256(p) for p in paths if p.exists()}

    def name(self, path: Path) -> str:
        """Relative to OUT; also of a file that was given and lies elsewhere."""
        if not path.is_relative_to(self.output):
            return files.relative(path, self.output)
        return path.relative_to(self.output).as_posix()

    def is_ours(self, path: Path) -> bool:
        """Whether we made what is at ``path``, or were about to when the process ended."""
        name = self.name(path)
        if name in self.unfinished():
            return True
        digests = {record.files[name] for record in self.records().values() if name in record.files}
        return bool(digests) and path.exists() and files.sha256(path) in digests

    def refuse_foreign(self, paths: Iterable[Path]) -> None:
        """Nothing at ``paths`` is the user's.

        Raises:
            BadInput: something is; it names all of it.
        """
        foreign = [path for path in paths if (path.exists() or path.is_symlink()) and not self.is_ours(path)]
        if foreign:
            raise BadInput(
                f"{len(foreign)} file{'s' if len(foreign) > 1 else ''} would be overwritten, not made by edgeworthy "
                "or changed since",
                where=str(self.output),
                details=[str(path) for path in foreign],
                remedy="choose another folder with --output, or overwrite them with --force",
            )

    def begin(self, paths: Iterable[Path]) -> None:
        """Remember that ``paths`` are about to be written, for the case that nobody comes to record them."""
        self._note(self.unfinished() | {self.name(path) for path in paths})

    def end(self, paths: Iterable[Path]) -> None:
        self._note(self.unfinished() - {self.name(path) for path in paths})

    def unfinished(self) -> set[str]:
        try:
            return set((self.folder / _WRITING).read_text(encoding="utf-8").splitlines())
        except OSError:
            return set()

    def _note(self, names: set[str]) -> None:
        if names:
            files.write_text(self.folder / _WRITING, "\n".join(sorted(names)))
        else:
            (self.folder / _WRITING).unlink(missing_ok=True)


def alive(records: Mapping[str, StageRecord], known: Mapping[str, str]) -> set[str]:
    """The records whose files were made from what is still there.

    Args:
        records: Those to choose from.
        known: ``source`` and files of OUT → hash.
    """
    there, found = dict(known), set[str]()
    while True:
        more = {
            name
            for name, record in records.items()
            if name not in found
            and record.files
            and record.origins
            and all(there.get(origin) == digest for origin, digest in record.origins.items())
        }
        if not more:
            return found
        found |= more
        for name in more:
            there |= records[name].files
