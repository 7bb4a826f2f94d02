"""Quick runs of the user's model, and what they left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import edgeworthy
from edgeworthy.validate.results import Report

QUICK: dict[str, Any] = {
    "convert": {"to": ["tflite"]},
    "quantize": {"schemes": ["int8"]},
    "targets": ["pytorch", "onnxruntime", "tflite"],
    "bench": {"seconds": 0.05},
    "validate": {"samples": 2},
}


def run(folder: Path, output: Path, **tables: Any) -> Report:
    given = {name: dict(table) if isinstance(table, dict) else table for name, table in QUICK.items()}
    given["quantize"]["calibration"] = str(folder / "calibration.npz")
    for name, table in tables.items():
        given[name] = given.get(name, {}) | table if isinstance(table, dict) else table
    return edgeworthy.run(f"{folder}/net.py:make", output, **given)


def redone(report: Report) -> set[str]:
    """The stages that were not taken over."""
    kept = report.notes[0].partition(": ")[2].split(", ") if report.notes else []
    return set(report.stage_seconds) - set(kept)


def visible(folder: Path) -> set[str]:
    return {p.name for p in folder.iterdir() if not p.name.startswith(".")}
