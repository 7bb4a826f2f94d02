"""Converters side by side on one model: the job of ``compare`` with many."""

from __future__ import annotations

import io
import sys
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from pydantic import Field

from ..errors import EdgeworthyError
from ..pipeline import comparing
from ..pipeline.cache import sweep
from ..pipeline.state import FOLDER, State
from ..validate.routes import Pick, RouteComparison
from ..workers.child import Child
from ..workers.serve import Commands, Tell
from .jobs import Attempt, Begun, Job, JobResult, JobStatus


class ComparisonResult(JobResult):
    """What came of comparing the converters on a model."""

    source: str
    found: RouteComparison | None = Field(default=None, description="as in MODEL/compare.json; None: there is none")
    taken_over: bool = Field(default=False, description="from an earlier run, of the same source and options")


@dataclass(frozen=True)
class ComparisonJob(Job[RouteComparison, ComparisonResult]):
    """What is to be compared.

    Attributes:
        model: Name of the model.
        source: As on the command line.
        output: The folder of its files.
        tables: The tables of the configuration, as JSON has them.
        routes, stages, pick, reuse, force, digest: As ``pipeline.comparing.compare`` takes them.
    """

    model: str
    source: str
    output: Path
    tables: Mapping[str, Any]
    routes: tuple[str, ...] = ()
    stages: tuple[str, ...] = comparing.STAGES
    pick: Pick | None = None
    reuse: bool = True
    force: bool = False
    digest: str = ""

    @property
    def anywhere(self) -> bool:  # type: ignore[override]
        return True

    @property
    def ships(self) -> Path | None:
        path, _ = self._parts
        return path if path.is_file() else None

    @property
    def brings(self) -> Path:
        return self.output

    def placed(self, folder: Path) -> Self:
        path, factory = self._parts
        source = f"{folder / path.name}{factory}" if self._ships_there(folder) else self.source
        return replace(self, source=source, output=folder / "out")

    def brought(self, result: ComparisonResult, packed: bytes) -> ComparisonResult:
        found = result.found.model_copy(update={"source": self.source}) if result.found else None
        if packed:
            comparing.check_own(self.output, force=self.force)
            with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
                tops = {name.partition("/")[0] for name in archive.getnames()} - {FOLDER, *comparing.WRITES}
                if not self.force:
                    State(self.output).refuse_foreign(self.output / name for name in sorted(tops))
                self.output.mkdir(parents=True, exist_ok=True)
                archive.extractall(self.output, filter="data")
        if found:
            comparing.write(found, self.output)
        return result.model_copy(update={"source": self.source, "found": found})

    def ask(self, timeout_s: float, begun: Begun = lambda child: None) -> RouteComparison:
        """The comparison, which is in the folder, too."""
        remedy = f"raise timeout_s above {timeout_s:g}, or take fewer routes"
        path = [str(Path(entry).resolve()) for entry in sys.path]  # a factory's module may be anywhere on it
        child = Child(__name__, name=self.model, where=self.source, remedy=remedy, timeout_s=timeout_s, path=path)
        begun(child)
        try:
            with child:
                return RouteComparison.model_validate_json(child.ask("compare", self))
        except EdgeworthyError:  # it may have been killed
            sweep(self.output)
            raise

    def judged(self, reply: RouteComparison) -> tuple[JobStatus, str]:
        if not reply.exit_code:
            return "pass", ""
        right = any(row.status == "pass" for row in reply.rows)
        return "fail", reply.notes[-1] if right and reply.notes else "no route made a file that passes"

    def result(self, attempts: Sequence[Attempt], reply: RouteComparison | None) -> ComparisonResult:
        return ComparisonResult(
            model=self.model, status=attempts[-1].status, attempts=list(attempts), source=self.source, found=reply
        )

    @property
    def _parts(self) -> tuple[Path, str]:
        """The path of the source, and what comes after it: ``:make`` of ``net.py:make``."""
        head, colon, name = self.source.rpartition(":")
        return (Path(head), f"{colon}{name}") if colon and head.endswith(".py") else (Path(self.source), "")

    def _ships_there(self, folder: Path) -> bool:
        return (folder / self._parts[0].name).is_file()


# ---- The child's side ----


def start(tell: Tell) -> Commands:
    return {"compare": _compare}


def _compare(job: ComparisonJob) -> str:
    from ..settings import load_config
    from ..workers.native import hushed

    tables = {**job.tables, "output": job.output}
    tables["model"] = {**tables.get("model", {}), "source": job.source}
    with hushed():
        found = comparing.compare(
            load_config(None, tables),
            routes=job.routes,
            stages=job.stages,
            pick=job.pick,
            reuse=job.reuse,
            force=job.force,
            digest=job.digest,
        )
    return found.model_dump_json()
