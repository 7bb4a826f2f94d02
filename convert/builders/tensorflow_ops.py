"""The TFLite vocabulary in TensorFlow: what each op of it computes, as TF ops.

``formats.tflite.ops`` names the ops that are a TensorFlow function of their operands; :data:`HANDLERS` has the others.
Every handler takes the graph's tensors, the operands and the op's attributes and returns one tensor or several. Weights
arrive in TFLite's axis order and are laid out for TensorFlow when the graph is made, at no cost at run time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any

import numpy as np
import tensorflow as tf

from ...errors import InternalFault
from ...formats.tflite.ops import HANDLER, OPS
from .tensor import Tensor, element_count
from .tensorflow_tensors import TensorFlowTensors

TensorFlowHandler = Callable[[TensorFlowTensors, Sequence[Tensor], dict[str, Any]], Any]


def emit(b: TensorFlowTensors, op: str, operands: Sequence[Tensor], attributes: dict[str, Any]) -> Any:
    """The TensorFlow tensors that ``op`` of the TFLite vocabulary computes."""
    form = OPS[op].tensorflow
    if form is None or form == HANDLER:
        return HANDLERS[op](b, operands, attributes)
    return attrgetter(form)(tf)(*map(b.tf, operands))


def _cast(b: TensorFlowTensors, t: Sequence[Tensor], a: dict[str, Any]) -> Any:
    return tf.cast(b.tf(t[0]), a["dtype"])


def _quantize(b: TensorFlowTensors, t: Sequence[Tensor], a: dict[str, Any]) -> Any:
    steps, limits = a["steps"], np.iinfo(a["dtype"])
    counted = tf.round(b.tf(t[0]) / np.float32(steps.scale)) + float(steps.zero_point)
    return tf.cast(tf.clip_by_value(counted, float(limits.min), float(limits.max)), a["dtype"])


def _dequantize(b: TensorFlowTensors, t: Sequence[Tensor], a: dict[str, Any]) -> Any:
    steps = t[0].steps
    if steps is None:
        raise InternalFault("DEQUANTIZE of a tensor without a scale")
    return (tf.cast(b.tf(t[0]), a["dtype"]) - float(steps.zero_point)) * np.float32(steps.scale)


def _div(b: TensorFlowTensors, t: Sequence[Tensor], a: dict[str, Any]) -> Any:
    x, y = map(b.tf, t)
    return tf.divide(x, y) if t[0].is_float else tf.truncatediv(x, y)


def _conv_2d(b: TensorFlowTensors, t: Sequence[Tensor], a: dict[str, Any]) -> Any:
    x, kernel = b.tf(t[0]), b.laid_out(t[1], (1, 2, 3, 0))
    result = tf.nn.conv2d(
        x, kernel, (a["stride_h"], a["stride_w"]), a["padding"],
        dilations=(a["dilation_h_factor"], a["dilation_w_factor"]),
    )  # fmt: skip
    return _with_bias(b, result, t[2], grouped=x.shape[-1] != kernel.shape[2])


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
    return _with_bias(b, result, t[2], grouped=True)


def _conv_3d(b: TensorFlowTensors, t: Sequence[Tensor], a: dict[str, Any]) -> Any:
    x, kernel, padding = b.tf(t[0]), b.tf(t[1]), a["padding"]
    strides = (a["stride_d"], a["stride_h"], a["stride_w"])
    dilations = (a["dilation_d_factor"], a["dilation_h_factor"], a["dilation_w_factor"])
    if max(dilations) == 1:
        return _with_bias(b, tf.nn.conv3d(x, kernel, (1, *strides, 1), padding), t[2])
    # Without oneDNN TensorFlow's kernel knows no dilation on a CPU; and what goes by blocks knows no stride.
    reach = [dilation * (size - 1) for dilation, size in zip(dilations, t[1].static_shape, strict=False)]
    extents = [known or tf.shape(x)[axis] for axis, known in enumerate(t[0].shape[1:4], 1)]
    if padding == "SAME":
        pads = [
            tf.maximum((n - 1) // stride * stride + far + 1 - n, 0)
            for n, stride, far in zip(extents, strides, reach, strict=True)
        ]
        x = tf.pad(x, [(0, 0), *((pad // 2, pad - pad // 2) for pad in pads), (0, 0)])
    result = tf.compat.v1.nn.with_space_to_batch(
        x, dilations, "VALID", lambda blocks, *_: tf.nn.conv3d(blocks, kernel, (1, 1, 1, 1, 1), "VALID")
    )
    return _with_bias(b, result[:, :: strides[0], :: strides[1], :: strides[2]], t[2])


def _transpose_conv(b: TensorFlowTensors, t: Sequence[Tensor], a: dict[str, Any]) -> Any:
    shape, kernel, x = b.tf(t[0]), b.laid_out(t[1], (1, 2, 0, 3)), b.tf(t[2])
    result = tf.nn.conv2d_transpose(x, kernel, shape, (a["stride_h"], a["stride_w"]), a["padding"])
    return _with_bias(b, result, t[3])


def _conv_3d_transpose(b: TensorFlowTensors, t: Sequence[Tensor], a: dict[str, Any]) -> Any:
    shape, kernel, x = map(b.tf, t[:3])
    strides = (a["stride_d"], a["stride_h"], a["stride_w"])
    return tf.nn.conv3d_transpose(x, kernel, shape, strides, a["padding"])


def _with_bias(b: TensorFlowTensors, result: Any, bias: Tensor, *, grouped: bool = False) -> Any:
    if bias.value is not None and not bias.value.any():
        return result
    # TensorFlow's graph optimizer fuses a BIAS_ADD with the convolution before it, into a kernel that without oneDNN
    # knows no groups.
    return result + b.tf(bias) if grouped else tf.nn.bias_add(result, b.tf(bias))


def _pool(b: TensorFlowTensors, t: Sequence[Tensor], a: dict[str, Any], function: Callable[..., Any]) -> Any:
    window, strides = (a["filter_height"], a["filter_width"]), (a["stride_h"], a["stride_w"])
    return function(b.tf(t[0]), window, strides, a["padding"])


def _fully_connected(b: TensorFlowTensors, t: Sequence[Tensor], a: dict[str, Any]) -> Any:
    """Takes the weights as they lie where something else reads them too, as a tied embedding: they are one then.

    Others lie as MatMul has them by default: behind transposed ones TensorFlow.js 4.22, on WebAssembly, adds a wrong
    bias.
    """
    as_they_lie = t[1].value is None or b.is_read(t[1])
    x, weights = b.tf(t[0]), b.tf(t[1]) if as_they_lie else b.laid_out(t[1], (1, 0))
    (units, depth), outer = t[1].shape, t[0].shape[:-1]
    rows = element_count(outer)
    product = tf.matmul(
        x if t[0].rank == 2 else tf.reshape(x, (-1 if rows is None else rows, depth)),
        weights,
        transpose_b=as_they_lie,
    )
    if t[0].rank != 2:
        product = tf.reshape(product, tf.concat((tf.shape(x)[:-1], [units]), 0) if None in outer else (*outer, units))
    return _with_bias(b, product, t[2])


def _batch_matmul(b: TensorFlowTensors, t: Sequence[Tensor], a: dict[str, Any]) -> Any:
    # Of rank 2 too: on some processors TensorFlow's graph optimizer fuses a MatMul whose first operand is transposed
    # and an Add of a [1, N] into a BiasAdd, which then refuses a bias of rank 2.
    return tf.raw_ops.BatchMatMulV2(x=b.tf(t[0]), y=b.tf(t[1]), adj_x=a["adj_x"], adj_y=a["adj_y"])


def _split_v(b: TensorFlowTensors, t: Sequence[Tensor], a: dict[str, Any]) -> Any:
    return tf.split(b.tf(t[0]), b.tf(t[1]), int(t[2].value), num=a["num_splits"])  # type: ignore[arg-type]


def _update_row(b: TensorFlowTensors, t: Sequence[Tensor], a: dict[str, Any]) -> Any:
    x, row, start = map(b.tf, t)
    return tf.tensor_scatter_nd_update(x, tf.reshape(start[0], (1, 1)), row)


def _strided_slice(b: TensorFlowTensors, t: Sequence[Tensor], a: dict[str, Any]) -> Any:
    x, begin, end, strides = map(b.tf, t)
    return tf.strided_slice(x, begin, end, strides, begin_mask=a["begin_mask"], end_mask=a["end_mask"])


def _resize(b: TensorFlowTensors, t: Sequence[Tensor], a: dict[str, Any], op: Callable[..., Any]) -> Any:
    x, size = map(b.tf, t)
    return op(images=x, size=size, align_corners=a["align_corners"], half_pixel_centers=a["half_pixel_centers"])


def _reverse_sequence(b: TensorFlowTensors, t: Sequence[Tensor], a: dict[str, Any]) -> Any:
    return tf.reverse_sequence(b.tf(t[0]), b.tf(t[1]), a["seq_dim"], a["batch_dim"])


def _non_max_suppression(b: TensorFlowTensors, t: Sequence[Tensor], a: dict[str, Any]) -> Any:
    # TensorFlow keeps a box that overlaps by just as much as is allowed.
    boxes, scores, most, overlap, least = map(b.tf, t)
    return tf.raw_ops.NonMaxSuppressionV4(
        boxes=boxes, scores=scores, max_output_size=most, iou_threshold=tf.math.nextafter(overlap, 0.0),
        score_threshold=least, pad_to_max_output_size=True,
    )  # fmt: skip


def _reduction(function: Callable[..., Any]) -> TensorFlowHandler:
    return lambda b, t, a: function(b.tf(t[0]), b.tf(t[1]), keepdims=a["keep_dims"])


HANDLERS: dict[str, TensorFlowHandler] = {
    "cast": _cast,
    "bitcast": lambda b, t, a: tf.bitcast(b.tf(t[0]), a["dtype"]),
    "quantize": _quantize,
    "dequantize": _dequantize,
    "div": _div,
    "conv_2d": _conv_2d,
    "depthwise_conv_2d": _depthwise_conv_2d,
    "conv_3d": _conv_3d,
    "transpose_conv": _transpose_conv,
    "conv_3d_transpose": _conv_3d_transpose,
    "fully_connected": _fully_connected,
    "split": lambda b, t, a: tf.split(b.tf(t[1]), a["num_splits"], int(t[0].value)),  # type: ignore[arg-type]
    "split_v": _split_v,
    "dynamic_update_slice": _update_row,
    "strided_slice": _strided_slice,
    "reverse_sequence": _reverse_sequence,
    "max_pool_2d": lambda b, t, a: _pool(b, t, a, tf.nn.max_pool2d),
    "average_pool_2d": lambda b, t, a: _pool(b, t, a, tf.nn.avg_pool2d),
    "resize_bilinear": lambda b, t, a: _resize(b, t, a, tf.raw_ops.ResizeBilinear),
    "resize_nearest_neighbor": lambda b, t, a: _resize(b, t, a, tf.raw_ops.ResizeNearestNeighbor),
    "gelu": lambda b, t, a: tf.nn.gelu(b.tf(t[0]), approximate=a["approximate"]),
    "leaky_relu": lambda b, t, a: tf.nn.leaky_relu(b.tf(t[0]), a["alpha"]),
    "relu_n1_to_1": lambda b, t, a: tf.clip_by_value(b.tf(t[0]), -1.0, 1.0),
    "hard_swish": lambda b, t, a: b.tf(t[0]) * tf.nn.relu6(b.tf(t[0]) + 3.0) * (1.0 / 6.0),
    "prelu": lambda b, t, a: tf.maximum(b.tf(t[0]), 0.0) + b.tf(t[1]) * tf.minimum(b.tf(t[0]), 0.0),
    "softmax": lambda b, t, a: tf.nn.softmax(b.tf(t[0])),
    "padv2": lambda b, t, a: tf.pad(b.tf(t[0]), b.tf(t[1]), constant_values=b.tf(t[2])),
    "mirror_pad": lambda b, t, a: tf.pad(b.tf(t[0]), b.tf(t[1]), a["mode"]),
    "concatenation": lambda b, t, a: tf.concat([b.tf(p) for p in t], a["axis"]),
    "pack": lambda b, t, a: tf.stack([b.tf(p) for p in t], a["axis"]),
    "unpack": lambda b, t, a: tf.unstack(b.tf(t[0]), a["num"], a["axis"]),
    "gather": lambda b, t, a: tf.gather(b.tf(t[0]), b.tf(t[1]), axis=a["axis"], batch_dims=a["batch_dims"]),
    "batch_matmul": _batch_matmul,
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
    "non_max_suppression_v4": _non_max_suppression,
    "mean": _reduction(tf.reduce_mean),
    "sum": _reduction(tf.reduce_sum),
    "reduce_max": _reduction(tf.reduce_max),
    "reduce_min": _reduction(tf.reduce_min),
    "reduce_prod": _reduction(tf.reduce_prod),
    "reduce_any": _reduction(tf.reduce_any),
    "reduce_all": _reduction(tf.reduce_all),
}
