"""From a PyTorch or ONNX source to TFLite and SavedModel."""

from ..formats import onnx as _  # noqa: F401 - keeps SymPy out of all that follows
from .conversion import Conversion, Prepared, build_saved_model, build_tflite, convert, operations, prepare, scheme_of

__all__ = [
    "Conversion",
    "Prepared",
    "build_saved_model",
    "build_tflite",
    "convert",
    "operations",
    "prepare",
    "scheme_of",
]
