"""The converters that edgeworthy brings: its own, TensorFlow's on its SavedModel, and those that run in kits."""

from __future__ import annotations

from pathlib import Path

from ... import kits
from .info import ConverterInfo, Takes

_THERE = Path(__file__).parent / "there"


def direct(model: Path, folder: Path) -> Path:
    """Our own TFLite file of an ONNX file."""
    from ..conversion import convert

    convert(model, folder, to=["tflite"])
    (made,) = folder.glob("model_*.tflite")
    return made


def tf(model: Path, folder: Path) -> Path:
    """What ``TFLiteConverter`` makes of our SavedModel."""
    import tensorflow

    from ..conversion import convert

    convert(model, folder, to=["saved_model"])
    path = folder / "tf.tflite"
    path.write_bytes(tensorflow.lite.TFLiteConverter.from_saved_model(str(folder / "saved_model")).convert())
    return path


def _kit(name: str, file: str, summary: str, *, takes: Takes = "onnx", opset: int | None = None) -> ConverterInfo:
    """A converter that runs in the kit of its name."""
    return ConverterInfo(
        name,
        summary,
        "tflite",
        module="",
        distributions=(),
        install=kits.KITS[name].install,
        convert=f"{_THERE / file}:convert",
        takes=takes,
        kit=name,
        opset=opset,
    )


CONVERTERS = (
    ConverterInfo(
        "direct",
        "edgeworthy's own",
        "tflite",
        module="edgeworthy",
        distributions=("edgeworthy",),
        install="pip install edgeworthy",
        convert=f"{__name__}:direct",
    ),
    ConverterInfo(
        "tf",
        "TensorFlow's TFLiteConverter on edgeworthy's SavedModel",
        "tflite",
        module="tensorflow",
        distributions=("tensorflow-cpu", "tensorflow"),
        install="pip install 'edgeworthy[tensorflow]'",
        convert=f"{__name__}:tf",
    ),
    _kit("onnx2tf", "onnx2tf.py", "onnx2tf 2.6, from ONNX, without TensorFlow"),
    _kit("onnx2tf-1", "onnx2tf.py", "onnx2tf 1.29, from ONNX, through Keras and TensorFlow 2.19"),
    _kit("litert-torch", "litert_torch.py", "Google's litert-torch 0.10, from PyTorch", takes="pt2"),
    _kit("onnx-tf", "onnx_tf.py", "the archived onnx-tf 1.10 and TensorFlow 2.15's converter, from ONNX", opset=15),
)
