"""litert-torch, from a program of ``torch.export``. Self-contained: it runs in the Python of a kit."""

from __future__ import annotations

from pathlib import Path


def convert(model: Path, folder: Path) -> Path:
    """What a user of it writes: the module, its example, and a file."""
    import litert_torch
    import torch

    program = torch.export.load(model)
    args, kwargs = program.example_inputs
    path = folder / "model.tflite"
    litert_torch.convert(program.module(), args, kwargs or None).export(str(path))
    return path
