"""A model whose every tensor can be read after a run."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

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
