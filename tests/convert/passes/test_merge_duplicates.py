from __future__ import annotations

from typing import Any

import numpy as np


def model(body: str, outputs: str = "float[2,3] y") -> str:
    return f'<ir_version: 8, opset_import: ["" : 13]> g (float[2,3] x) => ({outputs}) {{ {body} }}'


def test_equal_nodes_and_constants(apply: Any) -> None:
    body = "a = Add (x, c) b = Add (x, d) e = Relu (a) f = Relu (b) y = Mul (e, f)"
    same = np.arange(3, dtype=np.float32)
    result = apply(model(body), "merge_duplicates", weights={"c": same, "d": same.copy()})
    assert result.ops == ["Add", "Relu", "Mul"]
    assert list(result.model.graph.initializers) == ["c"]


def test_unequal_ones_are_left_alone(apply: Any) -> None:
    body = """a = Add (x, c) b = Add (x, d) e = LeakyRelu <alpha = 0.1> (a) f = LeakyRelu <alpha = 0.2> (a)
        g = Mul (e, f) y = Mul (g, b)"""
    weights = {"c": np.arange(3, dtype=np.float32), "d": np.arange(3, dtype=np.float32)[None]}
    result = apply(model(body), "merge_duplicates", weights=weights)
    assert len(result.ops) == 6
    assert len(result.model.graph.initializers) == 2


def test_large_constants_and_outputs_are_left_alone(apply: Any) -> None:
    body = "a = MatMul (x, c) b = MatMul (x, d) y = Relu (x) z = Relu (x)"
    same = np.ones((3, 400), np.float32)
    outputs = "float[2,3] y, float[2,3] z, float[2,400] a, float[2,400] b"
    result = apply(model(body, outputs), "merge_duplicates", weights={"c": same, "d": same})
    assert result.ops == ["MatMul", "MatMul", "Relu", "Relu"]
    assert len(result.model.graph.initializers) == 2


def test_random_operators_are_not_the_same(apply: Any) -> None:
    body = """a = RandomUniformLike (x) b = RandomUniformLike (x) c = Sub (a, a) d = Sub (b, b) e = Add (c, d)
        y = Add (e, x)"""
    assert apply(model(body), "merge_duplicates").ops.count("RandomUniformLike") == 2
