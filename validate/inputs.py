"""Labelled data that a model is validated on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..artifact import TensorSpec
from ..data.forms import Reading, open_samples
from ..data.samples import LABEL_KEYS, Samples
from ..errors import BadInput
from ..source.example_inputs import load_npz
from ..source.factories import user_code

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..artifact import Array

_MOST_BATCH = 64


@dataclass(frozen=True)
class Labelled:
    """Data with classes. ``inputs``: name → [samples, …]; ``labels``: int64 [samples]."""

    inputs: Mapping[str, Array]
    labels: NDArray[np.int64]
    description: str

    def batches(self, specs: Sequence[TensorSpec]) -> Iterator[tuple[dict[str, Array], int]]:
        """Feeds for the model, and how many rows of them count (the last may be filled up to a static batch)."""
        static = [s.shape[0] for s in specs if s.shape and isinstance(s.shape[0], int)]
        size = int(static[0]) if static else _MOST_BATCH
        for begin in range(0, len(self.labels), size):
            batch = {name: array[begin : begin + size] for name, array in self.inputs.items()}
            count = min(size, len(self.labels) - begin)
            if static and count < size:
                batch = {n: np.concatenate([a, np.repeat(a[-1:], size - count, 0)]) for n, a in batch.items()}
            yield batch, count


def load_labelled(spec: object, inputs: Sequence[TensorSpec], how: Reading | None = None) -> Labelled:
    """Labelled data of ``sample:NAME``, ``file.npz`` (one array per input, and one called ``labels``), or another form.

    Args:
        spec: What is meant, see ``data.forms``: a table with a column ``label``, a folder with a folder for each class
            (numbered by their sorted names), or a generator that yields labels.
        how: How images, texts and sound become inputs.

    Raises:
        BadInput: the data can't be read, or doesn't fit the model (see ``labelled``), or has no labels.
    """
    text = str(spec) if isinstance(spec, (str, Path)) else ""
    if text.startswith("sample:"):
        return labelled(*_of_sample(text), inputs, description=f"test data of {text}")
    if not text.endswith(".npz"):
        return _of_samples(open_samples(spec, inputs, how or Reading(), flag="--labelled"), inputs)
    arrays = load_npz(Path(text))
    key = next((k for k in LABEL_KEYS if k in arrays), None)
    if key is None:
        raise BadInput(
            "the file has no labels",
            where=text,
            details=[f"it has {name}" for name in arrays],
            remedy='add an array called "labels" with the class of each sample',
        )
    labels = arrays.pop(key)
    if len(arrays) == len(inputs) == 1:
        arrays = {inputs[0].name: next(iter(arrays.values()))}
    return labelled(arrays, labels, inputs, description=text)


def labelled(
    arrays: Mapping[str, Array], labels: Array, inputs: Sequence[TensorSpec], *, description: str = "arrays"
) -> Labelled:
    """Labelled data from arrays, checked against the model's inputs.

    Args:
        arrays: Input name → [samples, …]. Floats of another width are cast to the input's dtype.
        labels: Class of each sample: integers, [samples] or [samples, 1].

    Raises:
        BadInput: a name, shape, dtype or length doesn't fit, labels aren't classes, or there is NaN.
    """
    names = [s.name for s in inputs]
    if set(arrays) != set(names):
        raise BadInput(
            "the data's arrays are not the model's inputs",
            where=description,
            details=[*(f"input: {s}" for s in inputs), *(f"array: {name}" for name in arrays)],
            remedy="give one array for each input, under its name, and the labels",
        )
    flat = np.asarray(labels)
    if flat.ndim == 2 and flat.shape[1] == 1:
        flat = flat[:, 0]
    if flat.ndim != 1 or flat.dtype.kind not in "iu" or flat.size == 0 or flat.min() < 0:
        raise BadInput(
            f"labels must be classes, integers from 0 of shape [samples]; they are {labels.dtype} {list(labels.shape)}"
            + (f" from {flat.min()}" if flat.dtype.kind in "iu" and flat.size else ""),
            where=description,
            remedy="number the classes from 0, in the order of the model's scores",
        )
    fitting = {s.name: _fitting(arrays[s.name], s, flat.size, description) for s in inputs}
    return Labelled(fitting, flat.astype(np.int64), description)


def _of_samples(found: Samples, inputs: Sequence[TensorSpec]) -> Labelled:
    """All samples of a source, by their labels."""
    rows = list(found.read(range(len(found))))
    if not rows or any(row.label is None for row in rows):
        raise BadInput(
            "there is no label for every sample" if rows else "there are no samples",
            where=found.where,
            remedy="give each one: a column label, a folder for each class, or a generator that yields (input, label)",
        )
    names = sorted({row.label for row in rows if isinstance(row.label, str)})
    numbers = {name: int(name) if all(n.isdigit() for n in names) else i for i, name in enumerate(names)}
    classes = np.array([numbers[r.label] if isinstance(r.label, str) else r.label for r in rows])
    if len(shapes := {tuple(a.shape for a in row.arrays.values()) for row in rows}) > 1:
        raise BadInput(
            "the samples are of different sizes",
            where=found.where,
            details=[str(list(map(list, shape))) for shape in sorted(shapes)[:8]],
            remedy="make them of one size",
        )
    arrays = {spec.name: np.stack([row.arrays[spec.name] for row in rows]) for spec in inputs}
    said = f"; classes are {', '.join(names[:12])}{' …' if len(names) > 12 else ''}" if names else ""
    prepared = f"; {found.prepared}" if found.prepared else ""
    return labelled(arrays, classes, inputs, description=f"{found.where}: {len(rows)} {found.noun}{prepared}{said}")


def _fitting(array: Array, spec: TensorSpec, samples: int, where: str) -> Array:
    if array.dtype.kind == "f" and spec.dtype.startswith("float"):
        array = array.astype(spec.dtype)
    rest = TensorSpec(spec.name, spec.dtype, ("samples", *spec.shape[1:]))
    if not spec.shape or not rest.accepts(array.shape):
        raise BadInput(
            f"{spec.name!r} has shape {list(array.shape)}, and [samples, "
            f"{', '.join(map(str, spec.shape[1:]))}] was expected",
            where=where,
            remedy="give samples in the model's own layout, without leaving out an axis",
        )
    if array.shape[0] != samples:
        raise BadInput(
            f"there are {samples} labels for {array.shape[0]} samples of {spec.name!r}",
            where=where,
            remedy="give one label for each sample",
        )
    if array.dtype != np.dtype(spec.dtype):
        raise BadInput(
            f"{spec.name!r} is {array.dtype}, and the model takes {spec.dtype}",
            where=where,
            remedy=f"prepare it as for inference (normalized, not raw), as {spec.dtype}",
        )
    if array.dtype.kind == "f" and np.isnan(array.astype(np.float64)).any():
        raise BadInput(f"{spec.name!r} holds NaN", where=where, remedy="take these samples out")
    return array


def _of_sample(spec: str) -> tuple[dict[str, Array], Array]:
    from ..samples import SAMPLES

    sample = SAMPLES.get(spec.removeprefix("sample:"))
    if sample is None:
        raise BadInput(
            f"there is no {spec!r}",
            where="--labelled",
            details=[f"sample:{name}" for name in SAMPLES],
            remedy="use one of these",
        )
    with user_code(spec, "the sample's data can't be made"):
        data = sample.labelled()
    if data is None:
        raise BadInput(
            f"{spec} has no classes, so there is no accuracy to measure", where=spec, remedy="leave --labelled out"
        )
    return data
