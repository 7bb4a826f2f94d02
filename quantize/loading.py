"""A float file of any converter, as the quantizer knows it: with names, without operators on constants alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..formats.tflite import edit as fb
from .bias import BIASED, own
from .folding import fold_constants


def loaded(path: Path) -> bytes:
    """The flatbuffer of a float file; see ``edit.load``, ``folding`` and ``flat_biases``."""
    return flat_biases(fold_constants(fb.load(path)))


def flat_biases(content: bytes) -> bytes:
    """The flatbuffer with one axis in every constant float bias.

    Kernels read a bias of shape [1, N] as one of [N], and other converters write some; the quantizer gives it no scale
    for each channel, and the kernel of depthwise convolutions refuses it. Who else reads the constant keeps its shape.
    """
    model = fb.read(content)
    found: dict[tuple[int, int], list[Any]] = {}
    for number, graph, op in fb.operators(model):
        index = _bias(model, graph, op)
        if index is not None:
            found.setdefault((number, index), []).append(op)
    for (number, index), ops in found.items():
        tensor = own(model.subgraphs[number], ops, index)
        constant = fb.values(model, tensor)
        if constant is not None:
            tensor.shape, tensor.shapeSignature = [constant.size], None
    return fb.write(model) if found else content


def _bias(model: Any, graph: Any, op: Any) -> int | None:
    """The tensor of an operator's bias that is a float constant of another rank than 1."""
    kind = fb.op_name(model, op)
    if kind not in BIASED or len(op.inputs) <= BIASED[kind][2] or op.inputs[BIASED[kind][2]] < 0:
        return None
    index = int(op.inputs[BIASED[kind][2]])
    constant = fb.values(model, graph.tensors[index]) if fb.is_float(graph.tensors[index]) else None
    return None if constant is None or constant.ndim == 1 else index
