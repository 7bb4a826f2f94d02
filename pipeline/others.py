"""Other converters' files: those that the user gives, and those that converters of other packages make here."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from .. import files
from .. import schemes as quantization
from ..errors import BadInput, CheckFailed
from ..targets import TARGETS, TargetInfo, find
from ..validate.matching import as_file, choices
from ..vocabulary import CONVERTED, ROUTE
from .alignment import input_pairs

if TYPE_CHECKING:
    from ..artifact import Array, Feeds, TFLiteModel
    from ..config import ArtifactsTable
    from ..convert.routes import ConverterInfo
    from ..quantize.calibration import CalibrationSet
    from ..quantize.post_training import Quantization
    from ..quantize.recipe import Recipe
    from ..source.load import Source
    from ..source.model_files import ModelFile
    from ..validate.made import TensorMatch


def given(table: ArtifactsTable, source: Source, targets: Sequence[str]) -> dict[str, ModelFile]:
    """The user's files, by the names that the report calls them.

    Raises:
        BadInput: one is missing or damaged, doesn't go with the model's inputs, or no target runs it.
        NotAvailable: one is a SavedModel, and TensorFlow isn't installed.
    """
    from ..source.model_files import read

    found: dict[str, ModelFile] = {}
    own = {s.artifact for s in quantization.SCHEMES.values()} | {"onnx", *CONVERTED}
    for path in table.paths:
        file, where = read(path), f"--artifact {path}"
        name = _free((path.name, path.as_posix(), path.resolve().as_posix()), own | set(found), where)
        check(file, source, table, targets)
        found[name] = file
    return found


def routes(table: ArtifactsTable, targets: Sequence[str], *, converted: bool, module: bool) -> dict[str, ConverterInfo]:
    """The converters whose files are to be judged, by the names that the report calls those.

    Args:
        table: What the user asks for.
        targets: Those that are used.
        converted: Whether the source is converted already.
        module: Whether it holds a PyTorch module.

    Raises:
        BadInput: there is no such converter, no target runs what it makes, or there is no graph for it.
        NotAvailable: it isn't installed, or can't be loaded.
    """
    from ..convert import routes

    found: dict[str, ConverterInfo] = {}
    for name in table.routes:
        where = f"--artifact {ROUTE}{name}"
        info = routes.get(name, where)
        key = _free((f"{ROUTE}{name}",), set(found), where)
        if converted or (info.takes == "pt2" and not module):
            start = "PyTorch" if info.takes == "pt2" else info.takes
            raise BadInput(
                f"the converter {name} starts from {start}, and the source is "
                + ("converted already" if converted else "none of it"),
                where=where,
                remedy="leave it out, or give the model that the source was made from",
            )
        _run_by(partial(_takes_kind, info.makes), targets, where)
        found[key] = info
    return found


def check(file: ModelFile, source: Source, table: ArtifactsTable, targets: Sequence[str]) -> None:
    """The file's inputs go with the model's, and a target runs it.

    Raises:
        BadInput: they don't, or none does.
    """
    path = file.artifact.path
    choices(input_pairs(source.inputs, source.examples, file), table.layout, str(path))
    _run_by(lambda target: target.takes(file.artifact), targets, f"--artifact {path}")


@contextmanager
def refused(path: Path) -> Iterator[None]:
    """What is bad with a converter's file, or with what it starts from, is its failure, and not the user's.

    Raises:
        CheckFailed: in place of BadInput.
    """
    try:
        yield
    except BadInput as error:
        raise CheckFailed(error.what, where=path.name, details=error.details, remedy=error.remedy) from error


def file_name(info: ConverterInfo, scheme: str = "") -> str:
    """Of what the converter makes, in OUT, or of what is quantized of it."""
    return f"route_{info.name}" + (f"_{scheme}" if scheme else "") + (".tflite" if info.makes == "tflite" else "")


def int8_row(name: str) -> str:
    """What the report calls a converter's file in int8."""
    return f"{name}:{quantization.INT8.short_name}"


def is_int8_row(name: str) -> bool:
    """Whether `int8_row` gave a name."""
    return name.startswith(ROUTE) and name == int8_row(name.rpartition(":")[0])


def quantize(
    file: TFLiteModel,
    matches: Sequence[TensorMatch],
    path: Path,
    recipe: Recipe,
    data: CalibrationSet,
    example: Feeds,
    progress: Callable[[int, int], None],
) -> Quantization:
    """Quantize another converter's float file as one of ours is.

    Args:
        matches: Which of its inputs stand for which of the model's, and in which layout.
        data, example: Of the model.

    Raises as ``post_training.quantize``.
    """
    from ..quantize.post_training import quantize

    inputs = [match for match in matches if match.side == "input"]

    def theirs(feed: Mapping[str, Array]) -> dict[str, Array]:
        return {m.file: as_file(m, feed[m.model]) for m in inputs}

    fed = replace(data, load=lambda index: theirs(data.load(index)))
    return quantize(file, path, recipe, calibration=fed, example=theirs(example), progress=progress)


@contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """An empty folder in ``folder`` that is gone afterwards; one that a killed run leaves, the next sweeps away."""
    with files.writable(folder):
        path = Path(tempfile.mkdtemp(prefix=".route.", suffix=".part", dir=folder))
    try:
        yield path
    finally:
        files.remove(path)


def place(made: Path, path: Path) -> None:
    """Copy a file or folder, complete or not at all."""
    if made.is_dir():
        with files.atomic_directory(path) as part:
            shutil.copytree(made, part, dirs_exist_ok=True)
    else:
        with files.atomic_file(path) as part:
            shutil.copyfile(made, part)


def _free(names: Sequence[str], taken: Collection[str], where: str) -> str:
    name = next((n for n in names if n not in taken), None)
    if name is None:
        raise BadInput("it is given twice", where=where, remedy="give each file once")
    return name


def _takes_kind(kind: str, target: TargetInfo) -> bool:
    return target.kind == kind


def _run_by(takes: Callable[[TargetInfo], bool], targets: Sequence[str], where: str) -> None:
    if not any(takes(find(target)) for target in targets):
        runs = [name for name, target in TARGETS.items() if takes(target)]
        raise BadInput("none of the targets runs it", where=where, remedy=f"add --target {', '.join(runs)}")
