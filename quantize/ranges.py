"""What calibration samples show of every float activation, by running the float model on them, once.

``range_methods`` makes ranges of it. Neither the order of the samples nor anything but their values has a part in it.

Of the inputs of SOFTMAX not all counts. What lies more than ``SOFTMAX_REACH`` below the largest entry of its row has
no share in the result, so it needs no room in the range. Masked attention scores would otherwise take all of it.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from ..errors import BadInput
from ..formats.tflite import edit as fb
from .bias import BIASED
from .bias_correction import CORRECTED, channels_of
from .range_methods import Range, Statistics, extent, overflows
from .running import input_tensors
from .unlike import unlike

if TYPE_CHECKING:
    from ..artifact import Array, Floats

SOFTMAX_REACH = 16.0
"""exp(-16) = 1e-7; one step of an int8 softmax is 1/256."""

HUGE = 1e30
"""Values beyond this stand for infinity (attention masks are often the lowest float32)."""

_ARITHMETIC = ("ADD", "SUB", "MUL", "DIV")

_COARSE = 16
"""An operand this many times wider than a sum has fewer than 16 of its 256 levels within it."""


class Observer:
    """Runs a float model and keeps statistics of every activation.

    The interpreter keeps every tensor, so that all can be read; XNNPACK obeys this too, and is three times faster
    than the plain kernels.

    Args:
        content: The model.
        threads: Threads for one inference.

    Attributes:
        model: The same as objects.
        statistics: Tensor name → of its values so far, without those beyond ``HUGE``; for SOFTMAX inputs, of the
            entries that count.
    """

    def __init__(self, content: bytes, *, threads: int = 1) -> None:
        self.model = fb.read(content)
        self.graph = self.model.subgraphs[0]
        self.statistics: dict[str, Statistics] = {}
        with warnings.catch_warnings(action="ignore", category=UserWarning):  # it costs memory: we know
            self._interpreter = Interpreter(
                model_content=content,
                num_threads=threads,
                experimental_preserve_all_tensors=True,
                experimental_op_resolver_type=OpResolverType.BUILTIN,
            )
        self._inputs = input_tensors(self.model)
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._watched = _float_activations(self.model, self.graph)
        self._softmax = _softmax_inputs(self.model, self.graph)
        self._read = _read_by_layers(self.model)
        self._sums: dict[tuple[str, int], Floats] = {}
        self._count = 0

    @property
    def ranges(self) -> dict[str, Range]:
        """Tensor name → least and largest value in its statistics."""
        return {name: seen.extremes for name, seen in self.statistics.items()}

    @property
    def means(self) -> dict[tuple[str, int], Floats]:
        """(Name of what a layer reads, channels) → mean of each channel; without what has values beyond ``HUGE``."""
        sane = {name for name, seen in self.statistics.items() if seen.reach <= HUGE}
        return {key: total / self._count for key, total in self._sums.items() if key[0] in sane}

    def observe(self, feed: Mapping[str, Array]) -> None:
        """Run once on ``feed`` (input name → array in the TFLite model's layout) and take in all activations.

        Raises:
            BadInput: the model computes NaN.
        """
        changed = {name: array.shape for name, array in feed.items() if array.shape != self._shapes.get(name)}
        for name, shape in changed.items():
            self._interpreter.resize_tensor_input(self._inputs[name], shape)
        if changed or not self._count:
            self._shapes.update(changed)
            self._interpreter.allocate_tensors()
        for name, array in feed.items():
            self._interpreter.set_tensor(self._inputs[name], array)
        self._interpreter.invoke()
        for index, name in self._watched.items():
            self._take(index, name, self._interpreter.get_tensor(index))
        self._count += 1

    def _take(self, index: int, name: str, values: Array) -> None:
        if not values.size:
            return
        low, high = float(values.min()), float(values.max())
        if np.isnan(low):
            raise BadInput(
                f"the float model computes NaN on calibration sample {self._count}",
                where=f"tensor {name!r}",
                remedy="look for NaN in the weights or for an input outside the model's domain",
            )
        for channels in self._read.get(index, ()):
            mean = values.reshape(-1, channels).mean(axis=0, dtype=np.float64)
            self._sums[name, channels] = self._sums.get((name, channels), 0.0) + mean
        if index in self._softmax and values.ndim:
            tops = values.max(axis=-1, keepdims=True)
            counted = np.maximum(values, tops - np.float32(SOFTMAX_REACH / self._softmax[index]))
            values = counted[tops[..., 0] > -HUGE]
        if low < -HUGE or high > HUGE:
            values = values[np.abs(values) <= HUGE]
        values = values if values.size else np.zeros(1, np.float32)
        self.statistics.setdefault(name, Statistics()).add(values, reach=max(-low, high))


def unfit_operators(observer: Observer, *, lossy: bool = True) -> dict[int, str]:
    """Operators of the main graph that int8 would ruin → why; found from what the samples did to them.

    Args:
        lossy: With those that int8 would only leave with few levels.
    """
    found = unlike(observer.model, observer.ranges) if lossy else {}
    for index, op in enumerate(observer.graph.operators):
        sums = lossy and fb.op_name(observer.model, op) in ("ADD", "SUB")
        if reason := _why_unfit(observer, op) or (_coarse_operand(observer, op) if sums else ""):
            found[index] = reason
    return found


def _why_unfit(observer: Observer, op: Any) -> str:
    """The first of the rules that keeps ``op`` in float; empty if none does."""
    model, graph = observer.model, observer.graph
    kind = fb.op_name(model, op)
    for tensor in fb.tensors(graph, [*op.inputs, *op.outputs]):
        if not fb.is_float(tensor):
            continue
        name = fb.name(tensor)
        constant = fb.values(model, tensor)
        if constant is not None:
            if kind in _ARITHMETIC and constant.size and np.abs(constant).max() > HUGE:
                return f"its constant {name!r} reaches ±{np.abs(constant).max():.1e}, as masks do"
        elif name not in observer.statistics:
            return f"{name!r} was empty or not computed during calibration"
        elif observer.statistics[name].reach == 0.0:
            return f"{name!r} was zero in all calibration samples, so its range is not known"
        elif _overflows(observer, name):
            return f"{name!r} reaches ±{observer.statistics[name].reach:.1e}, as masks do"
    if _has_computed_bias(model, graph, op, kind):
        return "its bias is computed while running"
    return ""


def _has_computed_bias(model: Any, graph: Any, op: Any, kind: str) -> bool:
    """Whether there is a bias that is no constant; the engine has no int32 form of it."""
    position = BIASED[kind][2] if kind in BIASED else len(op.inputs)
    if position >= len(op.inputs) or op.inputs[position] < 0:
        return False
    return not fb.is_constant(model, graph.tensors[op.inputs[position]])


def _overflows(observer: Observer, name: str) -> bool:
    """Whether QUANTIZE would lose the sign of values beyond the range."""
    seen = observer.statistics[name]
    return seen.reach > HUGE or overflows(seen.reach, seen.extremes)


def _coarse_operand(observer: Observer, op: Any) -> str:
    """Whether an operand of a sum spans so much more than the result that few of its steps fall into it."""
    model, graph, ranges = observer.model, observer.graph, observer.ranges
    result = graph.tensors[op.outputs[0]]
    for tensor in fb.tensors(graph, op.inputs):
        name, constant = fb.name(tensor), fb.values(model, tensor)
        if not fb.is_float(tensor) or (constant is not None and not constant.size):
            continue
        span = ranges[name] if constant is None else (float(constant.min()), float(constant.max()))
        ratio = extent(span) / extent(ranges[fb.name(result)])
        if ratio > _COARSE:
            return f"{name!r} spans {ratio:.0f} times the range of the result"
    return ""


def _float_activations(model: Any, graph: Any) -> dict[int, str]:
    """Tensor index → name, of graph inputs and operator outputs in float32.

    WHILE gives what it carries no memory outside of it where nothing reads it afterwards.
    """
    read = {int(i) for op in graph.operators for i in op.inputs} | {int(i) for i in graph.outputs}
    made = [(int(i), fb.op_name(model, op)) for op in graph.operators for i in op.outputs]
    indices = [int(i) for i in graph.inputs] + [i for i, kind in made if kind != "WHILE" or i in read]
    return {
        i: fb.name(graph.tensors[i])
        for i in indices
        if fb.is_float(graph.tensors[i]) and not fb.is_constant(model, graph.tensors[i])
    }


def _softmax_inputs(model: Any, graph: Any) -> dict[int, float]:
    """Tensor index → beta, of tensors that nothing but SOFTMAX reads."""
    found: dict[int, float] = {}
    others = {int(i) for i in graph.outputs}
    for op in graph.operators:
        if fb.op_name(model, op) == "SOFTMAX":
            beta = float(op.builtinOptions.beta)
            index = int(op.inputs[0])
            found[index] = min(beta, found.get(index, beta))
        else:
            others.update(int(i) for i in op.inputs)
    return {i: beta for i, beta in found.items() if i not in others and beta > 0}


def _read_by_layers(model: Any) -> dict[int, set[int]]:
    """Tensor index → the channels that layers with a bias see in it."""
    graph, found = model.subgraphs[0], dict[int, set[int]]()
    for op in graph.operators:
        if fb.op_name(model, op) in CORRECTED and fb.is_constant(model, graph.tensors[op.inputs[1]]):
            found.setdefault(int(op.inputs[0]), set()).add(channels_of(model, op))
    return found
