"""Weights in blocks that share a scale."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgeworthy.formats.tflite import edit as fb
from edgeworthy.quantize.post_training import quantize
from edgeworthy.quantize.recipe import Recipe

from .conftest import normal_feeds
from .tflite_graph import FC, Graph, Weights, worst_sqnr


@pytest.mark.parametrize("width", [120, 30])
def test_rows_that_make_no_whole_blocks_have_8_bits(width: int, tmp_path: Path) -> None:
    """And those that do have 4, in the same file."""
    g, w = Graph(x=(4, 64)), Weights(0)
    x = g.op("fully_connected", [g.inputs[0], w(width, 64, fan_in=64), np.zeros(width, np.float32)], (4, width), **FC)
    y = g.op("fully_connected", [x, w(64, width, fan_in=width), np.zeros(64, np.float32)], (4, 64), **FC)
    model = g.save(tmp_path / "m.tflite", y=y)
    made = quantize(model, tmp_path / "q.tflite", Recipe.of("dynamic_wi4b32_afp32")).model
    stored = {tuple(t.shape): t.type for t in fb.read(made.path.read_bytes()).subgraphs[0].tensors if t.quantization}
    assert (stored[width, 64], stored[64, width]) == (fb.TensorType.INT4, fb.TensorType.INT8)
    for delegate in (True, False):
        assert worst_sqnr(model.path, made.path, normal_feeds(model, 8, 1), delegate=delegate) > 18
