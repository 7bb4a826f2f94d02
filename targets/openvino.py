"""TFLite and ONNX files on OpenVINO (https://docs.openvino.ai), which reads both itself: an independent runtime."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from ..artifact import Artifact, Feeds, OnnxModel, Receipt, TFLiteModel
from ..errors import CheckFailed, NotAvailable
from ..formats.tflite.summary import TensorSummary, TFLiteSummary, summarize
from . import environments, openvino_devices
from .asked import ask
from .compiled import scales
from .info import Setting, TargetInfo, one_of
from .quantized import QuantizedSignature
from .session import LoadedModel, check_32_bits, check_kind, checked

if TYPE_CHECKING:
    from ..artifact import Array

_PACKAGE, KIT = "openvino", "openvino"

DeviceKind = Literal["cpu", "gpu", "npu"]
Precision = Literal["float32", "float16", "bfloat16"]

HINTS: Mapping[Precision, str] = {"float32": "f32", "float16": "f16", "bfloat16": "bf16"}
"""Precision → OpenVINO's name of it."""

INSTALL = "pip install openvino==2026.3.1, or `edgeworthy targets install openvino`"

_DTYPES = {"f32": "float32", "f16": "float16", "bf16": "bfloat16", "i8": "int8", "u8": "uint8", "i32": "int32",
           "i64": "int64", "boolean": "bool"}  # fmt: skip
_NO_WORK = ("Input", "Output", "Const", "Reorder", "Reshape", "Convert")
"""Layers of an executed graph that compute nothing."""

DEVICE = Setting("what to run on; default: {}", one_of(*get_args(DeviceKind)), "|".join(get_args(DeviceKind)))
PRECISION = Setting(
    "what to compute in; default: {}",
    one_of(*get_args(Precision)),
    "|".join(get_args(Precision)),
)


def installed() -> str | None:
    """The version of the package, in this environment or in the kit; None where it is in neither."""
    return environments.version(_PACKAGE, KIT)


def devices(device: DeviceKind) -> str:
    """OpenVINO's version, where it sees this kind of device.

    Raises:
        NotAvailable: it doesn't, or can't be used at all.
    """
    environments.borrow(KIT)
    found = _seen()
    if "error" in found:
        raise NotAvailable(f"OpenVINO can't be used: {found['error']}", remedy=INSTALL)
    kinds = {name.partition(".")[0] for name in found["devices"]}
    if device.upper() not in kinds:
        raise NotAvailable(
            f"OpenVINO has no {device.upper()} here; it has {', '.join(sorted(kinds))}",
            remedy="install the device's driver, or take device=cpu",
        )
    return str(found["version"]).partition("-")[0]


@cache
def _seen() -> dict[str, Any]:
    """What OpenVINO says of itself, asked once: three targets want to know."""
    return ask(Path(openvino_devices.__file__), environment=os.environ)


class OpenVino:
    """OpenVINO, tuned for latency.

    Args:
        kind: ``tflite`` or ``onnx``.
        device: Where it runs.
        precision: What it computes in; None for float32 on the CPU, as the rows beside it compute, and its own choice
            on what has none.
    """

    def __init__(
        self, *, kind: str = TFLiteModel.kind, device: DeviceKind = "cpu", precision: Precision | None = None
    ) -> None:
        self.kind = kind
        self.device = device
        self.precision = precision or ("float32" if device == "cpu" else None)

    @property
    def name(self) -> str:
        return "openvino" if self.kind == TFLiteModel.kind else f"openvino:{self.kind}"

    def version(self) -> str:
        """The installed version; NotAvailable without the device."""
        return devices(self.device)

    def load(self, artifact: Artifact, *, threads: int = 1) -> LoadedModel:
        """Read and compile a file.

        Raises:
            NotAvailable: the device isn't there.
            CheckFailed: OpenVINO refuses the file, which says why.
        """
        environments.borrow(KIT)
        import openvino

        check_kind(artifact, self.kind, self.name)
        if self.kind == TFLiteModel.kind:
            summary = summarize(artifact.path)
            check_names(summary)
            _check_int4(summary)
        elif fed := {spec.name for spec in artifact.inputs} & {spec.name for spec in artifact.outputs}:
            raise CheckFailed(
                f"OpenVINO computes nonsense where an output is an input itself: {', '.join(sorted(fed))}",
                where=str(artifact.path),
                remedy="leave it out of the model's outputs",
            )
        options: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
        if self.device == "cpu":
            options["INFERENCE_NUM_THREADS"] = threads
        if self.precision:
            options["INFERENCE_PRECISION_HINT"] = HINTS[self.precision]
        core = openvino.Core()
        if self.device.upper() not in {name.partition(".")[0] for name in core.available_devices}:
            self.version()
        try:
            compiled = core.compile_model(core.read_model(artifact.path), self.device.upper(), options)
        except RuntimeError as error:
            raise CheckFailed(
                "OpenVINO can't run this file",
                where=str(artifact.path),
                details=[line for line in str(error).splitlines() if line.strip()],
                remedy="rewrite what these lines name, or run the file on another target",
            ) from error
        return _TFLite(artifact, compiled) if self.kind == TFLiteModel.kind else _Onnx(artifact, compiled)


def check_names(file: TFLiteSummary) -> None:
    """Raise CheckFailed where tensors share a name: OpenVINO's reader of TFLite files takes them for one."""
    graph = file.graphs[0]
    used = {*graph.inputs, *graph.outputs, *(i for op in graph.ops for i in (*op.inputs, *op.outputs) if i >= 0)}
    counts = Counter(graph.tensors[i].name for i in used)
    if twice := [repr(name) for name, count in counts.items() if count > 1]:
        raise CheckFailed(
            f"OpenVINO tells tensors apart by their names, and several of this file have one: {', '.join(twice[:3])}",
            where=str(file.path),
            remedy="make the file with a name for each tensor, or run it on another target",
        )


def _check_int4(file: TFLiteSummary) -> None:
    """Raise CheckFailed for int4 weights of convolutions: OpenVINO 2026.3 transposes int4 of at most three axes."""
    graph = file.graphs[0]
    tensors = [graph.tensors[i] for op in graph.ops for i in op.inputs if i >= 0]
    if found := list(dict.fromkeys(repr(t.name) for t in tensors if t.dtype == "int4" and len(t.shape) > 3)):
        raise CheckFailed(
            f"OpenVINO takes no int4 weights of more than three axes, as those of convolutions: {', '.join(found[:3])}",
            where=str(file.path),
            remedy="take a scheme of int8 weights for this target",
        )


class _Session(LoadedModel):
    """Ports are found by the names that the file gives its tensors."""

    def __init__(
        self, artifact: Artifact, compiled: Any, inputs: Mapping[str, str], outputs: Mapping[str, str]
    ) -> None:
        self._artifact = artifact
        self._compiled = compiled
        self._request = compiled.create_infer_request()
        self._feeds = _ports(artifact, compiled.inputs, inputs)
        self._results = _ports(artifact, compiled.outputs, outputs)

    @property
    def receipt(self) -> Receipt:
        layers = [_layer(op.get_rt_info()) | {"name": op.get_friendly_name()}
                  for op in self._compiled.get_runtime_model().get_ordered_ops()]  # fmt: skip
        return replace(receipt(layers), ran=f"OpenVINO {'+'.join(self._compiled.get_property('EXECUTION_DEVICES'))}")

    def _invoke(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        fed = {self._feeds[name]: array for name, array in arrays.items()}
        results = self._request.infer(fed, share_inputs=True, share_outputs=False)
        return {name: results[port] for name, port in self._results.items()}


class _TFLite(_Session):
    """Floats are quantized as on the target ``tflite``."""

    def __init__(self, artifact: Artifact, compiled: Any) -> None:
        summary = summarize(artifact.path)
        tensors = summary.graphs[0].tensors
        sides: list[dict[str, TensorSummary]] = [
            {name: tensors[index] for name, index in side.items()}
            for side in (summary.input_tensors, summary.output_tensors)
        ]
        self._signature = QuantizedSignature(artifact, *({n: scales(t) for n, t in side.items()} for side in sides))
        super().__init__(artifact, compiled, *({n: t.name for n, t in side.items()} for side in sides))

    def run(self, feeds: Feeds) -> dict[str, Array]:
        encoded, dequantized = self._signature.encode(feeds)
        check_32_bits(encoded, "OpenVINO", where=str(self._artifact.path))
        return self._signature.decode(self._invoke(encoded), dequantized)

    def prepare(self, feeds: Feeds) -> Callable[[], object]:
        encoded, _ = self._signature.encode(feeds)
        return lambda: self._invoke(encoded)


class _Onnx(_Session):
    def __init__(self, artifact: Artifact, compiled: Any) -> None:
        inputs, outputs = ({spec.name: spec.name for spec in side} for side in (artifact.inputs, artifact.outputs))
        super().__init__(artifact, compiled, inputs, outputs)

    def run(self, feeds: Feeds) -> dict[str, Array]:
        return self._invoke(self._checked(feeds))

    def prepare(self, feeds: Feeds) -> Callable[[], object]:
        arrays = self._checked(feeds)
        return lambda: self._invoke(arrays)

    def _checked(self, feeds: Feeds) -> dict[str, Array]:
        arrays = checked(feeds, self._artifact.inputs, where=str(self._artifact.path))
        check_32_bits(arrays, "OpenVINO", where=str(self._artifact.path))
        return arrays


def _ports(artifact: Artifact, ports: Sequence[Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Ours → OpenVINO's port, of every tensor name that a port has."""
    known = {name: port for port in ports for name in port.get_names()}
    missing = [ours for ours, name in names.items() if name not in known]
    if missing:
        raise CheckFailed(
            f"OpenVINO left {missing} out of the model: it drops constants and what has no elements",
            where=str(artifact.path),
            remedy="leave it out of the model, or run the file on another target",
        )
    return {ours: known[name] for ours, name in names.items()}


def _layer(info: Mapping[str, Any]) -> dict[str, str]:
    return {key: str(getattr(info[key], "value", info[key])) for key in _KEYS if key in info}


_KEYS = ("layerType", "primitiveType", "runtimePrecision", "originalLayersNames")
"""What OpenVINO's runtime model says of an executed layer."""


def receipt(layers: Sequence[Mapping[str, str]]) -> Receipt:
    """What was executed: primitives after fusions. Those without an optimised kernel are named.

    Args:
        layers: ``_KEYS`` and ``name`` of each layer of the runtime model.
    """
    work = [layer for layer in layers if layer.get("layerType") not in _NO_WORK]
    counts = Counter(_DTYPES.get(p, p) for layer in work if (p := layer.get("runtimePrecision", "")))
    slow = [
        f"{layer['layerType']} {layer['name']}" for layer in work if layer.get("primitiveType", "").startswith("ref")
    ]
    operators = sum(len(layer.get("originalLayersNames", "").split(",")) for layer in work)
    return Receipt(
        asked="OpenVINO",
        ran="OpenVINO",
        nodes=len(work),
        delegated=len(work),
        partitions=1 if work else 0,
        precision="+".join(name for name, _ in counts.most_common()) or "none",
        notes=(f"primitives: {len(work)}, of {operators} operators", *(f"reference kernel: {name}" for name in slow)),
    )


def _target(kind: str, name: str, title: str) -> TargetInfo:
    return TargetInfo(
        name,
        title=title,
        summary=f"{'TFLite' if kind == TFLiteModel.kind else 'ONNX'} on OpenVINO, on this machine's CPU, GPU or NPU",
        kind=kind,
        module="openvino",
        distributions=("openvino",),
        install=INSTALL,
        make=OpenVino,
        installed=installed,
        options={"kind": kind},
        probe=True,
        settings={
            "device": replace(DEVICE, about=DEVICE.about.format("cpu")),
            "precision": replace(
                PRECISION, about=PRECISION.about.format("float32 on the CPU, elsewhere as OpenVINO chooses")
            ),
        },
    )


TARGETS = (
    _target(TFLiteModel.kind, "openvino", "OpenVINO"),
    _target(OnnxModel.kind, "openvino:onnx", "OpenVINO ONNX"),
)
