"""What quantizes a model, in a process of its own: native code may abort or hang on it, and takes nothing else along.

``post_training`` starts it through ``workers``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from ..errors import BadInput
from ..formats.tflite import edit as fb
from ..schemes import Scheme, get_scheme
from ..workers.serve import Commands, Tell
from . import bias, engine
from .deciding import decide, require_integers
from .float16 import to_float16
from .float_ops import float_operators
from .folding import fold_constants
from .io_dtype import set_io_dtype
from .messages import Answer, Request
from .ranges import Observer, input_tensors
from .recipe import Compute, Decision, Recipe, Rule

if TYPE_CHECKING:
    from ..artifact import Array

_FAILED_NODE = re.compile(r"Node number (\d+) \(\w+\) failed to (?:prepare|invoke)")


def start(tell: Tell, request: Request) -> Commands:
    """The commands that quantize one model: ``calibrate`` takes a feed, and ``quantize`` gives the ``Answer``."""
    job = _Job(request)
    return {"calibrate": job.calibrate, "quantize": job.quantize}


class _Job:
    """A model on its way."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._scheme = get_scheme(request.recipe.scheme)
        self._content = fold_constants(fb.load(request.model))
        self._model = fb.read(self._content)
        _refuse_nan(self._model)
        if self._scheme.method != "cast":
            engine.register_added_operators()
        self._observer = Observer(self._content, threads=request.threads) if self._scheme.needs_calibration else None
        self._feed = dict(request.example)

    def calibrate(self, feed: dict[str, Array]) -> None:
        self._feed = feed
        if self._observer:
            self._observer.observe(feed)

    def quantize(self) -> Answer:
        decided, notes = decide(self._content, self._request.recipe, self._request.modules, self._observer)
        if self._scheme.method == "cast":
            return _float16(self._model, self._request, self._scheme, decided)
        ranges = self._observer.ranges if self._observer else {}
        return _quantize(self._content, self._request, self._scheme, ranges, decided, notes, self._feed)


def _float16(model: Any, request: Request, scheme: Scheme, decided: Mapping[int, Decision]) -> Answer:
    graph = model.subgraphs[0]
    resolved = _resolved(request.recipe, graph, decided)
    stays = {
        fb.name(t): d.why for index, d in decided.items() for t in fb.tensors(graph, graph.operators[index].inputs)
    }
    kept = to_float16(model, stays)
    content = fb.write(model)
    failure = _try(content, request.example, request.threads)
    if failure:
        raise RuntimeError(failure)
    request.output.write_bytes(content)
    reasons = {
        fb.name(graph.tensors[op.outputs[0]]): kept[fb.name(tensor)]
        for _, graph, op in fb.operators(model)
        for tensor in fb.tensors(graph, op.inputs)
        if fb.name(tensor) in kept
    }
    found = float_operators(model, scheme, supported=frozenset(), reasons=reasons)
    return Answer("edgeworthy", resolved, tuple(found))


def _quantize(
    content: bytes,
    request: Request,
    scheme: Scheme,
    ranges: Mapping[str, tuple[float, float]],
    decided: dict[int, Decision],
    notes: list[str],
    feed: Mapping[str, Array],
) -> Answer:
    """Quantize, load and run; operators that the runtime refuses as they are go back to float until it accepts."""
    original = fb.read(content)
    names = [_result(original.subgraphs[0], op) for op in original.subgraphs[0].operators]
    while True:
        computes = {index: decision.compute for index, decision in decided.items()}
        quantized, widened = built(content, original, scheme, ranges, computes, request.recipe.io_dtype)
        final = fb.write(quantized)
        failure = _try(final, feed, request.threads)
        if failure is None:
            break
        refused = _refused(quantized, failure)
        if refused not in names or computes.get(names.index(refused)) == "float32":
            raise RuntimeError(failure)
        decided[names.index(refused)] = Decision("float32", f"the runtime refused it: {failure}")
    if widened:
        notes.append(f"weight scales widened so that biases fit into int32: {', '.join(widened)}")
    reasons = {names[index]: d.why for index, d in decided.items() if d.compute == "float32"}
    found = float_operators(quantized, scheme, supported=engine.supported_operators(scheme), reasons=reasons)
    if request.recipe.full_integer:
        require_integers(found)
    request.output.write_bytes(final)
    resolved = _resolved(request.recipe, original.subgraphs[0], decided)
    return Answer(engine.NAME, resolved, tuple(found), tuple(notes))


def built(
    content: bytes,
    original: Any,
    scheme: Scheme,
    ranges: Mapping[str, tuple[float, float]],
    computes: Mapping[int, Compute],
    io_dtype: str,
) -> tuple[Any, list[str]]:
    """The quantized ``ModelT`` of a float one (``content``, as objects ``original``), and the biases mended in it."""
    quantized = engine.quantize(content, scheme, ranges=ranges, computes=computes)
    fb.carry_shape_signatures(quantized)
    widened = bias.repair(quantized, original)
    set_io_dtype(quantized, io_dtype)
    fb.drop_unused_buffers(quantized)
    return quantized, widened


def _resolved(recipe: Recipe, graph: Any, decided: Mapping[int, Decision]) -> Recipe:
    """The recipe with every decision as a rule on one operator, by the name of its result."""
    named = {_result(graph, graph.operators[index]): decision for index, decision in sorted(decided.items())}
    rules = (Rule(pattern=name, compute=d.compute, by="result", why=d.why) for name, d in named.items() if name)
    return recipe.model_copy(update={"only": (), "rules": tuple(rules), "resolved": True})


def _try(content: bytes, feed: Mapping[str, Array], threads: int) -> str | None:
    """Load and run with the plain kernels and with the default delegate; the runtime's complaint, if any."""
    for resolver in (OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES, OpResolverType.BUILTIN):
        try:
            interpreter = Interpreter(
                model_content=content, num_threads=threads, experimental_op_resolver_type=resolver
            )
            _fill(interpreter, input_tensors(fb.read(content)), feed)
            interpreter.invoke()
        except (ValueError, RuntimeError) as error:
            return " ".join(str(error).split())
    return None


def _fill(interpreter: Any, inputs: Mapping[str, int], feed: Mapping[str, Array]) -> None:
    """Set the inputs: the feed, in the input's own dtype, or zeros without one."""
    details = {d["index"]: d for d in interpreter.get_input_details()}
    for name, index in inputs.items():
        if name in feed and tuple(details[index]["shape"]) != feed[name].shape:
            interpreter.resize_tensor_input(index, feed[name].shape)
    interpreter.allocate_tensors()
    details = {d["index"]: d for d in interpreter.get_input_details()}
    for name, index in inputs.items():
        dtype = np.dtype(details[index]["dtype"])
        values = feed.get(name)
        if values is None:
            values = np.zeros(details[index]["shape"], dtype)
        elif values.dtype != dtype:
            scale, zero_point = details[index]["quantization"]
            limits = np.iinfo(dtype)
            values = np.clip(np.rint(values / scale) + zero_point, limits.min, limits.max).astype(dtype)
        interpreter.set_tensor(index, values)


def _refused(model: Any, failure: str) -> str:
    """Result name of the operator that the runtime's message is about; empty if it doesn't say."""
    match = _FAILED_NODE.search(failure)
    graph = model.subgraphs[0]
    if match is None or int(match[1]) >= len(graph.operators):
        return ""
    return _result(graph, graph.operators[int(match[1])])


def _result(graph: Any, op: Any) -> str:
    return fb.name(graph.tensors[op.outputs[0]]) if op.outputs else ""


def _refuse_nan(model: Any) -> None:
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            constant = fb.values(model, tensor) if fb.is_float(tensor) else None
            if constant is not None and np.isnan(constant).any():
                raise BadInput(
                    "the model has NaN in its weights",
                    where=f"tensor {fb.name(tensor)!r}",
                    remedy="train or load it again; quantizing it makes no sense",
                )
