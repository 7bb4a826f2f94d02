"""Axes and shapes that are inputs of the model: one file for all their values, against ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import onnxruntime as ort
import pytest

from ...conformance.adapters import RUNNERS, convert_to
from .against_ort import assert_agrees, model_of

X = np.random.default_rng(0).normal(size=(2, 1, 3, 1)).astype(np.float32)


@pytest.mark.parametrize("artifact", RUNNERS)
@pytest.mark.parametrize(
    ("node", "shape", "values"),
    [
        ("ReduceSum <keepdims = 1> (x, a)", "[2,1,3,1]", [[0, 2], [-1, 1], [3, 0]]),
        ("ReduceMax <keepdims = 0> (x, a)", "[2,1,3,1]", [[0, 2], [-1, 1], [3, 0]]),
        ("ReduceLogSumExp <keepdims = 0> (x, a)", "[N,1,M,1]", [[2], [-4], [1]]),
        ("ReduceLogSumExp <keepdims = 0> (x, a)", "[2,1,3,1]", [[2, 0], [-4, 1]]),
        ("Squeeze (x, a)", "[2,1,3,1]", [[1], [-1], [3]]),
        ("Squeeze (x, a)", "[N,1,M,1]", [[1, 3], [-1, 1]]),
        ("Unsqueeze (x, a)", "[N,1,M,1]", [[0, 5], [-1, 2], [3, 1], [4, 5]]),
        ("Reshape (x, a)", "[N,1,M,1]", [[0, 0, 3], [0, -1, 1], [6, 1, 1], [1, 2, 0]]),
        ("Reshape (x, a)", "[2,1,3,1]", [[0, 0, 0, -1, 1], [1, 0, 0, 2, -1]]),
    ],
)
def test_one_file_for_all_values(artifact: str, node: str, shape: str, values: list[list[int]], tmp_path: Path) -> None:
    text = f"""<ir_version: 8, opset_import: ["" : 18]> g (float{shape} x, int64[{len(values[0])}] a) => (float y) {{
        b = Abs (a) c = Sub (a, b) d = Add (b, c) z = {node.replace(", a)", ", d)")} y = Neg (z) }}"""
    model = onnx.parser.parse_model(text)
    model.graph.output[0].type.tensor_type.ClearField("shape")
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    made = convert_to(artifact, model.SerializeToString(), tmp_path)
    for value in values:
        feed: dict[str, Any] = {"x": X, "a": np.array(value, np.int64)}
        (want,) = session.run(None, feed)
        got = RUNNERS[artifact](made, feed)["y"]
        assert got.shape == want.shape
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("op", ["Sum", "Prod", "Max", "Min", "Mean", "L1", "LogSumExp"])
def test_a_reduction_of_nothing(op: str, tmp_path: Path) -> None:
    text = f"""<ir_version: 8, opset_import: ["" : 18]> g (float[2,0,3] x, int64[1] a) => (float[p,q] y) {{
        y = Reduce{op} <keepdims = 0> (x, a) }}"""
    made = convert_to("tflite", onnx.parser.parse_model(text).SerializeToString(), tmp_path)
    got = RUNNERS["tflite"](made, {"x": np.zeros((2, 0, 3), np.float32), "a": np.array([1], np.int64)})["y"]
    neutral = {"Prod": 1, "Max": -np.inf, "Min": np.inf, "Mean": np.nan, "LogSumExp": -np.inf}.get(op, 0)
    np.testing.assert_array_equal(got, np.full((2, 3), neutral, np.float32))


def test_an_expand_by_fewer_extents(tmp_path: Path) -> None:
    """ONNX broadcasts both ways: the shape that comes at run time may be of a lower rank, or a higher one."""
    model = model_of(
        "(float[2,3,1] x, int64[2] low, int64[4] high) => (float[a,b,c] y, float[d,e,f,g] z)",
        "y = Expand(x, low) z = Expand(x, high)",
    )
    x = np.arange(6, dtype=np.float32).reshape(2, 3, 1)
    feeds = [{"x": x, "low": np.array(low), "high": np.array(high)}
             for low, high in (([3, 4], [2, 1, 3, 1]), ([1, 1], [1, 2, 1, 5]))]  # fmt: skip
    assert_agrees(model, feeds, tmp_path)


@pytest.mark.parametrize("batch", ["n", "1"])
def test_no_axes_that_are_computed(batch: str, tmp_path: Path) -> None:
    """A Slice, a Pad and a reduction along none, and a constant of no axis."""
    model = model_of(
        f"(float[{batch},2,3] x, int64[0] a) => (float[p,q,r] y, float[s,t,u] z, float[v,w,o] m, float c)",
        "y = Slice(x, a, a, a) z = Pad(x, a, , a) m = ReduceMax<noop_with_empty_axes = 1>(x, a)"
        " c = ConstantOfShape<value = float[1] {3}>(a)",
    )
    x = np.arange(6, dtype=np.float32).reshape(1, 2, 3)
    assert_agrees(model, [{"x": x, "a": np.array([], np.int64)}], tmp_path)
