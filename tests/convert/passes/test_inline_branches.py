from __future__ import annotations

from typing import Any

import numpy as np
import pytest

TEXT = """
<ir_version: 8, opset_import: ["" : 13]>
g (float[2,3] x) => (float[2,3] y, float[2,3] z) {
    a = Exp (x)
    y, r = If (c) <
        then_branch = t () => (float[2,3] p, float[2,3] q) { k = Neg (w) p = Add (a, k) q = Relu (p) },
        else_branch = e () => (float[2,3] p2, float[2,3] q2) { k = Abs (w) p2 = Mul (a, k) q2 = Identity (p2) }>
    z = If (c) <
        then_branch = t2 () => (float[2,3] p3) { k = Neg (a) p3 = Relu (k) },
        else_branch = e2 () => (float[2,3] p4) { p4 = Sub (r, a) }>
}"""


@pytest.mark.parametrize("condition", [True, False])
def test_the_branch_taken_takes_the_place(apply: Any, condition: bool) -> None:
    weights = {"c": np.array(condition), "w": np.arange(3, dtype=np.float32)}
    result = apply(TEXT, "inline_branches", weights=weights)
    expected = ["Exp", "Neg", "Add", "Neg", "Relu"] if condition else ["Exp", "Abs", "Mul", "Identity", "Sub"]
    assert result.ops == expected


def test_constants_of_the_branch_come_along(apply: Any) -> None:
    text = """
    <ir_version: 8, opset_import: ["" : 13]>
    g (float[2] x) => (float[2] y, float[2] z) {
        y, z = If (c) <then_branch = t () => (float[2] p, float[2] k) {
                           k = Constant <value = float[2] {3, 4}> () p = Add (x, k) },
                       else_branch = e () => (float[2] q, float[2] r) { q = Neg (x) r = Neg (x) }>
    }"""
    result = apply(text, "inline_branches", weights={"c": np.array(True)})
    assert "If" not in result.ops


def test_a_condition_that_depends_on_the_input_stays(apply: Any) -> None:
    text = TEXT.replace("float[2,3] x)", "float[2,3] x, bool c)")
    feeds = {"x": np.ones((2, 3), np.float32), "c": np.array(True)}
    result = apply(text, "inline_branches", weights={"w": np.ones(3, np.float32)}, feeds=feeds)
    assert result.ops == ["Exp", "If", "If"]
