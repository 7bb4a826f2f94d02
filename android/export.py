"""``edgeworthy export-android``: assets and a Kotlin class, complete or not at all."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from .. import files
from ..artifact import TFLiteModel
from ..errors import BadInput
from ..formats.tflite.summary import SignatureSummary, functions, summarize
from . import kotlin as code
from .owned import INDEX, is_our_source, our_files, sealed_index, sealed_source

MODEL, LABELS, VECTORS = "model.tflite", "labels.txt", "vectors.bin"
PACKAGE = "com.example.model"
_PACKAGE = re.compile(r"[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)*")


class AndroidExport(BaseModel):
    """What was written.

    Attributes:
        name: Of the folder in the assets.
        class_name: Of the Kotlin class, with its package.
        functions: Its functions, one a signature.
        scheme: Of the model, a name of ``schemes.SCHEMES``.
        samples: How many were recorded.
        labels_of: The output that the labels are of.
        files: All that was written.
    """

    model_config = ConfigDict(extra="forbid")

    name: str
    class_name: str
    functions: list[str]
    scheme: str
    samples: int
    labels_of: str | None
    files: list[str]


def export_android(
    model: str | Path,
    output: str | Path,
    *,
    labels: str | Path | None = None,
    package: str = PACKAGE,
    kotlin: str | Path | None = None,
    name: str | None = None,
    inputs: str | Path | None = None,
    samples: int = 3,
    seed: int = 0,
    force: bool = False,
) -> AndroidExport:
    """Write a TFLite file for an Android app: ``output/NAME`` with model, labels and vectors, and a Kotlin class.

    Args:
        model: A ``.tflite`` file of static shapes.
        output: The app's folder of assets.
        labels: A text file, one label a line, as many as an output's last dimension has elements.
        package: Of the class.
        kotlin: The folder of Kotlin sources; None: ``kotlin`` or ``java`` beside the assets, whichever is there.
        name: Of the folder in the assets and of the class; None: the model's file name.
        inputs: An ``.npz`` with a value for each input; None: drawn at random.
        samples: How many inputs to record; those after the first are random ones like it.
        seed: Of what is drawn.
        force: Overwrite files that edgeworthy didn't make, or that were changed since.

    Raises:
        BadInput: something that was given can't be used, or a file would be overwritten; nothing was done.
        CheckFailed: the model fails its own tolerance here; nothing was written.
    """
    path, assets = Path(model), Path(output)
    if path.suffix.lower() != ".tflite" and path.exists():
        raise BadInput("export-android takes a .tflite file", where=str(path), remedy="convert or quantize it first")
    found = functions(path)
    _check_tensors(path, found)
    _check_package(package)
    if samples < 1:
        raise BadInput(f"{samples} samples were asked for", where="--samples", remedy="take 1 or more")
    slug = _slug(name if name is not None else path.stem)
    class_name = code.class_identifier(slug)
    lines, labelled = _labels(Path(labels), found[0]) if labels is not None else ([], None)
    folder = assets / slug
    source = _source_root(assets, kotlin).joinpath(*package.split("."), f"{class_name}.kt")
    if not force:
        _refuse_foreign(folder, source, names={MODEL, VECTORS, INDEX, *([LABELS] if lines else [])})

    from ..source.load import load_source
    from ..source.variations import random_samples
    from .vectors import record

    summary = summarize(path)
    loaded = load_source(str(path), inputs_file=Path(inputs) if inputs is not None else None, seed=seed)
    artifact = TFLiteModel(path, summary.inputs, summary.outputs, summary.scheme)
    vectors = record(artifact, found[0], random_samples(loaded.examples, samples, seed=seed))
    body = code.render(
        found,
        package=package,
        class_name=class_name,
        model=path.name,
        scheme=summary.scheme,
        asset=f"{slug}/{MODEL}",
        labels=f"{slug}/{LABELS}" if lines else None,
    )
    content = {
        "name": slug,
        "model": MODEL,
        "scheme": summary.scheme,
        "signature": found[0].key,
        "labels": {"file": LABELS, "output": labelled} if lines else None,
        "inputs": vectors.inputs,
        "outputs": vectors.outputs,
        "vectors": VECTORS,
        "byte_order": "little",
        "computed_by": vectors.runtime,
        "samples": vectors.samples,
    }
    # The folder takes its place last: until then a failure leaves all as it was.
    with files.atomic_file(source) as text, files.atomic_directory(folder) as part:
        shutil.copyfile(path, part / MODEL)
        (part / VECTORS).write_bytes(vectors.data)
        if lines:
            (part / LABELS).write_text("\n".join(lines) + "\n", encoding="utf-8")
        (part / INDEX).write_text(sealed_index(content, part), encoding="utf-8")
        written = sorted(folder / p.name for p in part.iterdir())
        _keep_others(folder, part)
        text.write_text(sealed_source(body), encoding="utf-8")
    return AndroidExport(
        name=slug,
        class_name=f"{package}.{class_name}",
        functions=re.findall(r"^    fun (\w+)\(", body, re.M)[: len(found)],
        scheme=summary.scheme,
        samples=samples,
        labels_of=labelled,
        files=[str(p) for p in (*written, source)],
    )


def _check_tensors(path: Path, found: Sequence[SignatureSummary]) -> None:
    """Raise BadInput for shapes and dtypes that the Kotlin class can't have."""
    reasons = []
    for function in found:
        for spec, _ in (*function.inputs, *function.outputs):
            if not spec.is_static:
                reasons.append(f"{spec}: a dynamic shape; buffers of LiteRT's CompiledModel are of one size")
            elif spec.dtype not in code.ELEMENTS:
                reasons.append(f"{spec}: LiteRT's Kotlin API has no reader or writer of {spec.dtype}")
    if reasons:
        raise BadInput(
            "the model has inputs or outputs that can't be used from Kotlin",
            where=str(path),
            details=reasons,
            remedy="convert it with fixed extents (`--input 'image:float32[1,3,224,224]'`) and inputs and outputs of "
            f"{', '.join(code.ELEMENTS)}",
        )


def _check_package(package: str) -> None:
    if not _PACKAGE.fullmatch(package) or code.KEYWORDS & set(package.split(".")):
        raise BadInput(
            f"{package!r} is no name of a Kotlin package",
            where="--package",
            remedy="lower-case words with dots between them, none of Kotlin's keywords, as in com.example.model",
        )


def _slug(name: str) -> str:
    """A name that is one in every file system and in an APK."""
    return re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_").lower() or "model"


def _labels(path: Path, function: SignatureSummary) -> tuple[list[str], str]:
    """The labels, and the output that has as many elements along its last axis."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = "it is no UTF-8 text" if isinstance(error, UnicodeDecodeError) else error.strerror
        raise BadInput(f"the labels can't be read: {why}", where=str(path), remedy="one label a line, UTF-8") from error
    while lines and not lines[-1].strip():
        lines.pop()
    if blank := [i + 1 for i, line in enumerate(lines) if not line.strip()]:
        raise BadInput(f"line {blank[0]} of the labels is empty", where=str(path), remedy="one label a line")
    sizes = {spec.name: spec.concrete_shape()[-1:] for spec, _ in function.outputs}
    for output, size in sizes.items():
        if lines and size == (len(lines),):
            return lines, output
    raise BadInput(
        f"there are {len(lines)} labels, and no output has as many elements",
        where=str(path),
        details=[f"{output} has {size[0] if size else 1}" for output, size in sizes.items()],
        remedy="give one label for each element of an output's last dimension",
    )


def _source_root(assets: Path, given: str | Path | None) -> Path:
    if given is not None:
        return Path(given)
    beside = assets.parent if assets.name not in ("", "..") else assets.absolute().parent
    java = beside / "java"
    return java if java.is_dir() and not (beside / "kotlin").is_dir() else beside / "kotlin"


def _refuse_foreign(folder: Path, source: Path, names: set[str]) -> None:
    ours = our_files(folder)
    foreign = [folder / n for n in sorted(names - ours) if (folder / n).exists() or (folder / n).is_symlink()]
    if (folder.exists() or folder.is_symlink()) and (folder.is_symlink() or not folder.is_dir()):
        foreign = [folder]
    if (source.exists() or source.is_symlink()) and not is_our_source(source):
        foreign.append(source)
    if foreign:
        raise BadInput(
            f"{len(foreign)} file{'s' if len(foreign) > 1 else ''} would be overwritten, not made by edgeworthy "
            "or changed since",
            where=str(folder),
            details=[str(path) for path in foreign],
            remedy="choose another --name or folder, or overwrite them with --force",
        )


def _keep_others(folder: Path, part: Path) -> None:
    """What lies in the folder and was never ours moves along."""
    if not folder.is_dir():
        return
    ours = our_files(folder)
    for path in folder.iterdir():
        if path.name not in ours and not (part / path.name).exists():
            if path.is_dir() and not path.is_symlink():
                shutil.copytree(path, part / path.name, symlinks=True)
            else:
                shutil.copy2(path, part / path.name, follow_symlinks=False)
