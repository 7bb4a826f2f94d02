"""A TFLite file in LiteRT's interpreter with XNNPACK and one thread, by the names of its signature."""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from edgeworthy.formats.tflite import edit as fb


class Runner:
    """A file, ready to run."""

    def __init__(self, path: Path) -> None:
        self._interpreter = Interpreter(model_path=str(path), num_threads=1)
        (signature,) = fb.read(fb.load(path)).signatureDefs
        self._inputs = {entry.name.decode(): int(entry.tensorIndex) for entry in signature.inputs}
        self._outputs = {entry.name.decode(): int(entry.tensorIndex) for entry in signature.outputs}
        self._interpreter.allocate_tensors()
        ends = [*self._interpreter.get_input_details(), *self._interpreter.get_output_details()]
        self._details = {detail["index"]: detail for detail in ends}

    def run(self, feed: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Output name → values, in reals."""
        for name, index in self._inputs.items():
            self._interpreter.set_tensor(index, self._steps(index, feed[name]))
        self._interpreter.invoke()
        return {name: self._reals(index) for name, index in self._outputs.items()}

    def _steps(self, index: int, values: NDArray[Any]) -> NDArray[Any]:
        """The values as the input takes them, where a file's inputs are integers and the float file's are not."""
        dtype = np.dtype(self._details[index]["dtype"])
        scale, zero_point = self._details[index]["quantization"]
        if values.dtype == dtype or not scale:
            return np.asarray(values, dtype)
        limits = np.iinfo(dtype)
        return np.asarray(np.clip(np.rint(values / scale) + zero_point, limits.min, limits.max), dtype)

    def _reals(self, index: int) -> NDArray[Any]:
        values: NDArray[Any] = self._interpreter.get_tensor(index)
        scale, zero_point = self._details[index]["quantization"]
        return ((values.astype(np.float64) - zero_point) * scale).astype(np.float32) if scale else values

    def time(self, seconds: float) -> float:
        """Median nanoseconds of one inference within a turn of about so long; the first one is not counted."""
        invoke, clock = self._interpreter.invoke, time.perf_counter_ns
        found: list[int] = []
        invoke()
        end = clock() + seconds * 1e9
        while not found or clock() < end:
            begin = clock()
            invoke()
            found.append(clock() - begin)
        return statistics.median(found)


def read_feeds(path: Path) -> list[dict[str, NDArray[Any]]]:
    """What an ``.npz`` of stacked samples has, sample by sample."""
    with np.load(path) as archive:
        data = {name: archive[name] for name in archive.files}
    count = len(next(iter(data.values())))
    return [{name: array[index] for name, array in data.items()} for index in range(count)]
