"""SavedModels on TensorFlow, on the CPU."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..artifact import Artifact, Feeds, Receipt
from ..errors import BadInput, NotAvailable
from ..formats.saved_model import argument_names
from ..vocabulary import SIGNATURE
from .info import TargetInfo
from .session import LoadedModel, check_kind, checked

if TYPE_CHECKING:
    from ..artifact import Array


class TensorFlow:
    """TensorFlow's own runtime on a SavedModel's ``serving_default`` signature.

    Args:
        onednn: False leaves oneDNN's kernels out, if it is the first to load TensorFlow in this process.
    """

    kind = "saved_model"
    name = "tensorflow"

    def __init__(self, *, onednn: bool = True) -> None:
        if not onednn:
            os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"  # read when it is imported

    def version(self) -> str:
        """The installed version; imports the package.

        Raises:
            NotAvailable: TensorFlow isn't installed.
        """
        return str(_tensorflow().__version__)

    def load(self, artifact: Artifact, *, threads: int = 1) -> LoadedModel:
        """Load a SavedModel folder.

        Raises:
            BadInput: it has no ``serving_default``, or the signature lacks a name of the artifact's.
        """
        tf = _tensorflow()
        check_kind(artifact, self.kind, self.name)
        # Process-wide in TensorFlow: a second model in this process must ask for the same number.
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        return _Session(tf, artifact, tf.saved_model.load(str(artifact.path)))


class _Session(LoadedModel):
    def __init__(self, tf: Any, artifact: Artifact, loaded: Any) -> None:
        if SIGNATURE not in loaded.signatures:
            raise BadInput(
                f"the SavedModel has no signature {SIGNATURE!r}",
                where=str(artifact.path),
                details=list(loaded.signatures),
            )
        self._tf = tf
        self._artifact = artifact
        self._loaded = loaded  # the signature alone doesn't keep the variables alive
        self._function = loaded.signatures[SIGNATURE]
        have = [*self._function.structured_input_signature[1], *self._function.structured_outputs]
        self._arguments = argument_names(s.name for s in artifact.inputs)
        if all(s.name in have for s in artifact.inputs):  # of another converter, whose names TensorFlow took
            self._arguments = {s.name: s.name for s in artifact.inputs}
        missing = [n for n in (*self._arguments.values(), *(o.name for o in artifact.outputs)) if n not in have]
        if missing:
            raise BadInput(f"{SIGNATURE} lacks {missing}; it has {have}", where=str(artifact.path))

    @property
    def receipt(self) -> Receipt:
        return Receipt(asked="CPU", ran="CPU", nodes=len(self._function.graph.get_operations()))

    def run(self, feeds: Feeds) -> dict[str, Array]:
        outputs = self._function(**self._tensors(feeds))
        return {o.name: outputs[o.name].numpy() for o in self._artifact.outputs}

    def prepare(self, feeds: Feeds) -> Callable[[], object]:
        tensors = self._tensors(feeds)

        def call() -> None:
            for output in self._function(**tensors).values():
                output.numpy()  # waits until it is computed

        return call

    def _tensors(self, feeds: Feeds) -> dict[str, Any]:
        inputs = checked(feeds, self._artifact.inputs, where=str(self._artifact.path))
        return {self._arguments[name]: self._tf.constant(array) for name, array in inputs.items()}


def _tensorflow() -> Any:
    try:
        import tensorflow
    except ImportError as error:
        raise NotAvailable("TensorFlow is not installed", remedy="pip install 'edgeworthy[tensorflow]'") from error
    return tensorflow


TARGETS = (
    TargetInfo(
        "tensorflow",
        title="SavedModel",
        summary="TensorFlow on a SavedModel, on the CPU",
        kind=TensorFlow.kind,
        module="tensorflow",
        distributions=("tensorflow-cpu", "tensorflow"),
        install="pip install 'edgeworthy[tensorflow]'",
        make=TensorFlow,
        default=True,
        aliases=("tensorflow:cpu",),
    ),
)
