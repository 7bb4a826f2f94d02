"""TFLite files on LiteRT's interpreter (the ``ai-edge-litert`` package), on the CPU with XNNPACK."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, get_args

from ..artifact import Artifact, Feeds, Receipt
from .info import Setting, TargetInfo, one_of
from .quantized import QuantizedSignature
from .remote.there import litert
from .session import LoadedModel, check_kind, receipt

if TYPE_CHECKING:
    from ..artifact import Array


Kernels = Literal["xnnpack", "builtin", "reference"]

KERNELS = Setting(
    "XNNPACK's, TFLite's own, or the ones that define the operators; default: xnnpack",
    one_of(*get_args(Kernels)),
    "|".join(get_args(Kernels)),
)


class TFLite:
    """The LiteRT interpreter.

    Args:
        kernels: ``xnnpack`` (what Android's CPU path runs), ``builtin`` (TFLite's own optimised kernels,
            without the delegate), or ``reference`` (the slow kernels that define the operators).
    """

    kind = "tflite"
    name = "tflite"

    def __init__(self, *, kernels: Kernels = "xnnpack") -> None:
        self.kernels = kernels

    def version(self) -> str:
        """The installed version; imports the package."""
        return litert.version()

    def load(self, artifact: Artifact, *, threads: int = 1) -> LoadedModel:
        """Load a flatbuffer and allocate its tensors.

        Raises:
            BadInput: the file's signature lacks a name of the artifact's.
            ValueError, RuntimeError: the interpreter refuses the file.
        """
        check_kind(artifact, self.kind, self.name)
        return _Session(artifact, litert.LiteRTModel(str(artifact.path), threads, self.kernels))


class _Session(LoadedModel):
    def __init__(self, artifact: Artifact, model: litert.LiteRTModel) -> None:
        self._model = model
        self._signature = QuantizedSignature(artifact, model.inputs, model.outputs)

    @property
    def receipt(self) -> Receipt:
        return receipt(self._model.receipt())

    def run(self, feeds: Feeds) -> dict[str, Array]:
        encoded, dequantized = self._signature.encode(feeds)
        return self._signature.decode(self._model.run(encoded), dequantized)

    def prepare(self, feeds: Feeds) -> Callable[[], object]:
        encoded, _ = self._signature.encode(feeds)
        return lambda: self._model.run(encoded)


TARGETS = (
    TargetInfo(
        "tflite",
        title="TFLite",
        summary="TFLite (LiteRT) on the CPU with XNNPACK",
        kind=TFLite.kind,
        module="ai_edge_litert",
        distributions=("ai-edge-litert",),
        install="pip install ai-edge-litert",
        make=TFLite,
        default=True,
        aliases=("litert:cpu",),
        settings={"kernels": KERNELS},
        baseline_rank=2,
    ),
)
