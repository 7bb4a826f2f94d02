"""`report.json`: reading it."""

from __future__ import annotations

from pathlib import Path

import pydantic

from ..errors import BadInput
from .results import Report

JSON = "report.json"

_SHOWN = 5


def read(path: Path) -> Report:
    """Read a ``report.json``, or the one in a folder.

    Raises:
        BadInput: there is none, or it isn't one.
    """
    path = path / JSON if path.is_dir() else path
    try:
        return Report.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadInput(
            "there is no report here", where=str(path), remedy="make one with `edgeworthy run SOURCE -o OUT`"
        ) from None
    except (pydantic.ValidationError, UnicodeDecodeError) as error:
        wrong = error.errors() if isinstance(error, pydantic.ValidationError) else []
        raise BadInput(
            "this is no report, or one of another version of edgeworthy",
            where=str(path),
            details=[": ".join(filter(None, (".".join(map(str, e["loc"])), e["msg"]))) for e in wrong[:_SHOWN]],
            remedy="make it again with `edgeworthy run SOURCE -o OUT`",
        ) from error
    except OSError as error:
        raise BadInput(
            f"can't read the report: {error.strerror}", where=str(path), remedy="give the folder of a run"
        ) from error
