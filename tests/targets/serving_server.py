"""A server of TensorFlow Serving's predict API, to test clients against: it takes ``tensorflow_model_server``'s flags.

gRPC is spoken by the stubs of the package tensorflow-serving-api, which knows nothing of edgeworthy; REST as
https://www.tensorflow.org/tfx/serving/api_rest describes it. TensorFlow runs the model.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import (
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)


class Served:
    """A SavedModel of a versioned folder."""

    def __init__(self, name: str, base: Path) -> None:
        self.name = name
        self.version = max(int(p.name) for p in base.iterdir())
        self.loaded = tf.saved_model.load(str(base / str(self.version)))

    def predict(self, signature: str, inputs: dict[str, Any]) -> dict[str, Any]:
        function = self.loaded.signatures[signature]
        specs = function.structured_input_signature[1]
        if set(specs) != set(inputs):
            raise ValueError(f"input keys {sorted(inputs)} are not {sorted(specs)}")
        tensors = {n: tf.constant(np.asarray(v, specs[n].dtype.as_numpy_dtype)) for n, v in inputs.items()}
        return {name: value.numpy() for name, value in function(**tensors).items()}


class Prediction(prediction_service_pb2_grpc.PredictionServiceServicer):  # type: ignore[misc]
    def __init__(self, served: Served) -> None:
        self.served = served

    def Predict(self, request: Any, context: Any) -> Any:
        if request.model_spec.name != self.served.name:
            context.abort(grpc.StatusCode.NOT_FOUND, f"Servable not found for request: {request.model_spec.name}")
        inputs = {name: tf.make_ndarray(tensor) for name, tensor in request.inputs.items()}
        try:
            outputs = self.served.predict(request.model_spec.signature_name, inputs)
        except ValueError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        reply = predict_pb2.PredictResponse()
        for name, value in outputs.items():
            reply.outputs[name].CopyFrom(tf.make_tensor_proto(value))
        return reply


class Status(model_service_pb2_grpc.ModelServiceServicer):  # type: ignore[misc]
    def __init__(self, served: Served) -> None:
        self.served = served

    def GetModelStatus(self, request: Any, context: Any) -> Any:
        if request.model_spec.name != self.served.name:
            context.abort(grpc.StatusCode.NOT_FOUND, f"Could not find any versions of {request.model_spec.name}")
        reply = get_model_status_pb2.GetModelStatusResponse()
        reply.model_version_status.add(version=self.served.version, state=30)
        return reply


def rest(served: Served) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if self.path != f"/v1/models/{served.name}":
                return self.say(404, {"error": f"Could not find any versions of model {self.path}"})
            status = {"version": str(served.version), "state": "AVAILABLE"}
            status["status"] = {"error_code": "OK", "error_message": ""}  # type: ignore[assignment]
            return self.say(200, {"model_version_status": [status]})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path != f"/v1/models/{served.name}:predict":
                return self.say(404, {"error": f"Servable not found for request: {self.path}"})
            try:
                outputs = served.predict(body["signature_name"], body["inputs"])
            except ValueError as error:
                return self.say(400, {"error": str(error)})
            lists = {name: value.tolist() for name, value in outputs.items()}
            return self.say(200, {"outputs": lists if len(lists) > 1 else next(iter(lists.values()))})

        def say(self, status: int, body: Any) -> None:
            text = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: Any) -> None:
            pass

    return Handler


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--version", action="store_true")
    parser.add_argument("--port", type=int)
    parser.add_argument("--rest_api_port", type=int)
    parser.add_argument("--model_name", default="default")
    parser.add_argument("--model_base_path", type=Path)
    parser.add_argument("--file_system_poll_wait_seconds", type=int)
    parser.add_argument("--tensorflow_intra_op_parallelism", type=int)
    parser.add_argument("--tensorflow_inter_op_parallelism", type=int)
    given = parser.parse_args()
    if given.version:
        print("TensorFlow ModelServer: of the tests")
        sys.exit(0)
    served = Served(given.model_name, given.model_base_path)
    limits = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    server = grpc.server(ThreadPoolExecutor(2), options=limits)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Prediction(served), server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(Status(served), server)
    server.add_insecure_port(f"127.0.0.1:{given.port}")
    web = ThreadingHTTPServer(("127.0.0.1", given.rest_api_port), rest(served))
    threading.Thread(target=web.serve_forever, daemon=True).start()
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    main()
