"""Calibration data: real samples that show a static scheme the range of every activation.

Samples come in the source model's own names and layout. Data is checked when it is loaded: names, shapes,
dtypes, NaN and Inf; an error says which sample is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..artifact import Feeds, TensorSpec
from ..errors import BadInput
from ..schemes import QUANTIZED
from ..source.example_inputs import generated, open_npz, reading_arrays
from ..source.factories import user_code
from ..source.variations import random_samples
from .generator import iterate
from .preprocess import ImageReader, Preprocess, image_files
from .rows import Rows, batch_size, spread

if TYPE_CHECKING:
    from ..artifact import Array

DEFAULT_SAMPLES = 128
"""Samples used when nothing else is said; ranges rarely move after the first hundred."""

SPARE = 8
"""Feeds of other samples that are kept for comparing the result with the float model."""

FORMS = (
    "data.npz: one array per input, under the input's name; the first axis counts samples",
    "data.npy: the same for a model with one input",
    "a folder of images, with the preprocessing stated (size, mean, std, colour order)",
    "file.py:generator: a function that yields samples (a dict, a tuple, or an array)",
    "sample:NAME: the data of a bundled sample",
    "random: noise, to try things out; the result is not fit for deployment",
)
"""The forms that calibration data can have."""


@dataclass(frozen=True)
class CalibrationSet:
    """Samples, grouped into feeds of the model's batch size.

    Iterating gives ``len(self)`` feeds, each input name → array in the source model's layout and dtype.

    Attributes:
        description: Where the samples come from, for the report.
        samples: How many samples are used.
        fit_for_deployment: False for noise.
        spare: How many feeds of further samples there are, which ``load`` gives from index ``feeds`` on.
    """

    description: str
    samples: int
    feeds: int
    load: Callable[[int], dict[str, Array]] = field(repr=False)
    fit_for_deployment: bool = True
    spare: int = 0

    def __len__(self) -> int:
        return self.feeds

    def __iter__(self) -> Iterator[dict[str, Array]]:
        return (self.load(i) for i in range(self.feeds))

    def held_out(self, count: int) -> tuple[list[dict[str, Array]], str]:
        """At most ``count`` feeds to compare models on, and which these are: of samples that no range was taken from.

        Where all samples are used, those.
        """
        first, there = (self.feeds, self.spare) if self.spare else (0, self.feeds)
        which = "samples held out from calibration" if self.spare else "calibration samples, as all are used"
        return [self.load(first + i) for i in range(min(count, there))], f"{which} ({self.description})"


def no_calibration(scheme: str) -> BadInput:
    """The error for a static scheme without data."""
    free = [s.name for s in QUANTIZED if not s.needs_calibration]
    return BadInput(
        f"{scheme} needs calibration data: samples that show the range of every activation",
        where="--calibration",
        details=FORMS,
        remedy=f"give --calibration in one of these forms; or use {', '.join(free)}, which need none",
    )


def load_calibration(
    spec: str | Path | None,
    inputs: Sequence[TensorSpec],
    *,
    preprocess: Preprocess | None = None,
    samples: int = DEFAULT_SAMPLES,
    seed: int = 0,
    examples: Feeds | None = None,
) -> CalibrationSet:
    """Open and check calibration data.

    Args:
        spec: One of ``FORMS``.
        inputs: The source model's inputs; the first axis of an input is its batch.
        preprocess: How images become inputs; a folder of images needs it.
        samples: Most samples to use. Of a larger file or folder evenly spaced ones are taken.
        seed: For ``random`` and ``sample:NAME``.
        examples: The source's example inputs, which ``random`` samples are like; without them, values by the specs.

    Raises:
        BadInput: there is no data, or it doesn't fit the inputs; says which sample is wrong.
    """
    if spec is None or str(spec) == "":
        raise no_calibration("a static scheme")
    if samples < 1:
        raise BadInput(f"{samples} calibration samples are too few", where="--samples", remedy="use at least 1")
    text = str(spec)
    if text == "random":
        return _random(inputs, samples, seed, examples)
    if text.startswith("sample:"):
        return _from_arrays(_sample(text, inputs, samples, seed), inputs, samples, text)
    file, colon, name = text.rpartition(":")
    if colon and file.endswith(".py"):
        return _generated(Path(file), name, inputs, samples)
    path = Path(spec)
    if not path.exists():
        raise BadInput(
            "there is no such calibration data",
            where=text,
            details=FORMS,
            remedy="check the path, or give one of these forms",
        )
    if path.is_dir():
        return _images(path, inputs, preprocess, samples)
    if path.suffix == ".npz":
        return _from_arrays(_read_npz(path, inputs), inputs, samples, text)
    if path.suffix == ".npy":
        return _from_arrays(_read_npy(path, inputs), inputs, samples, text)
    raise BadInput(
        f"calibration data can't be read from a file that ends in {path.suffix!r}",
        where=text,
        details=FORMS,
        remedy="give one of these forms",
    )


def _from_arrays(arrays: Mapping[str, Array], inputs: Sequence[TensorSpec], samples: int, where: str) -> CalibrationSet:
    """Samples along the first axis of arrays."""
    rows = Rows(inputs, where)
    rows.add_arrays(arrays)
    return _from_rows(rows, samples)


def _from_rows(rows: Rows, samples: int, first: int | None = None) -> CalibrationSet:
    """``samples`` of the rows, or of the ``first`` of them."""
    of = len(rows) if first is None else min(first, len(rows))
    used = spread(of, samples, rows.group, rows.where)
    rest = _others(len(rows), used, rows.group)
    chosen = used + rest
    taken = f"{len(used)} of {of} samples" if len(used) < of else f"{len(used)} samples"
    return CalibrationSet(
        f"{rows.where}: {taken}",
        samples=len(used),
        feeds=len(used) // rows.group,
        load=lambda i: rows.feed(chosen[i * rows.group : (i + 1) * rows.group]),
        spare=len(rest) // rows.group,
    )


def _others(count: int, used: Sequence[int], group: int) -> list[int]:
    """Some of the ``count`` indices that aren't ``used``, in whole groups."""
    rest = sorted(set(range(count)) - set(used))
    return [rest[i] for i in spread(len(rest), SPARE * group, group, "")] if len(rest) >= group else []


def _generated(file: Path, name: str, inputs: Sequence[TensorSpec], samples: int) -> CalibrationSet:
    """The first samples of a generator, and some more to compare on."""
    rows = Rows(inputs, f"{file}:{name}")
    for index, item in enumerate(iterate(file, name)):
        rows.add_item(item, index)
        if len(rows) >= samples + SPARE * rows.group:
            break
    return _from_rows(rows, samples, max(samples, rows.group))


def _sample(text: str, inputs: Sequence[TensorSpec], samples: int, seed: int) -> dict[str, Array]:
    """The calibration data of a bundled sample."""
    from ..samples import SAMPLES

    name = text.removeprefix("sample:")
    if name not in SAMPLES:
        raise BadInput(
            f"there is no sample {name!r}",
            where="--calibration",
            details=[f"sample:{known}" for known in SAMPLES],
            remedy="use one of these",
        )
    with user_code(text, "the sample's data can't be made"):
        arrays = SAMPLES[name].calibration(samples, seed)
    if arrays is None:
        raise BadInput(
            f"the sample {name!r} has no data",
            where="--calibration",
            remedy="give one of: " + "; ".join(FORMS),
        )
    _require(arrays, inputs, text)
    return arrays


def _random(inputs: Sequence[TensorSpec], samples: int, seed: int, examples: Feeds | None) -> CalibrationSet:
    """Feeds like the example: of its extents, and of values that the model takes."""
    examples = examples or generated(inputs, seed)
    batch = len(examples[inputs[0].name]) if batch_size(inputs) is not None else 1
    own = {spec.name: examples[spec.name] for spec in inputs}
    drawn = random_samples(own, -(-samples // batch), seed=(seed, 1))  # not those that validation draws
    return CalibrationSet(
        f"random noise (seed {seed}): {len(drawn) * batch} samples like the example",
        samples=len(drawn) * batch,
        feeds=len(drawn),
        load=drawn.__getitem__,
        fit_for_deployment=False,
    )


def _images(folder: Path, inputs: Sequence[TensorSpec], preprocess: Preprocess | None, samples: int) -> CalibrationSet:
    """Images of a folder and those below it; each is read when its feed is asked for."""
    if len(inputs) != 1:
        raise BadInput(
            f"a folder of images can't feed a model with {len(inputs)} inputs",
            where=str(folder),
            details=[f"input: {spec}" for spec in inputs],
            remedy="give the calibration data as .npz or file.py:generator",
        )
    if preprocess is None:
        raise BadInput(
            "it isn't said how the images become inputs",
            where=str(folder),
            details=[
                "size: height and width; the model's own if left out",
                "mean, std: on pixels scaled to 0…1, as in training",
                "colour: rgb, bgr or grey",
            ],
            remedy="state it by --size, --mean, --std …, or in [quantize.preprocess] of edgeworthy.toml",
        )
    reader = ImageReader(inputs[0], preprocess)
    group = batch_size(inputs) or 1
    found = image_files(folder)
    indices = spread(len(found), samples, group, str(folder))
    rest = _others(len(found), indices, group)
    used, chosen = [found[i] for i in indices], [found[i] for i in indices + rest]
    taken = f"{len(used)} of {len(found)} images" if len(used) < len(found) else f"{len(used)} images"

    def load(index: int) -> dict[str, Array]:
        return {inputs[0].name: np.stack([reader(f) for f in chosen[index * group : (index + 1) * group]])}

    return CalibrationSet(
        f"{folder}: {taken}; {preprocess}", len(used), len(used) // group, load, spare=len(rest) // group
    )


def _read_npz(path: Path, inputs: Sequence[TensorSpec]) -> dict[str, Array]:
    with reading_arrays(path), open_npz(path) as archive:
        _require(archive.files, inputs, str(path))
        return {spec.name: archive[spec.name] for spec in inputs}


def _read_npy(path: Path, inputs: Sequence[TensorSpec]) -> dict[str, Array]:
    if len(inputs) != 1:
        raise BadInput(
            f"one array can't feed a model with {len(inputs)} inputs",
            where=str(path),
            details=[f"input: {spec}" for spec in inputs],
            remedy="give an .npz with one array per input",
        )
    with reading_arrays(path), path.open("rb") as file:
        return {inputs[0].name: np.lib.format.read_array(file, allow_pickle=False)}


def _require(have: Iterable[str], inputs: Sequence[TensorSpec], where: str) -> None:
    """Check that every input has an array; further arrays (labels) do no harm."""
    have = list(have)
    missing = [spec.name for spec in inputs if spec.name not in have]
    if missing:
        raise BadInput(
            f"there is no array for input {', '.join(map(repr, missing))}",
            where=where,
            details=[f"array: {name}" for name in have] + [f"input: {spec}" for spec in inputs],
            remedy="name the arrays like the inputs, as in np.savez(path, **{name: array})",
        )
