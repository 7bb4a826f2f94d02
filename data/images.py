"""Samples that are image files: each is decoded when it is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from ..artifact import TensorSpec
from ..errors import BadInput
from .folders import classes_of, one_input
from .preprocess import ImageReader, Preprocess, image_files
from .samples import Sample, Samples


class ImageSamples(Samples):
    """Images of a folder and those below it; the folders in it, if all images are in such, are their classes.

    Raises:
        BadInput: there are none, they can't become the model's input, or it isn't said how.
    """

    noun = "images"

    def __init__(self, folder: Path, inputs: Sequence[TensorSpec], preprocess: Preprocess | None) -> None:
        one_input(len(inputs), inputs, "a folder of images", str(folder))
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
        self.where, self.prepared = str(folder), str(preprocess)
        self._name = inputs[0].name
        self._reader = ImageReader(inputs[0], preprocess)
        self._files = image_files(folder)
        self._labels = classes_of(folder, self._files)
        self.classes = frozenset(label for label in self._labels if label is not None)

    def __len__(self) -> int:
        return len(self._files)

    def read(self, indices: Sequence[int]) -> Iterator[Sample]:
        return (Sample({self._name: self._reader(self._files[i])}, self._labels[i]) for i in indices)
