"""Where a model can run: one file a target, each a ``Target`` with a receipt of what ran.

``targets.get(name)`` gives a runtime for this process; ``targets.worker.Worker`` runs one in a process of its
own. Nothing of a runtime is imported before it is asked for its version or to load a model.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import BadInput, NotAvailable
from .onnx_reference import OnnxReference
from .onnxruntime import CUDA, OnnxRuntime
from .pytorch import PyTorch
from .tensorflow import TensorFlow
from .tflite import TFLite

if TYPE_CHECKING:
    from ..artifact import Artifact
    from .session import LoadedModel


class Target(Protocol):
    """Something that runs artifacts of one kind."""

    @property
    def name(self) -> str: ...

    @property
    def kind(self) -> str:
        """``Artifact.kind`` of the files that it runs."""
        ...

    def version(self) -> str:
        """Import the runtime and tell its version; NotAvailable when it can't run here."""
        ...

    def load(self, artifact: Artifact, *, threads: int = 1) -> LoadedModel: ...


@dataclass(frozen=True)
class TargetInfo:
    """A target as ``edgeworthy targets`` and ``doctor`` show it.

    Attributes:
        name: What ``get`` takes.
        summary: One line.
        kind: Kind of file that it runs.
        module: The Python module of the runtime.
        distributions: Packages that bring the module, as pip calls them.
        install: How to get it.
        make: Makes the runtime, given its options.
        options: Options that belong to the name.
        probe: Whether only the imported runtime can tell if it works here (GPUs).
    """

    name: str
    summary: str
    kind: str
    module: str
    distributions: tuple[str, ...]
    install: str
    make: Callable[..., Target]
    options: dict[str, Any] = field(default_factory=dict)
    probe: bool = False

    @property
    def version(self) -> str | None:
        """The installed version, without importing it; None when it isn't installed."""
        if importlib.util.find_spec(self.module) is None:
            return None
        for distribution in self.distributions:
            try:
                return importlib.metadata.version(distribution)
            except importlib.metadata.PackageNotFoundError:
                continue
        return "unknown"

    def missing(self) -> str | None:
        """Why it can't run here and how to get it; None when it can."""
        if self.version is None:
            return f"{self.module} is not installed; {self.install}"
        if self.probe:
            try:
                self.make(**self.options).version()
            except NotAvailable as error:
                return f"{error.what}; {error.remedy or self.install}"
        return None


TARGETS: dict[str, TargetInfo] = {
    target.name: target
    for target in (
        TargetInfo(
            "pytorch",
            "PyTorch, eager, on the CPU",
            PyTorch.kind,
            "torch",
            ("torch",),
            "pip install 'edgeworthy[torch]'",
            PyTorch,
        ),
        TargetInfo(
            "onnxruntime",
            "ONNX Runtime on the CPU",
            OnnxRuntime.kind,
            "onnxruntime",
            ("onnxruntime", "onnxruntime-gpu"),
            "pip install onnxruntime",
            OnnxRuntime,
        ),
        TargetInfo(
            "onnxruntime-cuda",
            "ONNX Runtime on an NVIDIA GPU",
            OnnxRuntime.kind,
            "onnxruntime",
            ("onnxruntime-gpu", "onnxruntime"),
            "pip install onnxruntime-gpu",
            OnnxRuntime,
            {"provider": CUDA},
            probe=True,
        ),
        TargetInfo(
            "onnx-reference",
            "ONNX's reference implementation in float64: slow, and the truth where there is no module",
            OnnxReference.kind,
            "onnx",
            ("onnx",),
            "pip install onnx",
            OnnxReference,
        ),
        TargetInfo(
            "tensorflow",
            "TensorFlow on a SavedModel, on the CPU",
            TensorFlow.kind,
            "tensorflow",
            ("tensorflow-cpu", "tensorflow"),
            "pip install 'edgeworthy[tensorflow]'",
            TensorFlow,
        ),
        TargetInfo(
            "tflite",
            "TFLite (LiteRT) on the CPU with XNNPACK",
            TFLite.kind,
            "ai_edge_litert",
            ("ai-edge-litert",),
            "pip install ai-edge-litert",
            TFLite,
        ),
    )
}
"""Every target, by name."""


def get(name: str, **options: Any) -> Target:
    """The runtime of this name, with options such as pytorch's ``float64=True``.

    Raises:
        BadInput: there is no such target.
        NotAvailable: its package isn't installed.
    """
    target = TARGETS.get(name)
    if target is None:
        raise BadInput(f"there is no target {name!r}", details=list(TARGETS), remedy="edgeworthy targets")
    if target.version is None:
        raise NotAvailable(f"{target.name} needs {target.module}, which is not installed", remedy=target.install)
    return target.make(**target.options, **options)
