"""A quantized file beside the float one: what it computes, how long it takes, how large it is.

In LiteRT's interpreter with XNNPACK and one thread, in a process of its own:
``python -m … FLOAT FILE FEEDS.npz ANSWER.json`` writes what it found.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from edgeworthy.files import write_text
from edgeworthy.formats.tflite import edit as fb
from edgeworthy.numerics.fidelity import fidelity

_CAP_DB = 200.0
"""What stands for an exact result, which has no ratio of signal to noise."""

_TURN_S, _TURNS = 0.03, 31


@dataclass(frozen=True)
class Judgement:
    """How a file does.

    Attributes:
        sqnr_db: Of the worst output as a whole.
        worst_db: Of the worst group of channels of any output; what a file is judged by.
        agreement: Share of the samples with the same top-1 class, of the worst output that has classes.
        latency: Median time of the file ÷ that of the float file.
        microseconds: Median time of the file.
        size: Bytes of the file ÷ those of the float file.
        convolutional: Whether most of the float file's constants are read by convolutions.
        float_mb: Size of the float file, in 10⁶ bytes.
    """

    sqnr_db: float
    worst_db: float
    agreement: float | None
    latency: float
    microseconds: float
    size: float
    convolutional: bool
    float_mb: float


class Runner:
    """A file in the interpreter, by the names of its signature."""

    def __init__(self, path: Path) -> None:
        self._interpreter = Interpreter(model_path=str(path), num_threads=1)
        (signature,) = fb.read(fb.load(path)).signatureDefs
        self._inputs = {entry.name.decode(): int(entry.tensorIndex) for entry in signature.inputs}
        self._outputs = {entry.name.decode(): int(entry.tensorIndex) for entry in signature.outputs}
        self._interpreter.allocate_tensors()
        ends = [*self._interpreter.get_input_details(), *self._interpreter.get_output_details()]
        self._details = {detail["index"]: detail for detail in ends}

    def set(self, feed: dict[str, NDArray[Any]]) -> None:
        for name, index in self._inputs.items():
            self._interpreter.set_tensor(index, self._steps(index, feed[name]))

    def run(self) -> dict[str, NDArray[Any]]:
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


def judge(floating: Path, file: Path, feeds: Path) -> Judgement:
    """Hold ``file`` against ``floating`` on the feeds, and time the two in turns."""
    with np.load(feeds) as archive:
        data = {name: archive[name] for name in archive.files}
    count = len(next(iter(data.values())))
    truth, quantized = Runner(floating), Runner(file)
    results: list[list[dict[str, NDArray[Any]]]] = [[], []]
    for index in range(count):
        feed = {name: array[index] for name, array in data.items()}
        for runner, kept in zip((truth, quantized), results, strict=True):
            runner.set(feed)
            kept.append(runner.run())
    found = [fidelity([r[name] for r in results[0]], [r[name] for r in results[1]]) for name in results[0][0]]
    agreements = [f.agreement for f in found if f.agreement is not None]
    times: list[list[float]] = [[], []]
    for turn in range(_TURNS):
        for side in (0, 1) if turn % 2 else (1, 0):
            times[side].append((truth, quantized)[side].time(_TURN_S))
    base, ours = (statistics.median(side) for side in times)
    return Judgement(
        sqnr_db=min(_CAP_DB, max(-_CAP_DB, min(f.sqnr_db for f in found))),
        worst_db=min(_CAP_DB, max(-_CAP_DB, min(f.worst_group_db for f in found))),
        agreement=min(agreements, default=None),
        latency=ours / base,
        microseconds=ours / 1000,
        size=file.stat().st_size / floating.stat().st_size,
        convolutional=convolutional(floating),
        float_mb=floating.stat().st_size / 1e6,
    )


def convolutional(path: Path) -> bool:
    """Whether most of the constants' bytes are read by convolutions."""
    model = fb.read(fb.load(path))
    sizes: Counter[bool] = Counter()
    for _, graph, op in fb.operators(model):
        values = [fb.values(model, t) for t in fb.tensors(graph, op.inputs) if fb.is_constant(model, t)]
        sizes["CONV" in fb.op_name(model, op)] += sum(v.nbytes for v in values if v is not None)
    return sizes[True] > sizes[False]


def main() -> None:
    floating, file, feeds, answer = map(Path, sys.argv[1:5])
    write_text(answer, json.dumps(asdict(judge(floating, file, feeds))))


if __name__ == "__main__":
    main()
