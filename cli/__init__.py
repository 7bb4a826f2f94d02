"""The command line: ``edgeworthy`` and ``python -m edgeworthy``."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """The console script."""
    _open_streams()
    try:
        from .app import app
    except KeyboardInterrupt:  # there is nothing to clean up yet
        raise SystemExit(130) from None
    app()


def _open_streams() -> None:
    """A standard stream that the caller has closed goes nowhere; else the next file opened would take its number."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_RDWR)
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)
            setattr(sys, name, os.fdopen(number, mode))
