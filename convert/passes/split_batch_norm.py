"""Write a BatchNormalization in inference form as a product and a sum.

Before::

    x:[N,C,H,W] ── BatchNormalization(scale, B, mean, var) ── y

After::

    x ── Mul(g:[C,1,1]) ── Add(h:[C,1,1]) ── y         g = scale / √(var + ε),  h = B - mean·g

so that ``fold_affine`` can fold them into a convolution or a matrix product before them, if there is one. Constant
parameters are combined in float64; others, by nodes.

Leaves alone: training mode; opset 7 and 8 with ``spatial = 0``; inputs of unknown rank or type.

Source: ONNX BatchNormalization-7 to -15.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from ...artifact import Array
from ..graph.reading import constant, rank
from ..graph.rewriter import Rewriter, graph_of
from .contract import Pass
from .properties import CONSTANTS_LIFTED, NO_BATCH_NORM, NO_LOCAL_FUNCTIONS, TYPED, batch_norm_objection

_Key = tuple[object, ...]


def split_batch_norm(rw: Rewriter) -> None:
    made: dict[_Key, tuple[ir.Value, ir.Value]] = {}
    for node in rw.nodes("BatchNormalization"):
        reason = batch_norm_objection(node, rw.opset)
        if reason is not None:
            rw.refuse(node, reason)
            continue
        gain, shift = _gain_and_shift(rw, node, made)
        product = rw.node("Mul", [node.inputs[0], gain], main=node)
        total = rw.node("Add", [product.outputs[0], shift], main=node)
        rw.insert(node, product, total)
        product.outputs[0].type, product.outputs[0].shape = node.outputs[0].type, node.outputs[0].shape
        node.resize_outputs(1)
        rw.replace(node, total.outputs[0])


def _gain_and_shift(
    rw: Rewriter, node: ir.Node, made: dict[_Key, tuple[ir.Value, ir.Value]]
) -> tuple[ir.Value, ir.Value]:
    """g and h, shaped to broadcast along axis 1. A module that is applied twice has them once."""
    dims = (-1,) + (1,) * ((rank(node.inputs[0]) or 2) - 2)
    epsilon = rw.attribute(node, "epsilon")
    parameters = [p for v in node.inputs[1:5] if (p := constant(v)) is not None]
    if len(parameters) < 4:
        return _computed(rw, node, dims, epsilon)
    key = (graph_of(node), *node.inputs[1:5], dims, epsilon, node.inputs[0] and node.inputs[0].dtype)
    if key not in made:
        gain, shift = _combine(parameters, epsilon)
        dtype = ir.DataType.FLOAT if node.inputs[0] is None or node.inputs[0].dtype is None else node.inputs[0].dtype
        made[key] = (
            rw.constant(node, f"{node.name}/gain", gain.reshape(dims).astype(dtype.numpy())),
            rw.constant(node, f"{node.name}/shift", shift.reshape(dims).astype(dtype.numpy())),
        )
    return made[key]


def _combine(parameters: Sequence[Array], epsilon: float) -> tuple[Array, Array]:
    """g and h of a batch normalization, each of shape [C], in float64."""
    scale, bias, mean, variance = (np.asarray(p, np.float64) for p in parameters)
    gain = scale / np.sqrt(variance + epsilon)
    return gain, bias - mean * gain


def _computed(rw: Rewriter, node: ir.Node, dims: tuple[int, ...], epsilon: float) -> tuple[ir.Value, ir.Value]:
    """g and h as nodes, for parameters that aren't constants."""
    _, scale, bias, mean, variance = node.inputs[:5]
    dtype = ir.DataType.FLOAT if variance is None or variance.dtype is None else variance.dtype
    eps = rw.constant(node, f"{node.name}/epsilon", np.array(epsilon, dtype.numpy()))
    shape = rw.shape_constant(node, f"{node.name}/shape", dims)
    shifted = rw.node("Add", [variance, eps], main=node)
    deviation = rw.node("Sqrt", shifted.outputs, main=node)
    gain = rw.node("Div", [scale, deviation.outputs[0]], main=node)
    offset = rw.node("Mul", [mean, gain.outputs[0]], main=node)
    shift = rw.node("Sub", [bias, offset.outputs[0]], main=node)
    wide_gain = rw.node("Reshape", [gain.outputs[0], shape], main=node)
    wide_shift = rw.node("Reshape", [shift.outputs[0], shape], main=node)
    flat = None if scale is None else scale.shape
    wide = None if flat is None else ir.Shape([*flat, *dims[1:]])
    vectors, results = (shifted, deviation, gain, offset, shift), (wide_gain, wide_shift)
    rw.insert(node, *vectors, *results)
    for made in (*vectors, *results):
        made.outputs[0].type, made.outputs[0].shape = ir.TensorType(dtype), wide if made in results else flat
    return wide_gain.outputs[0], wide_shift.outputs[0]


PASS = Pass(
    name="split_batch_norm",
    run=split_batch_norm,
    requires=frozenset({NO_LOCAL_FUNCTIONS, CONSTANTS_LIFTED, TYPED}),
    ensures=frozenset({NO_BATCH_NORM}),
    must_follow=("fold_constants",),
)
