"""onnx-tf 1.10 and TensorFlow 2.15's converter. Self-contained: it runs in the Python of a kit."""

from __future__ import annotations

from pathlib import Path

IR = 9
"""The newest version of the format that its onnx 1.15 reads."""


def convert(model: Path, folder: Path) -> Path:
    """What a user of it writes: a SavedModel, and TensorFlow's converter on it."""
    import onnx
    import tensorflow as tf
    from onnx_tf.backend import prepare

    proto = onnx.load(model)
    proto.ir_version = min(proto.ir_version, IR)
    prepare(proto).export_graph(str(folder / "saved_model"))
    path = folder / "model.tflite"
    path.write_bytes(tf.lite.TFLiteConverter.from_saved_model(str(folder / "saved_model")).convert())
    return path
