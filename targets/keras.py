"""SavedModels as Keras layers: ``keras.layers.TFSMLayer``, on TensorFlow on the CPU."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ..artifact import Artifact, Receipt
from ..errors import NotAvailable
from ..vocabulary import SIGNATURE
from .info import TargetInfo
from .session import LoadedModel, check_kind
from .tensorflow import INSTALL, SignatureSession, called, import_tensorflow, set_threads


class Keras:
    """A ``TFSMLayer`` that is called as a layer."""

    kind = "saved_model"
    name = "keras"

    def version(self) -> str:
        """Keras' version; imports it with TensorFlow below it.

        Raises:
            NotAvailable: Keras or TensorFlow isn't installed, or Keras is there on another backend.
        """
        return str(_keras().__version__)

    def load(self, artifact: Artifact, *, threads: int = 1) -> LoadedModel:
        """Load a SavedModel folder. Raises as ``TensorFlow.load``."""
        check_kind(artifact, self.kind, self.name)
        keras, tf = _keras(), import_tensorflow()
        set_threads(tf, threads)
        layer = _layer(keras, len(artifact.inputs))(str(artifact.path), call_endpoint=SIGNATURE)
        layer.autocast = False  # else it would make float32 of float16 and float64 inputs, and refuse its own
        _, arguments = called(layer._reloaded_obj, artifact)
        return _Session(tf, artifact, layer, layer, arguments)


class _Session(SignatureSession):
    @property
    def receipt(self) -> Receipt:
        graph = self._signature.call_endpoint_fn.graph
        several = len(self._artifact.inputs) > 1
        return Receipt(
            asked="TFSMLayer",
            ran="TFSMLayer",
            nodes=len(graph.get_operations()),
            notes=("several inputs: a subclass of TFSMLayer, which takes one",) if several else (),
        )

    def _call(self, tensors: Mapping[str, Any]) -> Mapping[str, Any]:
        (inputs,) = tensors.values() if len(tensors) == 1 else (dict(tensors),)
        outputs: Mapping[str, Any] = self._signature(inputs)
        return outputs


def _layer(keras: Any, inputs: int) -> Any:
    """TFSMLayer; for several inputs a subclass whose ``call`` hands them on by name, as its documentation advises."""
    if inputs == 1:
        return keras.layers.TFSMLayer

    class Named(keras.layers.TFSMLayer):  # type: ignore[misc]
        def call(self, inputs: Mapping[str, Any], training: bool = False) -> Any:
            return self.call_endpoint_fn(**inputs)

    return Named


def _keras() -> Any:
    os.environ["KERAS_BACKEND"] = "tensorflow"  # before ~/.keras/keras.json; read when it is imported
    import_tensorflow()
    try:
        import keras
    except ImportError as error:
        raise NotAvailable("Keras is not installed", remedy=INSTALL) from error
    if keras.backend.backend() != "tensorflow":
        raise NotAvailable(f"Keras is on {keras.backend.backend()} here", remedy="set KERAS_BACKEND=tensorflow")
    return keras


TARGETS = (
    TargetInfo(
        "keras",
        title="Keras",
        summary="The SavedModel as a layer of Keras, on the CPU",
        kind=Keras.kind,
        module="keras",
        distributions=("keras",),
        install=INSTALL,
        make=Keras,
    ),
)
