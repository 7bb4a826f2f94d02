"""Bias correction: rounded weights shift the mean of a channel, and its bias takes the shift back.

With weights that are off by Δ a layer's result is off by ``Δ·x``, whose mean is ``Δ·E[x]``. Behind a RELU all of x is
positive, so that is most of it. The mean of each input channel is that of the calibration samples in the float model;
of a window that reaches over the border, the share of the positions counts at which a tap is inside.

Source: M. Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction", 2019, section 4.2,
with means that were measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from ..formats.tflite import edit as fb
from .bias import BIASED, DTYPES, own, store

if TYPE_CHECKING:
    from ..artifact import Array, Floats

Means = Mapping[tuple[str, int], "Floats"]
"""(Name of an activation, channels) → mean of each channel over samples and positions."""

CORRECTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
"""Not TRANSPOSE_CONV: each of its positions sees other taps, so there is no one mean."""


def channels_of(model: Any, op: Any) -> int:
    """How many channels the input of a layer has."""
    graph = model.subgraphs[0]
    if fb.op_name(model, op) == "FULLY_CONNECTED":  # which may flatten its input
        return int(graph.tensors[op.inputs[1]].shape[1])
    return int(graph.tensors[op.inputs[0]].shape[-1])


def correct(quantized: Any, original: Any, means: Means) -> list[str]:
    """Correct the biases of the main graph of ``quantized`` (a ``ModelT``, edited in place).

    Args:
        original: The float model that it was made of.
        means: Of its activations.

    Returns:
        Names of the results of the layers whose biases were changed.
    """
    graph, before = quantized.subgraphs[0], original.subgraphs[0]
    made = {fb.name(before.tensors[op.outputs[0]]): op for op in before.operators if len(op.outputs)}
    packed = {int(op.outputs[0]): int(op.inputs[0]) for op in _unpacking(quantized)}
    changed = []
    for op in graph.operators:
        kind, name = fb.op_name(quantized, op), fb.name(graph.tensors[op.outputs[0]]) if len(op.outputs) else ""
        real = made.get(name) if kind in CORRECTED else None
        if real is None or len(op.inputs) < 3 or op.inputs[2] < 0:
            continue
        weights, bias = (fb.values(original, before.tensors[real.inputs[p]]) for p in BIASED[kind][1:])
        mean = means.get((fb.name(before.tensors[real.inputs[0]]), channels_of(original, real)))
        stored = _real(quantized, graph.tensors[packed.get(int(op.inputs[1]), int(op.inputs[1]))])
        if weights is None or bias is None or mean is None or stored is None:
            continue
        shift = _shift(kind, stored - weights, mean, real, before.tensors[real.inputs[0]].shape)
        _put(quantized, op, bias.astype(np.float64).reshape(-1) - shift)
        changed.append(name)
    return changed


def _unpacking(model: Any) -> Iterator[Any]:
    return (op for op in model.subgraphs[0].operators if fb.op_name(model, op) == "DEQUANTIZE")


def _real(model: Any, weights: Any) -> Floats | None:
    """What integer weights stand for; None of others, and of those in blocks."""
    steps, params = fb.values(model, weights), weights.quantization
    if steps is None or fb.is_float(weights) or params is None or params.scale is None or params.details is not None:
        return None
    scales = np.asarray(params.scale, np.float64)
    axes = [1] * steps.ndim
    axes[params.quantizedDimension if scales.size > 1 else 0] = scales.size
    real: Floats = steps * scales.reshape(axes)
    return real


def _shift(kind: str, delta: Floats, mean: Floats, op: Any, shape: Array) -> Floats:
    """[channels of the result]: the mean of what weights that are off by ``delta`` add."""
    if kind == "FULLY_CONNECTED":
        dense: Floats = delta @ mean
        return dense
    inside = np.outer(
        *(_inside(op.builtinOptions, axis, int(shape[1 + axis]), delta.shape[1 + axis]) for axis in (0, 1))
    )
    if kind == "DEPTHWISE_CONV_2D":
        taps = np.einsum("hwo,hw->o", delta[0], inside)
        depthwise: Floats = taps * np.repeat(mean, taps.size // mean.size)
        return depthwise
    taps = np.einsum("ohwi,hw->oi", delta, inside)
    groups = mean.reshape(-1, taps.shape[1])
    shift: Floats = (taps * np.repeat(groups, taps.shape[0] // len(groups), axis=0)).sum(axis=1)
    return shift


def _inside(options: Any, axis: int, size: int, taps: int) -> Floats:
    """[taps]: the share of a window's positions at which a tap is inside of an axis."""
    stride, dilation = (
        int(getattr(options, name)) for name in (("strideH", "dilationHFactor"), ("strideW", "dilationWFactor"))[axis]
    )
    if options.padding == schema.Padding.VALID or size < 1:
        return np.ones(taps)
    count = -(-size // stride)
    border = max((count - 1) * stride + (taps - 1) * dilation + 1 - size, 0) // 2
    at = np.arange(count) * stride - border + np.arange(taps)[:, None] * dilation
    share: Floats = ((at >= 0) & (at < size)).mean(axis=1)
    return share


def _put(model: Any, op: Any, bias: Floats) -> None:
    """Store the bias of a layer, in its steps."""
    graph = model.subgraphs[0]
    tensor = own(graph, [op], int(op.inputs[2]))
    if fb.is_float(tensor):
        tensor.buffer = fb.add_buffer(model, bias.astype(np.float32))
        return
    scales = np.asarray(tensor.quantization.scale, np.float64)
    store(model, tensor, np.rint(bias / scales).astype(DTYPES[tensor.type]), scales)
