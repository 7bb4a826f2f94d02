"""ONNX → TFLite vocabulary: one handler an operator, by family in ``ops/``."""

from .lower import graph_inputs, lower, preflight
from .registry import is_lowered, supported

__all__ = ["graph_inputs", "is_lowered", "lower", "preflight", "supported"]
