"""``bench --devices``: many models on many devices."""

from __future__ import annotations

import shlex
import sys
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
                help="Where the work list of --devices runs: here, or on a Ray cluster.",
                rich_help_panel=_PANEL,
            ),
        ],
        "local",
    ),
}
"""Parameter → its annotation and default."""

_TOO = ("--output",)
"""The flags of ``bench`` that go with ``--devices``; all else is said in its file, for each model and device."""


def run(console: Console, options: list[Option], given: dict[str, Any]) -> None:
    """Carry out a fleet's work, show its table, and exit."""
    from ..errors import BadInput
    from ..fleet.plan import read_plan
    from ..fleet.run import run_fleet

    others = [o.flag.name for o in options if o.flag.name not in _TOO and given.get(o.parameter) not in (None, [])]
    others += ["--set"] * bool(given["sets"]) + ["--config"] * bool(given["config"])
    if others:
        raise BadInput(
            f"{others[0]} doesn't go with --devices",
            where=others[0],
            remedy="say it in devices.toml: target, threads and seconds of a device, schemes and config of a model",
        )
    if given["executor"] not in ("local", "ray"):
        raise BadInput(f"there is no executor {given['executor']!r}", where="--executor", remedy="use local or ray")
    if given["output"] is None:
        raise BadInput("no folder for the results was given", where="--output", remedy="add -o OUT")
    output = Path(given["output"])
    plan = read_plan(given["devices"], [given["source"]] if given["source"] else [])
    with console.progress() as progress:
        report = run_fleet(
            plan,
            output,
            executor=given["executor"],
            reuse=not given["no_cache"],
            force=given["force"],
            progress=progress,
            command=shlex.join(["edgeworthy", *sys.argv[1:]]),
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
