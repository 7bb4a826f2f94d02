"""A Python environment of a kit's own, from requirements that are locked by hash.

Packages whose pins clash with ours (or that most users never need) don't share our interpreter: a target's process is
started with this one.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import venv
from pathlib import Path

from ..errors import NotAvailable
from .fetch import Unreached, client, pip
from .kit import Kit

LENT = "EDGEWORTHY_LENT"
"""The variable with the folders of what a kit borrows: ours may move, or be another tomorrow."""
_BORROWED = "borrowed.pth"
_READS = f"import os, sys; sys.path.extend(filter(None, os.environ.get('{LENT}', '').split(os.pathsep)))\n"


def build(kit: Kit, folder: Path, *, offline: Path | None) -> None:
    """Make the environment in ``folder``. Wheels only: nothing is compiled, and no package's code is run.

    Its programs are started as ``python -m``: a script would name a folder that is about to be renamed.

    Raises:
        NotAvailable: there is no wheel for this Python, no network, or a file that isn't the locked one.
    """
    interpreter = folder / "bin/python"
    lent(kit)
    source = ("--no-index", f"--find-links={offline}") if offline else ()
    venv.create(folder, symlinks=True, with_pip=False)
    try:
        client(pip("-vv", "--python", interpreter, "install", "--no-compile", *source, *locked(kit)))
    except Unreached as failed:
        here = f"Python {sys.version_info.major}.{sys.version_info.minor}"
        elsewhere = f"pip download {' '.join(map(str, locked(kit)))} -d {offline}"
        raise NotAvailable(
            f"can't install {', '.join(kit.requirements)} for the kit {kit.name}",
            where="pip",
            details=[str(failed)],
            remedy=failed.remedy
            or (
                f"put the wheels there, with {here} on a machine like this one that has a network: {elsewhere}"
                if offline
                else f"it has to be had for {here} on this machine; the same command tries again, or takes the wheels "
                "from a folder with --offline DIR"
            ),
        ) from failed
    if kit.borrows:  # at the end of the path: what the kit has itself comes first
        (site(folder) / _BORROWED).write_text(_READS, encoding="utf-8")
    for script in (folder / "bin").iterdir():
        if not script.name.startswith("python"):
            script.unlink()


def locked(kit: Kit) -> tuple[str | Path, ...]:
    """pip's arguments for the wheels of a kit, and no others."""
    heed = ("--ignore-requires-python",) if kit.claims else ()
    return *heed, "--require-hashes", "--no-deps", "--only-binary=:all:", "-r", kit.locked_requirements


def site(folder: Path) -> Path:
    """Where an environment in ``folder`` has its packages, if it is of this Python."""
    return folder / f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"


def lent(kit: Kit) -> dict[str, str]:
    """The variable that an environment finds what it borrows by.

    Raises:
        NotAvailable: our own environment hasn't got it.
    """
    homes = dict.fromkeys(_home_of(module, kit) for module in kit.borrows)
    return {LENT: os.pathsep.join(homes)} if homes else {}


def borrowing_faults(kit: Kit, folder: Path) -> tuple[str, ...]:
    """Why an environment in ``folder`` can't borrow what it needs."""
    if not kit.borrows:
        return ()
    try:
        lent(kit)
        written = (site(folder) / _BORROWED).read_text(encoding="utf-8")
    except NotAvailable as error:
        return (error.what,)
    except OSError as error:
        return (f"{_BORROWED}: {error.strerror}",)
    return () if written == _READS else (f"its {_BORROWED} is of another version of edgeworthy",)


def _home_of(module: str, kit: Kit) -> str:
    """The folder of our own packages that a module is imported from."""
    found = importlib.util.find_spec(module)
    if found is None or found.origin is None:
        raise NotAvailable(
            f"kit {kit.name} works with the {module} of edgeworthy's own environment, which is not installed",
            where=sys.prefix,
            remedy=f"pip install 'edgeworthy[{module}]'",
        )
    return str(Path(found.origin).parents[1])
