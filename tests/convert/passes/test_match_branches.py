from __future__ import annotations

from typing import Any

import numpy as np
import pytest

TEXT = """
<ir_version: 8, opset_import: ["" : 13]>
g (float[n] x, bool c) => (float[n] y) {
    s = If (c) <then_branch = t () => (float p) { p = ReduceSum <keepdims = 0> (x) },
                else_branch = e () => (float[1] q) { q = ReduceMax <keepdims = 1> (x) }>
    USE
}"""
X = np.array([3, -1, 2], np.float32)


@pytest.mark.parametrize("condition", [True, False])
def test_one_number_of_two_ranks(apply: Any, condition: bool) -> None:
    feeds = {"x": X, "c": np.array(condition)}
    result = apply(TEXT.replace("USE", "y = Mul (x, s)"), "match_branches", feeds=feeds)
    then, otherwise = (result.node("If").attributes[f"{name}_branch"].as_graph() for name in ("then", "else"))
    assert [n.op_type for n in then] == ["ReduceSum", "Reshape"]
    assert [n.op_type for n in otherwise] == ["ReduceMax"]
    assert then.outputs[0].shape == otherwise.outputs[0].shape == (1,)


@pytest.mark.parametrize(
    ("use", "why"),
    [
        ("z = Shape (s) y = CastLike (z, x)", "Shape may tell"),
        ("z = Mul (s, s) k = Size (z) w = CastLike (k, x) y = Add (x, w)", "Mul may tell"),
        ("y = Identity (x)", "gives them on"),
    ],
)
def test_what_could_tell_the_ranks_apart(apply: Any, use: str, why: str) -> None:
    text = TEXT.replace("USE", use).replace('"" : 13', '"" : 15')
    if "on" in why:
        text = text.replace("(float[n] y)", "(float[n] y, float s)")
    result = apply(text, "match_branches", feeds={"x": X, "c": np.array(False)})
    assert why in result.refusals("match_branches")
    assert "Reshape" not in result.ops


def test_more_numbers_than_one(apply: Any) -> None:
    text = (
        TEXT.replace("USE", "y = Add (x, s)")
        .replace("ReduceMax <keepdims = 1>", "Neg")
        .replace("float[1] q", "float[n] q")
    )
    result = apply(text, "match_branches", feeds={"x": X, "c": np.array(True)})
    assert "more than one element" in result.refusals("match_branches")
