from __future__ import annotations

from typing import Any

import onnx.parser
import onnx_ir as ir
import pytest

from edgeworthy.convert.graph.rewriter import Rewriter
from edgeworthy.convert.passes import inline_functions
from edgeworthy.errors import BadInput

BLOCK = """
<domain: "my", opset_import: ["" : {opset}]>
Block <alpha> (X) => (Y) {{ t = LeakyRelu <alpha: float = @alpha> (X) Y = Neg (t) }}
"""


def model(body: str, functions: str, outputs: str = "float[3] y", inputs: str = "float[3] x") -> onnx.ModelProto:
    text = f"""
    <ir_version: 8, opset_import: ["" : 13, "my" : 1]>
    g ({inputs}) => ({outputs}) {{ {body} }}
    {functions}"""
    return onnx.parser.parse_model(text)


def test_attributes_and_metadata(apply: Any) -> None:
    proto = model("a = my.Block <alpha = 0.5> (x) y = my.Block <alpha = 0.25> (a)", BLOCK.format(opset=13))
    proto.functions[0].node[1].metadata_props.add(key="edgeworthy.module", value="its own")
    result = apply(proto, prelude=("inline_functions",))
    assert result.ops == ["LeakyRelu", "Neg", "LeakyRelu", "Neg"]
    assert [n.metadata_props["edgeworthy.module"] for n in result.model.graph] == [
        "module of n0", "its own", "module of n1", "its own",
    ]  # fmt: skip
    assert not result.model.functions


def test_functions_in_functions(apply: Any) -> None:
    outer = """
    <domain: "my", opset_import: ["" : 13, "my" : 1]>
    Outer (X) => (Y) { a = my.Block <alpha = 0.5> (X) Y = Exp (a) }"""
    result = apply(model("y = my.Outer (x)", BLOCK.format(opset=13) + outer), prelude=("inline_functions",))
    assert result.ops == ["LeakyRelu", "Neg", "Exp"]


def test_an_output_that_is_an_input() -> None:
    """ONNX Runtime doesn't load such functions; no other name must be lost by them."""
    functions = """
    <domain: "my", opset_import: ["" : 13]>
    Same (X) => (Y, X) { Y = Relu (X) }"""
    model_ir = ir.from_proto(model("y, z = my.Same (x)", functions, "float[3] y, float[3] z"))
    inline_functions.PASS.run(Rewriter(model_ir))
    assert [n.op_type for n in model_ir.graph] == ["Relu", "Identity"]
    assert [v.name for v in (*model_ir.graph.inputs, *model_ir.graph.outputs)] == ["x", "y", "z"]


def test_an_unused_function_goes(apply: Any) -> None:
    result = apply(model("y = Relu (x)", BLOCK.format(opset=13)), prelude=("inline_functions",))
    assert not result.model.functions


def test_a_function_of_another_opset_that_means_the_same(apply: Any) -> None:
    """LeakyRelu changed in opset 16, Neg in 13."""
    text = model("y = my.Block <alpha = 0.5> (x)", BLOCK.format(opset=15))
    assert apply(text, prelude=("inline_functions",)).ops == ["LeakyRelu", "Neg"]


def raises(proto: onnx.ModelProto, match: str) -> None:
    with pytest.raises(BadInput, match=match):
        inline_functions.PASS.run(Rewriter(ir.from_proto(proto)))


def test_a_function_of_another_opset_that_means_something_else() -> None:
    raises(model("y = my.Block <alpha = 0.5> (x)", BLOCK.format(opset=17)), "LeakyRelu differs")


def test_a_circle() -> None:
    functions = """
    <domain: "my", opset_import: ["my" : 1]> A (X) => (Y) { Y = my.B (X) }
    <domain: "my", opset_import: ["my" : 1]> B (X) => (Y) { Y = my.A (X) }"""
    raises(model("y = my.A (x)", functions), "inlined")
