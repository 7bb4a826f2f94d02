"""Packages that are built for one version of PyTorch, and break when another is installed."""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Iterator
from types import ModuleType

from ..errors import NotAvailable

COMPANIONS = {
    "torchvision": ("torchvision",),
    "torchaudio": ("torchaudio",),
    "timm": ("timm",),
    "transformers": ("transformers",),
    "lightning": ("lightning",),
    "pytorch_lightning": ("pytorch-lightning",),
    "torchmetrics": ("torchmetrics",),
}
"""Module → the distributions that bring it."""


def companion(module: str, where: str) -> ModuleType:
    """Import a module of a companion.

    Args:
        module: ``torchvision.models``, for example.
        where: The kind of source that needs it, for errors.

    Raises:
        NotAvailable: its package isn't installed, or doesn't go with the installed PyTorch.
    """
    try:
        return importlib.import_module(module)
    except Exception as error:
        name = module.partition(".")[0]
        if isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] == name:
            package = COMPANIONS[name][0]
            raise NotAvailable(
                f"{package} is not installed", where=where, details=[str(error)], remedy=f"pip install {package}"
            ) from error
        raise broken_import(error, where) or _mismatch(name, error, where) from error


def broken_import(error: BaseException, where: str) -> NotAvailable | None:
    """The error of a companion that failed while it was being imported; None if it was none of them."""
    being_imported = [name for name in _modules_at_work(error) if name in COMPANIONS]
    missing = isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] not in COMPANIONS
    return None if missing or not being_imported else _mismatch(being_imported[-1], error, where)


def version(name: str) -> str | None:
    """The installed version of a companion, or of ``torch``; None if it isn't installed as a package."""
    for distribution in COMPANIONS.get(name, (name,)):
        try:
            return importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            continue
    return None


def _mismatch(name: str, error: BaseException, where: str) -> NotAvailable:
    torch = version("torch") or "unknown"
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return NotAvailable(
        f"{name} {version(name) or '(of unknown version)'} can't be imported with PyTorch {torch}",
        where=where,
        details=[f"{type(error).__name__}: {lines[0]}"],
        remedy=f"install versions that go together: pip install --upgrade torch {COMPANIONS[name][0]}",
    )


def _modules_at_work(error: BaseException) -> Iterator[str]:
    """The packages whose modules were being run for the first time when an error arose, the outermost first."""
    trace = error.__traceback__
    while trace is not None:
        frame = trace.tb_frame
        if frame.f_code.co_name == "<module>":
            yield str(frame.f_globals.get("__name__", "")).partition(".")[0]
        trace = trace.tb_next
