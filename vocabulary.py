"""Words that several rooms write into models and read out of them, each said once."""

from __future__ import annotations

from typing import Literal, get_args

FUSED_DOMAIN = "edgeworthy"
"""ONNX domain of the operators that fusions make where the model's opset has none (see ``graph.private_ops``)."""

ML_DOMAIN = "ai.onnx.ml"
"""The ONNX domain of classical machine learning."""
NHWC_DOMAIN = "edgeworthy.nhwc"
"""ONNX domain of the spatial operators whose activations are channels-last (see ``convert.layout.functions``)."""

MODULE_KEY = "edgeworthy.module"
"""Metadata key of a node's PyTorch module path, as ``get_submodule`` takes it; empty for the model itself."""

SOURCE_KEY = "edgeworthy.source"
"""Metadata key of a node's PyTorch source line, such as ``models/net.py:12``."""

Whose = Literal["ours", "another", "model"]
"""Who rounded what a file computes: edgeworthy, another converter (or nobody knows who), or the model, by scales of its
own."""

SIGNATURE = "serving_default"
"""The one signature of TFLite files and SavedModels, as TensorFlow Serving and Keras look for it."""

ConvertedKind = Literal["tflite", "saved_model"]
CONVERTED: tuple[ConvertedKind, ...] = get_args(ConvertedKind)
"""Kinds of file (``Artifact.kind``) that conversion makes."""

MeasuredWhere = Literal["device", "host", "emulated", "estimated"]
"""Where a latency is from: the device that the model is for, this machine, an emulator of the device (whose times say
nothing of its speed), or a model of its hardware."""

HARDWARE: tuple[MeasuredWhere, ...] = ("device", "host")
"""Where a time is one of hardware that ran the model."""

ROUTE = "route:"
"""What begins the name of a file that a registered converter makes, as in ``route:tf``."""
