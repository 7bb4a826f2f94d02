"""A converter at work, in a process of its own: a raise, a crash, a hang, a flood and a wrong file are results.

It gets a copy of the model and a folder that it works in, with a folder for temporary files in it; whatever it leaves
there goes with the folder. One that has a kit runs in that one's Python (see ``workers.function``).
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ... import files, kits
from ...errors import BadInput, RuntimeFailure
from ...formats.model_files import model_files
from ...formats.onnx.ir_version import restamped
from ...source.model_files import ModelFile, converted_kind, read
from ...workers import function
from ...workers.child import Child
from .info import ConverterInfo
from .older import lower_opset

_OTHERS_FAULT = "run the converter by itself on this model and report what it does to its makers; take another route"

_SHOWN = 8
"""Files of the folder that an error names."""

_LONGEST = 1 << 20
"""Bytes of its answer, which is a path."""


@dataclass(frozen=True)
class ConvertedFile:
    """What a converter made, and what it cost.

    Attributes:
        file: The file, read.
        seconds: Wall time of the process, with its start and its imports.
        peak_bytes: Its peak resident memory, likewise; 0 where that isn't known.
        cpu_seconds: Processor time of it, and of what it started and waited for.
    """

    file: ModelFile
    seconds: float
    peak_bytes: int
    cpu_seconds: float


def run(
    info: ConverterInfo,
    model: Path,
    folder: Path,
    *,
    timeout_s: float,
    most_bytes: int | None = None,
    begun: Callable[[Child], None] = lambda child: None,
) -> ConvertedFile:
    """Convert a model.

    Args:
        info: The converter.
        model: A file of the kind that it takes; the converter sees a copy of it.
        folder: An empty folder for all that is written.
        timeout_s: Seconds that it may take, its imports included.
        most_bytes: Resident memory that it may take; None for what the machine has.
        begun: Is given the process as soon as there is one.

    Returns:
        What it made, somewhere in ``folder``.

    Raises:
        RuntimeFailure: it raised or crashed, or made no file, or another than it should.
        LimitExceeded: it hung, or took too much memory.
        CheckFailed: the model can't be had in an opset that it reads.
        NotAvailable, OutOfMemory: it says so, or its kit is gone or damaged.
    """
    graph, out, temporary = (folder.resolve() / name for name in ("model", "out", "tmp"))
    with failures(info, folder):
        for path in (graph, out, temporary):
            path.mkdir()
        copy = copied(info, model, graph)
        begin = time.perf_counter()
        child = started(info, temporary, where=str(model), timeout_s=timeout_s, most_bytes=most_bytes)
        with _of_whole_kit(info):
            begun(child)
            with child:
                made = Path(child.ask("convert", info.convert, str(copy), str(out)))
                peak = child.peak_bytes
            seconds = time.perf_counter() - begin
            return ConvertedFile(checked(info, made, out), seconds, peak, child.cpu_seconds)


@contextmanager
def _of_whole_kit(info: ConverterInfo) -> Iterator[None]:
    """What fails in a kit that was changed since it was installed is no word of the converter's.

    Raises:
        NotAvailable: in place of what was raised.
    """
    try:
        yield
    except Exception:
        if info.kit:
            kits.check_whole(kits.KITS[info.kit])
        raise


@contextmanager
def failures(info: ConverterInfo, folder: Path) -> Iterator[None]:
    """What a converter can't do is a result, whatever it is that it can't do, be it that the disk is full.

    Args:
        folder: Where it works; paths are told relative to it.

    Raises:
        RuntimeFailure: in place of BadInput, and of what the system says of its files.
    """
    try:
        yield
    except (BadInput, RuntimeFailure, OSError) as error:
        if any(os.strerror(number) in str(error) for number in files.FULL):
            what, remedy = "the disk is full", "free some space, or choose another folder with --output"
            raise RuntimeFailure(f"converter {info.name} failed: {what}", where=str(folder), remedy=remedy) from error
        if isinstance(error, RuntimeFailure):
            raise
        if isinstance(error, OSError):
            raise RuntimeFailure(f"converter {info.name} failed: {error}", remedy=_OTHERS_FAULT) from error
        where = error.where and error.where.replace(f"{folder.resolve()}{os.sep}", "")
        what = f"converter {info.name} failed: {error.what}"
        raise RuntimeFailure(what, where=where, details=error.details, remedy=error.remedy or _OTHERS_FAULT) from error


def started(
    info: ConverterInfo,
    temporary: Path,
    *,
    where: str | None = None,
    timeout_s: float,
    most_bytes: int | None = None,
) -> Child:
    """The converter's process, to be asked to ``convert(info.convert, model, folder)``, one model after another.

    Args:
        temporary: The folder of its temporary files.

    Raises:
        NotAvailable: its kit is gone, or lost a file.
    """
    kit = kits.launch(kits.KITS[info.kit]) if info.kit else None
    room = shutil.disk_usage(temporary).free // 2  # what it makes is copied to its place
    return Child(
        function.__name__,
        room,
        name=f"converter {info.name}",
        where=where,
        remedy=_OTHERS_FAULT,
        environment={"TMPDIR": str(temporary), **(kit.environment if kit else {})},
        path=None if kit else [str(Path(entry).resolve()) for entry in sys.path],  # it works in another folder
        python=kit.python if kit else None,
        timeout_s=timeout_s,
        most_bytes=most_bytes,
        longest=_LONGEST,
    )


def copied(info: ConverterInfo, model: Path, folder: Path) -> Path:
    """A copy of the model with its external data, in the opset that the converter reads and the format that it needs.

    Raises:
        CheckFailed: it can't be had in one.
    """
    for part in model_files(model):
        copy = folder / os.path.relpath(part, model.parent)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(part, copy)
    path = folder / model.name
    if info.opset is not None:
        lower_opset(path, info.opset)
    if info.takes == "onnx" and (older := restamped(path)) is not None:
        path.write_bytes(older)
    return path


def checked(info: ConverterInfo, made: Path, out: Path) -> ModelFile:
    """What the converter says that it made.

    Raises:
        BadInput: it isn't there, or is something else, or some of it leads elsewhere.
    """
    if not (made.is_file() or made.is_dir()):
        raise BadInput("it made no file", where=made.name, details=_listed(out), remedy=_OTHERS_FAULT)
    if not _inside(made, out):
        raise BadInput("what it made is not in the folder that it was given", where=str(made), remedy=_OTHERS_FAULT)
    if converted_kind(made) != info.makes or made.is_dir() != (info.makes == "saved_model"):
        raise BadInput(f"what it made is no {info.makes}", where=made.name, details=_listed(out), remedy=_OTHERS_FAULT)
    for path in made.rglob("*"):
        plain = path.is_file() or (path.is_dir() and not path.is_symlink())
        if not (plain and _inside(path, out)):
            raise BadInput(
                "what it made holds what is no file in its folder",
                where=str(path.relative_to(out)),
                remedy=_OTHERS_FAULT,
            )
    return read(made)


def _inside(path: Path, folder: Path) -> bool:
    """Whether it leads to something in the folder; a link may lead elsewhere, or in a circle."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def _listed(folder: Path) -> list[str]:
    return [f"there is {path.relative_to(folder)}" for path in sorted(folder.rglob("*"))[:_SHOWN]]
