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
    body = "s = Shape (z) e = Expand (x, s) w = Softmax (e) a = Add (z, e) y = Mul (w, a)"
    text = model("float[2,1] x, float[2,3] z", body, "float[2,3] y")
    result = apply(text, "infer_shapes", "drop_expands")
    assert result.ops.count("Expand") == 1
    add = next(node for node in result.model.graph if node.op_type == "Add")
    assert [value.name for value in add.inputs] == ["z", "x"]


MASK = """n = Equal (k, zero) a = And (rows, n) m = Where (a, low, zeros) f = Cast <to = 1> (a)
          p = Add (s, m) q = Mul (p, f) y = Add (q, m)"""
MASKS = {
    "zero": np.array(0), "zeros": np.float32(0), "low": np.float32(-9), "rows": np.ones((1, 1, 3, 1), bool),
    "causal": np.tril(np.ones((1, 1, 3, 5), bool)), "none": np.zeros((3, 1), bool),
}  # fmt: skip


@pytest.mark.parametrize("body", [MASK, MASK.replace("And (rows, n)", "Or (n, none)")])
def test_a_mask_of_keys_is_computed_once_for_all_rows(apply: Any, body: str) -> None:
    inputs = "int64[2,1,1,5] k, float[2,4,3,5] s"
    result = apply(model(inputs, body, "float[2,4,3,5] y"), "infer_shapes", "drop_expands", weights=MASKS)
    assert result.ops == ["Equal", "Where", "Cast", "Add", "Mul", "Add"]
    assert list(result.node("Where").outputs[0].shape or ()) == [2, 1, 1, 5]


@pytest.mark.parametrize(
    ("body", "output"),
    [
        (MASK.replace("rows", "causal"), "float[2,4,3,5] y"),
        (MASK.replace("Mul (p, f)", "Softmax (m)"), "float[2,4,3,5] y"),
        ("n = Equal (k, zero) a = And (rows, n) y = Where (a, low, zeros)", "float[2,1,3,5] y"),
        ("n = Equal (k, zero) y = And (rows, n)", "bool[2,1,3,5] y"),
    ],
)
def test_a_mask_that_rows_differ_in_or_something_else_wants_stays(apply: Any, body: str, output: str) -> None:
    result = apply(
        model("int64[2,1,1,5] k, float[2,4,3,5] s", body, output), "infer_shapes", "drop_expands", weights=MASKS
    )
    assert "And" in result.ops
