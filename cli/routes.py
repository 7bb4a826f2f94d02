"""``edgeworthy routes``: the converters that there are, and their set-up (``install``, ``remove``, ``doctor``)."""

from __future__ import annotations

from typing import Annotated

import typer

from . import kits
from .console import Console
from .options import Debug, Json, Quiet, Verbose
from .usage import WholeSummaries


def routes(context: typer.Context, as_json: Json = False, quiet: Quiet = False, debug: Debug = False) -> None:
    """Which converters can run here, and if not, why.

    edgeworthy's own, TensorFlow's, and others, each of which `install` gives an environment of its own. `--artifact
    route:NAME` judges what one makes beside edgeworthy's file, `compare` all of them.

    \b
    Examples:
      edgeworthy routes
      edgeworthy routes list --json
      edgeworthy routes install onnx2tf
    """
    if context.invoked_subcommand is None:
        list_(as_json=as_json, quiet=quiet, debug=debug)


def list_(as_json: Json = False, quiet: Quiet = False, debug: Debug = False) -> None:
    """What there is: installed or not, version, size, what it starts from.

    \b
    Examples:
      edgeworthy routes list
      edgeworthy routes list --json
    """
    with Console(as_json=as_json, quiet=quiet, debug=debug) as console:
        from ..pipeline.diagnosis import converter_states
        from . import views

        found = converter_states()
        if console.as_json:
            console.json([state.model_dump() for state in found])
        views.converters(console, found)


def install(
    names: kits.Names,
    offline: kits.Offline = None,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
    verbose: Verbose = False,
) -> None:
    """Make the environments of converters, by hash, in your data folder.

    Exactly what edgeworthy's lock files say, from PyPI. What is there already stays, a damaged one is built anew, and
    one that stops half-way leaves nothing. EDGEWORTHY_HOME is where, ~/.local/share/edgeworthy by default.

    \b
    Examples:
      edgeworthy routes install onnx2tf litert-torch
      edgeworthy routes install onnx-tf --offline downloads
    """
    with Console(as_json=as_json, quiet=quiet, debug=debug, verbose=verbose) as console:
        kits.install(console, names, offline)


def remove(names: kits.Names, as_json: Json = False, quiet: Quiet = False, debug: Debug = False) -> None:
    """Remove what `install` made.

    \b
    Examples:
      edgeworthy routes remove onnx-tf
    """
    with Console(as_json=as_json, quiet=quiet, debug=debug) as console:
        kits.remove(console, names)


def doctor(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A converter, as --route takes it.")],
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Try a converter on a model of one operator.

    Reads every file of its kit, has the model converted, and holds what the file computes against numpy.

    Exit code 0: it works. 1: it makes no file, or one that computes something else. 3: it isn't there, or is damaged.

    \b
    Examples:
      edgeworthy routes doctor onnx2tf
      edgeworthy routes doctor direct --json
    """
    with Console(as_json=as_json, quiet=quiet, debug=debug) as console:
        from ..pipeline.trial import try_route

        kits.doctor(console, try_route, name)


group = typer.Typer(cls=WholeSummaries, invoke_without_command=True, no_args_is_help=False)
group.callback()(routes)
group.command("list")(list_)
for _command in (install, remove, doctor):
    group.command()(_command)
