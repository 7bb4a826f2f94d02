"""``bench --devices``: many models on many devices."""

from __future__ import annotations

import shlex
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from .console import Console
    from .flags import Option

_PANEL = "Bench"
FLAGS: dict[str, tuple[Any, Any]] = {
    "devices": (
        Annotated[
            Path | None,
            typer.Option(
                "--devices",
                metavar="TOML",
                help="Time models on many devices: devices.toml lists both, see docs/fleet.md. SOURCE adds a model, or "
                "a folder of them.",
                rich_help_panel=_PANEL,
                show_default=False,
            ),
        ],
        None,
    ),
    "executor": (
        Annotated[
            str,
            typer.Option(
                "--executor",
                metavar="local|ray",
                help="Where the work list of many models runs: here, or on a Ray cluster.",
                rich_help_panel=_PANEL,
            ),
        ],
        "local",
    ),
}
"""Parameter → its annotation and default."""

_TOO = ("--output",)
"""The flags of ``bench`` that go with ``--devices``; all else is said in its file, for each model and device."""


def is_wanted(given: dict[str, Any]) -> bool:
    """Whether ``bench`` is asked for many models."""
    from ..fleet.plan import lists_models

    return given["devices"] is not None or lists_models(given["source"])


def check_executor(name: str) -> None:
    """Raise BadInput where there is none of this name."""
    from ..errors import BadInput

    if name not in ("local", "ray"):
        raise BadInput(f"there is no executor {name!r}", where="--executor", remedy="use local or ray")


def _check_alone(options: list[Option], given: dict[str, Any]) -> None:
    """Raise BadInput where something is given beside a file of devices that belongs into it."""
    from ..errors import BadInput

    others = [o.flag.name for o in options if o.flag.name not in _TOO and given.get(o.parameter) not in (None, [])]
    others += ["--set"] * bool(given["sets"]) + ["--config"] * bool(given["config"])
    if others:
        raise BadInput(
            f"{others[0]} doesn't go with --devices",
            where=others[0],
            remedy="say it in devices.toml: target, threads and seconds of a device, schemes and config of a model",
        )


def run(console: Console, options: list[Option], given: dict[str, Any]) -> None:
    """Carry out a fleet's work, show its table, and exit."""
    from ..errors import BadInput
    from ..fleet.plan import configured, on_targets, read_plan, read_sources
    from ..fleet.run import run_fleet
    from ..settings import load_config
    from . import flags

    if given["devices"] is not None:
        _check_alone(options, given)
    check_executor(given["executor"])
    if given["output"] is None:
        raise BadInput("no folder for the results was given", where="--output", remedy="add -o OUT")
    output = Path(given["output"])
    common = {"sets": given["sets"] or (), "config": given["config"], "flags": flags.names(options, given)}
    tables = flags.overrides(options, given)
    if given["devices"] is not None:
        plan = read_plan(given["devices"], [given["source"]] if given["source"] else [])
    else:
        plan = on_targets(read_sources(given["source"]), load_config(given["config"], tables, sets=common["sets"]))
    with console.progress() as progress:
        report = run_fleet(
            plan,
            output,
            executor=given["executor"],
            reuse=not given["no_cache"],
            force=given["force"],
            progress=progress,
            command=shlex.join(["edgeworthy", *sys.argv[1:]]),
            configure=partial(configured, tables=tables, **common),
        )
    if console.as_json:
        console.json(report)
    else:
        devices = report.devices
        rows = [(*row, *(report.cell(row, device) for device in devices)) for row in report.files]
        console.table(("model", "file", *(device.name for device in devices)), rows)
        for line in report.troubles:
            console.say(f"✗ {line}")
        for line in report.notes:
            console.say(f"· {line}")
        console.say(f"Report: {output / 'fleet.html'}")
    raise SystemExit(report.exit_code)
