"""`report.json`: reading it."""

from __future__ import annotations

from pathlib import Path

import pydantic

from ..errors import BadInput
from .results import SCHEMA_VERSION, Report

JSON = "report.json"

_SHOWN = 5


class _Header(pydantic.BaseModel):
    """What reports of every version hold."""

    schema_version: int
    edgeworthy: str = "of unknown version"


def read(path: Path) -> Report:
    """Read a ``report.json``, or the one in a folder.

    Raises:
        BadInput: there is none, it isn't one, or one of another version of the schema.
    """
    path = path / JSON if path.is_dir() else path
    try:
        text = path.read_text(encoding="utf-8")
        header = _Header.model_validate_json(text)
        if header.schema_version == SCHEMA_VERSION:
            return Report.model_validate_json(text)
    except FileNotFoundError:
        raise BadInput(
            "there is no report here", where=str(path), remedy="make one with `edgeworthy run SOURCE -o OUT`"
        ) from None
    except (pydantic.ValidationError, UnicodeDecodeError) as error:
        wrong = error.errors() if isinstance(error, pydantic.ValidationError) else []
        raise BadInput(
            "this is no report, or a damaged one",
            where=str(path),
            details=[": ".join(filter(None, (".".join(map(str, e["loc"])), e["msg"]))) for e in wrong[:_SHOWN]],
            remedy="make it again with `edgeworthy run SOURCE -o OUT`",
        ) from error
    except OSError as error:
        raise BadInput(
            f"can't read the report: {error.strerror}", where=str(path), remedy="give the folder of a run"
        ) from error
    newer = header.schema_version > SCHEMA_VERSION
    raise BadInput(
        f"this report is of version {header.schema_version} of the schema, and version {SCHEMA_VERSION} is read here",
        where=str(path),
        details=[f"it was made by edgeworthy {header.edgeworthy}"],
        remedy="update edgeworthy, or make it again with `edgeworthy run SOURCE -o OUT`"
        if newer
        else "make it again with `edgeworthy run SOURCE -o OUT`",
    )
