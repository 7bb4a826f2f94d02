"""The commands whose flags are the keys of `edgeworthy.toml`: one for every stage, ``run`` for all, and ``init``.

Their flags come from the schema, which takes longer to load than ``edgeworthy --help`` may take. So the application
holds hollow commands with a name and a help, and a command gets its flags when it is called.
"""

from __future__ import annotations

import inspect
import shlex
import sys
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..pipeline.plan import ALL, STAGES, help_text
from . import compare, fleet
from .console import Console
from .options import ConfigFile, Debug, Explain, Force, Json, ListSchemes, NoCache, Quiet, Sets, Verbose
from .usage import PlainErrors

if TYPE_CHECKING:
    from ..config import Config
    from .flags import Option

_RUN = help_text(
    "All stages, then the report and the verdict.",
    "",
    (
        "edgeworthy run sample:digits_cnn -o out",
        "edgeworthy run net.py:make -o out --weights net.safetensors --calibration images.npz",
        "edgeworthy run edgeworthy.toml",
    ),
)
_INIT = help_text(
    "Write an edgeworthy.toml for a model.",
    "Its inputs are found from the source; all else stands in it commented out, with its default.",
    (
        "edgeworthy init net.py:make",
        "edgeworthy init model.onnx -o ci/edgeworthy.toml && edgeworthy run ci/edgeworthy.toml",
    ),
)
HELP = {
    "run": ("Stages", _RUN),
    **{stage.name: ("Stages", stage.help) for stage in STAGES.values()},
    "compare": ("Stages", compare.HELP),
    "init": ("Look around", _INIT),
}
"""Command → the panel that lists it, and its help."""


def hollow() -> None:
    """Stands for a command until it is called."""


class CommandGroup(PlainErrors):
    """The application's commands; those in `HELP` get their flags when they are called."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        return name, _whole(name, command) if name in HELP else command, rest


def _whole(name: str, command: Any) -> Any:
    """The hollow ``command`` with its flags."""
    make = {"init": _init, "compare": _compare}.get(name) or partial(_stages, name)
    single = typer.Typer(
        add_completion=False, rich_markup_mode=command.rich_markup_mode, pretty_exceptions_enable=False
    )
    single.command(name, help=command.help)(make())
    return typer.main.get_command(single)


def _stages(name: str) -> Callable[..., None]:
    """A command that runs stages."""
    from . import flags

    stages = ALL if name == "run" else (name,)
    options = flags.of_stages(stages)

    def command(**given: Any) -> None:
        shows = {key: given[key] for key in ("as_json", "quiet", "debug", "verbose")}
        with Console(**shows) as console:
            if given.get("listed"):
                from . import schemes

                schemes.show(console)
                return
            if name == "bench" and fleet.is_wanted(given):
                fleet.run(console, options, given)
            _run(console, stages, options, given)

    own = {
        "bench": fleet.FLAGS,
        "convert": {"explain": (Explain, False)},
        "quantize": {"listed": (ListSchemes, False)},
    }.get(name, {})
    more = {"verbose": (Verbose, False), "no_cache": (NoCache, False), "force": (Force, False)}
    return _signed(command, options, **own, **more, sets=(Sets, None), config=(ConfigFile, None))


def _compare() -> Callable[..., None]:
    """The command ``compare``."""
    from . import flags

    options = flags.of_stages(("bench",))

    def command(**given: Any) -> None:
        shows = {key: given[key] for key in ("as_json", "quiet", "debug", "verbose")}
        with Console(**shows) as console:
            from ..fleet.plan import lists_models

            if not given["onnx_tests"] and lists_models(given["source"]):
                compare.run_many(console, options, given)
            compare.run(console, _config(options, given), given)

    more = {"verbose": (Verbose, False), "no_cache": (NoCache, False), "force": (Force, False)}
    return _signed(command, options, **compare.FLAGS, **more, sets=(Sets, None), config=(ConfigFile, None))


def _run(console: Console, stages: tuple[str, ...], options: list[Option], given: dict[str, Any]) -> None:
    from .. import targets
    from ..pipeline.run import run_config
    from . import views

    config = _config(options, given)
    with console.progress() as progress:
        report = run_config(
            config,
            stages=stages,
            reuse=not given["no_cache"],
            force=given["force"],
            progress=progress,
            command=shlex.join(["edgeworthy", *sys.argv[1:]]),
        )
    if console.as_json:
        console.json(report)
    else:
        views.report(console, report, config.output or Path(), whole=stages == ALL)
        if given.get("explain") and report.conversion is not None:
            from .explanation import explanation

            explanation(console, report.conversion)
    asked = [targets.find(text).name for text in targets.listed(config.targets)] if config.targets else []
    raise SystemExit(views.exit_code(report, stages, asked))


def _config(options: list[Option], given: dict[str, Any]) -> Config:
    from ..settings import load_config
    from . import flags

    source, file = given["source"], given["config"]
    if source is not None and source.endswith(".toml"):
        file, source = Path(source), None
    tables = flags.overrides(options, given)
    tables["model"] = tables.get("model", {}) | {"source": source}
    return load_config(file, tables, sets=given["sets"] or (), flags=flags.names(options, given))


def _init() -> Callable[..., None]:
    """The command ``init``."""
    from ..config import FILE_NAME
    from . import flags

    options = flags.of_tables(("seed", "model"), "export")
    file = typer.Option(
        "-o", "--output", help=f"The file to write; default: {FILE_NAME}.", metavar="TOML", show_default=False
    )

    def command(**given: Any) -> None:
        with Console(as_json=given["as_json"], quiet=given["quiet"], debug=given["debug"]) as console:
            from ..errors import BadInput
            from . import template

            if given["source"] is None:
                raise BadInput("no model was given", where="SOURCE", remedy="edgeworthy init SOURCE")
            path = given["file"] or Path(FILE_NAME)
            template.write(given["source"], path, flags.overrides(options, given), force=given["force"])
            if console.as_json:
                console.json([str(path)])
            console.say(str(path))

    return _signed(command, options, file=(Annotated[Path | None, file], None), force=(Force, False))


def _signed(command: Callable[..., None], options: Iterable[Option], **more: tuple[Any, Any]) -> Callable[..., None]:
    """``command`` with the parameters that typer reads: the source, its flags, ``more`` and the usual ones."""
    from ..config import Config
    from ..keys import keys

    help_ = next(key.help for key in keys(Config) if key.name == "model.source")
    source = typer.Argument(
        metavar="SOURCE", help=f"{help_}; or an edgeworthy.toml that names one.", show_default=False
    )
    parameters: dict[str, tuple[Any, Any]] = {"source": (Annotated[str | None, source], None)}
    parameters |= {option.parameter: (option.annotation(), None) for option in options}
    parameters |= more | {"as_json": (Json, False), "quiet": (Quiet, False), "debug": (Debug, False)}
    command.__annotations__ = {key: annotation for key, (annotation, _) in parameters.items()}
    keyword = inspect.Parameter.KEYWORD_ONLY
    command.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [inspect.Parameter(k, keyword, default=d, annotation=a) for k, (a, d) in parameters.items()]
    )
    return command
