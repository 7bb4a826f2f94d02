"""edgeworthy: PyTorch to ONNX, TensorFlow SavedModel and INT8 TFLite, with proof.

::

    import edgeworthy

    report = edgeworthy.run("net.py:make", "out", quantize={"schemes": ["int8"], "calibration": "data.npz"})
    print(report.gate.status, report.artifact("tflite_static_wi8_ai8").path)

The functions are the command line's verbs: ``run export convert quantize recommend validate bench gate report
inspect export_android``. A source may also be an ``nn.Module`` with ``example_inputs``. What ``run`` takes as keywords
are the tables of ``edgeworthy.toml``; what it gives is what ``report.json`` holds. Errors are
``errors.EdgeworthyError``.
Importing this package imports nothing heavy.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .android.export import export_android
    from .config import Config
    from .pipeline.inspection import inspect
    from .pipeline.run import run, run_config
    from .pipeline.verbs import (
        bench,
        convert,
        export,
        gate,
        quantize,
        read_report,
        recommend,
        report,
        validate,
    )
    from .settings import load_config
    from .validate.results import Report

# ONNX Runtime would report to its maker on every model, and its uploader would run while we time it.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

_HOMES = {
    "Config": "config",
    "Report": "validate.results",
    "bench": "pipeline.verbs",
    "export_android": "android.export",
    "gate": "pipeline.verbs",
    "inspect": "pipeline.inspection",
    "load_config": "settings",
    "read_report": "pipeline.verbs",
    "recommend": "pipeline.verbs",
    "report": "pipeline.verbs",
    "run": "pipeline.run",
    "run_config": "pipeline.run",
}
_ROOMS = ("convert", "export", "quantize", "validate")
"""Verbs that a subpackage is called by too: the subpackage can be called."""

__all__ = [
    "Config", "Report", "bench", "convert", "export", "export_android", "gate", "inspect", "load_config", "quantize",
    "read_report", "recommend", "report", "run", "run_config", "validate",
]  # fmt: skip


class _Room(ModuleType):
    """A subpackage that is a verb when it is called."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        verbs = import_module(".pipeline.verbs", __name__)
        return getattr(verbs, self.__name__.rpartition(".")[2])(*args, **kwargs)


class _Package(ModuleType):
    """This package; the import system sets every subpackage as an attribute of it."""

    def __setattr__(self, name: str, value: object) -> None:
        if name in _ROOMS and isinstance(value, ModuleType):
            value.__class__ = _Room
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f".{_HOMES[name]}", __name__), name)
    if name in _ROOMS:
        return import_module(f".{name}", __name__)
    if name == "__version__":
        from importlib.metadata import version

        return version("edgeworthy")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *_HOMES, *_ROOMS, "__version__"]
