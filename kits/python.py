"""A Python environment of a kit's own, from requirements that are locked by hash.

Packages whose pins clash with ours (or that most users never need) don't share our interpreter: a target's process is
started with this one.
"""

from __future__ import annotations

import importlib.util
import sys
import venv
from pathlib import Path

from ..errors import NotAvailable
from .fetch import Unreached, client, pip
from .kit import Kit


def build(kit: Kit, folder: Path, *, offline: Path | None) -> None:
    """Make the environment in ``folder``. Wheels only: nothing is compiled, and no package's code is run.

    Its programs are started as ``python -m``: a script would name a folder that is about to be renamed.

    Raises:
        NotAvailable: there is no wheel for this Python, no network, or a file that isn't the locked one.
    """
    interpreter = folder / "bin/python"
    lent = [_home_of(module, kit) for module in kit.borrows]
    source = ("--no-index", f"--find-links={offline}") if offline else ()
    heed = ("--ignore-requires-python",) if kit.claims else ()
    locked = (*heed, "--require-hashes", "--no-deps", "--only-binary=:all:", "-r", kit.locked_requirements)
    venv.create(folder, symlinks=True, with_pip=False)
    try:
        client(pip("--python", interpreter, "install", "--no-compile", *source, *locked))
    except Unreached as failed:
        raise NotAvailable(
            f"can't install {', '.join(kit.requirements)} for the kit {kit.name}",
            where="pip",
            details=[str(failed)],
            remedy=f"it has to be had for Python {sys.version_info.major}.{sys.version_info.minor} on this machine; "
            "the same command tries again, or takes the wheels from a folder with --offline DIR",
        ) from failed
    if lent:  # at the end of the path: what the kit has itself comes first
        (site(folder) / "borrowed.pth").write_text("\n".join(dict.fromkeys(lent)) + "\n", encoding="utf-8")
    for script in (folder / "bin").iterdir():
        if not script.name.startswith("python"):
            script.unlink()


def site(folder: Path) -> Path:
    """Where an environment in ``folder`` has its packages, if it is of this Python."""
    return folder / f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"


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
