"""The TFLite vocabulary in TensorFlow: what each op of it computes, as TF ops.

Every entry takes the graph's tensors, the operands and the op's attributes and returns one tensor or several. Weights
arrive in TFLite's axis order and are laid out for TensorFlow when the graph is made, at no cost at run time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from .tensor import Tensor, Unsupported
from .tensorflow_tensors import TensorFlowTensors

Handler = Callable[[TensorFlowTensors, Sequence[Tensor], dict[str, Any]], Any]

_SIMPLE: dict[str, Callable[..., Any]] = {
    "abs": tf.abs, "ceil": tf.math.ceil, "cos": tf.cos, "elu": tf.nn.elu, "exp": tf.exp, "floor": tf.floor,
    "log": tf.math.log, "log_softmax": tf.nn.log_softmax, "logistic": tf.sigmoid,
    "logical_not": tf.logical_not, "neg": tf.negative, "relu": tf.nn.relu, "relu6": tf.nn.relu6,
    "relu_n1_to_1": lambda x: tf.clip_by_value(x, -1.0, 1.0), "round": tf.round, "rsqrt": tf.math.rsqrt,
    "sign": tf.sign, "sin": tf.sin, "sqrt": tf.sqrt, "square": tf.square, "tanh": tf.tanh,
    "hard_swish": lambda x: x * tf.nn.relu6(x + 3.0) * (1.0 / 6.0),
    "sub": tf.subtract, "add": tf.add, "mul": tf.multiply, "floor_div": tf.math.floordiv,
    "floor_mod": tf.math.floormod, "maximum": tf.maximum, "minimum": tf.minimum, "pow": tf.pow,
    "squared_difference": tf.math.squared_difference, "atan2": tf.atan2, "bitwise_xor": tf.bitwise.bitwise_xor,
    "right_shift": tf.bitwise.right_shift, "logical_and": tf.logical_and, "logical_or": tf.logical_or,
    "equal": tf.equal, "not_equal": tf.not_equal, "greater": tf.greater, "greater_equal": tf.greater_equal,
    "less": tf.less, "less_equal": tf.less_equal, "select_v2": tf.where,
    "prelu": lambda x, slope: tf.maximum(x, 0.0) + slope * tf.minimum(x, 0.0),
    "shape": tf.shape, "reshape": tf.reshape, "transpose": tf.transpose, "slice": tf.slice, "pad": tf.pad,
    "padv2": lambda x, pads, value: tf.pad(x, pads, constant_values=value), "tile": tf.tile,
    "broadcast_to": tf.broadcast_to, "gather_nd": tf.gather_nd, "scatter_nd": tf.scatter_nd, "fill": tf.fill,
    "unsorted_segment_max": tf.math.unsorted_segment_max, "unsorted_segment_min": tf.math.unsorted_segment_min,
    "unsorted_segment_prod": tf.math.unsorted_segment_prod, "range": tf.range, "reverse_v2": tf.reverse,
    "where": tf.where,
}  # fmt: skip

_REDUCTIONS: dict[str, Callable[..., Any]] = {
    "mean": tf.reduce_mean, "sum": tf.reduce_sum, "reduce_max": tf.reduce_max, "reduce_min": tf.reduce_min,
    "reduce_prod": tf.reduce_prod, "reduce_any": tf.reduce_any, "reduce_all": tf.reduce_all,
}  # fmt: skip


def emit(b: TensorFlowTensors, op: str, operands: Sequence[Tensor], attributes: dict[str, Any]) -> Any:
    """The TensorFlow tensors that ``op`` of the TFLite vocabulary computes."""
    if op in _SIMPLE:
        return _SIMPLE[op](*map(b.tf, operands))
    if op in _REDUCTIONS:
        x, axes = map(b.tf, operands)
        return _REDUCTIONS[op](x, axes, keepdims=attributes["keep_dims"])
    if op not in _HANDLERS:
        raise Unsupported(f"{op} has no counterpart in TensorFlow")
    return _HANDLERS[op](b, operands, attributes)


def _cast(b: TensorFlowTensors, t: Sequence[Tensor], a: dict[str, Any]) -> Any:
    return tf.cast(b.tf(t[0]), a["dtype"])


def _div(b: TensorFlowTensors, t: Sequence[Tensor], a: dict[str, Any]) -> Any:
    x, y = map(b.tf, t)
    return tf.divide(x, y) if t[0].is_float else tf.truncatediv(x, y)


def _conv_2d(b: TensorFlowTensors, t: Sequence[Tensor], a: dict[str, Any]) -> Any:
    x, kernel = b.tf(t[0]), b.laid_out(t[1], (1, 2, 3, 0))
    result = tf.nn.conv2d(
        x, kernel, (a["stride_h"], a["stride_w"]), a["padding"],
        dilations=(a["dilation_h_factor"], a["dilation_w_factor"]),
    )  # fmt: skip
    return _with_bias(b, result, t[2])


def _depthwise_conv_2d(b: TensorFlowTensors, t: Sequence[Tensor], a: dict[str, Any]) -> Any:
    x, (_, kh, kw, out), multiplier = b.tf(t[0]), t[1].static_shape, a["depth_multiplier"]
    strides, dilations = (a["stride_h"], a["stride_w"]), (a["dilation_h_factor"], a["dilation_w_factor"])
    if strides[0] == strides[1] and (max(strides) == 1 or max(dilations) == 1):
        kernel = b.laid_out(t[1], (0, 1, 2, 3), (kh, kw, out // multiplier, multiplier))
        result = tf.nn.depthwise_conv2d(x, kernel, (1, *strides, 1), a["padding"], dilations=dilations)
    else:
        # TensorFlow's kernel knows neither unequal strides nor stride with dilation; its grouped one does.
        kernel = b.laid_out(t[1], (0, 1, 2, 3), (kh, kw, 1, out))
        result = tf.nn.conv2d(x, kernel, strides, a["padding"], dilations=dilations)
    return _with_bias(b, result, t[2])


def _conv_3d(b: TensorFlowTensors, t: Sequence[Tensor], a: dict[str, Any]) -> Any:
    strides = (1, a["stride_d"], a["stride_h"], a["stride_w"], 1)
    dilations = (1, a["dilation_d_factor"], a["dilation_h_factor"], a["dilation_w_factor"], 1)
    result = tf.nn.conv3d(b.tf(t[0]), b.tf(t[1]), strides, a["padding"], dilations=dilations)
    return _with_bias(b, result, t[2])


def _transpose_conv(b: TensorFlowTensors, t: Sequence[Tensor], a: dict[str, Any]) -> Any:
    shape, kernel, x = b.tf(t[0]), b.laid_out(t[1], (1, 2, 0, 3)), b.tf(t[2])
    result = tf.nn.conv2d_transpose(x, kernel, shape, (a["stride_h"], a["stride_w"]), a["padding"])
    return _with_bias(b, result, t[3])


def _conv_3d_transpose(b: TensorFlowTensors, t: Sequence[Tensor], a: dict[str, Any]) -> Any:
    shape, kernel, x = map(b.tf, t[:3])
    strides = (a["stride_d"], a["stride_h"], a["stride_w"])
    return tf.nn.conv3d_transpose(x, kernel, shape, strides, a["padding"])


def _with_bias(b: TensorFlowTensors, result: Any, bias: Tensor) -> Any:
    if bias.value is not None and not bias.value.any():
        return result
    return tf.nn.bias_add(result, b.tf(bias))


def _pool(b: TensorFlowTensors, t: Sequence[Tensor], a: dict[str, Any], function: Callable[..., Any]) -> Any:
    window, strides = (a["filter_height"], a["filter_width"]), (a["stride_h"], a["stride_w"])
    return function(b.tf(t[0]), window, strides, a["padding"])


def _fully_connected(b: TensorFlowTensors, t: Sequence[Tensor], a: dict[str, Any]) -> Any:
    x, weights = b.tf(t[0]), b.laid_out(t[1], (1, 0))
    product = tf.matmul(x, weights) if t[0].rank == 2 else tf.tensordot(x, weights, 1)
    return _with_bias(b, product, t[2])


def _split_v(b: TensorFlowTensors, t: Sequence[Tensor], a: dict[str, Any]) -> Any:
    return tf.split(b.tf(t[0]), b.tf(t[1]), int(t[2].value), num=a["num_splits"])  # type: ignore[arg-type]


def _strided_slice(b: TensorFlowTensors, t: Sequence[Tensor], a: dict[str, Any]) -> Any:
    x, begin, end, strides = map(b.tf, t)
    return tf.strided_slice(x, begin, end, strides, begin_mask=a["begin_mask"], end_mask=a["end_mask"])


def _resize(b: TensorFlowTensors, t: Sequence[Tensor], a: dict[str, Any], op: Callable[..., Any]) -> Any:
    x, size = map(b.tf, t)
    return op(images=x, size=size, align_corners=a["align_corners"], half_pixel_centers=a["half_pixel_centers"])


def _reverse_sequence(b: TensorFlowTensors, t: Sequence[Tensor], a: dict[str, Any]) -> Any:
    return tf.reverse_sequence(b.tf(t[0]), b.tf(t[1]), a["seq_dim"], a["batch_dim"])


_HANDLERS: dict[str, Handler] = {
    "cast": _cast,
    "div": _div,
    "conv_2d": _conv_2d,
    "depthwise_conv_2d": _depthwise_conv_2d,
    "conv_3d": _conv_3d,
    "transpose_conv": _transpose_conv,
    "conv_3d_transpose": _conv_3d_transpose,
    "fully_connected": _fully_connected,
    "split_v": _split_v,
    "strided_slice": _strided_slice,
    "reverse_sequence": _reverse_sequence,
    "max_pool_2d": lambda b, t, a: _pool(b, t, a, tf.nn.max_pool2d),
    "average_pool_2d": lambda b, t, a: _pool(b, t, a, tf.nn.avg_pool2d),
    "resize_bilinear": lambda b, t, a: _resize(b, t, a, tf.raw_ops.ResizeBilinear),
    "resize_nearest_neighbor": lambda b, t, a: _resize(b, t, a, tf.raw_ops.ResizeNearestNeighbor),
    "gelu": lambda b, t, a: tf.nn.gelu(b.tf(t[0]), approximate=a["approximate"]),
    "leaky_relu": lambda b, t, a: tf.nn.leaky_relu(b.tf(t[0]), a["alpha"]),
    "softmax": lambda b, t, a: tf.nn.softmax(b.tf(t[0])),
    "mirror_pad": lambda b, t, a: tf.pad(b.tf(t[0]), b.tf(t[1]), a["mode"]),
    "concatenation": lambda b, t, a: tf.concat([b.tf(p) for p in t], a["axis"]),
    "pack": lambda b, t, a: tf.stack([b.tf(p) for p in t], a["axis"]),
    "unpack": lambda b, t, a: tf.unstack(b.tf(t[0]), a["num"], a["axis"]),
    "gather": lambda b, t, a: tf.gather(b.tf(t[0]), b.tf(t[1]), axis=a["axis"], batch_dims=a["batch_dims"]),
    "batch_matmul": lambda b, t, a: tf.matmul(b.tf(t[0]), b.tf(t[1]), transpose_a=a["adj_x"], transpose_b=a["adj_y"]),
    "local_response_normalization": lambda b, t, a: tf.nn.local_response_normalization(
        b.tf(t[0]), a["radius"], a["bias"], a["alpha"], a["beta"]
    ),
    "depth_to_space": lambda b, t, a: tf.nn.depth_to_space(b.tf(t[0]), a["block_size"]),
    "space_to_depth": lambda b, t, a: tf.nn.space_to_depth(b.tf(t[0]), a["block_size"]),
    "one_hot": lambda b, t, a: tf.one_hot(b.tf(t[0]), b.tf(t[1]), b.tf(t[2]), b.tf(t[3]), axis=a["axis"]),
    "arg_max": lambda b, t, a: tf.argmax(b.tf(t[0]), int(t[1].value), tf.int64),  # type: ignore[arg-type]
    "arg_min": lambda b, t, a: tf.argmin(b.tf(t[0]), int(t[1].value), tf.int64),  # type: ignore[arg-type]
    "cumsum": lambda b, t, a: tf.cumsum(b.tf(t[0]), b.tf(t[1]), exclusive=a["exclusive"], reverse=a["reverse"]),
    "topk_v2": lambda b, t, a: tuple(tf.math.top_k(b.tf(t[0]), b.tf(t[1]), sorted=True)),
}
