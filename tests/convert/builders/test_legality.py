"""Models that TFLite's kernels refuse at load time are refused at their node; those without elements compute."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from ai_edge_litert.interpreter import Interpreter

from edgeworthy.convert import convert
from edgeworthy.errors import BadInput, UnsupportedNodes


def write(path: Path, text: str, opset: int = 21) -> Path:
    graph = onnx.parser.parse_graph(text)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)], ir_version=10)
    path.write_bytes(model.SerializeToString())
    return path


REFUSED = [
    ("g (float[1,2,5,5] x, float[3,1,3,3] w) => (float[1,3,3,3] y) { [n] y = Conv (x, w) }", "the 2 channels"),
    ("g (float[1,3,2,2] x) => (float[1,N,4,4] y) { [n] y = DepthToSpace <blocksize = 2, mode = \"CRD\"> (x) }",
     "3 channels"),
    ("g (float[1,4,2,2] x, float[4,4,1,1] w, float[3] b) => (float[N,4,2,2] y) { [n] y = Conv (x, w, b) }", "bias"),
    ("g (float[1,3,1,1] x) => (float[1,3,N,M] y) { [n] y = LpPool <kernel_shape = [2,2], p = 2> (x) }", "window"),
    ("g (float[2147483648,3] x) => (float[2147483648,3] y) { [n] y = Relu (x) }", "more than TFLite can hold"),
    ("g (float[2] x, float[4611686018427387904] z) => (float[N] y) { [n] y = Concat <axis = 0> (x, z) }",
     "more than TFLite can hold"),
    ("g (float[40000,40000] x) => (float[40000,40000] y) { [n] y = Relu (x) }", "more than TFLite can hold"),
    ("g (float[4] x, int64[2,1] i, float[3] u) => (float[4] y) { [n] y = ScatterND (x, i, u) }", "updates"),
    ("g (float[2,3] x, float[2,2] low) => (float[2,3] y) { [n] y = Clip (x, low) }", "must have one element"),
    ("g (float[2,3] x, int64 a) => (float[1,3] y) { [n] y = ReduceSum (x, a) }", "must have one axis"),
    ("g (int64[2,3] x) => (int64[1,1] y) { [n] y = ReduceLogSumExp (x) }", "cast its input to float32"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "said"), REFUSED, ids=[said for _, said in REFUSED])
def test_refused_at_its_node(tmp_path: Path, text: str, said: str) -> None:
    source = write(tmp_path / "m.onnx", text)
    with pytest.raises(BadInput) as caught:
        convert(source, tmp_path, to=("tflite",))
    assert said in str(caught.value)
    assert caught.value.where == str(source)
    if isinstance(caught.value, UnsupportedNodes):
        assert {row.node for row in caught.value.nodes} & {"n", "x", "y", "z"}
    assert not list(tmp_path.glob("*.tflite"))


RUN = [
    "g (float[3,0] x, float[0,4] w) => (float[3,4] y) { y = MatMul (x, w) }",
    "g (float[2,0,3] x) => (float[2,3] y) <int64[1] a = {1}> { y = ReduceMax <keepdims = 0> (x, a) }",
    "g (float[2,0,3] x) => (float[2,3] y) <int64[1] a = {1}> { y = ReduceProd <keepdims = 0> (x, a) }",
    "g (float[2,0] x, float[2,3] z) => (float[2,3] y) { y = Concat <axis = 1> (x, z) }",
    "g (float[0,2] x) => (float[2,2] y) <int64[4] p = {1,0,1,0}, float v = {7}> { y = Pad (x, p, v) }",
    "g (double[2,4] x, int64[3] i) => (double[2,3] y) { y = Gather <axis = 1> (x, i) }",
    "g (uint32[2,4] x, int64[3] i) => (uint32[2,3] y) { y = Gather <axis = 1> (x, i) }",
    "g (int8[1,5] x, int64[1,2] i, int8[1,2] u) => (int8[1,5] y) {"
    " y = ScatterElements <axis = 1, reduction = \"min\"> (x, i, u) }",
    "g (float[5] x) => (float[5] y) { y = Atanh (x) }",
    "g (float[3,1] x) => (float[3,4] y) <int64[2] s = {3,100}> { y = Expand (x, s) }",
]  # fmt: skip


@pytest.mark.parametrize("text", RUN)
def test_runs_as_onnx_runtime_does(tmp_path: Path, text: str) -> None:
    source = write(tmp_path / "m.onnx", text)
    session = ort.InferenceSession(source.read_bytes())
    dtypes = {"tensor(float)": "float32", "tensor(double)": "float64"}
    feeds = {
        i.name: np.resize(np.array([0, 1, 3, 2, -2]), i.shape).astype(dtypes.get(i.type, i.type[7:-1])) % 4
        if i.name == "i"
        else np.abs(np.resize(np.array([0, 1, 3, 0.5, -2]), i.shape)).astype(dtypes.get(i.type, i.type[7:-1]))
        for i in session.get_inputs()
    }
    (expected,) = session.run(None, feeds)
    convert(source, tmp_path, to=("tflite",))
    runner = Interpreter(str(tmp_path / "model_float32.tflite")).get_signature_runner("serving_default")
    result = runner(**feeds)["y"]
    assert result.dtype == expected.dtype
    np.testing.assert_allclose(result, expected, rtol=1e-6)


def test_an_output_without_elements_is_refused_by_name(tmp_path: Path) -> None:
    text = "g (float[2] x) => (float[0,3] y) <int64[2] s = {0,3}> { y = ConstantOfShape (s) }"
    with pytest.raises(BadInput, match="the outputs 'y' are constants without elements"):
        convert(write(tmp_path / "m.onnx", text), tmp_path, to=("tflite",))
