"""ONNX files on ONNX Runtime (https://onnxruntime.ai), on the CPU or a CUDA GPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..artifact import Artifact, Feeds, Receipt
from ..errors import NotAvailable
from .info import TargetInfo
from .session import LoadedModel, check_kind, checked, named

if TYPE_CHECKING:
    from ..artifact import Array


CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"


class OnnxRuntime:
    """ONNX Runtime with passive waiting.

    Args:
        optimize: False runs the graph as written, without ONNX Runtime's own fusions.
        provider: The execution provider to ask for.
    """

    kind = "onnx"

    def __init__(self, *, optimize: bool = True, provider: str = CPU) -> None:
        self.optimize = optimize
        self.provider = provider

    @property
    def name(self) -> str:
        return "onnxruntime" if self.provider == CPU else "onnxruntime-cuda"

    def version(self) -> str:
        """The installed version; imports the package.

        Raises:
            NotAvailable: this build of ONNX Runtime lacks the provider.
        """
        import onnxruntime

        if self.provider not in onnxruntime.get_available_providers():
            raise NotAvailable(
                f"this ONNX Runtime has no {self.provider}; it has {onnxruntime.get_available_providers()}",
                remedy="pip install onnxruntime-gpu, on a machine with an NVIDIA driver",
            )
        return str(onnxruntime.__version__)

    def load(self, artifact: Artifact, *, threads: int = 1) -> LoadedModel:
        """Load an ONNX file; external data is found beside it."""
        import onnxruntime

        check_kind(artifact, self.kind, self.name)
        onnxruntime.disable_telemetry_events()  # some builds report on the models that they load
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # A spinning pool of an idle session slows whatever runs beside it by up to 20 times.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.inter_op.allow_spinning", "0")
        if not self.optimize:
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = onnxruntime.InferenceSession(str(artifact.path), options, providers=[self.provider])
        return _Session(artifact, session, self.provider, self.optimize)


class _Session(LoadedModel):
    def __init__(self, artifact: Artifact, session: Any, provider: str, optimize: bool) -> None:
        self._artifact = artifact
        self._session = session
        self._names = [o.name for o in artifact.outputs]
        ran = session.get_providers()
        notes = [] if optimize else ["graph optimisations off"]
        if provider not in ran:
            notes.append(f"{provider} was asked for and did not load")
        self._receipt = Receipt(asked=provider, ran=ran[0], notes=tuple(notes))

    @property
    def receipt(self) -> Receipt:
        return self._receipt

    def run(self, feeds: Feeds) -> dict[str, Array]:
        inputs = checked(feeds, self._artifact.inputs, where=str(self._artifact.path))
        return named(self._session.run(self._names, inputs), self._names, where=str(self._artifact.path))

    def prepare(self, feeds: Feeds) -> Callable[[], object]:
        inputs = checked(feeds, self._artifact.inputs, where=str(self._artifact.path))
        return lambda: self._session.run(self._names, inputs)


TARGETS = (
    TargetInfo(
        "onnxruntime",
        title="ONNX Runtime",
        summary="ONNX Runtime on the CPU",
        kind=OnnxRuntime.kind,
        module="onnxruntime",
        distributions=("onnxruntime", "onnxruntime-gpu"),
        install="pip install onnxruntime",
        make=OnnxRuntime,
        default=True,
        aliases=("onnxruntime:cpu",),
        baseline_rank=1,
    ),
    TargetInfo(
        "onnxruntime-cuda",
        title="ONNX Runtime CUDA",
        summary="ONNX Runtime on an NVIDIA GPU",
        kind=OnnxRuntime.kind,
        module="onnxruntime",
        distributions=("onnxruntime-gpu", "onnxruntime"),
        install="pip install onnxruntime-gpu",
        make=OnnxRuntime,
        options={"provider": CUDA},
        device="cuda",
        probe=True,
        aliases=("onnxruntime:cuda",),
    ),
)
