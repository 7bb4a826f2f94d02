"""``edgeworthy compare``: routes from one model to a file, side by side."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from ..display import milliseconds, size
from ..pipeline.plan import help_text
from . import fleet
from .console import Console
from .terminal import TextColumn

if TYPE_CHECKING:
    from ..config import Config
    from ..fleet.compared import ComparisonReport
    from ..validate.routes import RouteComparison, RouteRow
    from .flags import Option

HELP = help_text(
    "Other converters beside edgeworthy's.",
    "Every route makes its file in a process of its own (`edgeworthy routes` lists them); all are validated and timed "
    "as `validate` and `bench` do, and one table says who converted, what it computes, how fast, how large, at what "
    "cost, and with --calibration what each file comes to in int8. OUT/compare.html has it as a picture. Exits 1 where "
    "none made a file that computes what the model does. A folder, or a TOML file with [[model]] (docs/fleet.md), is "
    "compared model by model, into one report that the next run goes on from. With --onnx-tests it is ONNX's own node "
    "tests that they take, one by one: OUT/onnx-tests.json has every outcome, and the same command goes on from there.",
    (
        "edgeworthy compare sample:digits_cnn -o out",
        "edgeworthy compare net.py:make -o out --route direct,onnx2tf --pick latency",
        "edgeworthy compare model.onnx -o out --calibration data.npz",
        "edgeworthy compare model.onnx -o out --json",
        "edgeworthy compare models/ -o out",
        "edgeworthy compare models.toml -o out --executor ray",
        "edgeworthy compare --onnx-tests 'test_conv_*' --route direct,onnx2tf -o out --sample 60",
    ),
)
FLAGS: dict[str, tuple[Any, Any]] = {
    "routes": (
        Annotated[
            list[str] | None,
            typer.Option(
                "--route",
                metavar="NAME,NAME",
                help="The routes to take; default: all that can run here.",
                show_default=False,
            ),
        ],
        None,
    ),
    "pick": (
        Annotated[
            str | None,
            typer.Option(
                "--pick",
                metavar="latency|size|parity",
                help="Write the best file that passes as OUT/picked.tflite.",
                show_default=False,
            ),
        ],
        None,
    ),
    "executor": fleet.FLAGS["executor"],
    "onnx_tests": (
        Annotated[
            bool,
            typer.Option(
                "--onnx-tests",
                help="ONNX's own node tests instead of a model; SOURCE, if any, is a part of their names or a pattern.",
                show_default=False,
            ),
        ],
        False,
    ),
    "sample": (
        Annotated[
            int | None,
            typer.Option("--sample", metavar="N", min=1, help="Of these, N drawn by chance.", show_default=False),
        ],
        None,
    ),
}
"""Parameter → its annotation and default."""

_PICKS = ("latency", "size", "parity")


def run(console: Console, config: Config, given: dict[str, Any]) -> None:
    """Compare, show the table, and exit."""
    from ..errors import BadInput
    from ..pipeline.comparing import PAGE, PICKED, compare

    pick = given["pick"]
    _check_pick(pick)
    if given["onnx_tests"]:
        _node_tests(console, config, given)
    if given["sample"] is not None:
        raise BadInput("there is nothing to draw from", where="--sample", remedy="it goes with --onnx-tests")
    if given["executor"] != "local":
        raise BadInput(
            "this is for a list of models", where="--executor", remedy="give a folder or a TOML file of them"
        )
    with console.progress() as progress:
        found = compare(
            config,
            routes=_routes(given),
            pick=pick,
            reuse=not given["no_cache"],
            force=given["force"],
            progress=progress,
            command=shlex.join(["edgeworthy", *sys.argv[1:]]),
        )
    output = config.output or Path()
    if console.as_json:
        console.json(found)
    else:
        show(console, found)
        if found.picked:
            console.say(f"Picked by {found.pick}: {found.picked}, {output / PICKED}")
        console.say(f"Comparison: {output / PAGE}")
    raise SystemExit(found.exit_code)


def run_many(console: Console, options: list[Option], given: dict[str, Any]) -> None:
    """Compare on every model of a list, show what came of them, and exit."""
    from ..errors import BadInput
    from ..fleet.compared import HTML, compare_all
    from ..fleet.plan import GRAPHS, configured, read_sources
    from . import flags

    _check_pick(given["pick"])
    fleet.check_executor(given["executor"])
    sources = read_sources(given["source"], GRAPHS)
    common = {
        "tables": flags.overrides(options, given),
        "sets": given["sets"] or (),
        "config": given["config"],
        "flags": flags.names(options, given),
    }
    output = given["output"] and Path(given["output"])
    if output is None:
        raise BadInput("no folder for the results was given", where="--output", remedy="add -o OUT")
    configs = {model.name: configured(model, output / model.name, **common) for model in sources.model}
    with console.progress() as progress:
        report = compare_all(
            sources,
            configs,
            output,
            routes=_routes(given),
            pick=given["pick"],
            executor=given["executor"],
            reuse=not given["no_cache"],
            force=given["force"],
            progress=progress,
            command=shlex.join(["edgeworthy", *sys.argv[1:]]),
        )
    if console.as_json:
        console.json(report)
    else:
        show_many(console, report)
        console.say(f"Comparison: {output / HTML}")
    raise SystemExit(report.exit_code)


def show_many(console: Console, report: ComparisonReport) -> None:
    """Every route over all models, every model with its latencies, and what failed."""
    heads = [head.replace("ours ÷ its ", "÷ ") for head in report.heads]
    console.table(
        [*heads[:3], *(TextColumn(head, right=True, rank=k) for k, head in enumerate(heads[3:], 1))], report.lines
    )
    console.say("÷: ours by its, geometric mean over the models that both get right")
    console.say()
    routes = [route.route for route in report.routes]
    results = [(r.model, r.status, *(report.cell(r.model, route) for route in routes)) for r in report.results]
    console.table(("model", "", *routes), results)
    picked = {model: one.picked for model, one in report.found.items() if one.picked}
    for model, route in picked.items():
        console.say(f"Picked for {model}: {route}")
    for line in report.troubles:
        console.say(f"✗ {line}")
    for line in report.notes:
        console.say(f"· {line}")


def _routes(given: dict[str, Any]) -> list[str]:
    return [name for text in given["routes"] or () for name in text.split(",") if name]


def _check_pick(pick: str | None) -> None:
    from ..errors import BadInput

    if pick is not None and pick not in _PICKS:
        raise BadInput(f"nothing can be picked by {pick!r}", where="--pick", remedy=f"use one of {', '.join(_PICKS)}")


def _node_tests(console: Console, config: Config, given: dict[str, Any]) -> NoReturn:
    """ONNX's node tests through every route, a table of what became of them, and the exit."""
    from ..errors import BadInput
    from ..pipeline.node_tests import JSON, TIMEOUT_S, node_tests

    if given["pick"] is not None:
        raise BadInput("node tests make no file to pick", where="--pick", remedy="leave it out, or give a model")
    memory, limits = config.artifacts.memory_gb, config.validation
    with console.progress() as progress:
        found = node_tests(
            routes=_routes(given),
            wanted=[given["source"]] if given["source"] else [],
            sample=given["sample"],
            seed=config.seed,
            timeout_s=limits.timeout_s if "timeout_s" in limits.model_fields_set else TIMEOUT_S,
            most_bytes=int(memory * 1e9) if memory else None,
            output=config.output,
            reuse=not given["no_cache"],
            force=given["force"],
            progress=progress,
            command=shlex.join(["edgeworthy", *sys.argv[1:]]),
        )
    if console.as_json:
        console.json(found)
    else:
        numbers = [TextColumn(head, right=True, rank=1 + i // 3) for i, head in enumerate(found.heads[3:])]
        console.table(("route", "passes", TextColumn("share", right=True), *numbers), found.rows)
        console.say(f"ONNX {found.onnx}: {found.chosen} of the {found.total} node tests with TFLite's types")
        for row in found.routes:
            if row.cause:
                console.say(f"{'✗' if row.outcomes else '–'} {row.route}: {row.cause}")
        if config.output:
            console.say(f"Every outcome: {config.output / JSON}")
    raise SystemExit(found.exit_code)


def show(console: Console, found: RouteComparison) -> None:
    """The table, and why rows didn't pass."""
    int8 = any(row.int8_sqnr_db is not None or row.int8_cause for row in found.rows)
    console.table(
        (
            "route",
            "",
            "parity",
            *(("int8",) if int8 else ()),
            "latency",
            TextColumn("95 %", rank=3),
            "size",
            TextColumn("ops", rank=1),
            TextColumn("transposes", rank=2),
            TextColumn("XNNPACK", rank=2),
            "took",
            TextColumn("CPU", rank=3),
            TextColumn("memory", rank=1),
        ),
        [cells(row, int8=int8) for row in found.rows],
    )
    if found.inputs:
        console.say(f"Latency of one inference of {found.inputs}; took, CPU and memory are of the converter's process")
    for row in found.rows:
        if row.cause:
            console.say(f"{'–' if row.status == 'skipped' else '✗'} {row.route}: {row.cause}")
        if row.int8_cause:
            console.say(f"✗ {row.route} in int8: {row.int8_cause}")
        for note in row.notes:
            console.say(f"· {row.route}: {note}")
    for note in found.notes:
        console.say(f"· {note}")


def cells(row: RouteRow, *, int8: bool = False) -> tuple[str, ...]:
    """A row of the table."""
    interval = f"{milliseconds(row.p50_low_ms)}–{milliseconds(row.p50_high_ms)}" if row.p50_low_ms is not None else "–"
    share = f"{row.delegated} of {row.nodes} in {row.partitions}" if row.delegated is not None else "–"
    return (
        row.route,
        row.status,
        row.parity,
        *(("–" if row.int8_sqnr_db is None else f"{row.int8_sqnr_db:.1f} dB",) if int8 else ()),
        milliseconds(row.p50_ms),
        interval,
        size(row.size_bytes),
        "–" if row.operators is None else str(row.operators),
        "–" if row.transposes is None else str(row.transposes),
        share,
        "–" if row.seconds is None else f"{row.seconds:.1f} s",
        "–" if row.cpu_seconds is None else f"{row.cpu_seconds:.1f} s",
        size(row.peak_bytes),
    )
