from __future__ import annotations

import numpy as np
import onnx.parser
import onnx_ir as ir
import pytest

from edgeworthy.convert.graph.rewriter import Rewriter, graph_of
from edgeworthy.errors import InternalFault


def rewriter(body: str, outputs: str = "float[3] y") -> Rewriter:
    text = f'<ir_version: 8, opset_import: ["" : 13]> g (float[3] x) => ({outputs}) {{ {body} }}'
    model = ir.from_proto(onnx.parser.parse_model(text))
    for index, node in enumerate(model.graph):
        node.name = f"n{index}"
    return Rewriter(model)


def test_names_are_unique_among_values_and_nodes() -> None:
    rw = rewriter("a = Relu (x) y = Neg (a)")
    assert [rw.unique("a"), rw.unique("a"), rw.unique("n0"), rw.unique("new"), rw.unique("new")] == [
        "a_1", "a_2", "n0_1", "new", "new_1",
    ]  # fmt: skip


def test_a_constant_keeps_its_array() -> None:
    rw = rewriter("y = Relu (x)")
    array = np.arange(6.0).reshape(2, 3).T
    value = rw.constant(rw.model.graph[0], "w", array)
    assert value.const_value is not None
    assert np.shares_memory(value.const_value.numpy(), array)
    assert (value.dtype, list(value.shape or ())) == (ir.DataType.DOUBLE, [3, 2])


def test_replace_hands_over_name_type_shape_users_and_output() -> None:
    rw = rewriter("a = Relu (x) y = Neg (a)")
    old = rw.model.graph[1]
    old.outputs[0].metadata_props["note"] = "kept"
    new = rw.node("Abs", old.inputs, main=old)
    rw.insert(old, new)
    rw.replace(old, new.outputs[0])
    (output,) = rw.model.graph.outputs
    assert output is new.outputs[0]
    assert (output.name, output.dtype, output.metadata_props["note"]) == ("y", ir.DataType.FLOAT, "kept")
    assert [n.op_type for n in rw.model.graph] == ["Relu", "Abs"]


def test_dead_nodes_go_with_all_that_led_to_them_alone() -> None:
    rw = rewriter("a = Relu (x) b = Exp (a) w = Constant <value_float = 1.0> () c = Add (b, w) y = Neg (a)")
    nodes = list(rw.model.graph)
    assert rw.remove_dead([nodes[3]]) == 3
    assert [n.op_type for n in rw.model.graph] == ["Relu", "Neg"]
    assert len(nodes[0].outputs[0].uses()) == 1


def test_a_dead_subgraph_lets_go_of_what_it_used() -> None:
    body = """a = Exp (x) c = Constant <value = bool {1}> ()
        b = If (c) <then_branch = t () => (float[3] p) { p = Neg (a) },
                    else_branch = e () => (float[3] q) { q = Abs (a) }>
        y = Relu (x)"""
    rw = rewriter(body)
    assert rw.remove_dead([rw.model.graph[2]]) == 3
    assert [n.op_type for n in rw.model.graph] == ["Relu"]


def test_bypass_won_t_lose_a_name() -> None:
    rw = rewriter("y = Identity (x)")
    assert not rw.bypass(rw.model.graph[0])
    rw = rewriter("y = Relu (x) z = Identity (y)", "float[3] y, float[3] z")
    assert not rw.bypass(rw.model.graph[1])


def test_a_removed_node_is_in_no_graph() -> None:
    rw = rewriter("a = Exp (x) y = Relu (x)")
    node = rw.model.graph[0]
    rw.remove_dead([node])
    with pytest.raises(InternalFault):
        graph_of(node)


def test_a_node_becomes_another_and_what_it_used_goes() -> None:
    rw = rewriter("a = Exp (x) b = Abs (x) w = Constant <value_float = 1.0> () y = Clip (a, w)")
    node = rw.model.graph[3]
    node.metadata_props["note"] = "kept"
    rw.become(node, "Transpose", [rw.model.graph.inputs[0]], {"perm": [0]})
    assert (node.op_type, node.attributes["perm"].as_ints(), node.metadata_props["note"]) == ("Transpose", (0,), "kept")
    assert [v.name for v in node.inputs if v is not None] == ["x"]
    rw.drop_replaced()
    # Abs was unused before, and nobody replaced it.
    assert [n.op_type for n in rw.model.graph] == ["Abs", "Transpose"]


def test_an_input_is_set_behind_absent_ones() -> None:
    rw = rewriter("y = Clip (x)")
    node = rw.model.graph[0]
    high = rw.constant(rw.model.graph, "high", np.float32(1))
    rw.set_input(node, 2, high)
    assert [None if v is None else v.name for v in node.inputs] == ["x", None, "high"]
    rw.set_input(node, 2, None)
    rw.drop_replaced()
    assert not rw.model.graph.initializers


def test_a_node_stands_behind_the_one_that_makes_its_value() -> None:
    rw = rewriter("a = Relu (x) b = Exp (a) y = Neg (b)")
    first, *_ = rw.model.graph
    first.metadata_props["note"] = "of the maker"
    behind = rw.node_behind(first.outputs[0], rw.model.graph, "Abs", first.outputs, suffix="abs")
    ahead = rw.node_behind(rw.model.graph.inputs[0], rw.model.graph, "Sign", rw.model.graph.inputs, suffix="sign")
    assert [n.op_type for n in rw.model.graph] == ["Sign", "Relu", "Abs", "Exp", "Neg"]
    assert (behind.name, behind.outputs[0].name, behind.metadata_props["note"]) == ("a_abs", "a_abs", "of the maker")
    assert (ahead.name, ahead.metadata_props.get("note")) == ("x_sign", None)
