"""A target or a converter tried on models of one operator: does it start, and is it right (``targets`` and ``routes
doctor``).

The models are made here, of numpy's weights, and what a target gives is held against numpy.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from .. import kits, targets
from ..artifact import Artifact, OnnxModel, TensorSpec
from ..convert.routes import CONVERTERS, get
from ..convert.routes import worker as converting
from ..errors import CheckFailed, NotAvailable
from ..schemes import FLOAT32, INT8
from ..targets.worker import Worker
from ..validate.results import ReceiptResult
from ..validate.runners import receipt_result
from ..workers.scratch import Scratch
from .progress import Progress

if TYPE_CHECKING:
    from ..artifact import Array
    from ..convert.routes import ConverterInfo
    from ..targets import TargetInfo

CONVERT_S = 300.0
"""Seconds that a converter may take for it, its imports included."""

_INPUTS, _OUTPUTS = 16, 8
_FLOAT_ERROR = {"float32": 1e-5, "float16": 1e-2}
"""The precision that the receipt tells → the largest error, relative to the largest output."""


class Tried(BaseModel):
    """One model on the target.

    Attributes:
        scheme: Of the model.
        status: ``fail`` where numbers are wrong, it didn't run, or its accelerator left the only operator to others.
        error: Largest difference to numpy; None where it gives no outputs or didn't run.
        limit: What that may be.
        receipt: What was asked and what ran.
        why: What is wrong, or an empty string.
    """

    model_config = ConfigDict(extra="forbid")

    scheme: str
    status: Literal["pass", "fail"]
    error: float | None = None
    limit: float | None = None
    receipt: ReceiptResult | None = None
    why: str = ""


class Trial(BaseModel):
    """What ``edgeworthy targets doctor`` and ``edgeworthy routes doctor`` show.

    Attributes:
        target: Or the converter.
        kit: The kit that it needs, or None.
        folder: Where that is.
        rows: None for a kit that no target needs: it is whole, and its own check passed.
    """

    model_config = ConfigDict(extra="forbid")

    target: str
    version: str
    kit: str | None
    folder: str | None
    rows: list[Tried]

    @property
    def passes(self) -> bool:
        return all(row.status == "pass" for row in self.rows)


@dataclass(frozen=True)
class _Layer:
    """y = x Wᵀ + b on one row, and how far quantization may move it."""

    weight: Array
    bias: Array
    x: Array

    @classmethod
    def make(cls) -> _Layer:
        random = np.random.default_rng(0)
        shapes = (_OUTPUTS, _INPUTS), (_OUTPUTS,), (1, _INPUTS)
        weight, bias, x = (random.uniform(-1, 1, shape).astype(np.float32) for shape in shapes)
        x[0, :2] = -1, 1  # the ends of the range that it is calibrated on
        return cls(weight, bias, x)

    @property
    def y(self) -> Array:
        """[1, outputs], in float64."""
        result: Array = self.x.astype(np.float64) @ self.weight.astype(np.float64).T + self.bias
        return result

    def limit(self, scheme: str, precision: str) -> float:
        """The largest difference to ``y``: rounding of x (2/255), weights (1/127) and y to a step, half of each."""
        if scheme == FLOAT32.name:
            return _FLOAT_ERROR["float16" if "16" in precision else "float32"] * float(np.abs(self.y).max())
        x_step, weight_step, y_step = 2 / 255, np.abs(self.weight).max() / 127, np.ptp(np.append(self.y, 0)) / 255
        of_x = np.abs(self.weight).sum(1).max() * x_step / 2
        of_weight = np.abs(self.x).sum() * weight_step / 2
        return float(of_x + of_weight + 1.5 * y_step)  # a kernel of another family may be one step off


def check_kit(name: str) -> kits.Installation | None:
    """The kit of a target, whole and working; None where there is none of this name.

    Raises:
        NotAvailable: it isn't installed, or damaged, or doesn't work.
    """
    kit = next((kit for kit in kits.KITS.values() if kit.serves(name)), None)
    if kit is None:
        return None
    state = kits.look(kit, thorough=True)
    if state.status != "ready":
        raise NotAvailable(
            f"kit {kit.name} is {state.wording}",
            where=str(state.folder),
            details=state.faults[:5],
            remedy=kit.install,
        )
    kits.check(kit)
    return state


def try_target(name: str, progress: Progress) -> Trial:
    """Run models of one operator, float32 and int8, on a target.

    Args:
        name: As ``targets.find`` takes it, or a kit's name.

    Raises:
        BadInput: there is no such target.
        NotAvailable: it can't run here.
    """
    with progress.stage("kit", name):
        state = check_kit(name)
    kit, place = (state.kit.name, str(state.folder)) if state else (None, None)
    if state and name == state.kit.name and not state.kit.targets:
        return Trial(target=name, version=state.kit.version, kit=kit, folder=place, rows=[])
    target = targets.find(state.kit.targets[0] if state and name == state.kit.name else name)
    if why := target.absence():
        works = [f"its kit is in {place}, and works"] if state else []
        raise NotAvailable(
            f"{target.name} can't run here: {why.what}", remedy=why.remedy, details=[*why.details, *works]
        )
    layer, rows, version = _Layer.make(), [], ""
    with Scratch() as folder:
        for scheme, artifact in _models(layer, target, Path(folder)):
            with progress.stage(target.name, scheme):
                row, version = _try(layer, target, artifact, scheme)
                rows.append(row)
    if not rows:
        raise NotAvailable(
            f"there is no trial for files of the kind {target.kind}",
            where=target.name,
            remedy="try it on a model of yours: edgeworthy validate … --target NAME",
        )
    return Trial(target=target.name, version=version, kit=kit, folder=place, rows=rows)


def try_route(name: str, progress: Progress) -> Trial:
    """Have a converter make its file of a model of one operator, and run that here.

    Raises:
        BadInput: there is no such converter.
        NotAvailable: it can't run here, or its kit is damaged, or doesn't work.
    """
    info = CONVERTERS.find(name, where="NAME")
    with progress.stage("kit", name):
        state = check_kit(info.kit) if info.kit else None
    get(name, "NAME")
    with Scratch() as folder, progress.stage(name, FLOAT32.name):
        row = _converted(_Layer.make(), info, Path(folder))
    place = str(state.folder) if state else None
    return Trial(target=name, version=info.version or "", kit=info.kit or None, folder=place, rows=[row])


def _converted(layer: _Layer, info: ConverterInfo, folder: Path) -> Tried:
    """The row of what a converter makes of the layer."""
    work = folder / "work"
    work.mkdir()
    model = _onnx(layer, folder / "model.onnx").path if info.takes == "onnx" else _program(layer, folder)
    try:
        file = converting.run(info, model, work, timeout_s=CONVERT_S).file.artifact
    except CheckFailed as error:
        return Tried(scheme=FLOAT32.name, status="fail", why=str(error))
    if len(file.inputs) != 1 or file.inputs[0].shape != layer.x.shape:
        why = f"what it made takes {', '.join(map(str, file.inputs))}"
        return Tried(scheme=FLOAT32.name, status="fail", why=why)
    return _try(layer, targets.find("tflite" if info.makes == "tflite" else "tensorflow"), file, FLOAT32.name)[0]


def _models(layer: _Layer, target: TargetInfo, folder: Path) -> Iterator[tuple[str, Artifact]]:
    """(scheme, model of one operator) for what the target takes, int8 with float32 inputs and outputs."""
    from ..convert.conversion import convert
    from ..quantize.calibration import CalibrationSet
    from ..quantize.post_training import quantize
    from ..quantize.recipe import Recipe

    if target.kind == "pytorch":
        yield FLOAT32.name, _module(layer, folder)
        return
    onnx = _onnx(layer, folder / "model.onnx")
    if target.kind == "onnx":
        yield FLOAT32.name, onnx
    elif target.kind in ("tflite", "saved_model"):
        made = convert(onnx, folder, to=(target.kind,))
        converted = made.tflite or made.saved_model
        if converted is not None and target.takes_scheme(FLOAT32.name):
            yield FLOAT32.name, converted
        if made.tflite is not None and target.takes_scheme(INT8.name):
            feeds = CalibrationSet("the trial's input", 1, 1, lambda _: {"x": layer.x})
            yield (
                INT8.name,
                quantize(
                    made.tflite, folder / "int8.tflite", Recipe.of(INT8.name, ranges="min_max"), calibration=feeds
                ).model,
            )


def _try(layer: _Layer, target: TargetInfo, artifact: Artifact, scheme: str) -> tuple[Tried, str]:
    """A model's row, and the runtime's version."""
    worker = Worker(target.name, artifact)
    try:
        with worker:
            outputs = worker.run({artifact.inputs[0].name: layer.x}) if target.computes else {}
            receipt = receipt_result(worker.receipt)
    except CheckFailed as error:
        return Tried(scheme=scheme, status="fail", why=str(error)), worker.version
    limit = layer.limit(scheme, receipt.precision)
    why, error_found = "", None
    if target.computes:
        error_found = float(np.abs(next(iter(outputs.values())).astype(np.float64) - layer.y).max())
        if not error_found <= limit:  # NaN fails too
            why = f"it is {error_found:.3g} off what numpy computes; at most {limit:.3g} is rounding"
    if scheme == FLOAT32.name and receipt.delegated is not None and receipt.asked != "none" and not receipt.delegated:
        why = why or f"{receipt.asked} was asked for, and {receipt.ran} ran"
    row = Tried(
        scheme=scheme, status="fail" if why else "pass", error=error_found, limit=limit, receipt=receipt, why=why
    )
    return row, worker.version


def _onnx(layer: _Layer, path: Path) -> OnnxModel:
    from onnx import TensorProto, helper, numpy_helper, save_model

    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, count])
        for name, count in (("x", _INPUTS), ("y", _OUTPUTS))
    ]
    constants = [numpy_helper.from_array(layer.weight, "weight"), numpy_helper.from_array(layer.bias, "bias")]
    node = helper.make_node("Gemm", ["x", "weight", "bias"], ["y"], name="layer", transB=1)
    graph = helper.make_graph([node], "trial", values[:1], values[1:], constants)
    save_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return OnnxModel(path, *_signature())


def _module(layer: _Layer, folder: Path) -> Artifact:
    """The layer as a factory of PyTorch's."""
    from ..targets.pytorch import PyTorchModel

    return PyTorchModel.of(_factory(layer, folder), *_signature())


def _program(layer: _Layer, folder: Path) -> Path:
    """The layer as a program of ``torch.export``."""
    from ..export.program import save_program
    from ..source.load import load_source

    path = folder / "program.pt2"
    save_program(load_source(_factory(layer, folder)), path)
    return path


def _factory(layer: _Layer, folder: Path) -> str:
    """The source of a module, with its weights beside it."""
    np.savez(folder / "layer.npz", weight=layer.weight, bias=layer.bias)
    file = folder / "trial.py"
    file.write_text(
        "from pathlib import Path\n\nimport numpy as np\nimport torch\n\n\n"
        "class Layer(torch.nn.Linear):\n    def forward(self, x):\n"
        "        return torch.nn.functional.linear(x, self.weight, self.bias)\n\n\n"  # TorchScript has no super()
        f"def make():\n    layer = Layer({_INPUTS}, {_OUTPUTS})\n"
        "    stored = np.load(Path(__file__).parent / 'layer.npz')\n"
        "    layer.load_state_dict({name: torch.from_numpy(stored[name]) for name in stored})\n"
        f"    layer.example_inputs = {{'x': torch.ones(1, {_INPUTS})}}\n"
        "    return layer\n",
        encoding="utf-8",
    )
    return f"{file}:make"


def _signature() -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    return (TensorSpec("x", "float32", (1, _INPUTS)),), (TensorSpec("y", "float32", (1, _OUTPUTS)),)
