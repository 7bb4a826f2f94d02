"""Models that are converted already: a TFLite file or a SavedModel, of whichever converter."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..artifact import DTYPES, Artifact, TensorSpec, TFLiteModel
from ..errors import BadInput
from ..formats import saved_model
from ..schemes import FLOAT32
from ..vocabulary import SIGNATURE, ConvertedKind

INSTEAD: dict[ConvertedKind, str] = {
    "tflite": "give the model that it was made from, or one of quantize, validate, bench",
    "saved_model": "give what tf.lite.TFLiteConverter.from_saved_model makes of it, or the model that it was made from",
}
"""Kind of a source → what to do where it can't be converted, or quantized, as it is."""


@dataclass(frozen=True)
class ModelFile:
    """A converted model.

    Attributes:
        artifact: The file or folder, with the dtypes that it has.
        inputs: In the model's own numbers: what holds steps of a scale is float32, as values are quantized for it.
        outputs: Likewise.
        notes: What was chosen in reading it.
    """

    artifact: Artifact
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    notes: tuple[str, ...] = ()

    @property
    def scheme(self) -> str:
        """A name of ``schemes.SCHEMES``."""
        return self.artifact.scheme if isinstance(self.artifact, TFLiteModel) else FLOAT32.name


def converted_kind(path: Path | str) -> ConvertedKind | None:
    """What it is, by the name of a file and the content of a folder; None if it is neither."""
    path = Path(path)
    if path.suffix.lower() == ".tflite":
        return "tflite"
    return "saved_model" if saved_model.is_saved_model(path) else None


def read(path: Path) -> ModelFile:
    """A TFLite file or a SavedModel.

    Raises:
        BadInput: it is missing, neither of both, damaged, or has inputs or outputs of a type that isn't supported.
        NotAvailable: it is a SavedModel, and TensorFlow isn't installed.
    """
    kind = converted_kind(path)
    if kind is None and path.is_dir():
        raise saved_model.none_in(path)
    if kind is None:
        raise BadInput(
            "this is neither a .tflite file nor the folder of a SavedModel" if path.exists() else "no such file",
            where=str(path),
            remedy="give model.tflite, or the folder that saved_model.pb is in" if path.exists() else "check the path",
        )
    found = _tflite(path) if kind == "tflite" else _saved_model(path)
    if strange := [str(s) for s in (*found.inputs, *found.outputs) if s.dtype not in DTYPES]:
        raise BadInput(
            "the model has inputs or outputs of a type that isn't supported",
            where=str(path),
            details=strange,
            remedy=f"give one that begins and ends in types that are: {', '.join(DTYPES)}",
        )
    return found


def _saved_model(path: Path) -> ModelFile:
    loaded = saved_model.load(path)
    model = saved_model.describe(path, loaded)
    return ModelFile(model, model.inputs, model.outputs, _of_several(SIGNATURE, list(loaded.signatures)))


def _tflite(path: Path) -> ModelFile:
    from ..formats.tflite.names import check_names
    from ..formats.tflite.summary import summarize

    summary = summarize(path)
    check_names(summary)
    steps = summary.quantized_inputs
    notes = [
        f"the input {s.name!r} is {s.dtype}: float32 values are quantized for it"
        for s in summary.inputs
        if s.name in steps
    ]
    notes += _of_several(summary.signature, summary.signatures)
    return ModelFile(
        TFLiteModel(path, summary.inputs, summary.outputs, summary.scheme),
        _real(summary.inputs, steps),
        _real(summary.outputs, summary.quantized_outputs),
        tuple(notes),
    )


def _of_several(key: str | None, signatures: Sequence[str]) -> tuple[str, ...]:
    """What is said of a file that has other functions than the one that is run; ``key`` is None for a nameless one."""
    if len(signatures) < 2 and (key or not signatures):
        return ()
    used = f"the signature {key!r}" if key else "the main graph"
    return (f"{used} is used, of {', '.join(map(repr, signatures))}",)


def _real(specs: Sequence[TensorSpec], quantized: Container[str]) -> tuple[TensorSpec, ...]:
    return tuple(replace(s, dtype="float32") if s.name in quantized else s for s in specs)
