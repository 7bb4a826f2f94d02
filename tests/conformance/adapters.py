"""How a case gets onto an artifact: convert the model as a user does, run what came out on its own runtime."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edgeworthy.convert import convert
from edgeworthy.formats.saved_model import argument_names

Arrays = Mapping[str, Any]


def convert_to(artifact: str, model: bytes, folder: Path) -> Path:
    """Convert a serialized ``ModelProto`` to ``artifact`` in ``folder``; returns the file or folder made."""
    source = folder / "model.onnx"
    source.write_bytes(model)
    made = getattr(convert(source, folder, to=(artifact,)), artifact)
    path: Path = made.path
    return path


def run_tflite(file: Path, inputs: Arrays) -> dict[str, Any]:
    """The interpreter on the file's signature; inputs are resized to the shapes they have."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(file), num_threads=1)
    runner = interpreter.get_signature_runner("serving_default")
    return dict(runner(**_tensors(inputs)))


def run_saved_model(folder: Path, inputs: Arrays) -> dict[str, Any]:
    """TensorFlow on the folder's signature."""
    import tensorflow as tf

    loaded = tf.saved_model.load(str(folder))
    names = argument_names(inputs)
    feeds = {names[name]: tf.constant(array) for name, array in _tensors(inputs).items()}
    outputs = loaded.signatures["serving_default"](**feeds)
    return {name: tensor.numpy() for name, tensor in outputs.items()}


RUNNERS: dict[str, Callable[[Path, Arrays], dict[str, Any]]] = {
    "tflite": run_tflite,
    "saved_model": run_saved_model,
}


def warm_up(artifact: str) -> None:
    """Import the runtime's package, so that no case's time limit has to pay for it."""
    if artifact == "saved_model":
        import tensorflow  # noqa: F401
    else:
        import ai_edge_litert.interpreter  # noqa: F401


def _tensors(inputs: Arrays) -> dict[str, np.ndarray[Any, Any]]:
    for name, value in inputs.items():
        if not isinstance(value, np.ndarray):
            raise TypeError(f"input {name!r} is a {type(value).__name__}, and an artifact takes tensors")
    return dict(inputs)
