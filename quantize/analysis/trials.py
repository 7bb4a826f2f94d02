"""What quantizes some of a model's operators and measures the outputs, in a process of its own.

Ranges come from the quantized file: the scale and zero point of a tensor say which it was given. So all that differs from
the file is which operators are in float. ``sensitivity`` starts this through ``workers``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...formats.tflite import edit as fb
from ...numerics.fidelity import fidelity
from ...schemes import get_scheme
from ...workers.serve import Commands, Tell
from .. import bias, engine
from ..folding import fold_constants
from ..ranges import input_tensors
from .pair import Pair, grid_of
from .probe import Probe

if TYPE_CHECKING:
    from ...artifact import Array


@dataclass(frozen=True)
class TrialRequest:
    """Which operators of which file.

    Attributes:
        ranges: Activation → least and largest value, where not its own scale in the file says so.
    """

    floating: Path
    quantized: Path
    scheme: str
    ranges: Mapping[str, tuple[float, float]]
    threads: int


def start(tell: Tell, request: TrialRequest) -> Commands:
    """``sample`` takes an input; ``base`` measures the file, ``alone`` and ``without`` an operator by its result."""
    job = _Job(request)
    return {"sample": job.sample, "base": job.base, "alone": job.alone, "without": job.without}


class _Job:
    """The float file, and the truth on the samples so far."""

    def __init__(self, request: TrialRequest) -> None:
        engine.register_added_operators()
        self._request, self._scheme = request, get_scheme(request.scheme)
        self._content = fold_constants(fb.load(request.floating))
        self._file = fb.load(request.quantized)
        self._pair = Pair(self._content, self._file)
        self._float = _Runner(self._content, request.threads)
        self._feeds: list[Mapping[str, Array]] = []
        self._truth: list[dict[str, Array]] = []
        graph = self._pair.floating.subgraphs[0]
        self._indices = {fb.name(graph.tensors[op.outputs[0]]): i for i, op in enumerate(graph.operators)
                         if len(op.outputs)}  # fmt: skip
        self._ranges, self._in_float = self._of_the_file()

    def sample(self, feed: Mapping[str, Array]) -> None:
        self._feeds.append(feed)
        self._truth.append(self._float.run(feed))

    def base(self) -> float:
        """The least SQNR of an output of the file, in dB."""
        return self._measure(self._file)

    def alone(self, name: str) -> float:
        """The same with only the operator of this result quantized."""
        return self._measure(self._quantized(frozenset(self._indices.values()) - {self._indices[name]}))

    def without(self, name: str) -> float:
        """The same with the operator of this result in float, beside those that are."""
        return self._measure(self._quantized(self._in_float | {self._indices[name]}))

    def _quantized(self, keep_float: frozenset[int]) -> bytes:
        made = fb.read(engine.quantize(self._content, self._scheme, ranges=self._ranges, keep_float=keep_float))
        fb.carry_shape_signatures(made)
        bias.repair(made, self._pair.floating)
        fb.drop_unused_buffers(made)
        return fb.write(made)

    def _measure(self, content: bytes) -> float:
        runner = _Runner(content, self._request.threads)
        got = [runner.run(feed) for feed in self._feeds]
        return min(fidelity([t[n] for t in self._truth], [g[n] for g in got]).worst_group_db for n in self._truth[0])

    def _of_the_file(self) -> tuple[dict[str, tuple[float, float]], frozenset[int]]:
        """Ranges of the activations that are in steps, and the operators that are in float."""
        steps = {n: g for n, i, _ in self._pair.layers() if (g := grid_of(self._pair.graph.tensors[i]))}
        ranges = {name: grid.limits for name, grid in steps.items()} | dict(self._request.ranges)
        weights = {self._pair.result(op) for op in self._pair.graph.operators if self._pair.has_integer_weights(op)}
        quantized = steps if self._scheme.needs_calibration else weights
        return ranges, frozenset(i for name, i in self._indices.items() if name not in quantized)


class _Runner:
    """A file whose inputs and outputs are floats to the outside."""

    def __init__(self, content: bytes, threads: int) -> None:
        model = fb.read(content)
        self._tensors = model.subgraphs[0].tensors
        self._inputs, self._outputs = input_tensors(model), output_tensors(model)
        self._probe = Probe(content, threads=threads, keep=False)

    def run(self, feed: Mapping[str, Array]) -> dict[str, Array]:
        fed = {}
        for name, index in self._inputs.items():
            grid = grid_of(self._tensors[index]) if feed[name].dtype.kind == "f" else None
            fed[index] = feed[name] if grid is None else grid.quantized(feed[name])
        self._probe.run(fed)
        return {name: self._value(index) for name, index in self._outputs.items()}

    def _value(self, index: int) -> Array:
        grid, value = grid_of(self._tensors[index]), self._probe.value(index)
        return value if grid is None else grid.real(value)
