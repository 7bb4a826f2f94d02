"""Labelled data that a model is validated on.

A ``.npz`` has an array for each input, [samples, …], and beside them the labels of the task:

- classification: ``labels``, the class of each sample, integers from 0, [samples];
- segmentation: ``labels``, the class of each pixel of the model's output, integers [samples, height, width]; negative
  ones and 255 count for nothing;
- detection: ``boxes``, x1, y1, x2, y2 in the unit of the model's boxes, [samples, most, 4], and ``classes``, integers
  [samples, most], -1 where an image has fewer. Or a ``.json`` file:
  ``{"inputs": "images.npz", "objects": [[{"box": [x1, y1, x2, y2], "class": 0}, …], …]}``, a list for each sample;
- a metric of the user's own: ``labels``, anything of [samples, …].
"""

from __future__ import annotations

import json
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
    from ..artifact import Array

CLASSIFICATION, DETECTION, SEGMENTATION = "classification", "detection", "segmentation"
TASKS = (CLASSIFICATION, DETECTION, SEGMENTATION)

_MOST_BATCH = 64


@dataclass(frozen=True)
class Labelled:
    """Data with the truth. ``inputs``: name → [samples, …].

    ``labels``: int64 [samples] for classification and [samples, height, width] for segmentation; for detection float64
    [samples, most, 5], corners and class, which is -1 where there is nothing; of a user's metric what was given.
    """

    inputs: Mapping[str, Array]
    labels: Array
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


def load_labelled(
    spec: object, inputs: Sequence[TensorSpec], how: Reading | None = None, task: str = CLASSIFICATION
) -> Labelled:
    """Labelled data of ``sample:NAME``, ``file.npz`` (one array per input, and one called ``labels``), or another form.

    Args:
        spec: What is meant, see ``data.forms``: a table with a column ``label``, a folder with a folder for each class
            (numbered by their sorted names), or a generator that yields labels; for detection also ``.json`` (above).
        how: How images, texts and sound become inputs.
        task: classification, detection, segmentation, or a user's metric.

    Raises:
        BadInput: the data can't be read, or doesn't fit the model or the task (see ``labelled``), or has no labels.
    """
    text = str(spec) if isinstance(spec, (str, Path)) else ""
    if text.startswith("sample:"):
        return labelled(*_of_sample(text), inputs, description=f"test data of {text}", task=task)
    if not text.endswith((".npz", ".json")):
        return _of_samples(open_samples(spec, inputs, how or Reading(), flag="--labelled"), inputs, task)
    arrays, labels = (_of_json if text.endswith(".json") else _of_npz)(Path(text), task)
    if len(arrays) == len(inputs) == 1:
        arrays = {inputs[0].name: next(iter(arrays.values()))}
    return labelled(arrays, labels, inputs, description=text, task=task)


def labelled(
    arrays: Mapping[str, Array],
    labels: Array,
    inputs: Sequence[TensorSpec],
    *,
    description: str = "arrays",
    task: str = CLASSIFICATION,
) -> Labelled:
    """Labelled data from arrays, checked against the model's inputs.

    Args:
        arrays: Input name → [samples, …]. Floats of another width are cast to the input's dtype.
        labels: As in ``Labelled``; classes may be [samples, 1] too.

    Raises:
        BadInput: a name, shape, dtype or length doesn't fit, labels aren't of the task, or there is NaN.
    """
    names = [s.name for s in inputs]
    if set(arrays) != set(names):
        raise BadInput(
            "the data's arrays are not the model's inputs",
            where=description,
            details=[*(f"input: {s}" for s in inputs), *(f"array: {name}" for name in arrays)],
            remedy="give one array for each input, under its name, and the labels",
        )
    truth = _LABELS.get(task, _anything)(np.asarray(labels), description)
    fitting = {s.name: _fitting(arrays[s.name], s, len(truth), description) for s in inputs}
    return Labelled(fitting, truth, description)


def _of_npz(path: Path, task: str) -> tuple[dict[str, Array], Array]:
    arrays = load_npz(path)
    if task == DETECTION and {"boxes", "classes"} <= set(arrays):
        return arrays, padded(arrays.pop("boxes"), arrays.pop("classes"), str(path))
    key = next((k for k in LABEL_KEYS if k in arrays), None)
    if key is None or task == DETECTION:
        raise BadInput(
            "the file has no labels" if task != DETECTION else "the file has no objects",
            where=str(path),
            details=[f"it has {name}" for name in arrays],
            remedy='add an array called "labels" with the class of each sample'
            if task != DETECTION
            else 'add arrays "boxes" [samples, most, 4] and "classes" [samples, most], -1 where an image has fewer',
        )
    return arrays, arrays.pop(key)


def _of_json(path: Path, task: str) -> tuple[dict[str, Array], Array]:
    """Objects in lists; the inputs are in the ``.npz`` file that it names, relative to its own folder."""
    form = '{"inputs": "images.npz", "objects": [[{"box": [x1, y1, x2, y2], "class": 0}, …], …]}'
    wrong = BadInput("the file holds no objects of images", where=str(path), remedy=f"write {form}")
    if task != DETECTION:
        raise BadInput("labels in .json are of objects", where=str(path), remedy="add --accuracy detection")
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        objects = [[(*map(float, one["box"]), int(one["class"])) for one in image] for image in told["objects"]]
        inputs = path.parent / told["inputs"]
    except OSError as error:
        raise BadInput(f"can't read it: {error.strerror}", where=str(path), remedy="check the path") from error
    except (ValueError, KeyError, TypeError) as error:
        raise wrong from error
    most = max((len(image) for image in objects), default=0)
    labels = np.full((len(objects), most, 5), -1.0)
    for number, image in enumerate(objects):
        if any(len(row) != 5 for row in image):
            raise wrong
        labels[number, : len(image)] = np.reshape(image, (-1, 5))
    return load_npz(inputs), labels


def padded(boxes: Array, classes: Array, where: str) -> Array:
    """[samples, most, 5] of boxes [samples, most, 4] and their classes [samples, most].

    Raises:
        BadInput: they are of other shapes, or classes are no integers.
    """
    if boxes.ndim != 3 or boxes.shape[2] != 4 or classes.shape != boxes.shape[:2] or classes.dtype.kind not in "iu":
        raise BadInput(
            f"boxes are {boxes.dtype} {list(boxes.shape)} and classes {classes.dtype} {list(classes.shape)}",
            where=where,
            remedy="give boxes [samples, most, 4] and classes as integers [samples, most], -1 where an image has fewer",
        )
    found: Array = np.concatenate((boxes, classes[..., None]), 2, dtype=np.float64)
    return found


def _classes(labels: Array, where: str) -> Array:
    flat = labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels
    if flat.ndim != 1 or flat.dtype.kind not in "iu" or flat.size == 0 or flat.min() < 0:
        raise BadInput(
            f"labels must be classes, integers from 0 of shape [samples]; they are {labels.dtype} {list(labels.shape)}"
            + (f" from {flat.min()}" if flat.dtype.kind in "iu" and flat.size else ""),
            where=where,
            remedy="number the classes from 0, in the order of the model's scores; other labels are for --accuracy "
            "detection or segmentation",
        )
    return flat.astype(np.int64)


def _pixels(labels: Array, where: str) -> Array:
    if labels.ndim != 3 or labels.dtype.kind not in "iu" or not labels.size:
        raise BadInput(
            f"labels must be the class of each pixel, integers [samples, height, width]; they are {labels.dtype} "
            f"{list(labels.shape)}",
            where=where,
            remedy="give the classes from 0, and 255 or a negative number for pixels that don't count",
        )
    return labels.astype(np.int64)


def _objects(labels: Array, where: str) -> Array:
    if labels.ndim != 3 or labels.shape[2] != 5 or not len(labels):
        raise BadInput(
            f"labels must be objects, [samples, most, 5]; they are {labels.dtype} {list(labels.shape)}",
            where=where,
            remedy="give corners x1, y1, x2, y2 and the class of each, -1 where an image has fewer",
        )
    real = labels[labels[..., 4] >= 0]
    if not len(real) or not np.isfinite(real).all() or not (real[:, 2:4] >= real[:, :2]).all():
        raise BadInput(
            "there is no object" if not len(real) else "a box has no corner below and right of the other",
            where=where,
            remedy="give boxes as x1, y1, x2, y2, with x2 ≥ x1 and y2 ≥ y1",
        )
    return labels.astype(np.float64)


def _anything(labels: Array, where: str) -> Array:
    if not labels.ndim or not len(labels):
        raise BadInput("there are no labels", where=where, remedy="give one for each sample")
    return labels


_LABELS = {CLASSIFICATION: _classes, SEGMENTATION: _pixels, DETECTION: _objects}


def _of_samples(found: Samples, inputs: Sequence[TensorSpec], task: str) -> Labelled:
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
    description = f"{found.where}: {len(rows)} {found.noun}{prepared}{said}"
    return labelled(arrays, classes, inputs, description=description, task=task)


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
