"""``edgeworthy targets``: what there is, and its set-up (``install``, ``remove``, ``doctor``)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .console import Console
from .options import Debug, Json, Quiet, Verbose

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..pipeline.progress import Progress

Names = Annotated[list[str], typer.Argument(metavar="NAME…", help="Targets or kits.", show_default=False)]


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
    if context.invoked_subcommand is not None:
        return
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
    names: Names,
    offline: Annotated[
        Path | None,
        typer.Option("--offline", metavar="DIR", help="Take files from here and ask no registry.", show_default=False),
    ] = None,
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
        import time

        from .. import kits
        from ..pipeline.diagnosis import KitState, kits_of
        from . import views

        done = []
        chosen = kits_of(names)
        with console.progress() as progress:
            for kit in chosen:
                begin = time.perf_counter()
                with progress.stage(kit.name, kit.summary):
                    state = kits.install(kit, offline=offline, tell=_teller(progress))
                done.append(KitState.of(state, seconds=time.perf_counter() - begin))
        if console.as_json:
            console.json([state.model_dump() for state in done])
        views.kits(console, done)


def remove(names: Names, as_json: Json = False, quiet: Quiet = False, debug: Debug = False) -> None:
    """Remove what `install` fetched.

    \b
    Examples:
      edgeworthy targets remove arm64
    """
    with Console(as_json=as_json, quiet=quiet, debug=debug) as console:
        from .. import kits
        from ..pipeline.diagnosis import KitState, kits_of
        from . import views

        chosen = kits_of(names)
        with console.progress() as progress:
            for kit in chosen:
                with progress.stage(kit.name):
                    kits.remove(kit, tell=_teller(progress))
        done = [KitState.of(kits.look(kit)) for kit in chosen]
        if console.as_json:
            console.json([state.model_dump() for state in done])
        views.kits(console, done)


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
        from . import views

        with console.progress() as progress:
            trial = try_target(name, progress)
        if console.as_json:
            console.json(trial)
        views.trial(console, trial)
        raise SystemExit(0 if trial.passes else 1)


def _teller(progress: Progress) -> Callable[[str, int, int], None]:
    from ..display import size

    def tell(what: str, done: int, total: int) -> None:
        progress.step(f"{what} ({size(done)} of {size(total)})" if total else what, done, total or 1)

    return tell


group = typer.Typer(invoke_without_command=True, no_args_is_help=False)
group.callback()(targets)
for _command in (install, remove, doctor):
    group.command()(_command)
