"""Post-training quantization: a float TFLite model becomes one with fewer bits.

The quantizer and the interpreter run in a process of their own (``worker``); its death is an error that says how it
died, and the output appears complete or not at all.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .. import files
from ..artifact import Feeds, FloatOp, TFLiteModel
from ..errors import BadInput
from ..files import atomic_file
from ..formats.tflite.names import check_names
from ..formats.tflite.releases import check_taken
from ..formats.tflite.summary import describe, summarize
from ..schemes import FLOAT32, QUANTIZED, Scheme, get_scheme
from . import tensorflow_engine
from .calibration import CalibrationSet, no_calibration
from .contenders import Contender
from .engines import Engines
from .messages import Request
from .recipe import FLOATS, Recipe, path_beside

if TYPE_CHECKING:
    from ..artifact import Array

OnFeed = Callable[[int, int], None]
"""Called with the calibration feeds done, and how many there are."""

TIMEOUT_S = 900.0
"""Seconds without an answer after which the worker counts as hung."""


@dataclass(frozen=True)
class Quantization:
    """A quantized model and how it came about.

    Attributes:
        model: The file.
        scheme: The scheme's decodable name.
        recipe: What makes the same bytes again; it is beside the file too (``recipe.path_beside``).
        engine: What quantized it, with its version.
        io_dtype: Dtype of the float model's float inputs and outputs.
        float_ops: Operators that stayed float, or whose weights did.
        seconds: Wall-clock time, calibration included.
        calibration: Where the ranges come from; None for schemes without calibration.
        samples: Calibration samples used.
        fit_for_deployment: False if the ranges come from noise.
        notes: What else is worth knowing.
        ranges: Every way of rounding that was tried; empty where one was asked for, or none is needed.
        engines: The same of engines.
        judged_on: The samples that those were judged on.
    """

    model: TFLiteModel
    scheme: str
    recipe: Recipe
    engine: str
    io_dtype: str
    float_ops: tuple[FloatOp, ...]
    seconds: float
    calibration: str | None = None
    samples: int = 0
    fit_for_deployment: bool = True
    notes: tuple[str, ...] = ()
    ranges: tuple[Contender, ...] = ()
    engines: tuple[Contender, ...] = ()
    judged_on: str = ""


def quantize(
    model: TFLiteModel,
    output: Path,
    recipe: Recipe,
    *,
    calibration: CalibrationSet | None = None,
    permute: Mapping[str, tuple[int, ...]] | None = None,
    modules: Mapping[str, str] | None = None,
    example: Feeds | None = None,
    saved_model: Path | None = None,
    threads: int = 1,
    timeout_s: float = TIMEOUT_S,
    progress: OnFeed | None = None,
) -> Quantization:
    """Quantize a float TFLite model.

    Args:
        model: The float model.
        output: The ``.tflite`` file to write; the recipe that makes it again is written beside it.
        recipe: How. Its ``io_dtype`` is what the float inputs and outputs of a static scheme become: with float32 there
            is a QUANTIZE behind each input and a DEQUANTIZE before each output.
        calibration: Samples in the source model's layout; a static scheme needs them.
        permute: Input name → axes, where the TFLite input is the source's transposed by them.
        modules: Name of a value of the source's graph → path of its PyTorch module, for the recipe's patterns.
        example: Inputs in the source model's layout that the result is tried on, where there are no samples. Without
            them it is tried on zeros, and dynamic dimensions are 1.
        saved_model: The same model as a SavedModel, for TensorFlow's quantizer.
        threads: Threads of the interpreter.
        timeout_s: Seconds that one calibration feed, or the quantization, may take.
        progress: Called after every calibration feed.

    Raises:
        BadInput: the file is damaged, or names don't tell its inputs and outputs apart; a pattern matches nothing, the
            recipe doesn't go with its scheme or is another model's or other data's, calibration data is missing or
            doesn't fit, the model has or computes NaN, or the output can't be written.
        NotAvailable: the recipe wants TensorFlow's quantizer, and TensorFlow isn't installed.
        RuntimeFailure: the quantizer or the interpreter raised, crashed or hung.
        OutOfMemory: its process was killed, or says so itself.
    """
    wanted = _check(model, recipe, calibration, saved_model)
    feeds = calibration if calibration is not None and wanted.needs_calibration else None
    start = time.perf_counter()
    seen = _Digest()
    with ExitStack() as stack:
        part = stack.enter_context(atomic_file(output))
        tried = arranged(example, model, permute or {}) if example else {}
        request = Request(model.path, part, recipe, threads, tried, modules or {})
        engines = stack.enter_context(Engines(request, saved_model, timeout_s))
        for done, feed in enumerate(feeds or (), start=1):
            fed = arranged(feed, model, permute or {})
            seen.add(fed)
            engines.calibrate(fed)
            if progress:
                progress(done, len(feeds or ()))
        _require_same("calibration data", recipe.calibration, seen.hex)
        held, judged_on = feeds.to_compare() if feeds and engines.compare else ([], "the example")
        for feed in held:
            engines.hold(arranged(feed, model, permute or {}))
        answer, contenders = engines.quantize()
    made = {"float_model": files.sha256(model.path), "calibration": seen.hex, "made_by": answer.engine}
    resolved = answer.recipe.model_copy(update=made | {"samples": feeds.samples if feeds else None})
    resolved.write(path_beside(output))
    return Quantization(
        describe(output, wanted.name),
        wanted.name,
        resolved,
        answer.engine,
        recipe.io_dtype,
        answer.float_ops,
        time.perf_counter() - start,
        feeds.description if feeds else None,
        feeds.samples if feeds else 0,
        feeds.fit_for_deployment if feeds else True,
        (
            *_made_otherwise(recipe, answer.engine),
            *_chosen("ranges", str(resolved.rounding), answer.ranges, judged_on),
            *_chosen("engine", resolved.engine, contenders, judged_on),
            *answer.notes,
            *_nothing_in(wanted, output),
        ),
        answer.ranges,
        contenders,
        judged_on if answer.ranges or contenders else "",
    )


class _Digest:
    """Hash of the samples that go by: names, dtypes, shapes and values, in their order; None of no sample."""

    def __init__(self) -> None:
        self._state = hashlib.sha256()
        self.hex: str | None = None

    def add(self, feed: Feeds) -> None:
        for name, array in sorted(feed.items()):
            self._state.update(f"{name}:{array.dtype}{array.shape}\0".encode())
            self._state.update(array.data)
        self.hex = self._state.hexdigest()


def _require_same(what: str, wanted: str | None, got: str | None) -> None:
    if wanted is not None and wanted != got:
        raise BadInput(
            f"the recipe was made for {'another' if what == 'float model' else 'other'} {what}",
            where="recipe",
            details=[f"in the recipe: sha256 {wanted}", f"here: {f'sha256 {got}' if got else 'none'}"],
            remedy=f"give the same {what}; or, to use the recipe's decisions for what is here, take "
            f"{'float_model' if what == 'float model' else 'calibration'} out of its file",
        )


def _made_otherwise(recipe: Recipe, engine: str) -> Iterator[str]:
    if recipe.made_by and recipe.made_by != engine:
        yield f"the recipe's file was made by {recipe.made_by}, and this one by {engine}: its bytes may differ"


def _chosen(what: str, name: str, contenders: Sequence[Contender], judged_on: str) -> Iterator[str]:
    if contenders:
        kept, *others = sorted(contenders, key=lambda one: (one.name != name, -(one.worst_db or -math.inf)))
        alike = [other for other in others if other.samples == kept.samples]
        next_one = f"the next is {alike[0]}" if alike else "none was close"
        rest = f"; of {len(others)} others {next_one}" if others else ""
        yield f"{what} kept: {kept} on {judged_on}{rest}"


def _nothing_in(scheme: Scheme, path: Path) -> Iterator[str]:
    """A file that holds nothing of its scheme looks like a success and is none."""
    if scheme.weights not in {tensor.dtype for graph in summarize(path).graphs for tensor in graph.used}:
        why = (
            "every operator stays in float, for reasons that the recipe has (--device says for whom else)"
            if scheme.needs_calibration
            else "the model's constants are too few or too small, or stay float"
        )
        yield f"nothing in the file is {scheme.weights}: {why}; it computes what the float32 file does"


def _check(model: TFLiteModel, recipe: Recipe, calibration: CalibrationSet | None, saved_model: Path | None) -> Scheme:
    wanted = get_scheme(recipe.scheme)
    check_names(summarize(model.path))
    if model.scheme != FLOAT32.name:
        raise BadInput(
            f"the model is quantized already ({model.scheme})",
            where=str(model.path),
            remedy="quantize the float32 model",
        )
    check_taken(model.path, str(model.path))
    calibrated = next(s.short_name for s in QUANTIZED if s.needs_calibration)
    if recipe.io_dtype != "float32" and not wanted.needs_calibration:
        raise BadInput(
            f"{wanted.name} computes in float, so its inputs and outputs can't be {recipe.io_dtype}",
            where="--io-dtype",
            remedy=f"use --io-dtype float32, or --scheme {calibrated}",
        )
    if recipe.io_dtype != "float32" and wanted.activation_bits != 8:
        raise BadInput(
            f"{wanted.name} computes in {wanted.activations}, so its inputs and outputs can't be {recipe.io_dtype}",
            where="--io-dtype",
            remedy=f"use --io-dtype float32, or --scheme {calibrated}",
        )
    if recipe.bias_correction == "on" and not wanted.needs_calibration:
        raise BadInput(
            f"{wanted.name} takes no samples, and biases are corrected by means over samples",
            where="--bias-correction",
            remedy=f"leave it out, or use --scheme {calibrated}",
        )
    integers = [rule for rule in recipe.rules if rule.compute not in FLOATS]
    if integers and not wanted.needs_calibration:
        raise BadInput(
            f"{wanted.name} computes in float, and a rule wants {integers[0].pattern!r} in {integers[0].compute}",
            where="recipe",
            remedy=f"leave the rule out, or use the scheme {calibrated}",
        )
    unpacked = [rule for rule in recipe.rules if rule.compute in ("weights", "dynamic")]
    if unpacked and wanted.method == "cast":
        raise BadInput(
            f"{wanted.name} has no int8 weights, and a rule wants {unpacked[0].pattern!r} with some",
            where="recipe",
            remedy=f"leave the rule out, or use the scheme {calibrated}",
        )
    if recipe.engine == "tensorflow" and (why := tensorflow_engine.refuses(recipe)):
        raise BadInput(why, where="--engine", remedy="use --engine ai-edge")
    if recipe.engine != "ai-edge" and saved_model is None:
        raise BadInput(
            f"the engine {recipe.engine} needs the SavedModel, and there is none",
            where="--engine",
            remedy="give the model that the TFLite file is made of, or use --engine ai-edge",
        )
    if recipe.float_model is not None:
        _require_same("float model", recipe.float_model, files.sha256(model.path))
    if wanted.needs_calibration and calibration is None:
        raise no_calibration(wanted.name)
    return wanted


def arranged(feed: Mapping[str, Array], model: TFLiteModel, permute: Mapping[str, tuple[int, ...]]) -> dict[str, Array]:
    """The feed in the TFLite model's layout and dtypes."""
    arranged: dict[str, Array] = {}
    for spec in model.inputs:
        if spec.name not in feed:
            raise BadInput(
                f"the calibration data has nothing for input {spec.name!r}",
                where=str(model.path),
                details=[f"calibration: {name}" for name in feed],
                remedy="load it for the model's own inputs",
            )
        array = feed[spec.name]
        if spec.name in permute:
            array = array.transpose(permute[spec.name])
        if not spec.accepts(array.shape):
            raise BadInput(
                f"a calibration sample has shape {list(array.shape)}, and the TFLite input is {spec}",
                where=str(model.path),
                remedy="give samples in the source model's layout",
            )
        cast = array.astype(spec.dtype)
        if array.dtype.kind in "iu" and not np.array_equal(cast, array):
            raise BadInput(
                f"calibration values of input {spec.name!r} don't fit the TFLite input's {spec.dtype}",
                where=str(model.path),
                remedy="give values in that range",
            )
        arranged[spec.name] = np.require(cast, requirements="C")
    return arranged
