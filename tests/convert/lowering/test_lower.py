import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper

from edgeworthy.convert.builders.builder import DryBuilder
from edgeworthy.convert.builders.tensor import Tensor
from edgeworthy.convert.layout import to_channels_last
from edgeworthy.convert.lowering import graph_inputs, layout_rules, lower, preflight
from edgeworthy.convert.lowering.context import Context
from edgeworthy.errors import UnsupportedNodes
from edgeworthy.vocabulary import NHWC_DOMAIN


def model_of(nodes, inputs, outputs, initializers=(), opset=18, **domains):
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "g",
        [value(n, TensorProto.FLOAT, s) for n, s in inputs],
        [value(n, TensorProto.FLOAT, s) for n, s in outputs],
        [onnx.numpy_helper.from_array(a, n) for n, a in initializers],
    )
    proto = helper.make_model(
        graph, opset_imports=[helper.make_opsetid(d, v) for d, v in {"": opset, **domains}.items()]
    )
    return ir.from_proto(onnx.shape_inference.infer_shapes(proto))


def test_preflight_lists_all_nodes_with_module_and_line():
    first = helper.make_node("Bernoulli", ["x"], ["d"], name="first")
    entry = first.metadata_props.add()
    entry.key, entry.value = "edgeworthy.module", "net.head"
    entry = first.metadata_props.add()
    entry.key, entry.value = "edgeworthy.source", "net.py:12"
    nodes = [
        first,
        helper.make_node("Relu", ["d"], ["r"]),
        helper.make_node("Mystery", ["r"], ["y"], name="second", domain="acme"),
    ]
    model = model_of(nodes, [("x", (2, 3, 3))], [("y", (2, 3, 3))], acme=1)
    rows = preflight(model)
    assert [(r.op, r.node) for r in rows] == [("Bernoulli", "first"), ("Mystery", "second")]
    assert (rows[0].module, rows[0].source) == ("net.head", "net.py:12")
    assert "acme::Mystery" in rows[1].reason
    assert all(r.remedy for r in rows)


@pytest.mark.parametrize("domain", ["", NHWC_DOMAIN])
def test_what_cant_be_lowered_keeps_its_name(domain):
    """Whatever the layout step did: the reader wrote an ONNX operator, and no private domain."""
    node = helper.make_node("MaxRoiPool", ["x", "rois"], ["y"], name="the_node", pooled_shape=[2, 2])
    model = model_of([node], [("x", (1, 2, 8, 8)), ("rois", (1, 5))], [("y", (1, 2, 2, 2))])
    to_channels_last(model, layout_rules())
    model.graph[0].domain = domain or model.graph[0].domain
    (row,) = preflight(model)
    assert (row.op, row.node) == ("MaxRoiPool", "the_node")
    assert row.reason == "no lowering for MaxRoiPool version 1"
    assert "edgeworthy" not in row.reason + row.remedy


def test_a_node_without_a_name_is_called_by_what_it_makes():
    model = model_of([helper.make_node("Bernoulli", ["x"], ["y"])], [("x", (2, 3, 3))], [("y", (2, 3, 3))])
    (row,) = preflight(model)
    assert (row.op, row.node) == ("Bernoulli", "→ y")
    assert "Bernoulli (opset 18) '→ y': " in str(UnsupportedNodes([row]))


def test_nodes_behind_an_unsupported_one_are_not_blamed():
    nodes = [helper.make_node("Mystery", ["x"], ["m"], domain="acme"), helper.make_node("Relu", ["m"], ["y"])]
    model = model_of(nodes, [("x", (2,))], [("y", (2,))], acme=1)
    assert [r.op for r in preflight(model)] == ["Mystery"]


def test_lowering_refuses_what_the_preflight_refuses():
    model = model_of([helper.make_node("Bernoulli", ["x"], ["y"])], [("x", (2, 3, 3))], [("y", (2, 3, 3))])
    builder = DryBuilder()
    inputs = [Tensor(None, s.dtype, s.shape) for _, s in graph_inputs(model)]
    with pytest.raises(UnsupportedNodes, match="Bernoulli"):
        lower(model, builder, inputs)


def test_attribute_defaults_come_from_the_schema():
    model = model_of([helper.make_node("LeakyRelu", ["x"], ["y"])], [("x", (2,))], [("y", (2,))])
    context = Context(DryBuilder(), model.opset_imports, lambda context, graph: None)
    assert context.attribute(model.graph[0], "alpha") == pytest.approx(0.01)


def test_a_result_unlike_onnxs_own_inference_is_refused():
    node = helper.make_node("Add", ["x", "b"], ["y"])
    model = model_of([node], [("x", (2, 3))], [("y", (2, 3))], [("b", np.ones(3, np.float32))])
    assert preflight(model) == []
    model.graph.outputs[0].shape = ir.Shape([2, 4])
    (row,) = preflight(model)
    assert "[2,3] where ONNX has [2,4]" in row.reason
