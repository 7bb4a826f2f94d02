"""What data holds, taken while its feeds pass by: hash, spans, moments, channels, repeats, classes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ..artifact import TensorSpec
from .fitting import batch_size
from .preprocess import image_axes
from .samples import Label

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..artifact import Array

_COLOURS = 3


def add_arrays(digest: hashlib._Hash, feed: Mapping[str, Array]) -> None:
    """Names, dtypes, shapes and values into a hash."""
    for name, array in feed.items():
        digest.update(f"{name}:{array.dtype.str}{array.shape}\0".encode())
        digest.update(np.ascontiguousarray(array).data)


@dataclass
class Values:
    """Of all values of a float input.

    Attributes:
        low, high: Least and largest.
        whole: Whether all are whole numbers.
        steps: Mean difference of a value to the next one, and to that after three, of an image of three colours.
        channels: Least and largest of each channel of an image.
    """

    channel_axis: int | None = None
    low: float = float("inf")
    high: float = float("-inf")
    count: int = 0
    total: float = 0.0
    squares: float = 0.0
    whole: bool = True
    steps: NDArray[np.float64] = field(default_factory=lambda: np.zeros(2))
    channels: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None

    def add(self, array: Array) -> None:
        if not array.size:
            return
        values = array.astype(np.float64)
        self.low, self.high = min(self.low, float(values.min())), max(self.high, float(values.max()))
        self.count += values.size
        self.total += float(values.sum())
        self.squares += float(np.square(values).sum())
        self.whole = self.whole and bool((np.rint(values) == values).all())
        if self.channel_axis is None:
            return
        others = tuple(axis for axis in range(values.ndim) if axis != self.channel_axis)
        low, high = values.min(axis=others), values.max(axis=others)
        if self.channels is not None and self.channels[0].shape == low.shape:
            low, high = np.minimum(low, self.channels[0]), np.maximum(high, self.channels[1])
        self.channels = low, high
        if values.shape[self.channel_axis] == _COLOURS and self.channel_axis == 1:
            line = values.reshape(len(values), -1)
            if line.shape[1] > _COLOURS:
                self.steps += [float(np.abs(line[:, n:] - line[:, :-n]).mean()) for n in (1, _COLOURS)]

    @property
    def mean(self) -> float:
        return self.total / self.count if self.count else 0.0

    @property
    def deviation(self) -> float:
        return float(np.sqrt(max(self.squares / self.count - self.mean**2, 0.0))) if self.count else 0.0


class Survey:
    """What passes by.

    Args:
        inputs: The model's inputs.

    Attributes:
        values: Of each float input.
        samples: How many there were.
        repeats: How many of them had been there before.
        labels: The classes that there were.
        shapes: Of each input in the last feed.
    """

    def __init__(self, inputs: Sequence[TensorSpec]) -> None:
        self._batched = batch_size(inputs) is not None
        self._digest = hashlib.sha256()
        self._seen: set[bytes] = set()
        self.values = {s.name: Values(_channels(s)) for s in inputs if np.dtype(s.dtype).kind == "f"}
        self.samples = self.repeats = 0
        self.labels: set[Label] = set()
        self.shapes: dict[str, tuple[int, ...]] = {}

    def add(self, feed: Mapping[str, Array], labels: Iterable[Label | None] = ()) -> None:
        """A feed, and the classes of its samples."""
        add_arrays(self._digest, feed)
        self.shapes = {name: array.shape for name, array in feed.items()}
        for name, values in self.values.items():
            values.add(feed[name])
        self.labels.update(label for label in labels if label is not None)
        count = len(next(iter(feed.values()))) if self._batched else 1
        for i in range(count):
            digest = hashlib.sha256()
            for array in feed.values():
                digest.update(np.ascontiguousarray(array[i] if self._batched else array).data)
            self.samples += 1
            self.repeats += digest.digest() in self._seen
            self._seen.add(digest.digest())

    @property
    def sha256(self) -> str:
        """Of names, dtypes, shapes and values of all feeds, in order."""
        return self._digest.hexdigest()


def _channels(spec: TensorSpec) -> int | None:
    """The axis of an image's channels."""
    axes = image_axes(spec)
    return None if axes is None else 1 if axes == (2, 3) else 3
