"""One network as a factory, an ONNX file, and what TensorFlow's own converter makes of it: channels-last, its names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.tools import flatbuffer_utils

CODE = """
import torch
from torch import nn

SHAPE = {shape}


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed({seed})
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.head = nn.Conv2d(4, {outputs}, 1)
        self.example_inputs = {{"image": torch.randn(SHAPE, generator=torch.Generator().manual_seed(1))}}

    def forward(self, image):
        return self.head(torch.relu(self.conv(image)))


def make():
    return Net()
"""


def module(shape: tuple[int, ...], seed: int = 0, outputs: int = 5) -> Any:
    """The network in PyTorch."""
    namespace: dict[str, Any] = {}
    exec(CODE.format(shape=shape, seed=seed, outputs=outputs), namespace)
    return namespace["make"]().eval()


def save(folder: Path, name: str, shape: tuple[int, ...], *, seed: int = 0, outputs: int = 5) -> None:
    """Write ``name.py`` and ``name.onnx`` (channels second)."""
    import torch

    (folder / f"{name}.py").write_text(CODE.format(shape=shape, seed=seed, outputs=outputs))
    net = module(shape, seed, outputs)
    path = str(folder / f"{name}.onnx")
    torch.onnx.export(
        net, (net.example_inputs["image"],), path, dynamo=False, input_names=["image"], output_names=["map"]
    )


def tensorflow(net: Any, shape: tuple[int, ...]) -> Any:
    """The same weights in TensorFlow, on images of ``shape``, channels last."""
    import tensorflow as tf

    def weights(layer: Any) -> tuple[Any, Any]:
        kernel, bias = (p.detach().numpy() for p in (layer.weight, layer.bias))
        return tf.Variable(kernel.transpose(2, 3, 1, 0)), tf.Variable(bias)

    made = tf.Module()
    made.conv, made.head = weights(net.conv), weights(net.head)

    def call(x: Any) -> Any:
        y = tf.nn.relu(tf.nn.conv2d(x, made.conv[0], 1, "SAME") + made.conv[1])
        return tf.nn.conv2d(y, made.head[0], 1, "SAME") + made.head[1]

    made.call = tf.function(call, input_signature=[tf.TensorSpec(shape, tf.float32, name="x")])
    return made


def convert(folder: Path, name: str, made: Any, data: Callable[[], Iterator[list[Any]]] | None = None) -> None:
    """Write the SavedModel ``name`` and ``name.tflite``; with data ``name_int8.tflite`` too, int8 throughout."""
    import tensorflow as tf

    tf.saved_model.save(made, str(folder / name), signatures=made.call)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder / name))
    (folder / f"{name}.tflite").write_bytes(converter.convert())
    if data is not None:
        converter = tf.lite.TFLiteConverter.from_saved_model(str(folder / name))
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = data
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
        (folder / f"{name}_int8.tflite").write_bytes(converter.convert())


def without_signature(path: Path, made: Path) -> None:
    """The same file with its tensors' names alone, such as ``serving_default_x:0``."""
    model = flatbuffer_utils.read_model(str(path))
    model.signatureDefs = []
    flatbuffer_utils.write_model(model, str(made))


def images(shape: tuple[int, ...]) -> Callable[[], Iterator[list[Any]]]:
    """Calibration data."""

    def data() -> Iterator[list[Any]]:
        random = np.random.default_rng(0)
        for _ in range(20):
            yield [1.5 * random.normal(size=shape).astype(np.float32)]

    return data
