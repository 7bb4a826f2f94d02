"""Samples that are sound: windows of ``.wav`` files, at the model's own sample rate.

PCM of 8, 16, 24 or 32 bits. A float input gets -1…1, an int16 input the samples of 16-bit files as they are. Nothing is
resampled: a filter that differs from training's gives other ranges.
"""

from __future__ import annotations

import wave
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..artifact import Dim, TensorSpec
from ..errors import BadInput
from .fitting import Fitting
from .folders import classes_of, files_below, one_input
from .samples import Label, Sample, Samples

if TYPE_CHECKING:
    from ..artifact import Array

SUFFIXES = (".wav",)

_MOST_CHANNELS = 2


@dataclass(frozen=True)
class _Form:
    """Where a row has its channels and its time: ``[time]``, ``[channels, time]`` or ``[time, channels]``."""

    channels: int
    length: int | None
    axis: int | None
    dtype: str

    @classmethod
    def of(cls, row: tuple[Dim, ...], spec: TensorSpec, where: str) -> _Form:
        axes = [axis for axis, dim in enumerate(row) if isinstance(dim, int) and dim <= _MOST_CHANNELS]
        axis = axes[0] if len(row) == 2 and axes else None
        if len(row) not in (1, 2) or (len(row) == 2 and axis is None) or spec.dtype not in _READS:
            raise BadInput(
                f"the input {spec} takes no sound",
                where=where,
                remedy="sound goes to float or int16 inputs [batch, time], [batch, channels, time] or [batch, time, "
                "channels] with 1 or 2 channels; give other data as .npz or file.py:generator",
            )
        time = row[0 if len(row) == 1 else 1 - (axis or 0)]
        channels = 1 if axis is None else row[axis]
        return cls(int(channels), time if isinstance(time, int) else None, axis, spec.dtype)


_READS = ("float32", "float16", "int16")


@dataclass(frozen=True)
class _Window:
    """A part of a file, in frames."""

    file: int
    begin: int
    length: int


class WavSamples(Samples):
    """Windows of the input's length, one after the other, of a WAV file or of those in a folder and below it.

    The rest behind a file's last whole window is left out; a file that is shorter than one is filled up with silence.
    Where the input's length is dynamic, a file is one sample. Stereo is averaged for a mono input, mono doubled for a
    stereo one.

    Args:
        path: The file or folder.
        rate: The model's sample rate in Hz.

    Raises:
        BadInput: there is no sound, a file can't be read or has another rate, or the model takes no sound.
    """

    noun = "windows"

    def __init__(self, path: Path, inputs: Sequence[TensorSpec], rate: int | None) -> None:
        self.where = str(path)
        one_input(len(inputs), inputs, "sound", self.where)
        self._fitting = Fitting(inputs, self.where)
        self._spec = inputs[0]
        self._form = _Form.of(self._fitting.row_shape(self._spec), self._spec, self.where)
        self._files = files_below(path, SUFFIXES) if path.is_dir() else [path]
        headers = [_header(file) for file in self._files]
        self._require_rate(rate, [header[0] for header in headers])
        labels: list[Label | None] = classes_of(path, self._files) if path.is_dir() else [None]
        self._labels = labels
        self.classes = frozenset(label for label in labels if label is not None)
        self._windows = [w for i, (_, frames) in enumerate(headers) for w in self._cut(i, frames)]
        length = f"{self._form.length} frames" if self._form.length else "a file each"
        self.prepared = f"{rate} Hz, {length}, {'mono' if self._form.channels == 1 else 'stereo'}"

    def __len__(self) -> int:
        return len(self._windows)

    def read(self, indices: Sequence[int]) -> Iterator[Sample]:
        for i in indices:
            window = self._windows[i]
            row = _shaped(_frames(self._files[window.file], window), self._form)
            yield Sample({self._spec.name: self._fitting.row(self._spec, row, i)}, self._labels[window.file])

    def _cut(self, file: int, frames: int) -> Iterator[_Window]:
        length = self._form.length or frames
        for begin in range(0, max(frames - length, 0) + 1, max(length, 1)):
            if frames:
                yield _Window(file, begin, length)

    def _require_rate(self, rate: int | None, found: Sequence[int]) -> None:
        if rate is None:
            raise BadInput(
                "it isn't said at which sample rate the model takes sound",
                where=self.where,
                details=[f"there are files of {r} Hz" for r in sorted(set(found))],
                remedy="state it by --sample-rate HZ, or sample_rate in [data]",
            )
        other = next(((f, r) for f, r in zip(self._files, found, strict=True) if r != rate), None)
        if other is not None:
            raise BadInput(
                f"the sound has {other[1]} Hz, and the model takes {rate} Hz",
                where=str(other[0]),
                remedy=f"resample it as for training, for example: ffmpeg -i IN.wav -ar {rate} OUT.wav",
            )


def _header(path: Path) -> tuple[int, int]:
    """Sample rate, and number of frames."""
    with _opened(path) as file:
        return file.getframerate(), file.getnframes()


def _frames(path: Path, window: _Window) -> Array:
    """``[frames, channels]`` in -1…1, filled up with zeros."""
    with _opened(path) as file:
        if window.begin:
            file.setpos(window.begin)
        wanted = min(window.length, file.getnframes() - window.begin)
        content, width, channels = file.readframes(wanted), file.getsampwidth(), file.getnchannels()
        if len(content) < wanted * width * channels:
            raise EOFError("the file ends before its frames do")
    found = _pcm(content, width).reshape(-1, channels)
    return np.pad(found, ((0, window.length - len(found)), (0, 0)))


def _pcm(content: bytes, width: int) -> Array:
    """PCM in -1…1; of 8 bits it is unsigned, else signed and little-endian."""
    if width == 1:
        return np.asarray((np.frombuffer(content, np.uint8) - 128.0) / 128)
    if width == 3:
        padded = np.zeros((len(content) // 3, 4), np.uint8)
        padded[:, 1:] = np.frombuffer(content, np.uint8).reshape(-1, 3)
        return np.asarray(padded.view("<i4").ravel() / 2.0**31)
    return np.asarray(np.frombuffer(content, f"<i{width}") / 2.0 ** (8 * width - 1))


def _shaped(frames: Array, form: _Form) -> Array:
    if frames.shape[1] != form.channels:
        frames = np.repeat(frames.mean(1, keepdims=True), form.channels, 1)
    if form.dtype == "int16":
        frames = np.clip(np.rint(frames * 2**15), -(2**15), 2**15 - 1)
    frames = np.asarray(frames, form.dtype)
    return frames[:, 0] if form.axis is None else frames.T if form.axis == 0 else frames


@contextmanager
def _opened(path: Path) -> Iterator[wave.Wave_read]:
    try:
        with wave.open(str(path)) as file:
            yield file
    except (wave.Error, EOFError, OSError, ZeroDivisionError) as error:
        raise BadInput(
            f"can't read the sound: {str(error) or 'the file ends too early'}",
            where=str(path),
            remedy="write it as PCM of 16 bits, for example: ffmpeg -i IN -c:a pcm_s16le OUT.wav; or take it away",
        ) from error
