"""What native libraries print in this process: absl, LLVM and oneDNN write to descriptor 2, past ``sys.stderr``."""

from __future__ import annotations

import faulthandler
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import EdgeworthyError, InternalFault


@contextmanager
def hushed() -> Iterator[None]:
    """Meanwhile what native code writes to stderr is kept back; Python's own streams go on as before.

    It is written after all if something is raised that nobody foresaw. Where faulthandler is on, as it is under the
    command line, which keeps a log of its own, nothing is done: the stack of a crash goes where it should.
    """
    if faulthandler.is_enabled():
        yield
        return
    sys.stderr.flush()
    ours, python = os.dup(2), sys.stderr
    with tempfile.TemporaryFile() as log, os.fdopen(os.dup(ours), "w", encoding="utf-8", buffering=1) as stream:
        os.dup2(log.fileno(), 2)
        if _number(python) == 2:
            sys.stderr = stream
        try:
            yield
        except BaseException as error:
            if not isinstance(error, EdgeworthyError) or isinstance(error, InternalFault):
                log.seek(0)
                os.write(ours, log.read())
            raise
        finally:
            sys.stderr = python
            os.dup2(ours, 2)
            os.close(ours)


def _number(stream: object) -> int | None:
    """The descriptor of a stream; None where it has none, as in a notebook."""
    try:
        return int(stream.fileno())  # type: ignore[attr-defined]
    except (AttributeError, OSError, ValueError):
        return None
