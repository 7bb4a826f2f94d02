"""What a device is to be compared with: inputs, what LiteRT's interpreter makes of them, and how far off it may be.

The expected outputs are those of TFLite's reference kernels, which are the truth of a lone TFLite file in ``validate``
too. A float model's noise floor is the difference of TFLite's builtin kernels to them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..artifact import TensorSpec, TFLiteModel
from ..errors import CheckFailed
from ..formats.tflite.summary import STEPS, SignatureSummary, TensorSummary, summarize
from ..numerics.comparison import compare
from ..numerics.floor import Floor
from ..schemes import SCHEMES, made_by
from ..targets.quantized import dequantize, quantize
from ..targets.worker import Worker
from ..validate.judge import Rules, judge
from ..validate.parity import AGREE_DB
from ..validate.quanta import MULTIPLE, quanta
from .kotlin import step_of

if TYPE_CHECKING:
    from ..artifact import Array

_RULES = Rules()
_HALF = made_by("cast")
"""What a GPU computes a float model in unless it is told otherwise."""


@dataclass(frozen=True)
class Vectors:
    """Recorded inputs and outputs.

    Attributes:
        data: All arrays one after the other, row-major, little-endian.
        samples: For each sample ``inputs`` and ``outputs``: name → offset and bytes in ``data``.
        inputs: Name, dtype, shape and, of quantized ones, scale and zero point.
        outputs: Likewise, with ``tolerance`` and, of a float model, ``tolerance_float16``.
        runtime: What computed them.
    """

    data: bytes
    samples: list[dict[str, dict[str, dict[str, int]]]]
    inputs: list[dict[str, Any]]
    outputs: list[dict[str, Any]]
    runtime: str


def record(model: TFLiteModel, function: SignatureSummary, samples: Sequence[Mapping[str, Array]]) -> Vectors:
    """Run ``samples`` and keep what went in and came out.

    Args:
        model: The file, of static shapes.
        function: Its main function.
        samples: Inputs by name, of the file's dtypes, or float32 where those are steps of a scale.

    Raises:
        CheckFailed: the file's outputs are not within its own tolerance on XNNPACK, which is what Android's CPU runs.
        RuntimeFailure: the interpreter refuses the file.
    """
    inputs = [
        {n: _steps(np.asarray(sample[n]), t) for (s, t) in function.inputs for n in (s.name,)} for sample in samples
    ]
    expected, version = _run(model, function, inputs, "reference")
    scheme = SCHEMES[model.scheme]
    integers = scheme.activations in STEPS
    builtin, _ = _run(model, function, inputs, "builtin") if scheme.by_floor or integers else (expected, version)
    here, _ = _run(model, function, inputs, "xnnpack")
    steps = summarize(model.path).output_steps if integers else {}
    outputs = []
    for spec, tensor in function.outputs:
        truth, other, ours = (
            [dequantized(run[spec.name], tensor) for run in runs] for runs in (expected, builtin, here)
        )
        floor = _floor(truth, other) if scheme.by_floor and truth[0].dtype.kind == "f" else None
        verdict = judge(
            spec.name, ours, truth, scheme=model.scheme, rules=_RULES, dtype=truth[0].dtype.name, floor=floor
        )
        if not verdict.passed:
            raise CheckFailed(
                f"output {spec.name!r} on XNNPACK is not within {verdict.limit} of TFLite's reference kernels here",
                where=str(model.path),
                details=verdict.problems,
                remedy="a phone would fail too: `edgeworthy validate` says where it comes from",
            )
        tolerance = _tolerance(model.scheme, truth[0], floor)
        if (step := steps.get(spec.name)) is not None:
            tolerance = {"tolerance": tolerance["tolerance"] | _quanta(truth, (other, ours), step)}
        outputs.append(_about(spec, tensor) | tolerance)
    data, places = bytearray(), []
    for feeds, results in zip(inputs, expected, strict=True):
        sides = (("inputs", function.inputs, feeds), ("outputs", function.outputs, results))
        places.append({side: {s.name: _add(data, run[s.name]) for s, _ in specs} for side, specs, run in sides})
    about = [_about(spec, tensor) for spec, tensor in function.inputs]
    return Vectors(bytes(data), places, about, outputs, f"LiteRT {version}, reference kernels")


def dequantized(array: Array, tensor: TensorSummary) -> Array:
    """Steps as float32 values; other arrays as they are."""
    return dequantize(array, _parameters(tensor))


def _steps(array: Array, tensor: TensorSummary) -> Array:
    return array if array.dtype.name == tensor.dtype else quantize(array, _parameters(tensor))


def _parameters(tensor: TensorSummary) -> dict[str, Any]:
    found = step_of(tensor)
    return {
        "dtype": tensor.dtype,
        "scales": [found[0]] if found else [],
        "zero_points": [found[1]] if found else [],
    }


def _run(
    model: TFLiteModel, function: SignatureSummary, inputs: Sequence[Mapping[str, Array]], kernels: str
) -> tuple[list[dict[str, Array]], str]:
    """The outputs in the file's dtypes, and the version of LiteRT."""
    with Worker("tflite", model, kernels=kernels) as worker:
        results = [worker.run(feeds) for feeds in inputs]
        return [{s.name: _steps(run[s.name], t) for s, t in function.outputs} for run in results], worker.version


def _floor(truth: Sequence[Array], other: Sequence[Array]) -> Floor:
    noise = compare(other, truth)
    agree = noise.exact or (noise.sqnr_db is not None and noise.sqnr_db >= AGREE_DB)
    return Floor.of(truth, noise if agree else None, eps=_RULES.eps)


def _about(spec: TensorSpec, tensor: TensorSummary) -> dict[str, Any]:
    found = step_of(tensor)
    steps = {"scale": found[0], "zero_point": found[1]} if found else {}
    return {"name": spec.name, "dtype": spec.dtype, "shape": list(spec.concrete_shape()), **steps}


def _tolerance(scheme: str, truth: Array, floor: Floor | None) -> dict[str, Any]:
    """The rule of ``validate`` for an output (``validate.judge``), as the index has it."""
    if truth.dtype.kind != "f":
        return {"tolerance": {"rule": "equal", "least": 1.0 if SCHEMES[scheme].by_floor else _RULES.equal}}
    if floor is None:
        return {"tolerance": {"rule": "sqnr", "least_db": _RULES.least_sqnr_db(scheme)}}
    return {
        "tolerance": {
            "rule": "floor",
            "rms": floor.rms * _RULES.multiple,
            "max_abs": floor.max_abs * _RULES.multiple,
        },
        "tolerance_float16": {"rule": "sqnr", "least_db": _RULES.least_sqnr_db(_HALF.name)},
    }


def _quanta(truth: Sequence[Array], others: Sequence[Sequence[Array]], step: float) -> dict[str, Any]:
    """The rule for an output on a grid (``validate.quanta``): as TFLite's own kernels differ, at least one step."""
    apart = max(quanta(other, truth, step) for other in others)
    return {"rule": "quanta", "step": step, "most": max(1.0, MULTIPLE * apart)}


def _add(data: bytearray, array: Array) -> dict[str, int]:
    raw = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
    offset = len(data)
    data += raw
    return {"offset": offset, "bytes": len(raw)}
