"""What a child serves: takes groups of cases, exports each group as one model, converts and runs it."""

from __future__ import annotations

import contextlib
import copy
import io
import logging
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils import _pytree as pytree

from edgeworthy.convert import convert
from edgeworthy.errors import UnsupportedNodes
from edgeworthy.targets import get
from edgeworthy.workers.serve import Commands, Tell

from ...noops import noops
from .case import ARTIFACTS, Array, Case, Outcome, Outcomes
from .cases import CASES

MULTIPLE = 10.0
"""Error floors that an artifact's error may have."""


class Bundle(nn.Module):
    """Several cases as one model: all their inputs, then all their outputs."""

    def __init__(self, parts: Sequence[tuple[nn.Module, int]]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(part for part, _ in parts)
        self._counts = [count for _, count in parts]

    def forward(self, *inputs: torch.Tensor) -> list[torch.Tensor]:
        at, results = 0, []
        for part, count in zip(self.parts, self._counts, strict=True):
            results += pytree.tree_leaves(part(*inputs[at : at + count]))
            at += count
        return results


@dataclass
class Sample:
    """One case with one set of inputs: PyTorch's own answers in its dtype and in float64."""

    inputs: list[Array]
    outputs: list[Array]
    truth: list[Array]


def sample(module: nn.Module, inputs: Sequence[Array]) -> Sample:
    """Run a module as it is and in float64; a float64 module is measured against itself in float32."""
    single = _run(copy.deepcopy(module).float() if _is_double(inputs) else module, inputs)
    if any(parameter.dtype == torch.bfloat16 for parameter in module.parameters()):
        return Sample(list(inputs), single, single)  # it casts to bfloat16 inside, whatever the module is cast to
    double = _run(copy.deepcopy(module).double(), [_in_float64(array) for array in inputs])
    return Sample(list(inputs), single, double)


def _is_double(inputs: Sequence[Array]) -> bool:
    return any(array.dtype == np.float64 for array in inputs)


def _in_float64(array: Array) -> Array:
    return array.astype(np.float64) if array.dtype.kind == "f" else array


def _run(module: nn.Module, inputs: Sequence[Array]) -> list[Array]:
    dtype = next((p.dtype for p in module.parameters()), None)
    tensors = [torch.from_numpy(np.array(a)) for a in inputs]
    if dtype is not None and dtype.is_floating_point and dtype != torch.bfloat16:
        tensors = [t.to(dtype) if t.is_floating_point() else t for t in tensors]
    with torch.no_grad():
        return [leaf.numpy() for leaf in pytree.tree_leaves(module(*tensors))]


def export(cases: Sequence[Case], modules: Sequence[nn.Module], inputs: Sequence[Sequence[Array]], path: Path) -> None:
    """Export the cases as one ONNX model."""
    bundle = Bundle(list(zip(modules, map(len, inputs), strict=True)))
    tensors = tuple(torch.from_numpy(np.array(array)) for arrays in inputs for array in arrays)
    axes = [dict(axes) for case in cases for axes in case.dynamic or ({},) * len(case.inputs)]
    logging.disable(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            bundle.eval(), tensors, dynamo=True, dynamic_shapes=(tuple(axes),) if any(axes) else None, verbose=False
        )
        assert program is not None
        program.save(str(path))


def check_group(names: Sequence[str], folder: Path, stage: Tell) -> Outcomes:
    """Export, convert and run a group of cases."""
    cases = [CASES[name] for name in names]
    stage("exporting")
    try:
        modules = [case.module() for case in cases]
        drawn = [case.draw() for case in cases]
        samples = [[sample(m, inputs) for inputs in sets] for m, sets in zip(modules, drawn, strict=True)]
        export(cases, modules, [sets[0] for sets in drawn], folder / "model.onnx")
    except Exception as error:  # noqa: BLE001
        return _all(names, Outcome("export-error", _one_line(error)))
    result: Outcomes = {}
    for artifact in ARTIFACTS:
        stage(f"converting to {artifact}")
        try:
            made = getattr(convert(folder / "model.onnx", folder / artifact, to=(artifact,)), artifact)
        except UnsupportedNodes as error:
            reasons = sorted({f"{n.op}: {n.reason}" for n in error.nodes})
            result |= _all(names, Outcome("unsupported", "; ".join(reasons)), artifact)
            continue
        except Exception as error:  # noqa: BLE001
            result |= _all(names, Outcome("convert-error", _one_line(error)), artifact)
            continue
        if artifact == "tflite" and (idle := noops(made.path)):
            result |= _all(names, Outcome("does-nothing", "; ".join(idle)), artifact)
            continue
        stage(f"running {artifact}")
        try:
            result |= _measured(names, artifact, made, samples)
        except Exception as error:  # noqa: BLE001
            result |= _all(names, Outcome("runtime-error", _one_line(error)), artifact)
    return result


def _measured(names: Sequence[str], artifact: str, made: Any, samples: Sequence[Sequence[Sample]]) -> Outcomes:
    """Run the artifact of a group on every set of inputs."""
    runtime = get(ARTIFACTS[artifact]).load(made)
    result: Outcomes = {}
    for sets in zip(*samples, strict=True):
        feeds = [array for part in sets for array in part.inputs]
        outputs = runtime.run({spec.name: feed for spec, feed in zip(made.inputs, feeds, strict=True)})
        values = iter([outputs[spec.name] for spec in made.outputs])
        for name, part in zip(names, sets, strict=True):
            outcome = compare([next(values) for _ in part.outputs], part)
            known = result.get((name, artifact))
            if known is None or (known.status == "pass" and outcome.floors >= known.floors):
                result[name, artifact] = outcome
    return result


def compare(got: Sequence[Array], want: Sample) -> Outcome:
    """Shapes and dtypes; integers and bools exactly; floats within ``MULTIPLE`` floors, by rms and by maximum."""
    worst = 0.0
    for i, (actual, noisy, truth) in enumerate(zip(got, want.outputs, want.truth, strict=True)):
        dtype = noisy.dtype if noisy.dtype != np.float32 or not _has_float64(want) else np.dtype(np.float64)
        if actual.shape != noisy.shape:
            return Outcome("wrong-shape", f"output {i}: {list(actual.shape)} instead of {list(noisy.shape)}")
        if actual.dtype != dtype:
            return Outcome("wrong-dtype", f"output {i}: {actual.dtype} instead of {dtype}")
        if noisy.dtype.kind != "f":
            if not np.array_equal(actual, noisy):
                return Outcome("wrong-value", f"output {i}: {np.mean(actual != noisy):.0%} of the elements differ")
            continue
        finite = np.isfinite(truth)
        if not np.array_equal(actual[~finite].astype(np.float64), truth[~finite].astype(np.float64), equal_nan=True):
            return Outcome("wrong-value", f"output {i}: NaN or infinity where PyTorch has none, or the reverse")
        floors = _floors(actual[finite].astype(np.float64), noisy[finite], truth[finite].astype(np.float64))
        if not floors <= MULTIPLE:
            return Outcome("wrong-value", f"output {i}: {floors:.3g} floors", floors)
        worst = max(worst, floors)
    return Outcome("pass", f"{worst:.2g} floors", worst)


def _has_float64(want: Sample) -> bool:
    return any(array.dtype == np.float64 for array in want.inputs)


def _floors(actual: Array, noisy: Array, truth: Array) -> float:
    """Error ÷ PyTorch's own error, which counts as eps · |truth| at least."""
    if not truth.size:
        return 0.0
    eps = float(np.finfo(noisy.dtype).eps)
    error, floor = np.abs(actual - truth), np.abs(noisy.astype(np.float64) - truth)

    def quotient(of: Any) -> float:
        least = max(float(of(floor)), eps * float(of(np.abs(truth))), float(np.finfo(noisy.dtype).tiny))
        return float(of(error)) / least

    return max(quotient(np.max), quotient(lambda a: np.sqrt(np.mean(a * a))))


def _all(names: Sequence[str], outcome: Outcome, *artifacts: str) -> Outcomes:
    return {(name, artifact): outcome for name in names for artifact in artifacts or ARTIFACTS}


def _one_line(error: Exception, limit: int = 300) -> str:
    text = f"{type(error).__name__}: {' '.join(str(error).split())}"
    return text if len(text) <= limit else text[: limit - 1] + "…"


def start(tell: Tell) -> Commands:
    """Import what converts and runs."""
    import tensorflow

    torch.set_num_threads(1)
    for target in ARTIFACTS.values():
        get(target).version()  # imports the package
    # Process-wide, and before the first use: the conversion comes before the target.
    tensorflow.config.threading.set_intra_op_parallelism_threads(1)
    tensorflow.config.threading.set_inter_op_parallelism_threads(1)

    def run(names: Sequence[str]) -> Outcomes:
        with tempfile.TemporaryDirectory() as folder:
            return check_group(names, Path(folder), tell)

    return {"run": run}
