"""What quantizes some of a model's operators and measures the outputs, in a process of its own.

Ranges come from the quantized file: the scale and zero point of a tensor say which it was given. So all that differs
from the file is which operators are in float. ``sensitivity`` starts this through ``workers``.
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
from .. import engine
from ..loading import loaded
from ..recipe import Compute
from ..running import Model
from ..worker import Building, built
from .pair import FilePair

if TYPE_CHECKING:
    from ...artifact import Array


_FLOAT: Compute = "float32"
_UNPACKED: Compute = "weights"
_COMPUTES: dict[str, Compute] = {"int8": "int8", "uint8": "int8", "int16": "int16"}
"""Dtype of a result in the file → what its operator computes in."""


@dataclass(frozen=True)
class TrialRequest:
    """Which operators of which file.

    Attributes:
        used: Activation → least and largest value on samples, where its own scale in the file doesn't say what it
            needs: it is in float, or has another's scale.
        follows: Activations that have another's scale.
    """

    floating: Path
    quantized: Path
    scheme: str
    used: Mapping[str, tuple[float, float]]
    follows: frozenset[str]
    threads: int


def start(tell: Tell, request: TrialRequest) -> Commands:
    """``sample`` takes an input; ``base`` measures the file, ``alone`` and ``without`` an operator by its result."""
    job = _Job(request)
    return {"sample": job.sample, "base": job.base, "alone": job.alone, "without": job.without}


class _Job:
    """The float file, and the truth on the samples so far."""

    def __init__(self, request: TrialRequest) -> None:
        self._threads, self._scheme = request.threads, get_scheme(request.scheme)
        engine.register_added_operators()
        self._content, self._file = loaded(request.floating), fb.load(request.quantized)
        self._pair = FilePair(self._content, self._file)
        self._float = Model(self._content, threads=self._threads)
        self._feeds: list[Mapping[str, Array]] = []
        self._truth: list[dict[str, Array]] = []
        graph = self._pair.floating.subgraphs[0]
        self._indices = {fb.name(graph.tensors[o]): i for i, op in enumerate(graph.operators) for o in op.outputs}
        steps = {name: grid for name, index, _ in self._pair.layers() if (grid := self._pair.grid(index))}
        self._follows = request.follows
        self._ranges = {name: grid.limits for name, grid in steps.items()} | dict(request.used)
        self._computes: dict[int, Compute] = dict.fromkeys(self._indices.values(), "float32")
        layers = [self._indices[n] for n in self._pair.with_integer_weights() & self._indices.keys()]
        if self._scheme.needs_calibration:
            self._computes |= dict.fromkeys(layers, _UNPACKED)
            self._computes |= {self._indices[n]: _COMPUTES[g.dtype] for n, g in steps.items() if n in self._indices}
        else:
            for index in layers:
                del self._computes[index]

    def sample(self, feed: Mapping[str, Array]) -> None:
        self._feeds.append(feed)
        self._truth.append({name: value for name, value in self._float.run(feed).items() if value.dtype.kind == "f"})

    def base(self) -> float:
        """The least SQNR of a float output of the file, in dB; infinite when all are exact."""
        return self._measure(self._file)

    def alone(self, name: str) -> tuple[float, list[str]]:
        """The same with only the operator of this result quantized."""
        own = self._indices[name]
        others = dict.fromkeys((i for i in self._indices.values() if i != own), _FLOAT)
        return self._measure(self._built(others | {i: c for i, c in self._computes.items() if i == own})), []

    def without(self, name: str) -> tuple[float, list[str]]:
        """The same with the operator of this result in float, beside those that are, and what has to go with it.

        What only hands its values on has its scale, and would lose in int8 what it gains.
        """
        along = self._behind(name)
        floats = dict.fromkeys((self._indices[n] for n in (name, *along)), _FLOAT)
        return self._measure(self._built(self._computes | floats)), along

    def _behind(self, name: str) -> list[str]:
        """Results of the operators that read this one, or each other, and have its scale."""
        graph, found = self._pair.floating.subgraphs[0], [name]
        for op in graph.operators:
            reads = {fb.name(t) for t in fb.tensors(graph, op.inputs)}
            writes = [fb.name(t) for t in fb.tensors(graph, op.outputs)]
            if not reads.isdisjoint(found) and self._follows.issuperset(writes):
                found += writes
        return found[1:]

    def _built(self, computes: Mapping[int, Compute]) -> bytes:
        model, _ = built(self._content, self._pair.floating, Building(self._scheme, self._ranges, computes))
        return fb.write(model)

    def _measure(self, content: bytes) -> float:
        model = Model(content, threads=self._threads)
        got = [model.run(feed) for feed in self._feeds]
        names = self._truth[0]
        return min(fidelity([t[n] for t in self._truth], [g[n] for g in got]).worst_group_db for n in names)
