"""Where kits lie on this machine."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import BadInput, NotAvailable

_SEPARATORS = ":;"
"""Of folders in variables; ``LD_LIBRARY_PATH`` takes either."""


def home() -> Path:
    """``$EDGEWORTHY_HOME``, else ``edgeworthy`` in the user's data folder (XDG Base Directory Specification).

    Raises:
        NotAvailable: the system knows no home of this user, or of the one that is named.
    """
    own, data = os.environ.get("EDGEWORTHY_HOME"), os.environ.get("XDG_DATA_HOME", "")
    try:
        if own:
            return Path(own).expanduser().absolute()
        return (Path(data) if data.startswith("/") else Path.home() / ".local/share") / "edgeworthy"
    except RuntimeError as error:  # as a container's, whose user has no name
        raise NotAvailable(
            "the system knows no such home folder", where=own, remedy="set EDGEWORTHY_HOME to a folder"
        ) from error


def exists(path: Path) -> bool:
    """Whether it exists, as far as this user can see."""
    try:
        return path.exists()
    except PermissionError:  # of a folder that can't be looked into
        return False


def check_place(path: Path) -> None:
    """Raise BadInput for a path that variables of a process can't hold beside others, such as ``PYTHONPATH``."""
    if found := [mark for mark in _SEPARATORS if mark in str(path)]:
        raise BadInput(
            f"no kit can lie in a folder with {found[0]!r} in its path: it separates folders in PYTHONPATH and others",
            where=str(path),
            remedy="choose another place with EDGEWORTHY_HOME",
        )
