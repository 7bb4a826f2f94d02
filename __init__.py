"""edgeworthy: PyTorch to ONNX, TensorFlow SavedModel and INT8 TFLite, with proof.

::

    import edgeworthy

    report = edgeworthy.run("net.py:make", "out", quantize={"schemes": ["int8"], "calibration": "data.npz"})
    print(report.gate.status, report.artifact("tflite_static_wi8_ai8").path)

What ``run`` takes as keywords are the tables of ``edgeworthy.toml``; what it gives is what ``report.json`` holds.
Errors are ``errors.EdgeworthyError``. Importing this package imports nothing heavy.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .config import Config
    from .pipeline.inspection import inspect
    from .pipeline.run import run, run_config
    from .settings import load_config
    from .validate.gate import evaluate
    from .validate.report import read
    from .validate.results import Report

# ONNX Runtime would report to its maker on every model, and its uploader would run while we time it.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

_HOMES = {
    "Config": "config",
    "load_config": "settings",
    "inspect": "pipeline.inspection",
    "run": "pipeline.run",
    "run_config": "pipeline.run",
    "evaluate": "validate.gate",
    "read": "validate.report",
    "Report": "validate.results",
}

__all__ = ["Config", "Report", "evaluate", "inspect", "load_config", "read", "run", "run_config"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f".{_HOMES[name]}", __name__), name)
    if name == "__version__":
        from importlib.metadata import version

        return version("edgeworthy")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *_HOMES, "__version__"]
