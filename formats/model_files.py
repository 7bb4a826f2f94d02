"""The files that make up a model, and what identifies them."""

from __future__ import annotations

import hashlib
from pathlib import Path

from .. import files


def model_files(path: Path) -> tuple[Path, ...]:
    """A model file or folder, and for ONNX the files of its external data."""
    if path.suffix != ".onnx":
        return (path,)
    from .onnx.summary import summarize

    return summarize(path).files


def sha256(path: Path) -> str:
    """Hash of all files of a model; of a single one its SHA-256.

    Raises:
        BadInput: an ONNX file is damaged, or lacks its external data.
    """
    digests = [files.sha256(part) for part in model_files(path)]
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()


def size(path: Path) -> int:
    """Bytes of all files of a model."""
    return sum(files.size(part) for part in model_files(path))
