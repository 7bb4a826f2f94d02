"""``edgeworthy targets``: what there is, and its set-up (``install``, ``remove``, ``doctor``)."""

from __future__ import annotations

from typing import Annotated

import typer

from . import kits
from .console import Console
from .options import Debug, Json, Quiet, Verbose
from .usage import WholeSummaries


def targets(context: typer.Context, as_json: Json = False, quiet: Quiet = False, debug: Debug = False) -> None:
    """Where models can run here, and if not, why.

    Some targets need more than a pip extra: an emulator, a browser's packages, a compiler. Their kits are listed too,
    and `install` fetches them.

    \b
    Examples:
      edgeworthy targets
      edgeworthy targets --json
      edgeworthy targets install arm64
      edgeworthy targets doctor arm64
    """
    if context.invoked_subcommand is None:
        list_(as_json=as_json, quiet=quiet, debug=debug)


def list_(as_json: Json = False, quiet: Quiet = False, debug: Debug = False) -> None:
    """The same as `edgeworthy targets`.

    \b
    Examples:
      edgeworthy targets list
      edgeworthy targets list --json
    """
    with Console(as_json=as_json, quiet=quiet, debug=debug) as console:
        from ..pipeline.diagnosis import kit_states, target_states
        from . import views

        with console.progress() as progress:
            found = target_states(progress)
        if console.as_json:
            console.json([state.model_dump() for state in found])
        views.targets(console, found)
        views.kits(console, kit_states())


def install(
    names: kits.Names,
    offline: kits.Offline = None,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
    verbose: Verbose = False,
) -> None:
    """Fetch what targets need, by hash, into your data folder.

    From Debian, PyPI and npm, without root, exactly what edgeworthy's lock files say. What is there already stays; what
    was cut off goes on; a damaged kit is built anew. EDGEWORTHY_HOME is where, ~/.local/share/edgeworthy by default.

    \b
    Examples:
      edgeworthy targets install arm64
      edgeworthy targets install browser ethos-u
      edgeworthy targets install arm64 --offline downloads
    """
    with Console(as_json=as_json, quiet=quiet, debug=debug, verbose=verbose) as console:
        kits.install(console, names, offline)


def remove(names: kits.Names, as_json: Json = False, quiet: Quiet = False, debug: Debug = False) -> None:
    """Remove what `install` fetched.

    \b
    Examples:
      edgeworthy targets remove arm64
    """
    with Console(as_json=as_json, quiet=quiet, debug=debug) as console:
        kits.remove(console, names)


def doctor(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A target, as --target takes it, or a kit.")],
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Try a target on models of one operator, float32 and int8.

    Looks at every file of its kit, starts it, holds what it computes against numpy, and shows what ran where.

    Exit code 0: it works. 1: it computes something else, or its accelerator did nothing. 3: it isn't there.

    \b
    Examples:
      edgeworthy targets doctor tflite
      edgeworthy targets doctor onnxruntime --json
    """
    with Console(as_json=as_json, quiet=quiet, debug=debug) as console:
        from ..pipeline.trial import try_target

        kits.doctor(console, try_target, name)


group = typer.Typer(cls=WholeSummaries, invoke_without_command=True, no_args_is_help=False)
group.callback()(targets)
group.command("list")(list_)
for _command in (install, remove, doctor):
    group.command()(_command)
