from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir


def test_every_kind_of_constant(apply: Any) -> None:
    text = """
    <ir_version: 8, opset_import: ["" : 13]>
    g (float[2,3] x) => (float[2,3] y) {
        a = Constant <value = float[3] {1, 2, 3}> () b = Constant <value_float = 2.0> ()
        c = Constant <value_floats = [1.0, 2.0, 3.0]> () d = Constant <value_ints = [2, 3]> ()
        e = Add (x, a) f = Mul (e, b) h = Sub (f, c) y = Reshape (h, d)
    }"""
    result = apply(text, prelude=("inline_functions", "lift_constants"))
    assert result.ops == ["Add", "Mul", "Sub", "Reshape"]
    assert set(result.model.graph.initializers) == {"a", "b", "c", "d"}
    assert result.constant("b").shape == ()


def test_a_constant_output_needs_its_node(apply: Any) -> None:
    text = """
    <ir_version: 8, opset_import: ["" : 13]>
    g (float[2] x) => (float[2] y, float[3] c) { c = Constant <value = float[3] {1, 2, 3}> () y = Relu (x) }"""
    result = apply(text, prelude=("inline_functions", "lift_constants"))
    assert result.ops == ["Constant", "Relu"]


def test_weights_that_are_inputs_too_become_constants(apply: Any) -> None:
    text = '<ir_version: 3, opset_import: ["" : 9]> g (float[2,3] x, float[3] w) => (float[2,3] y) { y = Add (x, w) }'
    result = apply(text, weights={"w": np.ones(3, np.float32)}, prelude=("inline_functions", "lift_constants"))
    assert [v.name for v in result.model.graph.inputs] == ["x"]
    assert result.model.ir_version >= 4
    onnx.checker.check_model(ir.to_proto(result.model))


def test_constants_of_a_subgraph_stay_in_it(apply: Any) -> None:
    text = """
    <ir_version: 8, opset_import: ["" : 13]>
    g (float[2] x, bool c) => (float[2] y) {
        y = If (c) <then_branch = t () => (float[2] p) { k = Constant <value_float = 3.0> () p = Add (x, k) },
                    else_branch = e () => (float[2] q) { m = Constant <value_float = 4.0> () q = Mul (x, m) }>
    }"""
    feeds = {"x": np.ones(2, np.float32), "c": np.array(True)}
    result = apply(text, feeds=feeds, prelude=("inline_functions", "lift_constants"))
    branches = [a.as_graph() for a in result.model.graph[0].attributes.values()]
    assert [len(b.initializers) for b in branches] == [1, 1]
