"""Packages that some targets need beside ours: in this Python, or in the environment of a kit."""

from __future__ import annotations

import importlib.metadata
import sys

from .. import kits


def version(distribution: str, kit: str) -> str | None:
    """The version of a package, in this Python or else in the kit's; None when it is in neither."""
    here = next(iter(importlib.metadata.distributions(name=distribution, path=sys.path)), None)
    return here.version if here is not None else kits.version(kit)


def borrow(kit: str) -> None:
    """Let this process import a kit's packages too; its own come first."""
    folder = str(kits.site(kits.KITS[kit]))
    if folder not in sys.path:
        sys.path.append(folder)


def python(distribution: str, kit: str) -> str:
    """The Python that has a package: this one, or else the kit's.

    Raises:
        NotAvailable: neither has it.
    """
    if any(importlib.metadata.distributions(name=distribution, path=sys.path)):
        return sys.executable
    return kits.launch(kits.KITS[kit]).python[0]
