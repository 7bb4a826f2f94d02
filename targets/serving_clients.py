"""Clients of a TensorFlow Serving: its gRPC API and its REST API, each as one call from arrays to arrays.

Sources: https://www.tensorflow.org/tfx/serving/api_rest, and ``prediction_service.proto`` for gRPC.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ..artifact import TensorSpec
from ..errors import BadInput, NotAvailable, RuntimeFailure
from ..vocabulary import SIGNATURE
from .serving_messages import AVAILABLE, END, MODEL_STATUS, PREDICT, message

if TYPE_CHECKING:
    from ..artifact import Array


class Client(Protocol):
    """What both clients do. They raise ``NotAvailable`` when no server answers, and otherwise as it says."""

    def state(self) -> str:
        """Empty when the model serves; else what it does instead.

        Raises:
            RuntimeFailure: the server couldn't load it.
        """
        ...

    def predict(self, arrays: Mapping[str, Array]) -> Mapping[str, Array]:
        """One request: arrays by the signature's names."""
        ...


class Grpc:
    """The gRPC API. Tensors of any size: gRPC's own limit is 4 MB.

    Args:
        address: ``HOST:PORT``.
        model: The name that the server serves it by.
    """

    def __init__(self, address: str, model: str) -> None:
        import grpc
        import tensorflow

        self._tf: Any = tensorflow
        self._address, self._model = address, model
        limits = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        self._channel = grpc.insecure_channel(address, options=limits)
        self._predict = self._method(PREDICT, message("PredictResponse"))
        self._status = self._method(MODEL_STATUS, message("GetModelStatusResponse"))

    def state(self) -> str:
        request = message("GetModelStatusRequest")()
        request.model_spec.name = self._model
        found = self._call(self._status, request).model_version_status
        return _state([(s.state, s.status.error_code, s.status.error_message) for s in found], self._model)

    def predict(self, arrays: Mapping[str, Array]) -> Mapping[str, Array]:
        request = message("PredictRequest")()
        request.model_spec.name, request.model_spec.signature_name = self._model, SIGNATURE
        for name, array in arrays.items():
            request.inputs[name].CopyFrom(self._tf.make_tensor_proto(array))
        outputs = self._call(self._predict, request).outputs
        return {name: self._tf.make_ndarray(tensor) for name, tensor in outputs.items()}

    def _method(self, name: str, reply: Any) -> Any:
        return self._channel.unary_unary(
            name, request_serializer=lambda m: m.SerializeToString(), response_deserializer=reply.FromString
        )

    def _call(self, method: Any, request: Any) -> Any:
        import grpc

        try:
            return method(request)
        except grpc.RpcError as error:
            code, said = error.code(), str(error.details())
            if code == grpc.StatusCode.UNAVAILABLE:
                raise _silent(self._address, said) from error
            raise _refused(code.name, said, code == grpc.StatusCode.NOT_FOUND, self._model) from error


class Rest:
    """The REST API, in columns (``inputs``, not ``instances``): no input needs a batch.

    Args:
        address: ``HOST:PORT``.
        model: The name that the server serves it by.
        outputs: Of the model; JSON has no dtypes.
    """

    def __init__(self, address: str, model: str, outputs: Sequence[TensorSpec]) -> None:
        self._address, self._model = address, model
        self._outputs = outputs
        self._connection = http.client.HTTPConnection(address)

    def state(self) -> str:
        codes = {"AVAILABLE": AVAILABLE, "END": END}
        found = self._ask("GET", f"/v1/models/{self._model}")["model_version_status"]
        told = [(codes.get(s["state"], 0), s["status"]["error_code"], s["status"]["error_message"]) for s in found]
        ok = [(state, 0 if code == "OK" else 1, text) for state, code, text in told]
        return _state(ok, self._model)

    def predict(self, arrays: Mapping[str, Array]) -> Mapping[str, Array]:
        body = {"signature_name": SIGNATURE, "inputs": {name: array.tolist() for name, array in arrays.items()}}
        found = self._ask("POST", f"/v1/models/{self._model}:predict", json.dumps(body))["outputs"]
        if len(self._outputs) == 1:  # a single output comes without its name
            found = {self._outputs[0].name: found}
        return {spec.name: np.asarray(found[spec.name], spec.dtype) for spec in self._outputs}

    def _ask(self, verb: str, path: str, body: str | None = None) -> Any:
        try:
            self._connection.request(verb, path, body, {"Content-Type": "application/json"})
            reply = self._connection.getresponse()
            text = reply.read().decode()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise _silent(self._address, f"{type(error).__name__}: {error}") from error
        if reply.status == http.client.OK:
            return json.loads(text)
        raise _refused(f"{reply.status} {reply.reason}", text, reply.status == http.client.NOT_FOUND, self._model)


def _state(versions: Sequence[tuple[int, int, str]], model: str) -> str:
    """Of (state, error code, error) of each version: empty when one serves."""
    if any(state == AVAILABLE for state, _, _ in versions):
        return ""
    for state, code, text in versions:
        if state == END and code:
            raise RuntimeFailure(
                f"the server can't load {model}: {text}",
                remedy="see its own log, and that its TensorFlow is as new as the one that wrote the file",
            )
    return "loading"


def _silent(address: str, said: str) -> NotAvailable:
    return NotAvailable(
        f"no TensorFlow Serving answers at {address}", details=[said], remedy="start it, or give its address"
    )


def _refused(code: str, said: str, unknown: bool, model: str) -> RuntimeFailure | BadInput:
    lines = [line for line in said.splitlines() if line.strip()][:8]
    if unknown:
        return BadInput(f"the server has no model {model!r}", details=lines, remedy="name it: tf-serving,model=NAME")
    return RuntimeFailure(
        f"the server refused the request: {code}",
        details=lines,
        remedy="see that it serves this very file, and what its own log says",
    )
