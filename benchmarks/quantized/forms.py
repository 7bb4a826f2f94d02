"""Forms of operators, each a small TensorFlow function on channels-last tensors, to be timed in float and in int8.

A function takes a tensor and a source of weights and gives a tensor; where the shapes allow, ``copies`` of it follow
each other, so that what is around them hardly counts.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Weights = Callable[..., NDArray[np.float32]]


@dataclass(frozen=True)
class Form:
    """One form.

    Attributes:
        name: What people call it.
        op: The TFLite operator that it is a form of.
        shape: Of the input.
        body: ``(tf, tensor, weights)`` → tensor.
        copies: How many follow each other.
    """

    name: str
    op: str
    shape: tuple[int, ...]
    body: Callable[[Any, Any, Weights], Any]
    copies: int = 4


def drawn(seed: int) -> Weights:
    """Weights of unit gain, by seed."""
    draw = np.random.default_rng(seed)

    def weights(*shape: int) -> NDArray[np.float32]:
        fan_in = math.prod(shape[:-1]) if len(shape) > 1 else 1
        return draw.normal(0, 1 / math.sqrt(fan_in), shape).astype(np.float32)

    return weights


def _conv(size: int, stride: int = 1, groups: int = 1) -> Callable[[Any, Any, Weights], Any]:
    def body(tf: Any, x: Any, weights: Weights) -> Any:
        channels = x.shape[-1]
        return tf.nn.conv2d(x, weights(size, size, channels // groups, channels), stride, "SAME") + weights(channels)

    return body


def _depthwise(size: int, stride: int = 1) -> Callable[[Any, Any, Weights], Any]:
    def body(tf: Any, x: Any, weights: Weights) -> Any:
        kernel = weights(size, size, 1, x.shape[-1]).transpose(0, 1, 3, 2)
        return tf.nn.depthwise_conv2d(x, kernel, (1, stride, stride, 1), "SAME") + weights(x.shape[-1])

    return body


def _transposed(size: int, stride: int) -> Callable[[Any, Any, Weights], Any]:
    def body(tf: Any, x: Any, weights: Weights) -> Any:
        n, height, width, channels = x.shape
        kernel = weights(size, size, channels, channels)
        return tf.nn.conv2d_transpose(x, kernel, (n, height * stride, width * stride, channels), stride, "SAME")

    return body


def _dense(tf: Any, x: Any, weights: Weights) -> Any:
    return tf.matmul(x, weights(x.shape[-1], x.shape[-1])) + weights(x.shape[-1])


def _norm(tf: Any, x: Any, weights: Weights) -> Any:
    mean = tf.reduce_mean(x, -1, keepdims=True)
    variance = tf.reduce_mean(tf.math.squared_difference(x, mean), -1, keepdims=True)
    return (x - mean) * tf.math.rsqrt(variance + 1e-6) * weights(x.shape[-1]) + weights(x.shape[-1])


def _lstm_step(tf: Any, x: Any, weights: Weights) -> Any:
    """The cell's state is half of the input, its output the other half."""
    width = x.shape[-1] // 2
    state, hidden = tf.split(x, 2, -1)
    gates = tf.matmul(hidden, weights(width, 4 * width)) + weights(4 * width)
    i, f, g, o = tf.split(gates, 4, -1)
    state = tf.sigmoid(f) * state + tf.sigmoid(i) * tf.tanh(g)
    return tf.concat([state, tf.sigmoid(o) * tf.tanh(state)], -1)


def _embedding(tf: Any, x: Any, weights: Weights) -> Any:
    """Rows of a table by the largest of each 64 values."""
    return tf.gather(weights(1000, 256), tf.argmax(tf.reshape(x, (-1, 64)), -1))


def _hard_swish(tf: Any, x: Any, _: Weights) -> Any:
    return x * tf.nn.relu6(x + 3) * (1 / 6)


def _prelu(tf: Any, x: Any, weights: Weights) -> Any:
    slopes = np.abs(weights(x.shape[-1])) % 1
    return tf.nn.relu(x) - slopes * tf.nn.relu(-x)


def _one(function: str, *arguments: Any) -> Callable[[Any, Any, Weights], Any]:
    """``tf.…`` of the tensor alone."""

    def body(tf: Any, x: Any, _: Weights) -> Any:
        found = tf
        for part in function.split("."):
            found = getattr(found, part)
        return found(x, *arguments)

    return body


_IMAGE, _WIDE, _DEEP = (1, 56, 56, 64), (1, 112, 112, 64), (1, 14, 14, 256)
_TOKENS, _HEADS = (1, 197, 384), (1, 6, 197, 197)

FORMS = (
    Form("convolution 1×1", "CONV_2D", _IMAGE, _conv(1)),
    Form("convolution 1×1, deep", "CONV_2D", _DEEP, _conv(1)),
    Form("convolution 3×3", "CONV_2D", _IMAGE, _conv(3)),
    Form("convolution 3×3, stride 2", "CONV_2D", _WIDE, _conv(3, 2), 1),
    Form("convolution 3×3, 4 groups", "CONV_2D", _IMAGE, _conv(3, 1, 4)),
    Form("depthwise 3×3", "DEPTHWISE_CONV_2D", _IMAGE, _depthwise(3)),
    Form("depthwise 3×3, stride 2", "DEPTHWISE_CONV_2D", _WIDE, _depthwise(3, 2), 1),
    Form("depthwise 5×5", "DEPTHWISE_CONV_2D", _IMAGE, _depthwise(5)),
    Form("depthwise 7×7", "DEPTHWISE_CONV_2D", _IMAGE, _depthwise(7)),
    Form("transposed convolution 2×2", "TRANSPOSE_CONV", _IMAGE, _transposed(2, 2), 1),
    Form("transposed convolution 3×3", "TRANSPOSE_CONV", _IMAGE, _transposed(3, 2), 1),
    Form("transposed convolution 4×4", "TRANSPOSE_CONV", _IMAGE, _transposed(4, 2), 1),
    Form("dense, one row", "FULLY_CONNECTED", (1, 512), _dense),
    Form("dense, 197 rows", "FULLY_CONNECTED", (197, 384), _dense),
    Form("product of two tensors", "BATCH_MATMUL", _HEADS, lambda tf, x, _: tf.matmul(x, x)),
    Form("softmax", "SOFTMAX", _HEADS, _one("nn.softmax")),
    Form("GELU, tanh", "GELU", _TOKENS, _one("nn.gelu", True)),
    Form("GELU, erf", "GELU", _TOKENS, _one("nn.gelu", False)),
    Form("hard-swish", "HARD_SWISH", _IMAGE, _hard_swish),
    Form("sigmoid", "LOGISTIC", _IMAGE, _one("sigmoid")),
    Form("SiLU", "LOGISTIC + MUL", _IMAGE, lambda tf, x, _: x * tf.sigmoid(x)),
    Form("tanh", "TANH", _IMAGE, _one("tanh")),
    Form("PReLU", "PRELU", _IMAGE, _prelu),
    Form("leaky ReLU", "LEAKY_RELU", _IMAGE, _one("nn.leaky_relu", 0.1)),
    Form("ELU", "ELU", _IMAGE, _one("nn.elu")),
    Form("exp", "EXP", _IMAGE, lambda tf, x, _: tf.exp(-tf.abs(x)), 1),
    Form("sum of two tensors", "ADD", _IMAGE, lambda tf, x, _: x + tf.reverse(x, [0]), 1),
    Form("sum with a row of constants", "ADD", _IMAGE, lambda tf, x, w: x + w(64)),
    Form("difference to a row of constants", "SUB", _IMAGE, lambda tf, x, w: w(64) - x),
    Form("product with a row of constants", "MUL", _IMAGE, lambda tf, x, w: x * w(64)),
    Form(
        "product of a tensor with its means", "MEAN + MUL", _IMAGE, lambda tf, x, _: x * tf.reduce_mean(x, (1, 2), True)
    ),
    Form("mean over the image", "MEAN", _WIDE, _one("reduce_mean", (1, 2), True), 1),
    Form("mean over the last axis", "MEAN", _TOKENS, _one("reduce_mean", -1, True), 1),
    Form("layer norm", "MEAN + SQUARED_DIFFERENCE + RSQRT …", _TOKENS, _norm),
    Form("ReLU", "RELU", _IMAGE, lambda tf, x, w: tf.nn.relu(tf.nn.avg_pool2d(x, 1, 1, "SAME")), 1),
    Form("concatenation of channels", "CONCATENATION", _WIDE, lambda tf, x, _: tf.concat([x, tf.nn.relu(x)], -1), 1),
    Form("largest of 3×3", "MAX_POOL_2D", _IMAGE, lambda tf, x, _: tf.nn.max_pool2d(x, 3, 1, "SAME")),
    Form("mean of 3×3", "AVERAGE_POOL_2D", _IMAGE, lambda tf, x, _: tf.nn.avg_pool2d(x, 3, 1, "SAME")),
    Form("bilinear resize", "RESIZE_BILINEAR", _IMAGE, lambda tf, x, _: tf.image.resize(x, (112, 112)), 1),
    Form(
        "nearest resize",
        "RESIZE_NEAREST_NEIGHBOR",
        _IMAGE,
        lambda tf, x, _: tf.image.resize(x, (112, 112), "nearest"),
        1,
    ),
    Form("padding", "PAD", _WIDE, lambda tf, x, _: tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]]), 1),
    Form("transpose", "TRANSPOSE", _TOKENS, _one("transpose", (0, 2, 1))),
    Form("LSTM step", "FULLY_CONNECTED + LOGISTIC + TANH …", (1, 512), _lstm_step),
    Form("rows of a table", "GATHER", (1, 8192), _embedding, 1),
)
