"""ONNX → TFLite vocabulary: one handler an operator, by family in ``ops/``."""

from .lower import graph_inputs, lower, preflight
from .recording import Form, forms_written, recorded
from .registry import is_lowered, layout_rules, supported

__all__ = [
    "Form",
    "forms_written",
    "graph_inputs",
    "is_lowered",
    "layout_rules",
    "lower",
    "preflight",
    "recorded",
    "supported",
]
