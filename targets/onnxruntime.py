"""ONNX files on ONNX Runtime (https://onnxruntime.ai), on any of its execution providers."""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..artifact import Artifact, Feeds, Receipt
from ..errors import NotAvailable
from . import cuda, onnxruntime_library
from .asked import ask
from .info import TargetInfo
from .onnxruntime_providers import BY_NAME, CPU, CUDA, PROVIDERS, Provider
from .onnxruntime_receipt import Profile, Ran, assigned, receipt
from .session import LoadedModel, check_kind, checked, named

if TYPE_CHECKING:
    from ..artifact import Array

__all__ = ["CPU", "CUDA", "TARGETS", "OnnxRuntime"]


class OnnxRuntime:
    """ONNX Runtime with passive waiting.

    Args:
        optimize: False runs the graph as written, without ONNX Runtime's own fusions.
        provider: The execution provider to ask for; what it leaves runs on those below it, last on the CPU.
        settings: The provider's, see ``onnxruntime_providers``.
    """

    kind = "onnx"

    def __init__(self, *, optimize: bool = True, provider: str = CPU, **settings: Any) -> None:
        self.optimize = optimize
        self.provider = provider
        self.settings = settings

    @property
    def name(self) -> str:
        return _target_name(self._about)

    @property
    def _about(self) -> Provider:
        return BY_NAME[self.provider]

    def version(self) -> str:
        """The installed version; imports the package.

        Raises:
            NotAvailable: neither this build of ONNX Runtime nor a plugin has the provider, or it finds no device, or
                lacks a library.
        """
        import onnxruntime

        if not self._devices() and self.provider not in onnxruntime.get_available_providers():
            raise self._not_there(f"it has {', '.join(onnxruntime.get_available_providers())}")
        if self._about.device == "cuda" and (why := _library(self._about.name).get("error")):
            raise NotAvailable(f"{self.provider} can't be loaded: {why}", remedy=self._about.install)
        return str(onnxruntime.__version__)

    def load(self, artifact: Artifact, *, threads: int = 1) -> LoadedModel:
        """Load an ONNX file; external data is found beside it.

        Raises:
            NotAvailable: the provider is in this build and doesn't start, as for want of a library.
        """
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
        if self._about.device == "cuda":
            onnxruntime.preload_dlls()  # CUDA's and cuDNN's libraries out of NVIDIA's own packages
        given = self._about.given(threads, self.settings)
        model, restamp = _readable(artifact.path, options)
        profile = Profile(options)
        if devices := self._devices():
            options.add_provider_for_devices(devices[:1], given)
            providers: list[Any] = []
        else:
            providers = [(self.provider, given), *self._about.below, *([CPU] if self.provider != CPU else [])]
        session = onnxruntime.InferenceSession(model, options, providers=providers, enable_fallback=0)
        profile.opened()
        if self.provider not in session.get_providers():
            raise self._not_there(f"it did not start, and {', '.join(session.get_providers())} did")
        notes = [*restamp, *([] if self.optimize else ["graph optimisations off"])]
        return _Session(artifact, session, profile, self.provider, self._precision, notes)

    @property
    def _precision(self) -> str:
        return str(self.settings.get("precision") or cuda.precision(self.settings.get("tf32", False)))

    def _devices(self) -> list[Any]:
        """The devices of the provider's plugin, which is registered when it is there."""
        if not self._about.plugin or importlib.util.find_spec(self._about.plugin) is None:
            return []
        import onnxruntime

        def found() -> list[Any]:
            return [device for device in onnxruntime.get_ep_devices() if device.ep_name == self.provider]

        if not found():
            library = importlib.import_module(self._about.plugin).get_library_path()
            onnxruntime.register_execution_provider_library(self._about.plugin, library)
        return found()

    def _not_there(self, instead: str) -> NotAvailable:
        return NotAvailable(f"this ONNX Runtime has no {self.provider}; {instead}", remedy=self._about.install)


class _Session(LoadedModel):
    """The first inference is profiled: its receipt names what ran where."""

    def __init__(
        self, artifact: Artifact, session: Any, profile: Profile, provider: str, precision: str, notes: Sequence[str]
    ) -> None:
        self._artifact = artifact
        self._session = session
        self._names = [o.name for o in artifact.outputs]
        self._profile: Profile | None = profile
        self._ran: list[Ran] = []
        self._provider = provider
        self._precision = precision
        self._notes = notes

    @property
    def receipt(self) -> Receipt:
        if self._profile is not None:
            ran = self._session.get_providers()[0]
            return Receipt(asked=self._provider, ran=ran, precision=self._precision, notes=tuple(self._notes))
        subgraphs = assigned(self._session)
        return receipt(self._provider, self._ran, subgraphs, precision=self._precision, notes=self._notes)

    def run(self, feeds: Feeds) -> dict[str, Array]:
        inputs = checked(feeds, self._artifact.inputs, where=str(self._artifact.path))
        return named(self._infer(inputs), self._names, where=str(self._artifact.path))

    def prepare(self, feeds: Feeds) -> Callable[[], object]:
        inputs = checked(feeds, self._artifact.inputs, where=str(self._artifact.path))
        return lambda: self._infer(inputs)

    def _infer(self, inputs: Feeds) -> Sequence[Array]:
        """From host memory to host memory: ``run`` copies to the device and back, and waits for it."""
        outputs: Sequence[Array] = self._session.run(self._names, inputs)
        if self._profile is not None:
            self._ran, self._profile = self._profile.end(self._session), None
        return outputs


def _readable(path: Path, options: Any) -> tuple[str | bytes, list[str]]:
    """What to open in the place of a file, and what to tell of it.

    A file that is stamped with a newer version of ONNX's format than this ONNX Runtime reads, and has nothing of it,
    is opened as a copy in memory with an older stamp.
    """
    from ..formats.onnx import ir_version

    stamp = ir_version.stamped(path)
    copy = None if stamp <= ir_version.OLDEST or _reads(stamp) else ir_version.restamped(path)
    if copy is None:
        return str(path), []
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(path.parent.resolve()))
    return copy, [f"the graph needs no IR version as new as its file says, {stamp}, which this ONNX Runtime can't read"]


@cache
def _reads(version: int) -> bool:
    """Whether this ONNX Runtime reads files of a version of ONNX's format: it is shown the smallest."""
    import onnxruntime
    from onnx import TensorProto, helper

    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "probe", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=version)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        onnxruntime.InferenceSession(model.SerializeToString(), options, providers=[CPU])
    except onnxruntime.capi.onnxruntime_pybind11_state.Fail:
        return False
    return True


@cache
def _library(name: str) -> dict[str, Any]:
    """Whether a provider's library can be loaded, tried in a process of its own: those of CUDA are large."""
    return ask(Path(onnxruntime_library.__file__), name, environment=os.environ)


def _target_name(provider: Provider) -> str:
    return "onnxruntime" if provider.provider == CPU else f"onnxruntime:{provider.name}"


def _target(provider: Provider) -> TargetInfo:
    usual = provider.provider == CPU
    return TargetInfo(
        _target_name(provider),
        title=provider.title,
        summary=provider.summary,
        kind=OnnxRuntime.kind,
        module="onnxruntime",
        distributions=provider.distributions,
        install=provider.install,
        make=OnnxRuntime,
        options={} if usual else {"provider": provider.provider},
        device=provider.device,
        default=usual,
        baseline_rank=int(usual),
        probe=not usual,
        aliases=("onnxruntime:cpu",) if usual else provider.aliases,
        settings=provider.settings,
    )


TARGETS = tuple(_target(provider) for provider in PROVIDERS.values())
