from __future__ import annotations

from typing import Any

import numpy as np
import pytest

BATCH_NORM = """
<ir_version: 8, opset_import: ["" : {opset}]>
g (float[{x}] x) => (float[{x}] y) {{
    y = BatchNormalization <epsilon = 0.01> (x, scale, bias, mean, variance)
}}"""


def parameters(channels: int = 3, seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    names = ("scale", "bias", "mean", "variance")
    values = rng.normal(size=(4, channels)).astype(np.float32)
    values[3] = np.abs(values[3]) + 0.1
    return dict(zip(names, values, strict=True))


@pytest.mark.parametrize("opset", [7, 9, 14, 15, 20])
@pytest.mark.parametrize("shape", ["2,3", "2,3,5", "2,3,4,5"])
def test_becomes_a_product_and_a_sum(apply: Any, opset: int, shape: str) -> None:
    result = apply(BATCH_NORM.format(opset=opset, x=shape), "split_batch_norm", weights=parameters())
    assert result.ops == ["Mul", "Add"]
    gain = result.model.graph[0].inputs[1]
    assert list(gain.shape) == [3] + [1] * (shape.count(",") - 1)
    assert result.model.graph[1].metadata_props["edgeworthy.module"] == "module of n0"


def test_is_combined_in_float64(apply: Any) -> None:
    weights = parameters()
    result = apply(BATCH_NORM.format(opset=15, x="2,3"), "split_batch_norm", weights=weights)
    scale, bias, mean, variance = (weights[n].astype(np.float64) for n in ("scale", "bias", "mean", "variance"))
    gain = scale / np.sqrt(variance + np.float64(np.float32(0.01)))
    np.testing.assert_array_equal(result.model.graph[0].inputs[1].const_value.numpy(), gain.astype(np.float32))
    shift = (bias - mean * gain).astype(np.float32)
    np.testing.assert_array_equal(result.model.graph[1].inputs[1].const_value.numpy(), shift)


def test_the_old_parameters_are_forgotten(apply: Any) -> None:
    result = apply(BATCH_NORM.format(opset=15, x="2,3"), "split_batch_norm", weights=parameters())
    assert not {"scale", "bias", "mean", "variance"} & result.model.graph.initializers.keys()


def test_a_module_applied_twice_has_its_constants_once(apply: Any) -> None:
    text = """
    <ir_version: 8, opset_import: ["" : 15]>
    g (float[2,3,4,4] x) => (float[2,3,4,4] z) {
        y = BatchNormalization (x, scale, bias, mean, variance)
        z = BatchNormalization (y, scale, bias, mean, variance)
    }"""
    result = apply(text, "split_batch_norm", weights=parameters())
    assert result.ops == ["Mul", "Add", "Mul", "Add"]
    assert len(result.model.graph.initializers) == 2


def test_parameters_that_are_inputs_are_combined_by_nodes(apply: Any) -> None:
    text = """
    <ir_version: 8, opset_import: ["" : 15]>
    g (float[2,3,4,4] x, float[3] scale, float[3] bias, float[3] mean, float[3] variance) => (float[2,3,4,4] y) {
        y = BatchNormalization (x, scale, bias, mean, variance)
    }"""
    rng = np.random.default_rng(1)
    feeds = {n: rng.random(3).astype(np.float32) + 0.5 for n in ("scale", "bias", "mean", "variance")}
    feeds["x"] = rng.normal(size=(2, 3, 4, 4)).astype(np.float32)
    result = apply(text, "split_batch_norm", feeds=feeds)
    assert result.ops == ["Add", "Sqrt", "Div", "Mul", "Sub", "Reshape", "Reshape", "Mul", "Add"]


def test_training_mode_is_refused(apply: Any) -> None:
    text = """
    <ir_version: 8, opset_import: ["" : 15]>
    g (float[2,3,4,4] x) => (float[2,3,4,4] y, float[3] m, float[3] v) {
        y, m, v = BatchNormalization <training_mode = 1> (x, scale, bias, mean, variance)
    }"""
    result = apply(text, "split_batch_norm", weights=parameters())
    assert result.ops == ["BatchNormalization"]
    assert "training mode" in result.refusals("split_batch_norm")


def test_statistics_of_single_elements_are_refused(apply: Any) -> None:
    text = """
    <ir_version: 8, opset_import: ["" : 7]>
    g (float[2,3] x) => (float[2,3] y) {
        y = BatchNormalization <spatial = 0> (x, scale, bias, mean, variance)
    }"""
    result = apply(text, "split_batch_norm", weights=parameters())
    assert "spatial" in result.refusals("split_batch_norm")
