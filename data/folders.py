"""Samples that are files of a folder, or parts of them: images and WAV."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..errors import BadInput
from .samples import Label


def files_below(folder: Path, suffixes: Sequence[str]) -> list[Path]:
    """The files below a folder with one of these suffixes, sorted by path."""
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in suffixes and p.is_file())


def classes_of(folder: Path, files: Sequence[Path]) -> list[Label | None]:
    """The class of each file: the first folder on the way to it, where all files are in at least two such folders."""
    parts = [path.relative_to(folder).parts for path in files]
    names = {part[0] for part in parts}
    if len(names) < 2 or any(len(part) < 2 for part in parts):
        return [None] * len(files)
    return [part[0] for part in parts]


def one_input(count: int, inputs: Sequence[object], what: str, where: str) -> None:
    """Refuse files of one kind for a model with several inputs.

    Raises:
        BadInput: there are several.
    """
    if count != 1:
        raise BadInput(
            f"{what} can't feed a model with {count} inputs",
            where=where,
            details=[f"input: {spec}" for spec in inputs],
            remedy="give the data as .npz or file.py:generator",
        )
