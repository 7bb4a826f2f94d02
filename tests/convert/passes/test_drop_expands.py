from __future__ import annotations

from typing import Any

import numpy as np
import pytest


def model(inputs: str, body: str, output: str) -> str:
    return f'<ir_version: 9, opset_import: ["" : 18]> g ({inputs}) => ({output}) {{ {body} }}'


NORMALIZE = """n = ReduceL2 (x, axes) c = Clip (n, least) s = Shape (x) e = Expand (c, s) y = Div (x, e)"""
WEIGHTS = {"axes": np.array([1]), "least": np.float32(1e-12)}


def test_normalize_divides_by_what_broadcasts(apply: Any) -> None:
    result = apply(model("float[2,3] x", NORMALIZE, "float[2,3] y"), "drop_expands", weights=WEIGHTS)
    assert "Expand" not in result.ops


def test_with_a_named_dimension(apply: Any) -> None:
    text = model("float[n,3] x", NORMALIZE, "float[n,3] y")
    result = apply(text, "infer_shapes", "drop_expands", weights=WEIGHTS, feeds={"x": np.eye(4, 3, dtype=np.float32)})
    assert "Expand" not in result.ops


@pytest.mark.parametrize(
    ("inputs", "body", "output"),
    [
        # Nothing else has the extent.
        ("float[2,1] x", "s = Constant <value_ints = [2,3]> () e = Expand (x, s) y = Add (e, x)", "float[2,3] y"),
        # Two operands that grow: one of them has to.
        ("float[1,3] x", "s = Constant <value_ints = [2,3]> () e = Expand (x, s) y = Add (e, e)", "float[2,3] y"),
        # Five axes.
        ("float[1,1,1,2,1] x, float[1,1,1,2,3] z",
         "s = Shape (z) e = Expand (x, s) y = Add (e, z)", "float[1,1,1,2,3] y"),
        # It is an output itself.
        ("float[2,1] x, float[2,3] z", "s = Shape (z) e = Expand (x, s) y = Neg (e)", "float[2,3] y"),
    ],
)  # fmt: skip
def test_what_is_needed_stays(apply: Any, inputs: str, body: str, output: str) -> None:
    assert "Expand" in apply(model(inputs, body, output), "infer_shapes", "drop_expands").ops


def test_it_stays_for_others(apply: Any) -> None:
    body = "s = Shape (z) e = Expand (x, s) w = Neg (e) a = Add (z, e) y = Mul (w, a)"
    text = model("float[2,1] x, float[2,3] z", body, "float[2,3] y")
    result = apply(text, "infer_shapes", "drop_expands")
    assert result.ops.count("Expand") == 1
    add = next(node for node in result.model.graph if node.op_type == "Add")
    assert [value.name for value in add.inputs] == ["z", "x"]
