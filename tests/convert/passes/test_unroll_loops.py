from __future__ import annotations

from typing import Any

import numpy as np
import pytest

LOOP = """
<ir_version: 8, opset_import: ["" : 13]>
g (float[2] x) => (float[2] y, float[3,2] z) {
    two = Constant <value = float {2}> ()
    a = Exp (x)
    y, z = Loop (m, c, x) <body = b (int64 i, bool k, float[2] v) => (bool k2, float[2] w, float[2] u) {
        f = Cast <to = 1> (i)
        s = Mul (v, two)
        t = Add (s, f)
        w = Mul (t, a)
        u = Add (w, d)
        k2 = Identity (k) }>
}"""
WEIGHTS = {"m": np.array(3, np.int64), "c": np.array(True), "d": np.array([1, 5], np.float32)}


def test_a_loop_of_a_few_steps_is_written_out(apply: Any) -> None:
    result = apply(LOOP, "unroll_loops", weights=WEIGHTS)
    assert "Loop" not in result.ops
    assert (result.ops.count("Cast"), result.ops.count("Exp"), result.ops.count("Concat")) == (3, 1, 1)


@pytest.mark.parametrize(("count", "condition"), [(0, True), (-2, True), (3, False)])
def test_no_step_gives_the_initial_state_and_no_result(apply: Any, count: int, condition: bool) -> None:
    text = LOOP.replace("float[3,2] z", "float[n,2] z")
    weights = WEIGHTS | {"m": np.array(count, np.int64), "c": np.array(condition)}
    result = apply(text, "unroll_loops", weights=weights, feeds={"x": np.array([1, -1], np.float32)})
    assert result.ops == ["Identity", "Identity"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"k2 = Identity (k)": "k2 = Not (k)"}, "computed condition"),
        ({"(float[2] x)": "(float[2] x, int64 m)"}, "the number of its steps is computed"),
    ],
)
def test_what_the_data_decide_stays_a_loop(apply: Any, change: dict[str, str], why: str) -> None:
    text = LOOP.replace("float[3,2] z", "float[n,2] z")
    for old, new in change.items():
        text = text.replace(old, new)
    weights = {k: v for k, v in WEIGHTS.items() if k != "m" or "m)" not in "".join(change.values())}
    feeds = {"x": np.ones(2, np.float32), "m": np.array(3, np.int64)}
    result = apply(text, "unroll_loops", weights=weights, feeds={k: v for k, v in feeds.items() if k not in weights})
    assert "Loop" in result.ops
    assert why in result.refusals("unroll_loops")


def test_many_steps_stay_a_loop(apply: Any) -> None:
    text = LOOP.replace("float[3,2] z", "float[n,2] z").replace("Mul (v, two)", "Div (v, two)")
    result = apply(text, "unroll_loops", weights=WEIGHTS | {"m": np.array(500, np.int64)})
    assert "its 500 steps would become 3000 nodes" in result.refusals("unroll_loops")


SCAN = """
<ir_version: 8, opset_import: ["" : %d]>
g (float[2] s, float[%s] x, float[2,3] w) => (float[2] t, float[%s] y) {
    t, y = Scan (s, x, w) <num_scan_inputs = 2, scan_input_axes = [%d, 1], scan_input_directions = [%d, 0],
        scan_output_axes = [%d], scan_output_directions = [%d],
        body = b (float[2] c, float[2] v, float[2] u) => (float[2] n, float[2] r) {
            p = Mul (c, v)  n = Add (p, u)  r = Neg (n) }>
}"""


@pytest.mark.parametrize("opset", [11, 13, 21])
@pytest.mark.parametrize("form", [("3,2", "3,2", 0, 0, 0, 0), ("2,3", "2,3", 1, 1, 1, 1), ("2,3", "2,3", -1, 0, -1, 1)])
def test_a_scan_goes_along_its_axes_and_directions(apply: Any, opset: int, form: tuple[Any, ...]) -> None:
    result = apply(SCAN % (opset, *form), "unroll_loops")
    assert "Scan" not in result.ops


def test_a_scan_along_a_dynamic_extent_stays(apply: Any) -> None:
    text = (SCAN % (13, "n,2", "n,2", 0, 0, 0, 0)).replace("float[2,3] w", "float[2,n] w")
    feeds = {"s": np.ones(2, np.float32), "x": np.ones((3, 2), np.float32), "w": np.ones((2, 3), np.float32)}
    result = apply(text, "unroll_loops", feeds=feeds)
    assert "dynamic" in result.refusals("unroll_loops")


def test_a_weight_of_the_body_stays_one(apply: Any) -> None:
    text = LOOP.replace("s = Mul (v, two)", "e = Constant <value = float[2] {3, 4}> () s = Mul (v, e)")
    result = apply(text, "unroll_loops", weights=WEIGHTS)
    weights = [v for n in result.model.graph if n.op_type == "Mul" for v in n.inputs if v and v.is_initializer()]
    assert len(weights) == 3 and len(set(weights)) == 1
