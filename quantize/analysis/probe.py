"""A model whose every tensor can be read after a run, by index or by name."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from ...formats.tflite import edit as fb
from ..running import input_tensors
from .grid import grid_of

if TYPE_CHECKING:
    from ...artifact import Array


class Probe:
    """Runs a model, one sample at a time; inputs and tensors go by index.

    Args:
        content: The flatbuffer.
        threads: Threads for one inference.
        keep: Keep every tensor; without it only inputs and outputs can be read.
    """

    def __init__(self, content: bytes, *, threads: int = 1, keep: bool = True) -> None:
        with warnings.catch_warnings(action="ignore", category=UserWarning):  # it costs memory: we know
            self._interpreter = Interpreter(
                model_content=content,
                num_threads=threads,
                experimental_preserve_all_tensors=keep,
                experimental_op_resolver_type=OpResolverType.BUILTIN,
            )
        self._shapes = {d["index"]: tuple(map(int, d["shape"])) for d in self._interpreter.get_input_details()}
        self._ready = False

    def run(self, feed: Mapping[int, Array]) -> None:
        """Run once on tensor index → array in the input's own dtype; other extents than last time are taken over."""
        for index, array in feed.items():
            if array.shape != self._shapes[index]:
                self._interpreter.resize_tensor_input(index, array.shape)
                self._shapes[index], self._ready = array.shape, False
        if not self._ready:
            self._interpreter.allocate_tensors()
            self._ready = True
        for index, array in feed.items():
            self._interpreter.set_tensor(index, np.require(array, requirements="C"))
        self._interpreter.invoke()

    def value(self, index: int) -> Array:
        """The value of a tensor after the last run, a copy."""
        found: Array = self._interpreter.get_tensor(index)
        return found


class TensorRunner:
    """A file that takes floats by name, whatever its inputs are, and keeps every tensor.

    Args:
        content: The flatbuffer.
        threads: Threads for one inference.
    """

    def __init__(self, content: bytes, *, threads: int = 1) -> None:
        model = fb.read(content)
        self._tensors = model.subgraphs[0].tensors
        self._inputs = input_tensors(model)
        self._probe = Probe(content, threads=threads)

    def run(self, feed: Mapping[str, Array]) -> None:
        """Run on input name → array; floats go into an input of integers in its own steps."""
        fed = {}
        for name, index in self._inputs.items():
            grid = grid_of(self._tensors[index]) if feed[name].dtype.kind == "f" else None
            fed[index] = feed[name] if grid is None else grid.quantized(feed[name])
        self._probe.run(fed)

    def value(self, index: int) -> Array:
        """A tensor as it is."""
        return self._probe.value(index)
