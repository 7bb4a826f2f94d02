from __future__ import annotations

from typing import Any

import numpy as np
import onnx.parser
import onnx_ir as ir

from edgeworthy.convert.graph.rewriter import Rewriter
from edgeworthy.convert.passes import infer_shapes


def shapes(result: Any) -> dict[str, list[Any]]:
    return {
        v.name: [d if isinstance(d, int) else d.value for d in v.shape]
        for node in result.model.graph.all_nodes()
        for v in node.outputs
    }


def test_types_and_shapes_with_named_dimensions(apply: Any) -> None:
    text = """
    <ir_version: 8, opset_import: ["" : 13]>
    g (float[N,3,8,8] x) => (float[N,k] y) { c = Conv (x, w) r = Relu (c) y = Flatten (r) }"""
    weights = {"w": np.ones((4, 3, 3, 3), np.float32)}
    found = shapes(apply(text, weights=weights))
    assert found["c"] == found["r"] == ["N", 4, 6, 6]
    assert found["y"] == ["N", 144]


def test_a_number_takes_the_place_of_a_name(apply: Any) -> None:
    """Exporters name the dimensions of outputs even where they are known."""
    text = """
    <ir_version: 8, opset_import: ["" : 13]>
    g (float[2,12] x) => (float[a,b,c] y) {
        s = Shape (x) z = Constant <value_int = 0> () n = Gather (s, z) a0 = Constant <value_ints = [0]> ()
        u = Unsqueeze (n, a0) r = Constant <value_ints = [3, 4]> () t = Concat <axis = 0> (u, r) y = Reshape (x, t)
    }"""
    assert shapes(apply(text))["y"] == ["a", "b", "c"]
    assert shapes(apply(text, "fold_shapes", "infer_shapes"))["y"] == [2, 3, 4]


def test_names_of_inputs_come_before_made_up_ones(apply: Any) -> None:
    text = """
    <ir_version: 8, opset_import: ["" : 13]>
    g (float[N,3] x) => (float[M,3] y) <float[K,3] a> { a = Relu (x) b = NonZero (x) y = Neg (a) }"""
    found = shapes(apply(text))
    assert found["a"] == found["y"] == ["N", 3]


def test_inside_subgraphs(apply: Any) -> None:
    text = """
    <ir_version: 8, opset_import: ["" : 13]>
    g (float[2,3] x, bool c) => (float[a,b] y) {
        y = If (c) <then_branch = t () => (float[a,b] p) { e = Exp (x) p = Transpose (e) },
                    else_branch = f () => (float[a,b] q) { h = Transpose (x) q = Log (h) }>
    }"""
    found = shapes(apply(text, feeds={"x": np.ones((2, 3), np.float32), "c": np.array(True)}))
    assert found["e"] == [2, 3]
    assert found["h"] == found["y"] == [3, 2]


def test_large_weights_are_never_read() -> None:
    """A tensor that can't be read stands for one of many gigabytes."""
    weight = ir.ExternalTensor("nowhere", 0, 4 * 10**10, ir.DataType.FLOAT, shape=ir.Shape((10**5, 10**5)), name="w")
    value = ir.Value(name="w", shape=weight.shape, type=ir.TensorType(ir.DataType.FLOAT), const_value=weight)
    x = ir.val("x", ir.DataType.FLOAT, (2, 10**5))
    node = ir.node("MatMul", [x, value], name="n")
    node.outputs[0].name = "y"
    graph = ir.Graph([x], node.outputs, nodes=[node], initializers=[value], opset_imports={"": 18}, name="g")
    rewriter = Rewriter(ir.Model(graph, ir_version=8))
    infer_shapes.PASS.run(rewriter)
    assert node.outputs[0].shape == ir.Shape((2, 10**5))
    assert value.const_value is weight


def test_an_unknown_operator_is_survived() -> None:
    text = """
    <ir_version: 8, opset_import: ["" : 13, "other" : 1]>
    g (float[2,3] x) => (float[2,4] y) { a = Relu (x) y = other.Unknown (a) }"""
    model = ir.from_proto(onnx.parser.parse_model(text))
    rewriter = Rewriter(model)
    infer_shapes.PASS.run(rewriter)
    assert model.graph[0].outputs[0].shape == ir.Shape((2, 3))
