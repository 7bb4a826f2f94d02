from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeworthy.formats.tflite import edit as fb
from edgeworthy.quantize.equalization import equalize

from .conftest import normal_feeds
from .tflite_graph import CONV, POOL, Graph, Weights, run, sqnr

CHANNELS = 8
UNEVEN = (2.0 ** np.arange(-4, 4)).astype(np.float32)
"""How much larger one channel of the first layer is than another."""


def chain(path: Path, between: str = "", activation: str = "RELU", kind: str = "conv_2d") -> Path:
    """Two layers whose channels between them differ by 2⁷, with ``between`` in the middle."""
    w = Weights(0)
    g = Graph(x=(1, 8, 8, CHANNELS))
    kernel = w(CHANNELS, 3, 3, CHANNELS, fan_in=72) * UNEVEN[:, None, None, None]
    bias = np.linspace(-1, 1, CHANNELS).astype(np.float32) * UNEVEN
    y = g.op(
        "conv_2d", [g.inputs[0], kernel, bias], (1, 8, 8, CHANNELS), **CONV | {"fused_activation_function": activation}
    )
    size = 8
    if between == "max_pool_2d":
        size = 4
        y = g.op("max_pool_2d", [y], (1, 4, 4, CHANNELS), **POOL, fused_activation_function="NONE")
    elif between == "prelu":
        y = g.op(
            "prelu",
            [y, np.linspace(-0.5, 0.9, CHANNELS).astype(np.float32).reshape(1, 1, CHANNELS)],
            (1, 8, 8, CHANNELS),
        )
    elif between:
        y = g.op(between, [y], (1, 8, 8, CHANNELS))
    if kind == "depthwise_conv_2d":
        z = g.op(
            kind,
            [y, w(1, 3, 3, CHANNELS, fan_in=9), np.zeros(CHANNELS, np.float32)],
            (1, size, size, CHANNELS),
            **CONV,
            depth_multiplier=1,
        )
    else:
        z = g.op(kind, [y, w(4, 3, 3, CHANNELS, fan_in=72), np.ones(4, np.float32)], (1, size, size, 4), **CONV)
    outputs = {"z": z} if between != "shared" else {"z": z, "y": y}
    return g.save(path, **outputs).path


def weights(model: Any) -> list[Any]:
    graph = model.subgraphs[0]
    return [
        fb.values(model, graph.tensors[op.inputs[1]])
        for op in graph.operators
        if fb.op_name(model, op) in ("CONV_2D", "DEPTHWISE_CONV_2D")
    ]


def equalized(path: Path) -> tuple[Path, list[str]]:
    model = fb.read(fb.load(path))
    changed = equalize(model)
    result = path.with_name("equalized.tflite")
    result.write_bytes(fb.write(model))
    return result, changed


@pytest.mark.parametrize("kind", ["conv_2d", "depthwise_conv_2d"])
@pytest.mark.parametrize(
    ("between", "activation"), [("", "RELU"), ("", "NONE"), ("max_pool_2d", "RELU"), ("prelu", "NONE")]
)
def test_channels_get_one_size_and_the_model_computes_the_same(
    between: str, activation: str, kind: str, tmp_path: Path
) -> None:
    path = chain(tmp_path / "m.tflite", between, activation, kind)
    result, changed = equalized(path)
    assert len(changed) == 1
    first, second = weights(fb.read(fb.load(result)))
    made = np.abs(first.reshape(CHANNELS, -1)).max(axis=1)
    read = np.abs(np.moveaxis(second, 3, 0).reshape(CHANNELS, -1)).max(axis=1)
    np.testing.assert_allclose(made, read, rtol=0.02)
    model = fb.read(fb.load(path))
    inputs = [
        {"x": np.random.default_rng(s).normal(0, s + 1, (1, 8, 8, CHANNELS)).astype(np.float32)} for s in range(3)
    ]
    for feed in [*inputs, {"x": np.zeros((1, 8, 8, CHANNELS), np.float32)}]:
        assert sqnr(run(path, feed)["z"], run(result, feed)["z"]) > 110
    assert model.subgraphs[0].operators  # the file that it was made from is as it was


@pytest.mark.parametrize(
    ("between", "activation"), [("", "RELU6"), ("hard_swish", "NONE"), ("logistic", "NONE"), ("relu6", "NONE")]
)
def test_what_minds_a_factor_is_left_alone(between: str, activation: str, tmp_path: Path) -> None:
    path = chain(tmp_path / "m.tflite", between, activation)
    result, changed = equalized(path)
    assert changed == []
    for before, after in zip(weights(fb.read(fb.load(path))), weights(fb.read(fb.load(result))), strict=True):
        np.testing.assert_array_equal(before, after)


def test_what_another_reads_is_left_alone(tmp_path: Path) -> None:
    """A result that is an output of the model too."""
    w = Weights(0)
    g = Graph(x=(1, 8, 8, CHANNELS))
    y = g.op(
        "conv_2d",
        [
            g.inputs[0],
            w(CHANNELS, 3, 3, CHANNELS, fan_in=72) * UNEVEN[:, None, None, None],
            np.zeros(CHANNELS, np.float32),
        ],
        (1, 8, 8, CHANNELS),
        **CONV,
    )
    z = g.op("conv_2d", [y, w(4, 3, 3, CHANNELS, fan_in=72), np.ones(4, np.float32)], (1, 8, 8, 4), **CONV)
    model = g.save(tmp_path / "m.tflite", y=y, z=z)
    assert equalized(model.path)[1] == []


def test_dead_channels_stay_dead(tmp_path: Path) -> None:
    w = Weights(0)
    kernel = w(CHANNELS, 3, 3, CHANNELS, fan_in=72)
    kernel[2], kernel[5] = 0, 1e-30
    g = Graph(x=(1, 8, 8, CHANNELS))
    y = g.op("conv_2d", [g.inputs[0], kernel, np.ones(CHANNELS, np.float32)], (1, 8, 8, CHANNELS), **CONV)
    after = w(4, 3, 3, CHANNELS, fan_in=72)
    after[..., 3] = 0
    z = g.op("conv_2d", [y, after, np.ones(4, np.float32)], (1, 8, 8, 4), **CONV)
    model = g.save(tmp_path / "m.tflite", z=z)
    result, _ = equalized(model.path)
    assert all(np.isfinite(values).all() for values in weights(fb.read(fb.load(result))))
    for feed in normal_feeds(model, 3, seed=1):
        assert sqnr(run(model.path, feed)["z"], run(result, feed)["z"]) > 110
