"""Many models, each through every converter: `compare.json`, `compare.md` and `compare.html` of all of them."""

from __future__ import annotations

import importlib.metadata
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import Field

from .. import files
from ..config import Config
from ..convert import routes as converters
from ..display import milliseconds, size
from ..errors import BadInput, EdgeworthyError
from ..pipeline import comparing
from ..pipeline.cache import Workspace, sweep
from ..pipeline.progress import Progress, Silent
from ..pipeline.subjects import choose
from ..validate.host import Host, current
from ..validate.record import Record
from ..validate.report import environment
from ..validate.route_summary import FIGURES, RouteSummary, better, summaries
from ..validate.routes import Pick, RouteComparison, RouteRow
from .comparing import ComparisonJob, ComparisonResult
from .executors import Executor, carry_out_all
from .jobs import failed
from .plan import SourceList
from .report import read_own

JSON, MARKDOWN, HTML = NAMES = ("compare.json", "compare.md", "compare.html")


class ComparisonReport(Record):
    """All of ``compare.json`` of many models."""

    schema_version: Literal[1] = 1
    edgeworthy: str
    created: datetime
    finished: datetime | None = Field(default=None, description="None: the run was cut off")
    command: str = ""
    executor: str
    host: Host
    models: list[str]
    results: list[ComparisonResult] = Field(default_factory=list)
    routes: list[RouteSummary] = Field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """1: some model has no file that passes; 3: none of these, and something wasn't there."""
        statuses = {result.status for result in self.results}
        return 1 if "fail" in statuses else 3 if "skipped" in statuses else 0

    @property
    def title(self) -> str:
        counts = ((len(self.models), "model"), (len(self.routes), "converter"))
        return " through ".join(f"{count} {noun}{'' if count == 1 else 's'}" for count, noun in counts)

    @property
    def found(self) -> dict[str, RouteComparison]:
        """Model → its comparison, where there is one."""
        return {result.model: result.found for result in self.results if result.found}

    @property
    def troubles(self) -> list[str]:
        """Models that failed, with what mends it, and why rows didn't pass, in a line each."""
        said = [f"{r.model}: {r.cause}" for r in self.results if r.cause]
        rows = [(model, row) for model, one in self.found.items() for row in one.rows if row.status != "skipped"]
        return said + [f"{model}, {row.route}: {row.cause}" for model, row in rows if row.cause]

    @property
    def better(self) -> list[str]:
        return better(self.found)

    @property
    def notes(self) -> list[str]:
        """What is to be known of models, each thing said once, and of which unless it is of several."""
        right = {model: one for model, one in self.found.items() if not one.exit_code}
        said = [(model, note) for model, one in right.items() for note in one.notes]
        said += [(model, f"{row.route}: {n}") for model, one in right.items() for row in one.rows for n in row.notes]
        count = Counter(note for _, note in said)
        return list(dict.fromkeys(note if count[note] > 1 else f"{model}: {note}" for model, note in said))

    @property
    def heads(self) -> tuple[str, ...]:
        """Columns of ``lines``."""
        return ("route", "converts", "right", *(f"ours ÷ its {figure}" for figure in FIGURES))

    @property
    def lines(self) -> list[tuple[str, ...]]:
        """Every route in words and numbers."""
        return [
            (
                route.route,
                f"{route.converted} of {route.models}",
                f"{route.right} of {route.models}",
                *(f"{route.ratios[figure]:.2f}" if figure in route.ratios else "–" for figure in FIGURES),
            )
            for route in self.routes
        ]

    @property
    def rows(self) -> list[tuple[str, RouteRow]]:
        """Every model with every route that was tried on it."""
        return [(model, row) for model, one in self.found.items() for row in one.rows if row.status != "skipped"]

    def cell(self, model: str, route: str) -> str:
        """The median of a file that passes, or what became of it."""
        rows = self.found[model].rows if model in self.found else []
        row = next((row for row in rows if row.route == route), None)
        if row is None or row.status == "skipped":
            return "–"
        return milliseconds(row.p50_ms) if row.status == "pass" and row.p50_ms else row.status


def cells(row: RouteRow) -> tuple[str, ...]:
    """A row of the long table, after the model: route, status, parity, latency, size, operators and cost."""
    took = "–" if row.cpu_seconds is None else f"{row.cpu_seconds:.1f} s"
    int8 = "–" if row.int8_sqnr_db is None else f"{row.int8_sqnr_db:.1f} dB"
    counts = ("–" if count is None else str(count) for count in (row.operators, row.transposes, row.partitions))
    return (
        row.route, row.status, row.parity, int8, milliseconds(row.p50_ms), size(row.size_bytes), *counts, took,
        size(row.peak_bytes),
    )  # fmt: skip


COLUMNS = (
    "model", "route", "", "parity", "int8", "latency", "size", "ops", "transposes", "partitions", "CPU", "memory",
)  # fmt: skip
"""Of the long table."""


def compare_all(
    sources: SourceList,
    configs: Mapping[str, Config],
    output: Path,
    *,
    routes: Sequence[str] = (),
    stages: Sequence[str] = comparing.STAGES,
    pick: Pick | None = None,
    executor: Executor = "local",
    reuse: bool = True,
    force: bool = False,
    progress: Progress | None = None,
    command: str = "",
) -> ComparisonReport:
    """Compare the converters on every model, one after the other on a machine, each in a process of its own.

    A model that can't be read, or whose process crashes or hangs, is a result, and the others go on. One whose source
    and options are those of an earlier run that came out well is taken over.

    Args:
        sources: See ``plan.read_sources``.
        configs: Model → its configuration, whose output is its folder.
        output: Folder of the report.
        routes, stages, pick: See ``pipeline.comparing.compare``.
        executor: ``local`` or ``ray``.
        reuse: False redoes all.
        force: Overwrite files that edgeworthy didn't make.

    Raises:
        BadInput: the folder can't be used, or there is no such converter or target.
        NotAvailable: one that was named can't run here, or there is no Ray cluster.
    """
    progress = progress or Silent()
    for name in routes:
        converters.get(name, "--route")
    for config in configs.values():
        choose(config.targets)
    if reserved := [model.name for model in sources.model if model.name in NAMES]:
        raise BadInput(f"a model can't be called {reserved[0]!r}", where="[[model]] name", remedy="call it otherwise")
    with Workspace(output):
        read_own(ComparisonReport, output, NAMES, force=force)
        results: dict[str, ComparisonResult] = {}
        jobs: list[ComparisonJob] = []
        for model in sources.model:
            config = configs[model.name]
            tables = config.model_dump(mode="json", by_alias=True, exclude_defaults=True)
            job = ComparisonJob(
                model=model.name,
                source=model.source,
                output=output / model.name,
                tables=tables,
                routes=tuple(routes),
                stages=tuple(stages),
                pick=pick,
                reuse=reuse,
                force=force,
            )
            try:
                digest = comparing.digest_of(config, routes, pick, stages=stages)
            except EdgeworthyError as error:
                results[model.name] = failed(job, str(error))
                continue
            before = comparing.whole(job.output, digest, config, routes) if reuse else None
            if before:
                sweep(job.output)
                results[model.name] = ComparisonResult(
                    model=model.name, status="pass", attempts=[], source=model.source, found=before, taken_over=True
                )
            else:
                jobs.append(ComparisonJob(**{**vars(job), "digest": digest}))
        report = ComparisonReport(
            edgeworthy=importlib.metadata.version("edgeworthy"),
            created=datetime.now(UTC),
            command=command,
            executor=executor,
            host=current(),
            models=[model.name for model in sources.model],
        )
        report = _with(report, results)
        write_json(report, output)
        with (
            closing(
                carry_out_all(jobs, executor=executor, retries=sources.retries, timeout_s=sources.timeout_s)
            ) as done,
            progress.stage("compare", f"{len(jobs)} of {len(sources.model)} models"),
        ):
            if jobs:
                progress.step(jobs[0].model, 0, len(jobs))
            for count, result in enumerate(done, 1):
                progress.step(jobs[count].model if count < len(jobs) else result.model, count, len(jobs))
                results[result.model] = result
                report = _with(report, results)
                write_json(report, output)
        report = report.model_copy(update={"finished": datetime.now(UTC)})
        write_json(report, output)
        for name, autoescape in ((MARKDOWN, False), (HTML, True)):
            page = environment(Path(__file__).parent, autoescape=autoescape).get_template(f"many_{name}.jinja")
            files.write_text(output / name, page.render(r=report, cells=cells, columns=COLUMNS))
    return report


def write_json(report: ComparisonReport, output: Path) -> None:
    """What is known so far."""
    files.write_text(output / JSON, report.model_dump_json(indent=2) + "\n")


def _with(report: ComparisonReport, results: Mapping[str, ComparisonResult]) -> ComparisonReport:
    """The report with these results, in the order of the list."""
    ordered = [results[name] for name in report.models if name in results]
    found = {result.model: result.found for result in ordered if result.found}
    return report.model_copy(update={"results": ordered, "routes": summaries(found)})
