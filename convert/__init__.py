"""From a PyTorch or ONNX source to TFLite and SavedModel."""

from .conversion import Conversion, Prepared, build_saved_model, build_tflite, convert, prepare

__all__ = ["Conversion", "Prepared", "build_saved_model", "build_tflite", "convert", "prepare"]
