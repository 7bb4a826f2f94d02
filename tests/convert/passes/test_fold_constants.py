from __future__ import annotations

from typing import Any

import numpy as np
import pytest


def model(body: str, inputs: str = "float[2,3] x", outputs: str = "float[a,b] y", opset: int = 13) -> str:
    return f'<ir_version: 8, opset_import: ["" : {opset}]> g ({inputs}) => ({outputs}) {{ {body} }}'


def test_chains_are_computed(apply: Any) -> None:
    body = """z = Constant <value_int = 0> () e = Constant <value_int = 3> () o = Constant <value_int = 1> ()
        r = Range (z, e, o) f = Cast <to = 1> (r) g = Mul (f, f) y = Add (x, g)"""
    result = apply(model(body), "fold_constants")
    assert result.ops == ["Add"]
    constant = result.model.graph[0].inputs[1]
    np.testing.assert_array_equal(constant.const_value.numpy(), np.array([0, 1, 4], np.float32))
    assert constant.name == "g", "the value keeps the name of the result it is"
    assert list(result.model.graph.initializers) == ["g"], "what led to it is forgotten"


@pytest.mark.parametrize(
    ("body", "dims"),
    [
        ("t = Transpose <perm = [1,0]> (w)", (300, 200)),
        ("t = Transpose (w)", (300, 200)),
        ("s = Constant <value_ints = [100, -1]> () t = Reshape (w, s)", (100, 600)),
        ("a = Constant <value_ints = [0]> () t = Unsqueeze (w, a)", (1, 200, 300)),
    ],
)
def test_large_weights_stay_views(apply: Any, body: str, dims: tuple[int, ...]) -> None:
    weight = np.random.default_rng(0).normal(size=(200, 300)).astype(np.float32)
    text = model(f"{body} y = Add (x, t)", "float[1] x", f"float[{','.join(map(str, dims))}] y")
    result = apply(text, "fold_constants", weights={"w": weight})
    assert result.ops == ["Add"]
    array = result.model.graph[0].inputs[1].const_value.numpy()
    assert array.shape == dims
    assert not array.flags.owndata, "a copy would hold the weight twice"


def test_a_shared_weight_is_not_changed_for_others(apply: Any) -> None:
    weight = np.arange(9, dtype=np.float32).reshape(3, 3)
    text = model("t = Transpose (w) a = MatMul (x, t) y = MatMul (a, w)")
    result = apply(text, "fold_constants", weights={"w": weight})
    np.testing.assert_array_equal(result.constant("w"), weight)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("s = Constant <value_ints = [3000, 3000]> () o = Constant <value = float[1] {1}> () e = Expand (o, s) "
         "m = ReduceMax (e) y = Add (x, m)", "34.3 MiB"),
        ("s = Constant <value_ints = [2, 3]> () r = ConstantOfShape (s) q = RandomUniformLike (r) z = Sub (q, q) "
         "y = Add (x, z)", "random"),
    ],
)  # fmt: skip
def test_refusals(apply: Any, body: str, reason: str) -> None:
    result = apply(model(body), "fold_constants")
    assert len(result.ops) > 1
    assert reason in result.refusals("fold_constants")


def test_quantized_weights_stay_quantized(apply: Any) -> None:
    body = "f = DequantizeLinear (q, scale) y = MatMul (x, f)"
    weights = {"q": np.ones((3, 4), np.int8), "scale": np.array(0.1, np.float32)}
    assert apply(model(body), "fold_constants", weights=weights).ops == ["DequantizeLinear", "MatMul"]


def test_float16_weights_may_be_cast(apply: Any) -> None:
    weights = {"h": np.ones((3, 1 << 20), np.float16)}
    result = apply(model("w = Cast <to = 1> (h) y = MatMul (x, w)"), "fold_constants", weights=weights)
    assert result.ops == ["MatMul"]


def test_an_output_is_made_by_a_constant_node(apply: Any) -> None:
    text = model("c = Add (w, w) y = Add (x, c)", outputs="float[a,b] y, float[3] c")
    result = apply(text, "fold_constants", weights={"w": np.arange(3, dtype=np.float32)})
    assert sorted(result.ops) == ["Add", "Constant"]


def test_several_outputs(apply: Any) -> None:
    body = "a, b = Split <axis = 0> (w) c = Add (x, a) y = Mul (c, b)"
    result = apply(model(body), "fold_constants", weights={"w": np.arange(6, dtype=np.float32)})
    assert result.ops == ["Add", "Mul"]


def test_gather_elements_with_fewer_rows_than_the_data(apply: Any) -> None:
    weights = {"d": np.arange(12, dtype=np.float32).reshape(3, 4), "i": np.array([[3, 0, 1]], np.int64)}
    result = apply(model("g = GatherElements <axis = 1> (d, i) y = Add (x, g)"), "fold_constants", weights=weights)
    assert result.ops == ["Add"]


def test_in_a_subgraph(apply: Any) -> None:
    body = """y = If (c) <then_branch = t () => (float[2,3] p) { k = Neg (w) p = Add (x, k) },
                    else_branch = e () => (float[2,3] q) { q = Add (x, w) }>"""
    feeds = {"x": np.ones((2, 3), np.float32), "c": np.array(True)}
    text = model(body, "float[2,3] x, bool c")
    result = apply(text, "fold_constants", weights={"w": np.ones(3, np.float32)}, feeds=feeds)
    assert [n.op_type for n in result.model.graph.all_nodes()] == ["If", "Add", "Add"]
