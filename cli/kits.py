"""Kits fetched, removed and tried: the bodies of ``targets install``, ``routes install`` and their like."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from .console import Console

if TYPE_CHECKING:
    from ..pipeline.progress import Progress
    from ..pipeline.trial import Trial

Names = Annotated[list[str], typer.Argument(metavar="NAME", help="Targets, converters or kits.", show_default=False)]
Offline = Annotated[
    Path | None,
    typer.Option("--offline", metavar="DIR", help="Take files from here and ask no registry.", show_default=False),
]


def install(console: Console, names: Sequence[str], offline: Path | None) -> None:
    """Fetch kits, and show what is there then."""
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


def remove(console: Console, names: Sequence[str]) -> None:
    """Remove kits, and show what is there then."""
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


def doctor(console: Console, attempt: Callable[[str, Progress], Trial], name: str) -> NoReturn:
    """Try what needs a kit, show what came of it, and exit with 0 where it works and with 1 where it doesn't."""
    from . import views

    with console.progress() as progress:
        trial = attempt(name, progress)
    if console.as_json:
        console.json(trial)
    views.trial(console, trial)
    raise SystemExit(0 if trial.passes else 1)


def _teller(progress: Progress) -> Callable[[str, int, int], None]:
    from ..display import size

    def tell(what: str, done: int, total: int) -> None:
        progress.step(f"{what} ({size(done)} of {size(total)})" if total else what, done, total or 1)

    return tell
