"""PyTorch modules on PyTorch itself, eagerly: in float32, or in float64 as the truth for all others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast

from .. import files
from ..artifact import Artifact, Feeds, Receipt, TensorSpec
from ..errors import BadInput, NotAvailable
from . import cuda
from .info import TF32, TargetInfo
from .session import LoadedModel, check_kind, checked, named

if TYPE_CHECKING:
    import torch

    from ..artifact import Array
    from ..source.load import Source


INSTALL_CUDA = "PyTorch built for CUDA: https://pytorch.org/get-started"


@dataclass(frozen=True)
class PyTorchModel(Artifact):
    """How to make the module again in another process. ``path`` is the spec, for messages.

    Attributes:
        spec: What ``source.load.load_source`` takes: ``file.py:factory``, ``sample:NAME``, ``model.pt2`` …
        weights: State to load into a factory's module (see ``snapshot``), so that every process runs the same
            weights even when the factory draws or trains them. None for files that bring their own.
        seed: Seed that the source was loaded with.
        bind: Inputs that it was loaded with as constants.
    """

    spec: str = ""
    weights: Path | None = None
    seed: int = 0
    bind: Mapping[str, bool | int | float] = field(default_factory=dict)
    kind: ClassVar[str] = "pytorch"

    @classmethod
    def of(
        cls,
        spec: str,
        inputs: Sequence[TensorSpec],
        outputs: Sequence[TensorSpec],
        *,
        weights: Path | None = None,
        seed: int = 0,
        bind: Mapping[str, bool | int | float] | None = None,
    ) -> PyTorchModel:
        """The model of a spec with its signature; ``outputs`` are named as in the exported ONNX graph."""
        return cls(Path(spec), tuple(inputs), tuple(outputs), spec=spec, weights=weights, seed=seed, bind=bind or {})

    @property
    def size(self) -> int:
        """Bytes of the weights file; 0 without one."""
        return files.size(self.weights) if self.weights else 0


def snapshot(module: torch.nn.Module, path: Path) -> Path:
    """Write the module's parameters and buffers to ``path`` (a ``.pt`` of plain tensors), atomically."""
    import torch

    with files.atomic_file(path) as part:
        torch.save(module.state_dict(), part)
    return path


class PyTorch:
    """Eager PyTorch, in inference mode.

    Args:
        float64: Run the module in float64. Tensors that the module makes in its forward pass follow by the
            default dtype; what it casts to float32 by name stays float32.
        device: Where it computes. Tensors that the module makes in its forward pass follow by the default device.
        tf32: Whether a GPU's matrix units may round float32, see ``info.TF32``.
    """

    kind = "pytorch"
    name = "pytorch"

    def __init__(
        self, *, float64: bool = False, device: Literal["cpu", "cuda"] = "cpu", tf32: bool = False, **options: Any
    ) -> None:
        self.float64 = float64
        self.device = device
        self.tf32 = tf32
        self.options = options

    @property
    def precision(self) -> str:
        return "float64" if self.float64 else cuda.precision(self.tf32)

    @property
    def place(self) -> str:
        """What the device is called, once PyTorch is there."""
        import torch

        return "CPU" if self.device == "cpu" else torch.cuda.get_device_name()

    @property
    def on_device(self) -> str:
        """`` on NAME`` where it is none that all have."""
        return "" if self.device == "cpu" else f" on {self.place}"

    def version(self) -> str:
        """The installed version; imports the package.

        Raises:
            NotAvailable: PyTorch isn't installed, or has no CUDA where that is asked for.
        """
        try:
            import torch
        except ImportError as error:
            raise NotAvailable("PyTorch is not installed", remedy="pip install 'edgeworthy[torch]'") from error
        from ..source import load as source  # noqa: F401 - what load needs, before its clock runs

        if self.device == "cuda" and not torch.cuda.is_available():
            built = f"CUDA {torch.version.cuda}" if torch.version.cuda else "the CPU alone"
            raise NotAvailable(
                f"this PyTorch ({torch.__version__}, built for {built}) finds no GPU",
                remedy="install a build for your driver's CUDA, see https://pytorch.org/get-started",
            )
        return str(torch.__version__)

    def load(self, artifact: Artifact, *, threads: int = 1) -> LoadedModel:
        """Make the module again and put it in eval mode.

        Raises:
            EdgeworthyError: as ``source.load.load_source``.
        """
        self.version()
        import torch

        from ..source.load import load_source

        check_kind(artifact, self.kind, self.name)
        model = cast(PyTorchModel, artifact)
        torch.set_num_threads(threads)
        torch.set_default_dtype(torch.float32)
        source = load_source(
            model.spec,
            weights=model.weights,
            inputs=[str(spec) for spec in model.inputs],
            seed=model.seed,
            bind=model.bind,
        )
        if source.module is None:
            raise BadInput(
                "PyTorch can't run this source: it is no module",
                where=model.spec,
                remedy="give the PyTorch model that it was exported from",
            )
        if self.float64:
            # After loading: a factory that draws its weights must draw the same ones.
            torch.set_default_dtype(torch.float64)
            source.module.double()
        if self.device == "cuda":
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = self.tf32
            source.module.to(self.device)
            torch.set_default_device(self.device)  # after loading, as above
        return self.session(model, source)

    def session(self, model: PyTorchModel, source: Source) -> ModuleSession:
        """The loaded module, ready to run."""
        return ModuleSession(self, model, source) if self.device == "cpu" else _OnDevice(self, model, source)


class ModuleSession(LoadedModel):
    """A module, or what was compiled of it.

    Args:
        target: What was asked for.
        model: The model's signature.
        source: The module, on the device.
        function: What is called in place of the module.
    """

    def __init__(
        self,
        target: PyTorch,
        model: PyTorchModel,
        source: Source,
        function: Callable[..., object] | None = None,
    ) -> None:
        self._target = target
        self._model = model
        self._source = source
        self._function = cast("torch.nn.Module", source.module) if function is None else function

    @property
    def receipt(self) -> Receipt:
        place = self._target.place
        return Receipt(asked=place, ran=place, precision=self._target.precision)

    def run(self, feeds: Feeds) -> dict[str, Array]:
        names = [o.name for o in self._model.outputs]
        return named(_arrays(self.prepare(feeds)()), names, where=self._model.spec)

    def prepare(self, feeds: Feeds) -> Callable[[], object]:
        import torch

        function, device = self._function, self._target.device
        args, kwargs = self._source.arguments(checked(feeds, self._model.inputs, where=self._model.spec))
        if self._target.float64:
            args = tuple(_widened(t) for t in args)
            kwargs = {name: _widened(t) for name, t in kwargs.items()}

        def on_cpu() -> object:
            with torch.inference_mode():
                return function(*args, **kwargs)

        def on_gpu() -> object:
            """With the copies there and back; the copy back waits for the result."""
            with torch.inference_mode():
                moved = {name: t.to(device) for name, t in kwargs.items()}
                return _on_host(function(*(t.to(device) for t in args), **moved))

        return on_cpu if device == "cpu" else on_gpu


class _OnDevice(ModuleSession):
    """Eager on a GPU: the first inference is watched, as a module may compute elsewhere what it likes."""

    def __init__(self, target: PyTorch, model: PyTorchModel, source: Source) -> None:
        super().__init__(target, model, source)
        self._module = self._function
        self._function = self._first
        self._ran: list[tuple[str, str]] | None = None

    def _first(self, *args: object, **kwargs: object) -> object:
        import torch

        from .torch_placement import DeviceWatch

        if self._ran is not None:
            return self._module(*args, **kwargs)
        with DeviceWatch() as watch:
            result = self._module(*args, **kwargs)
        if not watch.makes:
            torch.set_default_device(None)  # it costs time in every call of PyTorch
        self._ran, self._function = watch.ran, self._module
        return result

    @property
    def receipt(self) -> Receipt:
        from .torch_placement import receipt

        target = self._target
        if self._ran is None:
            return Receipt(asked=target.device.upper(), ran="nothing yet", precision=target.precision)
        return receipt(self._ran, target.device, place=target.place, precision=target.precision)


def _widened(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.double() if tensor.is_floating_point() else tensor


def _on_host(result: object) -> list[torch.Tensor]:
    """All tensors of a result, nested as it may be, in the exporter's order."""
    from ..source.torch_names import flatten_outputs

    return [t.cpu() for t in flatten_outputs(result).values()]


def _arrays(result: object) -> list[Array]:
    import torch

    # numpy has no bfloat16.
    return [(t.float() if t.dtype == torch.bfloat16 else t).detach().numpy() for t in _on_host(result)]


TARGETS = (
    TargetInfo(
        "pytorch",
        title="PyTorch",
        summary="PyTorch, eager, on the CPU",
        kind=PyTorch.kind,
        module="torch",
        distributions=("torch",),
        install="pip install 'edgeworthy[torch]'",
        make=PyTorch,
        default=True,
        aliases=("torch",),
    ),
    TargetInfo(
        "torch-cuda",
        title="PyTorch CUDA",
        summary="PyTorch, eager, on an NVIDIA GPU",
        kind=PyTorch.kind,
        module="torch",
        distributions=("torch",),
        install=INSTALL_CUDA,
        make=PyTorch,
        options={"device": "cuda"},
        device="cuda",
        probe=True,
        aliases=("torch:cuda", "pytorch:cuda"),
        settings=TF32,
    ),
)
