"""Fold products and sums with a constant per channel into the convolution or matrix product before them.

Before::

    x ── Conv(W, b) ── Mul(g:[C,1,1]) ── Add(h:[C,1,1]) ── y           x ── MatMul(W) ── Add(b) ── Mul(g) ── y

After::

    x ── Conv(W·g, b·g + h) ── y                                       x ── MatMul(W·g) ── Add(b·g) ── y

The same for ConvTranspose, Gemm, and for Sub and Div. A single number (the scale of an attention) is also folded
across a Reshape or Transpose in between.

Leaves alone: weights that other nodes use as well (they stay shared), weights that aren't constants, results that
something else uses before the product or sum; constants that vary along another axis than the channels; gains that
would make weights infinite, or all of them 0.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir

from ...artifact import Array
from ..graph.reading import constant, is_constant, producer, rank, sole_consumer, static_shape
from ..graph.rewriter import Rewriter
from .contract import Pass
from .properties import CONSTANTS_LIFTED, NO_LOCAL_FUNCTIONS, TYPED

_RESHAPING = frozenset({"Flatten", "Reshape", "Squeeze", "Transpose", "Unsqueeze"})
_FLOATS = (ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.DOUBLE)


@dataclass(frozen=True)
class _Affine:
    """``value · gain + shift``, in float64; ``gain`` and ``shift`` broadcast against ``value``."""

    node: ir.Node
    value: ir.Value
    gain: Array | None
    shift: Array | None

    @property
    def is_scalar(self) -> bool:
        return all(a is None or a.size == 1 for a in (self.gain, self.shift))


@dataclass(frozen=True)
class _Linear:
    """A linear operator with constant weights.

    Attributes:
        node: Conv, ConvTranspose, Gemm or MatMul.
        weight: Its weights.
        weight_dims: The shape that spreads a vector of one number per channel over the weights.
        channels: Channels of its output.
        axis: Their axis in the output, counted from the end.
        rank: Rank of its output.
        bias: The constant it adds, or None.
        result: The node that makes the sum with the bias: the operator itself, or an Add after a MatMul.
        way: The values from ``result`` to the affine node, the one next to the node first.
    """

    node: ir.Node
    weight: ir.Value
    weight_dims: tuple[int, ...]
    channels: int
    axis: int
    rank: int
    bias: ir.Value | None
    result: ir.Node
    way: tuple[ir.Value, ...] = ()


def fold_affine(rw: Rewriter) -> None:
    for node in rw.nodes("Mul", "Div", "Add", "Sub"):
        affine = _affine(node)
        linear = None if affine is None else _linear_before(rw, affine)
        if affine is None or linear is None:
            continue
        gain = _per_channel(affine.gain, linear)
        shift = _per_channel(affine.shift, linear)
        if gain is None or shift is None:
            rw.refuse(node, f"its constant varies along another axis than the channels of {rw.called(linear.node)}")
        elif affine.gain is not None and len(linear.weight.uses()) > 1:
            rw.refuse(node, f"the weights of {rw.called(linear.node)} are shared with other nodes")
        elif not (np.isfinite(gain).all() and np.isfinite(shift).all()):
            rw.refuse(node, "its constant is not finite")
        else:
            weights = _scale(constant(linear.weight), gain, linear) if gain.size else None
            if weights is not None and _leaves_its_type(linear.weight, gain, weights):
                rw.refuse(node, "its product with the weights is out of the range of their type")
            else:
                _fold(rw, affine, linear, weights, gain, shift)


def _leaves_its_type(weight: ir.Value, gain: Array, scaled: Array) -> bool:
    """Whether weights have become infinite, or all of them 0, by a gain that the result itself could take."""
    old = np.asarray(constant(weight))
    lost = bool(old.any()) and bool(gain.any()) and not scaled.any()
    return lost or not np.isfinite(scaled[np.isfinite(old)]).all()


def _affine(node: ir.Node) -> _Affine | None:
    """A product or sum of a value and a constant; None if it isn't one."""
    for value, other, on_right in ((node.inputs[0], node.inputs[1], True), (node.inputs[1], node.inputs[0], False)):
        if value is None or is_constant(value) or value.dtype not in _FLOATS or not is_constant(other):
            continue
        shape = static_shape(other)
        if shape is None or sum(d > 1 for d in shape) > 1:
            return None  # more than one axis: no constant per channel, and maybe a large one
        number = np.asarray(constant(other), np.float64)
        match node.op_type:
            case "Mul":
                return _Affine(node, value, number, None)
            case "Div":
                with np.errstate(divide="ignore"):
                    return _Affine(node, value, 1 / number, None) if on_right else None
            case "Add":
                return _Affine(node, value, None, number)
            case _:
                return _Affine(node, value, None if on_right else np.array(-1.0), -number if on_right else number)
    return None


def _linear_before(rw: Rewriter, affine: _Affine) -> _Linear | None:
    """The linear operator whose result the affine node alone takes, maybe in another shape."""
    way = [affine.value]
    user = affine.node
    while sole_consumer(way[-1]) is user:
        maker = way[-1].producer()
        if maker is None or maker.graph is not user.graph:
            return None
        linear = _read_linear(rw, maker, affine.shift is not None)
        if linear is not None:
            return replace(linear, way=tuple(way))
        if maker.op_type not in _RESHAPING or maker.domain != "" or not affine.is_scalar or maker.inputs[0] is None:
            return None
        user = maker
        way.append(maker.inputs[0])
    return None


def _read_linear(rw: Rewriter, node: ir.Node, shifted: bool) -> _Linear | None:
    """A node, with a MatMul before it if it is an Add, as a linear operator that can take a gain, or also a shift."""
    if node.domain != "":
        return None
    match node.op_type:
        case "Conv" | "ConvTranspose":
            return _convolution(rw, node)
        case "Gemm":
            return _gemm(rw, node)
        case "MatMul":
            return None if shifted else _matmul(node, None, node)  # a sum is its bias, and needs an Add of its own
        case "Add":
            return _matmul_and_add(node)
    return None


def _matmul_and_add(node: ir.Node) -> _Linear | None:
    inner = _affine(node)
    matmul = None if inner is None else producer(inner.value, "MatMul")
    if inner is None or matmul is None or sole_consumer(inner.value) is not node or matmul.graph is not node.graph:
        return None
    bias = node.inputs[1] if node.inputs[0] is inner.value else node.inputs[0]
    linear = _matmul(matmul, bias, node)
    return linear if linear is not None and _per_channel(inner.shift, linear) is not None else None


def _convolution(rw: Rewriter, node: ir.Node) -> _Linear | None:
    weight, bias = node.inputs[1], node.inputs[2] if len(node.inputs) > 2 else None
    shape = static_shape(weight)
    if weight is None or shape is None or not is_constant(weight) or not (bias is None or is_constant(bias)):
        return None
    spatial = (1,) * (len(shape) - 2)
    group = rw.attribute(node, "group")
    if node.op_type == "Conv":
        return _Linear(node, weight, (-1, 1, *spatial), shape[0], 1 - len(shape), len(shape), bias, node)
    dims = (group, 1, shape[1], *spatial)
    return _Linear(node, weight, dims, shape[1] * group, 1 - len(shape), len(shape), bias, node)


def _gemm(rw: Rewriter, node: ir.Node) -> _Linear | None:
    weight, bias = node.inputs[1], node.inputs[2] if len(node.inputs) > 2 else None
    shape = static_shape(weight)
    if weight is None or shape is None or not is_constant(weight) or not (bias is None or is_constant(bias)):
        return None
    by_row = bool(rw.attribute(node, "transB"))
    linear = _Linear(node, weight, (-1, 1) if by_row else (1, -1), shape[0 if by_row else 1], -1, 2, bias, node)
    fits = bias is None or _per_channel(constant(bias), linear) is not None
    return linear if fits else None


def _matmul(node: ir.Node, bias: ir.Value | None, result: ir.Node) -> _Linear | None:
    weight, out = node.inputs[1], rank(node.outputs[0])
    shape = static_shape(weight)
    if weight is None or shape is None or len(shape) < 2 or out is None or not is_constant(weight):
        return None
    return _Linear(node, weight, (1,) * (len(shape) - 1) + (-1,), shape[-1], -1, out, bias, result)


def _per_channel(array: Array | None, linear: _Linear) -> Array | None:
    """One number per channel, shape [channels]; None if the array varies otherwise. No array is empty: no change."""
    if array is None:
        return np.empty(0)
    if array.ndim > linear.rank:
        return None
    along = array.shape[linear.axis] if array.ndim >= -linear.axis else 1
    if along not in (1, linear.channels) or array.size != along:
        return None
    return np.broadcast_to(array.reshape(-1), (linear.channels,))


def _fold(rw: Rewriter, affine: _Affine, linear: _Linear, weights: Array | None, gain: Array, shift: Array) -> None:
    node, weight, bias = linear.node, linear.weight, linear.bias
    old = np.asarray(constant(bias), np.float64) if bias is not None else np.zeros(1)
    if node.op_type == "Gemm":
        old = old * rw.attribute(node, "beta")
        node.attributes.pop("beta", None)
    total = np.broadcast_to(old.reshape(-1), (linear.channels,))
    if weights is not None:
        _set(rw, node, 1, f"{weight.name}/scaled", weights)
        total = total * gain
    if shift.size:
        total = total + shift
    if bias is not None or shift.size:
        holder = linear.result
        index = 2 if holder is node else next(i for i, v in enumerate(holder.inputs) if v is bias)
        dtype = ir.DataType.FLOAT if weight.dtype is None else weight.dtype
        base = weight.name if bias is None else bias.name
        _set(rw, holder, index, f"{base}/folded", total.astype(dtype.numpy()))
    for value in linear.way[1:]:  # not what they were under their names any more
        value.name = rw.unique(f"{value.name}/folded")
    rw.replace(affine.node, affine.value)


def _scale(weight: Array | None, gain: Array, linear: _Linear) -> Array:
    """The weights times one number per channel of the output, in the weights' type."""
    array = np.asarray(weight)
    shape = array.shape
    if linear.node.op_type == "ConvTranspose":  # [C, M/group, …]: input channels come in groups, each with its outputs
        group = linear.weight_dims[0]
        shape = (group, array.shape[0] // group, *array.shape[1:])
    with np.errstate(over="ignore"):  # the caller looks for it
        factors = gain.reshape(linear.weight_dims).astype(np.result_type(array.dtype, np.float32))
        scaled: Array = np.multiply(array.reshape(shape), factors).reshape(array.shape)
        return scaled.astype(array.dtype, copy=False)


def _set(rw: Rewriter, node: ir.Node, index: int, base: str, array: Array) -> None:
    """Give a node a new constant input, and forget the old one if nobody else uses it."""
    if index >= len(node.inputs):
        node.resize_inputs(index + 1)
    old = node.inputs[index]
    node.replace_input_with(index, rw.constant(node, base, array))
    if old is not None:
        rw.drop_unused(old)


PASS = Pass(
    name="fold_affine",
    run=fold_affine,
    requires=frozenset({NO_LOCAL_FUNCTIONS, CONSTANTS_LIFTED, TYPED}),
    must_follow=("fold_constants", "split_batch_norm", "fuse_pad"),
)
