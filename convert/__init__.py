"""From a PyTorch or ONNX source to TFLite and SavedModel."""

from . import lazy_sympy

lazy_sympy.defer()

from .conversion import Conversion, Prepared, build_saved_model, build_tflite, convert, prepare  # noqa: E402

__all__ = ["Conversion", "Prepared", "build_saved_model", "build_tflite", "convert", "prepare"]
