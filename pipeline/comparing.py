"""Routes from one model to a file, side by side: each converter's file judged and timed by the same measure.

A comparison is a run of ``validate`` and ``bench`` with every route as ``--artifact route:NAME``; here its report
becomes one row a route, and the best file is picked. Nothing is judged here that isn't in the report.
"""

from __future__ import annotations

import importlib.metadata
import shlex
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from pydantic import ValidationError

from .. import files
from ..config import Config
from ..convert.routes import CONVERTERS, get
from ..errors import FIX, BadInput, CheckFailed
from ..source.model_files import converted_kind
from ..validate import matching, routes_page
from ..validate.results import Report
from ..validate.routes import Pick, RouteComparison, RouteRow
from ..validate.summary import SummaryRow, summarize
from ..vocabulary import ROUTE
from . import assembly, fingerprint, manifest, others
from .progress import Progress
from .stages import Pipeline

JSON, PAGE, PICKED = "compare.json", "compare.html", "picked.tflite"
WRITES = (JSON, PAGE, PICKED)
"""What is written beside the files of a run."""
STAGES = ("validate", "bench")


def compare(
    config: Config,
    *,
    routes: Iterable[str] = (),
    stages: Sequence[str] = STAGES,
    pick: Pick | None = None,
    reuse: bool = True,
    force: bool = False,
    progress: Progress | None = None,
    command: str = "",
    digest: str = "",
) -> RouteComparison:
    """Have every route make its file, judge and time them, and write ``OUT/compare.json`` and ``.html``.

    Args:
        config: As for ``validate`` and ``bench``. Its own ``--artifact`` are measured too and stand in the report.
        routes: Converters; none for all that there are, of which those that can't run here are skipped with a row.
        stages: ``validate`` alone times nothing.
        pick: What decides which file becomes ``OUT/picked.tflite``, of those that pass; ``manifest.json`` says whose.
        reuse: False redoes every stage.
        force: Overwrite files in OUT that edgeworthy didn't make.
        digest: See ``digest_of``.

    Where there is nothing to pick a note says so, and the exit code is 1.

    Raises:
        BadInput: there is no such converter, the source is converted already, or a file would be overwritten.
        NotAvailable: a converter that was named isn't installed.
    """
    routes = tuple(routes)
    _check(str(config.model.source), routes)
    names, skipped = _chosen(config, routes)
    asked = [Path(f"{ROUTE}{name}") for name in names]
    own, data = config.artifacts, config.quantize.calibration
    table = own.model_copy(update={"files": [*own.files, *asked], "int8": own.int8 or data is not None})
    config = config.model_copy(update={"artifacts": table})
    with Pipeline(config, stages=stages, reuse=reuse, force=force, progress=progress) as pipeline:
        stale = check_own(pipeline.output, force=force)
        pipeline.bring()
        report = assembly.note(pipeline, command=command)
        found = compared(report, names, skipped)
        if pick is not None:
            found = _picked(pipeline, report, found, pick)
        if not found.picked and stale:  # of an earlier run: nothing here vouches for it
            files.remove(pipeline.output / PICKED)
        found = found.model_copy(update={"digest": digest})
        write(found, pipeline.output)
    return found


def write(found: RouteComparison, output: Path) -> None:
    """The comparison and its page, the record last."""
    files.write_text(output / PAGE, routes_page.html(found))
    files.write_text(output / JSON, found.model_dump_json(indent=2) + "\n")


def compared(report: Report, names: Sequence[str], skipped: Sequence[RouteRow] = ()) -> RouteComparison:
    """A report's rows of these routes, and those that were skipped."""
    rows: dict[str, SummaryRow] = {}
    for row in summarize(report):
        if row.key.startswith(ROUTE):
            rows.setdefault(row.key, row)
    made = [
        _row(name, *(rows.get(key) for key in (f"{ROUTE}{name}", others.int8_row(f"{ROUTE}{name}")))) for name in names
    ]
    return RouteComparison(
        edgeworthy=importlib.metadata.version("edgeworthy"),
        created=report.created,
        command=report.command,
        host=report.host,
        source=report.model.spec,
        inputs=report.latency.fed if report.latency and report.latency.inputs else "",
        rows=[*made, *skipped],
        notes=_shared(made),
    )


def best(rows: Iterable[RouteRow], pick: Pick) -> tuple[RouteRow, list[str]]:
    """The winner among those that pass, and the names of those that can't be told from it.

    By latency these are the ones whose 95 % intervals reach the winner's, else the ones of the same number.

    Raises:
        CheckFailed: none passes, or none has the number.
    """
    number = _NUMBERS[pick]
    able = [(value, row) for row in rows if row.status == "pass" and (value := number(row)) is not None]
    if not able:
        raise CheckFailed(
            f"there is nothing to pick by {pick}: no route made a file that passes", where="--pick",
            remedy="the causes are in the table",
        )  # fmt: skip
    least, winner = min(able, key=lambda pair: pair[0])
    if pick == "latency" and winner.p50_high_ms is not None:
        same = [r for _, r in able if r.p50_low_ms is not None and r.p50_low_ms <= winner.p50_high_ms]
    else:
        same = [row for value, row in able if value == least]
    return winner, [row.route for row in same if row is not winner]


_NUMBERS: dict[Pick, Callable[[RouteRow], float | None]] = {
    "latency": lambda row: row.p50_ms,
    "size": lambda row: row.size_bytes,
    "parity": lambda row: 0.0 if row.parity == "exact" else row.noise_ratio,
}


def _check(source: str, asked: Iterable[str]) -> None:
    """The source is one that routes start from, and the routes that were named take it.

    Raises:
        BadInput, NotAvailable: as `compare`.
    """
    if converted_kind(source):
        raise BadInput(
            "there is nothing to compare: the source is converted already, and routes start from what it was made from",
            where=source,
            remedy=f"give that model; or hold other files against this one: edgeworthy validate {shlex.quote(source)} "
            "--artifact OTHER.tflite",
        )
    for name in asked:
        info = get(name, "--route")
        if info.takes == "pt2" and source.endswith(".onnx"):
            raise BadInput(
                f"the route {name} starts from PyTorch, and the source is an ONNX file",
                where="--route",
                remedy="leave it out, or give the PyTorch model that the source was made from",
            )


def _chosen(config: Config, asked: tuple[str, ...]) -> tuple[list[str], list[RouteRow]]:
    """The routes to take; and a row for each that can't be, where nobody asked for it by name."""
    if asked:
        return list(dict.fromkeys(asked)), []
    names, skipped = [], []
    for info in CONVERTERS.values():
        why = info.missing()
        if why is None and info.takes == "pt2" and str(config.model.source).endswith(".onnx"):
            why = "it starts from PyTorch, and the source is an ONNX file"
        if why is None:
            names.append(info.name)
        else:
            skipped.append(RouteRow(route=info.name, status="skipped", cause=why))
    return names, skipped


def _row(name: str, row: SummaryRow | None, int8: SummaryRow | None) -> RouteRow:
    if row is None:
        return RouteRow(route=name, status="error", cause="nothing was measured")
    failed = int8.hop.failure or "" if int8 and int8.hop else ""
    artifact, hop, latency = row.artifact, row.hop, row.latency
    said = [hop.failure or hop.reason] if hop and hop.status != "pass" else []
    said += [latency.failure] if latency and latency.failure else []
    ran = latency.receipt if latency else None
    return RouteRow(
        route=name,
        made_by=artifact.made_by if artifact else "",
        status=row.status if row.status != "–" else "error",  # type: ignore[arg-type]
        cause=_cause(said[0], remedy=row.status == "skipped") if said else "",
        notes=[matching.said(m) for m in artifact.matches if matching.reshaped(m)] if artifact else [],
        path=artifact.path if artifact else "",
        sha256=artifact.sha256 if artifact else "",
        parity=row.parity,
        noise_ratio=row.noise_ratio,
        sqnr_db=row.sqnr_db if row.sqnr_db != float("inf") else None,
        int8_sqnr_db=int8.sqnr_db if int8 else None,
        int8_cause=_line(failed),
        p50_ms=latency.p50_ms if latency else None,
        p50_low_ms=latency.p50_low_ms if latency else None,
        p50_high_ms=latency.p50_high_ms if latency else None,
        size_bytes=row.size_bytes,
        operators=artifact.op_count if artifact else None,
        transposes=artifact.transposes if artifact else None,
        nodes=ran.nodes if ran else None,
        delegated=ran.delegated if ran else None,
        partitions=ran.partitions if ran else None,
        seconds=artifact.seconds if artifact else None,
        cpu_seconds=artifact.cpu_seconds if artifact else None,
        beside=artifact.beside if artifact else 0,
        peak_bytes=artifact.peak_bytes if artifact else None,
    )


def _shared(rows: Iterable[RouteRow]) -> list[str]:
    """What is to be known of seconds that were shared."""
    most = 1 + max((row.beside for row in rows), default=0)
    said = f"up to {most} converters were at work at once: took includes what they took from each other, CPU doesn't"
    return [f"{said} (--jobs 1 makes them one by one)"] if most > 1 else []


def _line(text: str) -> str:
    """The first line of a message."""
    return text.strip().splitlines()[0] if text.strip() else ""


def _cause(text: str, *, remedy: bool) -> str:
    """The first line of a message, with what to do about it."""
    fixes = [line.removeprefix(FIX) for line in text.splitlines() if remedy and line.startswith(FIX)]
    return "; ".join([_line(text), *fixes])


def _picked(pipeline: Pipeline, report: Report, found: RouteComparison, pick: Pick) -> RouteComparison:
    """Write the winner, and the manifest that says whose it is."""
    path = pipeline.output / PICKED
    try:
        winner, same = best(found.rows, pick)
    except CheckFailed as error:
        return found.model_copy(update={"pick": pick, "notes": [*found.notes, error.what]})
    others.place(pipeline.output / winner.path, path)
    tools = report.host.packages | {a.name: a.made_by for a in report.artifacts if a.made_by}
    inputs = fingerprint.input_files(pipeline.config)
    made = report.artifact(f"{ROUTE}{winner.route}")
    kept = [made.model_copy(update={"path": PICKED})] if made else []
    manifest.write(
        report.model_copy(update={"artifacts": [*report.artifacts, *kept]}),
        pipeline.output,
        source=pipeline.inputs.source_hash,
        inputs=inputs,
        tools=tools | {PICKED: f"{ROUTE}{winner.route}, {winner.made_by}"},
    )
    notes = [f"{', '.join(same)} can't be told from {winner.route} by {pick}"] if same else []
    return found.model_copy(update={"pick": pick, "picked": winner.route, "notes": [*found.notes, *notes]})


def earlier(output: Path) -> RouteComparison | None:
    """What a run before has left in this folder."""
    try:
        return RouteComparison.model_validate_json((output / JSON).read_bytes())
    except (OSError, ValidationError):
        return None


def whole(output: Path, digest: str, config: Config, routes: Iterable[str]) -> RouteComparison | None:
    """The comparison in this folder if it is of this digest, came out well, its files are there, and no converter that
    could not work then can now."""
    found = earlier(output)
    if found is None or found.digest != digest or found.exit_code:
        return None
    able, _ = _chosen(config, tuple(routes))
    if any(row.status == "skipped" and row.route in able for row in found.rows):
        return None
    made = [row.path for row in found.rows if row.path] + ([PICKED] if found.picked else [])
    return found if all((output / path).exists() for path in made) else None


def digest_of(
    config: Config, routes: Iterable[str], pick: Pick | None = None, *, stages: Sequence[str] = STAGES
) -> str:
    """Hash of what a comparison is made of, as far as that can be told before the model is loaded: the files that are
    named, the options, the converters' versions and edgeworthy's own code.

    Raises:
        BadInput: a file is damaged.
    """
    versions = {info.name: info.version for info in CONVERTERS.values()}
    named = fingerprint.input_files(config)
    return fingerprint.of_values(
        {
            "config": config.model_dump(mode="json", by_alias=True, exclude={"output"}),
            "files": {str(path): files.sha256(path) for path in named},
            "routes": {name: versions.get(name) for name in (list(routes) or versions)},
            "pick": pick,
            "stages": list(stages),
            "code": fingerprint.of_code(),
        }
    )


def check_own(output: Path, *, force: bool) -> bool:
    """Whether there is a picked file of an earlier run.

    Raises:
        BadInput: a comparison would be written over what isn't one.
    """
    before = earlier(output)
    own = {row.sha256 for row in before.rows} if before else set()
    path = output / PICKED
    picked = path.exists() and files.sha256(path) in own
    foreign = [path] if path.exists() and not picked else []
    foreign += [output / name for name in (JSON, PAGE) if (output / name).exists() and before is None]
    if foreign and not force:
        raise BadInput(
            "this file isn't edgeworthy's, and would be overwritten",
            where=str(foreign[0]),
            remedy="choose another folder, or add --force",
        )
    return picked
