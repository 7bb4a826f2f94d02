"""Every file of one model: by edgeworthy, as ``edgeworthy quantize`` makes it.

``python -m … NAME FOLDER SAMPLES HELD_OUT`` in a process of its own; ``FOLDER/making.json`` says what became of each.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

import edgeworthy
from edgeworthy.errors import EdgeworthyError
from edgeworthy.files import write_text
from edgeworthy.pipeline import fingerprint
from edgeworthy.schemes import QUANTIZED
from edgeworthy.validate.made import QuantizationResult
from edgeworthy.validate.results import Report

from .models import SUBJECTS
from .subject import Subject, stacked

CALIBRATION, HELD_OUT = "calibration.npz", "held_out.npz"
FLOAT, SAVED_MODEL = "model_float32.tflite", "saved_model"
BOTH, REPAIRED = "both", "repaired"
_RECORD = "making.json"
VARIANTS: dict[str, dict[str, Any]] = {
    BOTH: {"engine": "both", "to": ("tflite", "saved_model")},
    REPAIRED: {"repair": True},
}
"""Other ways to int8 → what is asked for."""

_MAKERS = (
    "artifact.py", "convert", "devices.py", "devices.toml", "export", "formats", "numerics", "quantize", "schemes.py",
    "tables.py",
)  # fmt: skip
"""What decides on a file's bytes, of edgeworthy's own code."""

SPARE = 8
"""Samples that the tool may hold back for its own comparing."""


@dataclass(frozen=True)
class Made:
    """A file, or why there is none.

    Attributes:
        scheme: Short name of the scheme.
        file: Below the model's folder.
        failure: The cause, in one line.
        float_ops: How many operators stayed float.
        seconds: What it took.
    """

    scheme: str
    file: str = ""
    failure: str = ""
    float_ops: int = 0
    seconds: float = 0.0

    @classmethod
    def of(cls, result: QuantizationResult, place: str, report: Report) -> Made:
        """``place``: folder of the run, below the model's."""
        artifact = report.artifact(result.artifact) if result.artifact else None
        name = next(scheme.short_name for scheme in QUANTIZED if scheme.name == result.scheme)
        file = str(Path(place, artifact.path)) if artifact else ""
        failure = "" if artifact else _line(result.failure)
        return cls(name, file, failure, len(result.float_ops), result.seconds)


@dataclass(frozen=True)
class Origin:
    """What the files of a model were made by.

    Attributes:
        code: Hash of the code that makes them.
        samples: For calibration.
        held_out: Other samples to judge on.
    """

    code: str
    samples: int
    held_out: int

    @classmethod
    def now(cls, samples: int, held_out: int) -> Origin:
        return cls(fingerprint.of_code(*_MAKERS)[:12], samples, held_out)

    def __str__(self) -> str:
        return f"code {self.code}, {self.samples} samples and {self.held_out} others"


@dataclass(frozen=True)
class Making:
    """All files of a model, and what they were made by."""

    origin: Origin
    files: tuple[Made, ...]

    @classmethod
    def read(cls, folder: Path) -> Making | None:
        """None where nothing was made yet."""
        path = folder / _RECORD
        if not path.exists():
            return None
        told = json.loads(path.read_text(encoding="utf-8"))
        return cls(Origin(**told["origin"]), tuple(Made(**file) for file in told["files"]))

    def write(self, folder: Path) -> None:
        write_text(folder / _RECORD, json.dumps(asdict(self), indent=1))


def make(subject: Subject, folder: Path, samples: int, held_out: int) -> list[Made]:
    """The data, the float files, and a file of every scheme; of int8 by both engines, and repaired, as well.

    Raises:
        EdgeworthyError: there is no float file to begin with.
    """
    np.savez(folder / CALIBRATION, **stacked(subject.feeds(samples + SPARE, 0)))  # type: ignore[arg-type]
    np.savez(folder / HELD_OUT, **stacked(subject.feeds(held_out, 1)))  # type: ignore[arg-type]
    np.savez(folder / "example.npz", **subject.feeds(1, 0)[0])  # type: ignore[arg-type]
    model: dict[str, Any] = {"inputs": list(subject.inputs)}
    if not subject.inputs:
        model = {"inputs_file": str(folder / "example.npz")}

    def quantized(place: str, schemes: list[str], to: Sequence[str] = ("tflite",), **more: Any) -> list[Made]:
        table = {"calibration": str(folder / CALIBRATION), "samples": samples, "schemes": schemes} | more
        where = folder / place
        report = edgeworthy.quantize(subject.source(), where, model=model, quantize=table, convert={"to": list(to)})
        return [Made.of(result, place, report) for result in report.quantization]

    found = quantized("", [scheme.name for scheme in QUANTIZED])
    for place, more in VARIANTS.items():
        try:
            found += [replace(made, scheme=place) for made in quantized(place, ["int8"], **more)]
        except EdgeworthyError as error:
            found.append(Made(place, failure=_line(error)))
    link = folder / SAVED_MODEL
    link.unlink(missing_ok=True)
    if (folder / BOTH / SAVED_MODEL).is_dir():
        link.symlink_to(Path(BOTH, SAVED_MODEL))
    return found


def _line(error: object) -> str:
    return " ".join(str(error).split())


def main() -> None:
    name, folder, samples, held_out = sys.argv[1], Path(sys.argv[2]), *map(int, sys.argv[3:5])
    origin = Origin.now(samples, held_out)
    try:
        made = make(SUBJECTS[name], folder, samples, held_out)
    except EdgeworthyError as error:
        made = [Made("float32", failure=_line(error))]
    Making(origin, tuple(made)).write(folder)


if __name__ == "__main__":
    main()
