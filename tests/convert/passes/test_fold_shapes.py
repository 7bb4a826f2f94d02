from __future__ import annotations

from typing import Any

import numpy as np
import pytest

GROUP = ("fold_constants", "fold_shapes", "remove_noops")


def model(body: str, x: str = "N,S,8", y: str = "a,b,c", opset: int = 13) -> str:
    return f"""
    <ir_version: 8, opset_import: ["" : {opset}]>
    g (float[{x}] x) => (float[{y}] y) {{
        i0 = Constant <value_int = 0> () i1 = Constant <value_int = 1> () v0 = Constant <value_ints = [0]> ()
        v1 = Constant <value_ints = [1]> () v2 = Constant <value_ints = [2]> () m1 = Constant <value_ints = [-1]> ()
        v3 = Constant <value_ints = [3]> () v4 = Constant <value_ints = [4]> () v8 = Constant <value_ints = [8]> ()
        {body}
    }}"""


FEEDS = {"x": np.random.default_rng(0).normal(size=(2, 6, 8)).astype(np.float32)}


def target(result: Any) -> list[int]:
    return [int(d) for d in result.node("Reshape").inputs[1].const_value.numpy()]


@pytest.mark.parametrize(
    ("body", "dims"),
    [
        # One unknown dimension: Reshape tells it from the input.
        ("s = Shape (x) n = Gather (s, i0) u = Unsqueeze (n, v0) t = Concat <axis = 0> (u, v8, v2, v3)", [-1, 8, 2, 3]),
        # Two that the input has at the same place.
        ("s = Shape (x) p = Slice (s, v0, v2) t = Concat <axis = 0> (p, v4, v2)", [0, 0, 4, 2]),
        # One of two is -1 in the model already.
        ("s = Shape (x) n = Gather (s, v0) t = Concat <axis = 0> (n, m1, v4, v2)", [0, -1, 4, 2]),
        # A product of the unknown ones.
        ("s = Shape (x) n = Gather (s, i0) l = Gather (s, i1) p = Mul (n, l) u = Unsqueeze (p, v0) "
         "t = Concat <axis = 0> (u, v8)", [-1, 8]),
        # Arithmetic on known ones.
        ("s = Shape (x) c = Gather (s, v2) h = Div (c, v2) n = Gather (s, v0) t = Concat <axis = 0> (n, m1, h, v2)",
         [0, -1, 4, 2]),
    ],
)  # fmt: skip
def test_a_reshape_gets_a_constant_shape(apply: Any, body: str, dims: list[int]) -> None:
    y = ",".join("abcdefgh"[: len(dims)])
    result = apply(model(f"{body} y = Reshape (x, t)", y=y), *GROUP, feeds=FEEDS)
    assert result.ops == ["Reshape"]
    assert target(result) == dims


def test_allowzero_is_dropped_where_a_zero_now_copies(apply: Any) -> None:
    body = "s = Shape (x) p = Slice (s, v0, v2) t = Concat <axis = 0> (p, v4, v2) y = Reshape <allowzero = 1> (x, t)"
    result = apply(model(body, y="a,b,c,d", opset=14), *GROUP, feeds=FEEDS)
    assert target(result) == [0, 0, 4, 2]
    assert "allowzero" not in result.node("Reshape").attributes


def test_too_many_unknown_dimensions_are_refused(apply: Any) -> None:
    body = """s = Shape (x) n = Gather (s, v0) l = Gather (s, v1) t = Concat <axis = 0> (l, n, v8) y = Reshape (x, t)"""
    result = apply(model(body), *GROUP, feeds=FEEDS)
    assert "[S,N,8]" in result.refusals("fold_shapes")


def test_static_shapes_are_numbers(apply: Any) -> None:
    body = "s = Shape (x) f = Cast <to = 1> (s) t = ReduceSum <keepdims = 0> (f) y = Add (x, t)"
    result = apply(model(body, x="2,6,8"), "fold_shapes", "fold_constants", feeds=FEEDS)
    assert result.ops == ["Add"]
    assert float(result.model.graph[0].inputs[1].const_value.numpy()) == 16


def test_the_expand_of_torchscript(apply: Any) -> None:
    """Where(shape == -1, 1, shape), with one dimension unknown."""
    body = """s = Shape (x) n = Gather (s, v0) t = Concat <axis = 0> (n, m1, v8)
        o = ConstantOfShape <value = int64[1] {1}> (i3) minus = Constant <value_int = -1> () k = Mul (o, minus)
        q = Equal (t, k) w = Where (q, o, t) y = Expand (x, w)"""
    body = "i3 = Constant <value_ints = [3]> () " + body
    result = apply(model(body), *GROUP, "infer_shapes", "remove_noops", feeds=FEEDS)
    assert result.ops == ["Identity"] or result.model.graph[0].op_type == "Expand"
    assert "Where" not in result.ops


def test_an_expand_by_its_own_dimensions(apply: Any) -> None:
    body = "s = Shape (x) n = Gather (s, v0) t = Concat <axis = 0> (v4, n, v1, v8) y = Expand (x, t)"
    result = apply(model(body, x="N,1,8", y="a,b,c,d"), *GROUP, feeds={"x": FEEDS["x"][:, :1]})
    assert result.ops == ["Expand"]
    assert result.node("Expand").inputs[1].const_value.numpy().tolist() == [4, 1, 1, 8]


def test_an_expand_that_depends_on_the_input_is_refused(apply: Any) -> None:
    body = "s = Shape (x) n = Gather (s, v1) t = Concat <axis = 0> (n, v1, v1, v8) y = Expand (x, t)"
    result = apply(model(body, y="a,b,c,d"), *GROUP, feeds=FEEDS)
    assert "depends on the inputs" in result.refusals("fold_shapes")


def test_a_slice_to_the_end_goes(apply: Any) -> None:
    body = "s = Shape (x) l = Gather (s, v1) z = Relu (x) p = Slice (z, v0, l, v1) y = Neg (p)"
    assert apply(model(body), *GROUP, feeds=FEEDS).ops == ["Relu", "Neg"]


def test_a_slice_to_another_end_stays(apply: Any) -> None:
    body = "s = Shape (x) l = Gather (s, v0) z = Relu (x) p = Slice (z, v0, l, v1) y = Neg (p)"
    assert "Slice" in apply(model(body), *GROUP, feeds=FEEDS).ops


@pytest.mark.parametrize(("start", "end", "dims"), [(0, 2, [2, 6]), (-1, 9, [8]), (1, -1, [6])])
def test_shape_with_bounds(apply: Any, start: int, end: int, dims: list[int]) -> None:
    body = f"s = Shape <start = {start}, end = {end}> (x) f = Cast <to = 1> (s) y = Relu (f)"
    result = apply(model(body, x="2,6,8", y="k", opset=15), "fold_shapes", feeds=FEEDS)
    assert result.ops == ["Cast", "Relu"]
    assert result.model.graph[0].inputs[0].const_value.numpy().tolist() == dims
