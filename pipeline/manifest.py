"""`manifest.json`: what was made of what, by which tools, where, and how long it took."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from .. import files
from ..validate.host import Host
from ..validate.results import Report

NAME = "manifest.json"


class FileHash(BaseModel):
    """A file (or a folder, whose hash covers the names and contents below it)."""

    model_config = ConfigDict(extra="forbid")

    path: str
    size_bytes: int
    sha256: str


class Manifest(BaseModel):
    """Everything that is needed to tell whether two runs were the same.

    Attributes:
        inputs: Files that the run read; their paths are as given.
        artifacts: Files that the run made, relative to the manifest's folder.
        source: Hash of the model itself: weights and code for a module, content for a file.
        calibration: Hash of the calibration samples that were used; None where there were none.
        forms_for: Devices whose kernels the forms in the files were chosen for (``--for``); empty where nothing was
            converted.
        tools: Package → version.
        seconds: Stage → wall time when it last ran.
    """

    model_config = ConfigDict(extra="forbid")

    schema_version: int = 1
    edgeworthy: str
    created: datetime
    command: str
    options: dict[str, str | int | float | bool | list[str] | None]
    source: str
    calibration: str | None = None
    forms_for: list[str] = []
    inputs: list[FileHash]
    artifacts: list[FileHash]
    tools: dict[str, str]
    host: Host
    seconds: dict[str, float]


def write(report: Report, output: Path, *, source: str, inputs: list[Path], tools: dict[str, str]) -> Path:
    """Write the manifest of a run beside its report, atomically."""
    manifest = Manifest(
        edgeworthy=report.edgeworthy,
        created=report.created,
        command=report.command,
        options=report.options,
        source=source,
        calibration=next((q.calibration.sha256 for q in report.quantization if q.calibration), None),
        forms_for=report.conversion.forms_for if report.conversion else [],
        inputs=[hash_of(path, str(path)) for path in inputs],
        artifacts=[FileHash(path=a.path, size_bytes=a.size_bytes, sha256=a.sha256) for a in report.artifacts],
        tools=tools,
        host=report.host,
        seconds=report.stage_seconds,
    )
    path = output / NAME
    files.write_text(path, manifest.model_dump_json(indent=2) + "\n")
    return path


def hash_of(path: Path, name: str) -> FileHash:
    """Size and hash of a file or folder, under ``name``."""
    return FileHash(path=name, size_bytes=files.size(path), sha256=files.sha256(path))
