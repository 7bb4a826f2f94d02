"""The forms that data can have, and which of them a text means."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..artifact import TensorSpec
from ..errors import BadInput
from . import arrays, audio, generator, images, tables, text
from .folders import files_below
from .preprocess import SUFFIXES as IMAGE_SUFFIXES
from .preprocess import Preprocess
from .samples import Samples

FORMS = (
    "data.npz: one array per input, under the input's name; the first axis counts samples",
    "data.npy: the same for a model with one input",
    "data.csv or data.parquet: a column per input, with a number or a list in each cell, or a column for each number",
    "texts.txt, one a line, or a table with a column of them; with the tokenizer stated",
    "a folder of images, with the preprocessing stated (size, mean, std, colour order)",
    "sound.wav or a folder of such, with the sample rate stated",
    "file.py:name: a function that yields samples (a dict, a tuple, or an array), or a PyTorch DataLoader",
    "sample:NAME: the data of a bundled sample",
)
"""The forms that data can have."""

TIMEOUT_S = 300.0
"""Seconds that a generator may take for a sample, where nothing else is said."""


@dataclass(frozen=True)
class Reading:
    """How what isn't arrays becomes inputs.

    Attributes:
        preprocess: Of images.
        tokenizer: Of texts: a ``tokenizer.json``, or a folder.
        text_column: Of a table with texts.
        sample_rate: Of sound, in Hz.
        timeout_s: Seconds that a generator may take for a sample.
    """

    preprocess: Preprocess | None = None
    tokenizer: Path | None = None
    text_column: str = "text"
    sample_rate: int | None = None
    timeout_s: float = TIMEOUT_S


def open_samples(
    spec: object,
    inputs: Sequence[TensorSpec],
    how: Reading,
    *,
    most: int | None = None,
    flag: str = "--calibration",
    known: Sequence[str] = FORMS,
) -> Samples:
    """The samples that ``spec`` means: one of ``FORMS`` but a bundled sample's; arrays by input name, or an iterable.

    Args:
        inputs: The source model's inputs; the first axis of an input is its batch.
        how: What is known besides.
        most: Samples to take of a generator; None: all.
        flag: Where it was given, for errors.
        known: The forms that errors name.

    Raises:
        BadInput: there is nothing, it is of no such form, or it doesn't fit the inputs.
        NotAvailable: a package for this form is missing.
    """
    if not isinstance(spec, (str, Path)):
        if isinstance(spec, Mapping):
            return arrays.in_memory(spec, inputs, flag)
        items = generator.of_iterable(spec, f"{flag} (a {type(spec).__name__})", how.timeout_s)
        return generator.GeneratedSamples(items, inputs, f"a {type(spec).__name__}", most)
    file, colon, name = str(spec).rpartition(":")
    if colon and file.endswith(".py"):
        items = generator.of_file(Path(file), name, how.timeout_s)
        return generator.GeneratedSamples(items, inputs, str(spec), most)
    path = Path(spec)
    if not path.exists():
        raise BadInput(
            "there is no such data", where=str(spec), details=known, remedy="check the path, or give one of these forms"
        )
    if path.is_dir():
        return _folder(path, inputs, how)
    for suffixes, open_file in _BY_SUFFIX.items():
        if path.suffix.lower() in suffixes:
            return open_file(path, inputs, how)
    raise BadInput(
        f"data can't be read from a file that ends in {path.suffix!r}",
        where=str(spec),
        details=known,
        remedy="give one of these forms",
    )


def holds_images(spec: object) -> bool:
    """Whether it names a folder that sound doesn't come out of."""
    folder = Path(spec) if isinstance(spec, (str, Path)) and str(spec) else None
    return folder is not None and folder.is_dir() and not files_below(folder, audio.SUFFIXES)


def _folder(path: Path, inputs: Sequence[TensorSpec], how: Reading) -> Samples:
    sounds, pictures = (files_below(path, suffixes) for suffixes in (audio.SUFFIXES, IMAGE_SUFFIXES))
    if sounds and pictures:
        raise BadInput(
            "the folder holds images and sound",
            where=str(path),
            details=[str(sounds[0]), str(pictures[0])],
            remedy="put what the model takes into a folder of its own",
        )
    if not sounds and not pictures:
        raise BadInput(
            "the folder holds no images and no sound",
            where=str(path),
            remedy=f"put files in it that end in {', '.join((*IMAGE_SUFFIXES, *audio.SUFFIXES))}",
        )
    if sounds:
        return audio.WavSamples(path, inputs, how.sample_rate)
    return images.ImageSamples(path, inputs, how.preprocess)


def _table(path: Path, inputs: Sequence[TensorSpec], how: Reading) -> Samples:
    """Of texts where a tokenizer is stated, else of numbers."""
    if how.tokenizer is None:
        return tables.of_numbers(path, inputs)
    return text.of_column(tables.open_table(path), how.text_column, inputs, how.tokenizer)


_BY_SUFFIX: Mapping[Iterable[str], Callable[[Path, Sequence[TensorSpec], Reading], Samples]] = {
    (".npz",): lambda path, inputs, _: arrays.npz(path, inputs),
    (".npy",): lambda path, inputs, _: arrays.npy(path, inputs),
    tables.SUFFIXES: _table,
    text.SUFFIXES: lambda path, inputs, how: text.TextLines(path, inputs, how.tokenizer),
    audio.SUFFIXES: lambda path, inputs, how: audio.WavSamples(path, inputs, how.sample_rate),
}
"""Suffixes of a file → what reads it."""
