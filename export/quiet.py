"""Exporters that print, log and warn, made quiet."""

from __future__ import annotations

import io
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout

from ..source.torch_names import shown


@contextmanager
def quiet() -> Iterator[list[str]]:
    """Nothing is printed or logged meanwhile; yields a list that the tracer's warnings are put in at the end."""
    notes: list[str] = []
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    sink = io.StringIO()
    try:
        with (
            warnings.catch_warnings(record=True) as caught,
            redirect_stdout(sink),
            redirect_stderr(sink),
        ):
            warnings.simplefilter("always")
            yield notes
    finally:
        logging.disable(disabled)
    traced = [w for w in caught if w.category.__name__ == "TracerWarning"]
    lines = [f"{shown(w.filename, w.lineno)}: {str(w.message).partition('. ')[0]}" for w in traced]
    notes += dict.fromkeys(lines)


@contextmanager
def silent_stdout() -> Iterator[None]:
    """What C++ code writes to standard output goes nowhere."""
    sys.stdout.flush()
    kept = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)
