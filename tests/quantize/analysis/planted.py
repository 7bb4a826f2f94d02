"""Models in which one layer is bad on purpose, and files quantized whatever the tool would keep in float."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edgeworthy.artifact import TFLiteModel
from edgeworthy.formats.tflite import edit as fb
from edgeworthy.formats.tflite.summary import describe
from edgeworthy.quantize import engine
from edgeworthy.quantize.ranges import Observer
from edgeworthy.quantize.worker import Building, built
from edgeworthy.schemes import INT8

from ..tflite_graph import CONV, NO_ACTIVATION, Array, Graph, Weights

SHAPE = (1, 8, 8, 16)
WIDE = (1, 8, 8, 24)
"""So many channels that a single one of another size is no group of its own (``numerics.groups.SHARE``)."""
DEPTH = 6


def chain(path: Path, *, planted: int | None = None) -> TFLiteModel:
    """``DEPTH`` 1×1 convolutions; in number ``planted`` each channel has a weight of 300 on an input of nearly zero.

    That weight adds next to nothing to the result, and takes the scale of its channel.
    """
    w, g = Weights(3), Graph(x=WIDE)
    x = g.inputs[0]
    for number in range(DEPTH):
        weights, biases = w(24, 1, 1, 24, fan_in=36), w(24, fan_in=200)
        if planted is not None and number == planted - 1:
            weights[0], biases[0] = weights[0] * 1e-4, 0
        if number == planted:
            weights[..., 0] = 300
        x = g.op("conv_2d", [x, weights, biases], WIDE, **CONV)
        x = g.op("leaky_relu", [x], WIDE, alpha=0.3)
    return g.save(path, y=x)


def head(path: Path, reach: float = 400.0) -> TFLiteModel:
    """Boxes that reach ``reach`` and scores within 0 … 1, joined along the channels."""
    w, g = Weights(4), Graph(x=SHAPE)
    trunk = g.op("conv_2d", [g.inputs[0], w(16, 1, 1, 16, fan_in=24), w(16, fan_in=200)], SHAPE, **CONV)
    boxes = g.op("conv_2d", [trunk, w(4, 1, 1, 16, fan_in=24), w(4, fan_in=200)], (1, 8, 8, 4), **CONV)
    boxes = g.op("mul", [boxes, np.full((), reach / 4, np.float32)], (1, 8, 8, 4), **NO_ACTIVATION)
    scores = g.op("conv_2d", [trunk, w(12, 1, 1, 16, fan_in=24), w(12, fan_in=200)], (1, 8, 8, 12), **CONV)
    scores = g.op("logistic", [scores], (1, 8, 8, 12))
    joined = g.op("concatenation", [boxes, scores], SHAPE, axis=3, **NO_ACTIVATION)
    return g.save(path, y=g.op("reshape", [joined, np.array((1, 64, 16), np.int32)], (1, 64, 16)))


def force(model: TFLiteModel, path: Path, feeds: Sequence[dict[str, Array]]) -> TFLiteModel:
    """Quantize everything to int8, as a file that others made may be."""
    content = fb.load(model.path)
    observer = Observer(content)
    for feed in feeds:
        observer.observe(feed)
    engine.register_added_operators()
    made, _ = built(content, observer.model, Building(INT8, observer.ranges, {}))
    path.write_bytes(fb.write(made))
    return describe(path, INT8.name)
