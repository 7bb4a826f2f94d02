"""A converter at work, in a process of its own: a raise, a crash, a hang and a wrong file are results.

It gets a copy of the model and a folder that it works in, with a folder for temporary files in it; whatever it leaves
there goes with the folder.
"""

from __future__ import annotations

import importlib
import os
import shutil
import sys
from pathlib import Path

from ...errors import BadInput, RuntimeFailure
from ...formats.model_files import model_files
from ...source.model_files import ModelFile, converted_kind, read
from ...workers.child import Child
from ...workers.serve import Commands, Tell
from .info import ConverterInfo

_SHOWN = 8
"""Files of the folder that an error names."""


def run(info: ConverterInfo, model: Path, folder: Path, *, timeout_s: float) -> ModelFile:
    """Convert a model.

    Args:
        info: The converter.
        model: An ONNX file; the converter sees a copy of it.
        folder: An empty folder for all that is written.
        timeout_s: Seconds that it may take, its imports included.

    Returns:
        What it made, somewhere in ``folder``.

    Raises:
        RuntimeFailure: it raised, crashed or hung, or made no file, or another than it should.
        NotAvailable, OutOfMemory: it says so.
    """
    graph, out, temporary = (folder.resolve() / name for name in ("model", "out", "tmp"))
    for path in (graph, out, temporary):
        path.mkdir()
    for part in model_files(model):
        copy = graph / os.path.relpath(part, model.parent)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(part, copy)
    name = f"converter {info.name}"
    try:
        with Child(
            __name__,
            name=name,
            where=str(model),
            environment={"TMPDIR": str(temporary)},
            path=[str(Path(entry).resolve()) for entry in sys.path],  # it works in another folder
            timeout_s=timeout_s,
        ) as child:
            made = Path(child.ask("convert", info.convert, str(graph / model.name), str(out)))
        return _checked(info, made, out)
    except BadInput as error:  # a converter that can't is a result, whatever it is that it can't do
        where = error.where and error.where.replace(f"{folder.resolve()}{os.sep}", "")
        what = f"{name} failed: {error.what}"
        raise RuntimeFailure(what, where=where, details=error.details, remedy=error.remedy) from error


def _checked(info: ConverterInfo, made: Path, out: Path) -> ModelFile:
    """What the converter says that it made.

    Raises:
        BadInput: it isn't there, or is something else.
    """
    if not (made.is_file() or made.is_dir()):
        raise BadInput("it made no file", where=made.name, details=_listed(out))
    if not made.resolve().is_relative_to(out):
        raise BadInput("what it made is not in the folder that it was given", where=str(made))
    if converted_kind(made) != info.makes:
        raise BadInput(f"what it made is no {info.makes}", where=made.name, details=_listed(out))
    return read(made)


def _listed(folder: Path) -> list[str]:
    return [f"there is {path.relative_to(folder)}" for path in sorted(folder.rglob("*"))[:_SHOWN]]


# ---- The worker's side ----


def start(tell: Tell) -> Commands:
    """What the process serves: one conversion."""
    return {"convert": _convert}


def _convert(spec: str, model: str, out: str) -> str:
    module, _, name = spec.partition(":")
    convert = getattr(importlib.import_module(module), name)
    os.chdir(out)
    made = convert(Path(model), Path(out))
    if not isinstance(made, (str, os.PathLike)):
        raise TypeError(f"{spec} returned {type(made).__name__!r}, not the path of a file")
    return str(Path(out, made))
