"""What is held against the schema before ONNX's inference, which crashes on some of these, gets to see it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeworthy.errors import BadInput
from edgeworthy.formats.onnx.file import read_onnx


def write(path: Path, text: str, *, opset: int = 20, domain: str = "") -> onnx.ModelProto:
    graph = onnx.parser.parse_graph(text)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid(domain, opset)], ir_version=10)
    path.write_bytes(model.SerializeToString())
    return model


REFUSED = [
    ("g (float[2] x) => (float[2] y) { y = Relu (x, x) }", "it has 2 inputs, and the operator has 1"),
    ("g (string[2] x) => (bool[2] y) { y = RegexFullMatch <pattern = \"a\"> (\"\") }", "input 0 is missing"),
    ("g (float[2] x) => (float[2] y) { y = Softmax <axis = 1.5> (x) }", "'axis' is of type FLOAT"),
    ("g (float[2] x) => (float[2] y) { y = LRN (x) }", "it lacks the attribute 'size'"),
    ("g (float[2] x) => (float[2] y) { y = Relu <slope = 1> (x) }", "no attribute 'slope'"),
    ("g (float[2] x) => (float[2] y) { y = Softmax <axis = 2147483648> (x) }", "2147483648, beyond"),
    ("g (float[2,2] x) => (float[2,2] y) { y = Transpose <perm = [0,0]> (x) }", "no order of axes"),
    ("g (float[2] x) => (float[2] y) { y = LeakyRelu <alpha = inf> (x) }", "must be finite"),
    ("g (int32 x) => (float[N] y) { y = HannWindow <periodic = 2> (x) }", "must be 0 or 1"),
    ("g (float[2,2] x, int64[1,1] i) => (float[2,2] y) { y = GatherND <batch_dims = -2147483647> (x, i) }",
     "must be at least 0"),
    ("g (float[6] x) => (float[3] y, float[3] z, float[3] a) { y, z, a = Split <num_outputs = 2> (x) }",
     "it has 3 outputs, and attribute 'num_outputs' says 2"),
    ("g () => (float[N] y) <int32 n = {2147483647}> { y = HannWindow (n) }", "more than 16777216 numbers"),
    ("g (float[4] x, int64[1,1] i, float[1] u) => (float[4] y) { y = ScatterND <reduction = \"mean\"> (x, i, u) }",
     "'mean', and must be one of add, max, min, mul, none"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "said"), REFUSED, ids=[said for _, said in REFUSED])
def test_a_node_is_as_its_schema_says(tmp_path: Path, text: str, said: str) -> None:
    write(tmp_path / "m.onnx", text)
    with pytest.raises(BadInput) as caught:
        read_onnx(tmp_path / "m.onnx")
    assert said in str(caught.value)
    assert caught.value.where == str(tmp_path / "m.onnx")


def test_names_are_texts(tmp_path: Path) -> None:
    model = write(tmp_path / "m.onnx", "g (float[2] x) => (float[2] y) { [name] y = Relu (x) }")
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString().replace(b"name", b"n\xffme"))
    with pytest.raises(BadInput, match="not valid") as caught:
        read_onnx(tmp_path / "m.onnx")
    assert "not UTF-8" in caught.value.details[0]


@pytest.mark.parametrize("version", [0, -1])
def test_the_first_opset_is_1(tmp_path: Path, version: int) -> None:
    write(tmp_path / "m.onnx", "g (float[2] x) => (float[2] y) { y = Relu (x) }", opset=version)
    with pytest.raises(BadInput, match="the first is 1"):
        read_onnx(tmp_path / "m.onnx")


def test_the_long_name_of_onnx_own_domain(tmp_path: Path) -> None:
    write(tmp_path / "m.onnx", "g (float[2] x) => (float[2] y) { y = ai.onnx.Relu (x) }", domain="ai.onnx")
    model = read_onnx(tmp_path / "m.onnx")
    assert model.opset_imports == {"": 20}
    assert [node.domain for node in model.graph] == [""]


def test_an_operand_that_an_unknown_operator_makes(tmp_path: Path) -> None:
    write(
        tmp_path / "m.onnx", 'g (float[2] x) => (bool[2] y) { u = Nonsense (x) y = RegexFullMatch <pattern = "a"> (u) }'
    )
    assert [node.op_type for node in read_onnx(tmp_path / "m.onnx").graph] == ["Nonsense", "RegexFullMatch"]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"dims": [3], "float_data": [1.0]}, "weight 'w' has 1 numbers, but its type and shape need 3"),
        ({"dims": [-1], "float_data": [1.0]}, "weight 'w' has a negative extent"),
        ({"dims": [3], "raw_data": bytes(8)}, "weight 'w' has 8 bytes, but its type and shape need 12"),
    ],
)  # fmt: skip
def test_tensors_have_what_their_shape_needs(tmp_path: Path, fields: dict[str, object], said: str) -> None:
    model = write(tmp_path / "m.onnx", "g (float[3] x) => (float[3] y) { y = Add (x, w) }")
    model.graph.initializer.append(TensorProto(name="w", data_type=TensorProto.FLOAT, **fields))
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(BadInput, match=said):
        read_onnx(tmp_path / "m.onnx")


def test_a_shape_in_external_data_is_one_to_infer_by(tmp_path: Path) -> None:
    model = write(tmp_path / "m.onnx", "g (float[2,3] x) => (float[N] y) { y = Reshape (x, s) }")
    model.graph.initializer.append(numpy_helper.from_array(np.array([6], np.int64), "s"))
    onnx.save(model, tmp_path / "m.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0)
    stored = read_onnx(tmp_path / "m.onnx").graph.initializers["s"].const_value
    assert stored is not None
    assert stored.numpy().tolist() == [6]


def test_constants_and_passed_inputs_have_their_own_type(tmp_path: Path) -> None:
    model = write(tmp_path / "m.onnx", "g (float[2] x) => (int64[7] x, float[1] w) { y = Relu (x) }")
    model.graph.initializer.append(numpy_helper.from_array(np.ones((2, 2), np.int32), "w"))
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    passed, constant = read_onnx(tmp_path / "m.onnx").graph.outputs
    assert (passed.dtype, list(passed.shape or ())) == (ir.DataType.FLOAT, [2])
    assert (constant.dtype, list(constant.shape or ())) == (ir.DataType.INT32, [2, 2])


def test_a_call_has_attributes_of_the_types_that_its_function_needs(tmp_path: Path) -> None:
    text = """<ir_version: 10, opset_import: ["" : 20, "own" : 1]>
    g (float[2] x) => (float[2] y) { y = own.scale <by = "text"> (x) }
    <domain: "own", opset_import: ["" : 20]>
    scale <by: float = 1.0> (v) => (w) { a = Constant <value_float: float = @by> () w = Mul (v, a) }"""
    (tmp_path / "m.onnx").write_bytes(onnx.parser.parse_model(text).SerializeToString())
    with pytest.raises(BadInput) as caught:
        read_onnx(tmp_path / "m.onnx")
    assert "scale '→ y': attribute 'by' is of another type" in caught.value.details[0]


def test_a_name_that_nothing_makes_is_found_before_inference_which_crashes_on_it(tmp_path: Path) -> None:
    write(tmp_path / "m.onnx", "g (int32[3,4] x) => (float[3,4] y) { y = EyeLike <dtype = 1> (nowhere) }")
    with pytest.raises(BadInput, match="values that nothing computes") as caught:
        read_onnx(tmp_path / "m.onnx")
    assert caught.value.details == ("'nowhere', used by EyeLike '→ y'",)
