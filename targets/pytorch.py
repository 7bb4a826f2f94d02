"""PyTorch modules on PyTorch itself: in float32, or in float64 as the truth for all others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, cast

from .. import files
from ..artifact import Artifact, Feeds, Receipt, TensorSpec
from ..errors import BadInput, NotAvailable
from .info import TargetInfo
from .session import LoadedModel, check_kind, checked, named

if TYPE_CHECKING:
    import torch

    from ..artifact import Array
    from ..source.load import Source


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
    """Eager PyTorch on the CPU, in inference mode.

    Args:
        float64: Run the module in float64. Tensors that the module makes in its forward pass follow by the
            default dtype; what it casts to float32 by name stays float32.
    """

    kind = "pytorch"
    name = "pytorch"

    def __init__(self, *, float64: bool = False) -> None:
        self.float64 = float64

    def version(self) -> str:
        """The installed version; imports the package.

        Raises:
            NotAvailable: PyTorch isn't installed.
        """
        try:
            import torch
        except ImportError as error:
            raise NotAvailable("PyTorch is not installed", remedy="pip install 'edgeworthy[torch]'") from error
        from ..source import load as source  # noqa: F401 - what load needs, before its clock runs

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
            raise BadInput("PyTorch can't run this source: it is no module", where=model.spec)
        if self.float64:
            # After loading: a factory that draws its weights must draw the same ones.
            torch.set_default_dtype(torch.float64)
            source.module.double()
        return _Session(model, source, self.float64)


class _Session(LoadedModel):
    def __init__(self, model: PyTorchModel, source: Source, float64: bool) -> None:
        self._model = model
        self._source = source
        self._float64 = float64

    @property
    def receipt(self) -> Receipt:
        return Receipt(asked="CPU", ran="CPU", precision="float64" if self._float64 else "float32")

    def run(self, feeds: Feeds) -> dict[str, Array]:
        names = [o.name for o in self._model.outputs]
        return named(_arrays(self.prepare(feeds)()), names, where=self._model.spec)

    def prepare(self, feeds: Feeds) -> Callable[[], object]:
        import torch

        module = cast(torch.nn.Module, self._source.module)
        args, kwargs = self._source.arguments(checked(feeds, self._model.inputs, where=self._model.spec))
        if self._float64:
            args = tuple(_widened(t) for t in args)
            kwargs = {name: _widened(t) for name, t in kwargs.items()}

        def call() -> object:
            with torch.inference_mode():
                return module(*args, **kwargs)

        return call


def _widened(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.double() if tensor.is_floating_point() else tensor


def _arrays(result: object) -> list[Array]:
    """All tensors of a result, nested as it may be, in the exporter's order."""
    import torch

    from ..source.torch_names import flatten_outputs

    # numpy has no bfloat16.
    tensors = [t.float() if t.dtype == torch.bfloat16 else t for t in flatten_outputs(result).values()]
    return [t.detach().cpu().numpy() for t in tensors]


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
)
