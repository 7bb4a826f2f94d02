"""SavedModels on TensorFlow: on the CPU, on an NVIDIA GPU, or compiled by XLA."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from ..artifact import Artifact, Feeds, Receipt
from ..errors import BadInput, NotAvailable
from ..formats.saved_model import argument_names, signature_of
from ..vocabulary import SIGNATURE
from . import cuda
from .info import TF32, TargetInfo
from .session import ANOTHER_FILE, LoadedModel, check_kind, checked
from .tensorflow_receipt import Placed, Program, placed, placement, program, recorded, working

if TYPE_CHECKING:
    from ..artifact import Array

INSTALL = "pip install 'edgeworthy[tensorflow]'"
INSTALL_GPU = "pip install 'tensorflow[and-cuda]' in place of tensorflow-cpu"


class TensorFlow:
    """TensorFlow's own runtime on a SavedModel's ``serving_default`` signature.

    Args:
        onednn: False leaves oneDNN's kernels out, if it is the first to load TensorFlow in this process.
        device: Where it computes.
        xla: Compile the whole signature with XLA, in the first inference of each shape. XLA takes all or raises.
        tf32: Whether a GPU's matrix units may round float32, see ``info.TF32``.
    """

    kind = "saved_model"

    def __init__(
        self,
        *,
        onednn: bool = True,
        device: Literal["cpu", "cuda"] = "cpu",
        xla: bool = False,
        tf32: bool = False,
    ) -> None:
        self.onednn = onednn
        self.device = device
        self.xla = xla
        self.tf32 = tf32

    @property
    def name(self) -> str:
        return "tensorflow:xla" if self.xla else "tensorflow" if self.device == "cpu" else "tensorflow:gpu"

    def version(self) -> str:
        """The installed version; imports the package.

        Raises:
            NotAvailable: TensorFlow isn't installed, or finds no GPU where one is asked for.
        """
        tf = import_tensorflow(onednn=self.onednn)
        if self.device == "cuda" and not tf.config.list_physical_devices("GPU"):
            built = "without CUDA" if not tf.test.is_built_with_cuda() else "with CUDA"
            raise NotAvailable(f"this TensorFlow ({tf.__version__}, built {built}) finds no GPU", remedy=INSTALL_GPU)
        return str(tf.__version__)

    def load(self, artifact: Artifact, *, threads: int = 1) -> LoadedModel:
        """Load a SavedModel folder.

        Raises:
            BadInput: it has no ``serving_default``, or the signature lacks a name of the artifact's.
        """
        tf = import_tensorflow(onednn=self.onednn)
        check_kind(artifact, self.kind, self.name)
        set_threads(tf, threads)
        if self.device == "cuda":
            tf.config.experimental.enable_tensor_float_32_execution(self.tf32)
        loaded = tf.saved_model.load(str(artifact.path))
        signature, arguments = called(loaded, artifact)
        if self.xla:
            return XlaSession(tf, artifact, loaded, signature, arguments)
        if self.device == "cuda":
            return GpuSession(tf, artifact, loaded, signature, arguments, precision=cuda.precision(self.tf32))
        return SignatureSession(tf, artifact, loaded, signature, arguments)


class SignatureSession(LoadedModel):
    """A signature of a SavedModel.

    Args:
        tf: TensorFlow.
        artifact: Names the inputs and outputs.
        loaded: The SavedModel: the signature alone doesn't keep the variables alive.
        signature: What is called, by keyword.
        arguments: Input → its name in the signature.
    """

    def __init__(self, tf: Any, artifact: Artifact, loaded: Any, signature: Any, arguments: Mapping[str, str]) -> None:
        self._tf = tf
        self._artifact = artifact
        self._loaded = loaded
        self._signature = signature
        self._arguments = arguments

    @property
    def receipt(self) -> Receipt:
        return Receipt(asked="CPU", ran="CPU", nodes=len(self._signature.graph.get_operations()))

    def run(self, feeds: Feeds) -> dict[str, Array]:
        outputs = self._call(self._tensors(feeds))
        return {o.name: outputs[o.name].numpy() for o in self._artifact.outputs}

    def prepare(self, feeds: Feeds) -> Callable[[], object]:
        tensors = self._tensors(feeds)

        def call() -> None:
            for output in self._call(tensors).values():
                output.numpy()  # waits until it is computed

        return call

    def _call(self, tensors: Mapping[str, Any]) -> Mapping[str, Any]:
        outputs: Mapping[str, Any] = self._signature(**tensors)
        return outputs

    def _tensors(self, feeds: Feeds) -> dict[str, Any]:
        inputs = checked(feeds, self._artifact.inputs, where=str(self._artifact.path))
        return {self._arguments[name]: self._tf.constant(array) for name, array in inputs.items()}


class GpuSession(SignatureSession):
    """On a GPU, as far as it has kernels: the first inference is recorded, and its nodes' devices are the receipt."""

    def __init__(self, *session: Any, precision: str) -> None:
        super().__init__(*session)
        self._precision = precision
        self._placed: list[Placed] | None = None

    @property
    def receipt(self) -> Receipt:
        if self._placed is None:
            return Receipt(asked="GPU", ran="nothing yet", precision=self._precision)
        return placement(self._placed, "GPU", self._precision)

    def prepare(self, feeds: Feeds) -> Callable[[], object]:
        arrays = {self._arguments[n]: a for n, a in self._checked(feeds).items()}

        def call() -> None:
            """With the copies there and back."""
            with self._tf.device("/GPU:0"):
                tensors = {name: self._tf.identity(array) for name, array in arrays.items()}
            for output in self._call(tensors).values():
                output.numpy()

        return call

    def _checked(self, feeds: Feeds) -> dict[str, Array]:
        return checked(feeds, self._artifact.inputs, where=str(self._artifact.path))

    def _call(self, tensors: Mapping[str, Any]) -> Mapping[str, Any]:
        if self._placed is not None:
            return super()._call(tensors)
        with recorded() as graphs:
            outputs = super()._call(tensors)
            for output in outputs.values():
                output.numpy()
        self._placed = placed(graphs)
        return outputs


class XlaSession(SignatureSession):
    """Compiled as a whole, for each shape by itself."""

    def __init__(self, tf: Any, artifact: Artifact, loaded: Any, signature: Any, arguments: Mapping[str, str]) -> None:
        compiled = tf.function(lambda **tensors: signature(**tensors), jit_compile=True, autograph=False)
        super().__init__(tf, artifact, loaded, compiled, arguments)
        self._nodes = len(working(signature.graph.as_graph_def()))
        self._shapes: dict[tuple[Any, ...], Mapping[str, Any]] = {}
        self._program: Program | None = None
        self._first_s = 0.0

    @property
    def receipt(self) -> Receipt:
        """Read off the program that XLA made for the first shape: XLA compiles it once more to give it out."""
        if not self._shapes:
            return Receipt(asked="XLA", ran="nothing yet")
        if self._program is None:
            self._program = program(self._signature, next(iter(self._shapes.values())))
        shapes = len(self._shapes)
        return Receipt(
            asked="XLA",
            ran="XLA",
            nodes=self._nodes,
            delegated=self._nodes,
            partitions=1,
            notes=(
                f"the first inference, with its compilation, took {self._first_s:.1f} s; "
                f"compiled for {shapes} {'shape' if shapes == 1 else 'shapes'}",
                f"{self._program.fusions} of {self._program.instructions} instructions are fusions",
            ),
        )

    def _call(self, tensors: Mapping[str, Any]) -> Mapping[str, Any]:
        key = tuple(tuple(tensor.shape) for tensor in tensors.values())
        if key in self._shapes:
            return super()._call(tensors)
        begin = time.perf_counter()
        outputs = super()._call(tensors)
        self._first_s = self._first_s or time.perf_counter() - begin
        self._shapes[key] = {name: self._tf.TensorSpec(t.shape, t.dtype) for name, t in tensors.items()}
        return outputs


def called(loaded: Any, artifact: Artifact) -> tuple[Any, dict[str, str]]:
    """The signature ``serving_default`` of a loaded SavedModel, and the artifact's inputs by its arguments' names.

    Raises:
        BadInput: there is none, or it lacks a name of the artifact's.
    """
    signature = signature_of(loaded, artifact.path)
    have = [*signature.structured_input_signature[1], *signature.structured_outputs]
    arguments = argument_names(s.name for s in artifact.inputs)
    if all(s.name in have for s in artifact.inputs):  # of another converter, whose names TensorFlow took
        arguments = {s.name: s.name for s in artifact.inputs}
    missing = [n for n in (*arguments.values(), *(o.name for o in artifact.outputs)) if n not in have]
    if missing:
        raise BadInput(f"{SIGNATURE} lacks {missing}; it has {have}", where=str(artifact.path), remedy=ANOTHER_FILE)
    return signature, arguments


def set_threads(tf: Any, threads: int) -> None:
    """Process-wide in TensorFlow: a second model in this process must ask for the same number."""
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)


def import_tensorflow(*, onednn: bool = True) -> Any:
    """The package. Raises NotAvailable where it isn't installed.

    Args:
        onednn: False keeps oneDNN's kernels out, of this process and of its children, if TensorFlow isn't loaded yet.
    """
    if not onednn:
        os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
    try:
        import tensorflow
    except ImportError as error:
        raise NotAvailable("TensorFlow is not installed", remedy=INSTALL) from error
    return tensorflow


TARGETS = (
    TargetInfo(
        "tensorflow",
        title="SavedModel",
        summary="TensorFlow on a SavedModel, on the CPU",
        kind=TensorFlow.kind,
        module="tensorflow",
        distributions=("tensorflow-cpu", "tensorflow"),
        install=INSTALL,
        make=TensorFlow,
        default=True,
        aliases=("tensorflow:cpu",),
    ),
    TargetInfo(
        "tensorflow:xla",
        title="SavedModel XLA",
        summary="TensorFlow on a SavedModel, compiled by XLA, on the CPU",
        kind=TensorFlow.kind,
        module="tensorflow",
        distributions=("tensorflow-cpu", "tensorflow"),
        install=INSTALL,
        make=TensorFlow,
        options={"xla": True},
    ),
    TargetInfo(
        "tensorflow:gpu",
        title="SavedModel GPU",
        summary="TensorFlow on a SavedModel, on an NVIDIA GPU",
        kind=TensorFlow.kind,
        module="tensorflow",
        distributions=("tensorflow", "tensorflow-cpu"),
        install=INSTALL_GPU,
        make=TensorFlow,
        options={"device": "cuda"},
        device="cuda",
        probe=True,
        aliases=("tensorflow:cuda", "tensorflow-cuda"),
        settings=TF32,
    ),
)
