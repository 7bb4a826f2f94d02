"""What quantizes a model, in a process of its own: native code may abort or hang on it, and takes nothing else along.

``post_training`` starts it through ``workers``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..artifact import Array
from ..errors import BadInput
from ..formats.tflite import edit as fb
from ..schemes import Scheme, get_scheme
from ..workers.serve import Commands, Tell
from . import bias, bias_correction, engine, running
from .adoption import align
from .bias_correction import Means
from .contenders import HELD, Contender, best, close
from .deciding import decide, joining, require_integers
from .float16 import store_halves, to_float16
from .float_ops import float_operators
from .io_dtype import set_io_dtype
from .judge import Judge
from .loading import loaded
from .lookups import store_rows
from .messages import Answer, Request
from .range_methods import AUTO, TRIED, Integers, Range, resolve
from .ranges import Observer
from .recipe import FLOATS, Compute, Decision, Recipe, Rule
from .rounding import Rounding
from .transforms import transformed
from .weight_ranges import WeightRange

_JUDGED_BYTES = 2**26
"""Most bytes of outputs that are kept of the float model, where more than ``HELD`` samples are compared."""

_FAILED_NODE = re.compile(r"Node number (\d+) \(\w+\) failed to (?:prepare|invoke)")


@dataclass(frozen=True)
class _Made:
    """A quantized model, as objects and as bytes, and the outputs of operators whose weight scales were widened."""

    model: Any
    content: bytes
    widened: list[str]


def start(tell: Tell, request: Request) -> Commands:
    """The commands that quantize one model.

    ``calibrate`` takes a feed that ranges come from, ``hold`` one to choose by; ``quantize`` gives the ``Answer``,
    ``adopt`` the one of a file that another engine made, and ``judge`` a file's ``Contender``.
    """
    job = Quantizer(tell, request)
    return {name: getattr(job, name) for name in ("calibrate", "hold", "quantize", "adopt", "judge")}


class Quantizer:
    """A model on its way."""

    def __init__(self, tell: Tell, request: Request) -> None:
        self._tell, self._request = tell, request
        self._scheme = get_scheme(request.recipe.scheme)
        self.content = transformed(loaded(request.model), request.recipe.transforms)
        self.model = fb.read(self.content)
        _refuse_nan(self.model)
        if self._scheme.method != "cast":
            engine.register_added_operators()
        ours = request.recipe.engine != "tensorflow"
        observes = self._scheme.needs_calibration and ours
        self._observer = Observer(self.content, threads=request.threads) if observes else None
        self._ranges: dict[tuple[str, frozenset[str]], dict[str, Range]] = {}
        self._feed, self._held = dict(request.example), list[dict[str, Array]]()

    def calibrate(self, feed: dict[str, Array]) -> None:
        self._feed = feed
        if self._observer:
            self._observer.observe(feed)

    def hold(self, feed: dict[str, Array]) -> None:
        self._held.append(feed)

    def quantize(self) -> Answer:
        decided, notes = self.decide()
        if self._scheme.method == "cast":
            return _float16(self.model, self._request, self._scheme, decided)
        if self._observer is None:
            rounding = self._request.recipe.rounding
            return self._answer(self.make(rounding, decided), decided, notes, rounding)
        return self._answer_best(decided, notes)

    def decide(self) -> tuple[dict[int, Decision], list[str]]:
        """See ``deciding.decide``."""
        return decide(self.content, self._request.recipe, self._request.modules, self._observer)

    def joined(self, decided: Mapping[int, Decision]) -> dict[int, Decision]:
        """See ``deciding.joining``."""
        return {**decided, **joining(self.content, self._request.recipe, decided)}

    @property
    def results(self) -> list[str]:
        """The name of the first result of every operator of the main graph."""
        graph = self.model.subgraphs[0]
        return [_result(graph, op) for op in graph.operators]

    def resolved(self, decided: Mapping[int, Decision], rounding: Rounding) -> Recipe:
        """The recipe with these decisions."""
        return _resolved(self._request.recipe, self.model.subgraphs[0], decided, rounding)

    def adopt(self, path: Path, engine_name: str) -> Answer:
        """Make a file that another engine made of the same model as one of ours: it is written anew, and tried."""
        model = fb.read(path.read_bytes())
        align(model, self.model)
        content = fb.write(model)
        if failure := _try(content, self._feed, self._request.threads):
            raise RuntimeError(failure)
        path.write_bytes(content)
        kinds = frozenset(fb.op_name(model, op) for _, _, op in fb.operators(model))
        found = float_operators(model, self._scheme, supported=kinds, reasons={})
        if self._request.recipe.full_integer:
            require_integers(found)
        made = {"engine": "tensorflow", "resolved": True}
        recipe = self._request.recipe.rounded(Rounding()).model_copy(update=made)
        return Answer(engine_name, recipe, tuple(found))

    def judge(self, name: str, path: Path) -> Contender:
        return self._judge.judge(name, path.read_bytes())

    @cached_property
    def _judge(self) -> Judge:
        return Judge(self.content, self._held[:HELD] or [self._feed], threads=self._request.threads)

    def _answer_best(self, decided: dict[int, Decision], notes: Sequence[str]) -> Answer:
        """The file that is best of those that the recipe leaves open: by range method, and then by what refines it."""
        recipe = self._request.recipe
        if not recipe.compares:
            return self._answer(self.make(recipe.rounding, decided), decided, notes, recipe.rounding)
        tried: dict[Rounding, Contender] = {}
        seen: list[dict[str, Range]] = []
        for name in TRIED if recipe.ranges == AUTO else (recipe.ranges,):
            if (ranges := self.ranges(name, decided)) not in seen:  # of methods that agree, the first is tried
                seen.append(ranges)
                self._try(replace(recipe.rounding, ranges=name), decided, tried)
        finals = self._finals(tried, decided)
        for change in recipe.refinements:
            self._try(replace(_best(finals), **change), decided, finals)
        rounding = _best(finals)
        return self._answer(self.make(rounding, decided), decided, notes, rounding, tuple((tried | finals).values()))

    def _finals(self, tried: dict[Rounding, Contender], decided: dict[int, Decision]) -> dict[Rounding, Contender]:
        """Those that are close, judged on all samples that there are to compare by; from here on these judge."""
        most = _JUDGED_BYTES // max(1, self._output_bytes)
        if len(self._held) <= HELD or most <= HELD:
            return tried
        self._judge = Judge(self.content, self._held[:most], threads=self._request.threads)
        finals: dict[Rounding, Contender] = {}
        kept = close(list(tried.values()))
        for rounding in [r for r, contender in tried.items() if any(contender is one for one in kept)]:
            self._try(rounding, decided, finals)
        return finals

    @property
    def _output_bytes(self) -> int:
        graph = self.model.subgraphs[0]
        return sum(4 * math.prod(map(int, graph.tensors[index].shape)) for index in graph.outputs)

    def _try(self, rounding: Rounding, decided: dict[int, Decision], tried: dict[Rounding, Contender]) -> None:
        self._tell(f"ranges by {rounding}")
        tried[rounding] = self._judge.judge(str(rounding), self.make(rounding, decided).content)

    def ranges(self, name: str, decided: Mapping[int, Decision]) -> dict[str, Range]:
        """By one method; of tensors that a rule wants in 16 bits, for those."""
        if self._observer is None:
            return {}
        graph, grids = self.model.subgraphs[0], {bits: Integers(bits, symmetric=bits == 16) for bits in (8, 16)}
        wide = {
            fb.name(tensor)
            for index, decision in decided.items()
            for tensor in fb.tensors(graph, graph.operators[index].outputs)
            if decision.compute == "int16"
        }
        usual, key = grids[self._scheme.activation_bits], (name, frozenset(wide))
        if key not in self._ranges:
            self._ranges[key] = resolve(
                self._observer.statistics, name, lambda tensor: grids[16] if tensor in wide else usual
            )
        return self._ranges[key]

    def make(self, rounding: Rounding, decided: dict[int, Decision]) -> _Made:
        """Quantize, load and run; operators that the runtime refuses as they are go back to float until it accepts.

        ``decided`` is added to.
        """
        names, ranges = self.results, self.ranges(rounding.ranges, decided)
        means = self._observer.means if self._observer and rounding.bias_correction else None
        while True:
            computes = {index: decision.compute for index, decision in decided.items()}
            io_dtype = self._request.recipe.io_dtype
            how = Building(self._scheme, ranges, computes, io_dtype, rounding.weights, means)
            quantized, widened = built(self.content, self.model, how)
            content = fb.write(quantized)
            failure = _try(content, self._feed, self._request.threads)
            if failure is None:
                return _Made(quantized, content, widened)
            refused = _refused(quantized, failure)
            if refused not in names or computes.get(names.index(refused)) == "float32":
                raise RuntimeError(failure)
            decided[names.index(refused)] = Decision("float32", f"the runtime refused it: {failure}")

    def _answer(
        self,
        made: _Made,
        decided: Mapping[int, Decision],
        notes: Sequence[str],
        rounding: Rounding,
        contenders: tuple[Contender, ...] = (),
    ) -> Answer:
        names, widened = self.results, ", ".join(made.widened)
        said = (f"weight scales widened so that biases fit into int32: {widened}",) if widened else ()
        floats = FLOATS if self._scheme.needs_calibration else ("float32", "float16")  # others compute in float anyway
        reasons = {names[index]: d.why for index, d in decided.items() if d.compute in floats}
        supported = engine.supported_operators(self._scheme)
        found = float_operators(made.model, self._scheme, supported=supported, reasons=reasons)
        if self._request.recipe.full_integer:
            require_integers(found)
        self._request.output.write_bytes(made.content)
        resolved = self.resolved(decided, rounding)
        return Answer(engine.NAME, resolved, tuple(found), (*notes, *said), contenders)


def _best(tried: Mapping[Rounding, Contender]) -> Rounding:
    chosen = best(list(tried.values()))
    return next(rounding for rounding, contender in tried.items() if contender is chosen)


def _float16(model: Any, request: Request, scheme: Scheme, decided: Mapping[int, Decision]) -> Answer:
    graph = model.subgraphs[0]
    resolved = _resolved(request.recipe, graph, decided, request.recipe.rounding)
    floats = {index: d.why for index, d in decided.items() if d.compute != "float16"}
    stays = {fb.name(t): why for index, why in floats.items() for t in fb.tensors(graph, graph.operators[index].inputs)}
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


@dataclass(frozen=True)
class Building:
    """What a quantized file is built by.

    Attributes:
        scheme: What all operators get that ``computes`` doesn't speak of.
        ranges: Least and largest value of every float activation, for a static scheme.
        computes: Operators of the main graph → what they compute in, where it isn't what the scheme says.
        io_dtype: Of the float model's float inputs and outputs.
        weights: How far the integers of weights reach.
        means: Of the channels that layers read, to correct biases by; None: they aren't.
    """

    scheme: Scheme
    ranges: Mapping[str, Range]
    computes: Mapping[int, Compute]
    io_dtype: str = "float32"
    weights: WeightRange = "max"
    means: Means | None = None


def built(content: bytes, original: Any, how: Building) -> tuple[Any, list[str]]:
    """The quantized ``ModelT`` of a float one (``content``, as objects ``original``), and the biases mended in it."""
    quantized = engine.quantize(content, how.scheme, ranges=how.ranges, computes=how.computes, weights=how.weights)
    fb.carry_shape_signatures(quantized)
    widened = bias.repair(quantized, original)
    if how.means is not None:
        bias_correction.correct(quantized, original, how.means)
    graph = original.subgraphs[0]
    if halves := {_result(graph, graph.operators[i]) for i, compute in how.computes.items() if compute == "float16"}:
        store_halves(quantized, halves - {""})
    plain = {i for i, compute in how.computes.items() if compute in ("float32", "float16")}
    store_rows(quantized, keep={_result(graph, graph.operators[i]) for i in plain})
    set_io_dtype(quantized, how.io_dtype)
    fb.drop_unused_buffers(quantized)
    return quantized, widened


def _resolved(recipe: Recipe, graph: Any, decided: Mapping[int, Decision], rounding: Rounding) -> Recipe:
    """The recipe with every decision as a rule on one operator, by the name of its result."""
    named = {_result(graph, graph.operators[index]): decision for index, decision in sorted(decided.items())}
    rules = (Rule(pattern=name, compute=d.compute, by="result", why=d.why) for name, d in named.items() if name)
    made = {"only": (), "rules": tuple(rules), "resolved": True, "engine": "ai-edge"}
    return recipe.rounded(rounding).model_copy(update=made)


def _try(content: bytes, feed: Mapping[str, Array], threads: int) -> str | None:
    """Load and run with the plain kernels and with the default delegate; the runtime's complaint, if any."""
    for delegate in (False, True):
        try:
            running.Model(content, threads=threads, delegate=delegate).run(feed)
        except (ValueError, RuntimeError) as error:
            return " ".join(str(error).split())
    return None


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
