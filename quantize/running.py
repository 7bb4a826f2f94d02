"""Runs of a TFLite model in this process, float values in and out whatever the dtype of its inputs and outputs."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from ..formats.tflite import edit as fb

if TYPE_CHECKING:
    from ..artifact import Array, Feeds


class Model:
    """A model in the interpreter.

    Args:
        content: The flatbuffer.
        threads: Threads for one inference.
        delegate: Whether XNNPACK takes what it can; else the plain kernels compute.

    Raises:
        ValueError, RuntimeError: the runtime refuses it.
    """

    def __init__(self, content: bytes, *, threads: int = 1, delegate: bool = True) -> None:
        kernels = OpResolverType.BUILTIN if delegate else OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        model = fb.read(content)
        self._inputs, self._outputs = input_tensors(model), output_tensors(model)
        self._interpreter: Any = Interpreter(
            model_content=content, num_threads=threads, experimental_op_resolver_type=kernels
        )

    def run(self, feed: Mapping[str, Array]) -> Feeds:
        """Output name → array; what is quantized, as the float32 values that it stands for.

        Args:
            feed: Input name → array, of float values where the input is quantized; zeros where there is none.
        """
        self._fill(feed)
        self._interpreter.invoke()
        details = {d["index"]: d for d in self._interpreter.get_output_details()}
        return {name: self._real(details[index]) for name, index in self._outputs.items()}

    def nanoseconds(self, seconds: float) -> float:
        """Median time of one inference on what ``run`` was given last, within a turn of about so long.

        The first one isn't counted: what ran before has filled the caches.
        """
        invoke, clock = self._interpreter.invoke, time.perf_counter_ns
        times: list[int] = []
        invoke()
        end = clock() + seconds * 1e9
        while not times or clock() < end:
            begin = clock()
            invoke()
            times.append(clock() - begin)
        return statistics.median(times)

    def _real(self, details: Mapping[str, Any]) -> Array:
        values: Array = self._interpreter.get_tensor(details["index"])
        scale, zero_point = details["quantization"]
        return np.float32(scale) * (values.astype(np.float32) - np.float32(zero_point)) if scale else values

    def _fill(self, feed: Mapping[str, Array]) -> None:
        interpreter = self._interpreter
        details = {d["index"]: d for d in interpreter.get_input_details()}
        for name, index in self._inputs.items():
            if name in feed and tuple(details[index]["shape"]) != feed[name].shape:
                interpreter.resize_tensor_input(index, feed[name].shape)
        interpreter.allocate_tensors()
        details = {d["index"]: d for d in interpreter.get_input_details()}
        for name, index in self._inputs.items():
            dtype = np.dtype(details[index]["dtype"])
            values = feed.get(name)
            if values is None:
                values = np.zeros(details[index]["shape"], dtype)
            elif values.dtype != dtype:
                scale, zero_point = details[index]["quantization"]
                limits = np.iinfo(dtype)
                values = np.clip(np.rint(values / scale) + zero_point, limits.min, limits.max).astype(dtype)
            interpreter.set_tensor(index, values)


def input_tensors(model: Any) -> dict[str, int]:
    """Input name of the signature → tensor index; the tensor's own name where there is no signature."""
    return _ends(model, "inputs")


def output_tensors(model: Any) -> dict[str, int]:
    """The same of outputs."""
    return _ends(model, "outputs")


def _ends(model: Any, which: str) -> dict[str, int]:
    signature = fb.main_signature(model)
    if signature is not None:
        return {entry.name.decode(): int(entry.tensorIndex) for entry in getattr(signature, which)}
    graph = model.subgraphs[0]
    return {fb.name(graph.tensors[i]): int(i) for i in getattr(graph, which)}
