"""What a file declares of its shapes, against what its nodes make."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeworthy.artifact import TensorSpec
from edgeworthy.convert import convert
from edgeworthy.errors import BadInput
from edgeworthy.export.onnx_export import export_onnx
from edgeworthy.formats.onnx.file import read_onnx
from edgeworthy.formats.onnx.summary import describe, summarize
from edgeworthy.source.load import load_source
from edgeworthy.targets.tflite import TFLite

W = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)


def write(path: Path, x: Any, y: Any, inner: Any = None, name: str = "x") -> Path:
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("MatMul", [name, "w"], ["m"]), helper.make_node("Relu", ["m"], ["y"])],
        "g",
        [value(name, TensorProto.FLOAT, x)],
        [value("y", TensorProto.FLOAT, y)],
        [numpy_helper.from_array(W, "w")],
        value_info=[] if inner is None else [value("m", TensorProto.FLOAT, inner)],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@pytest.mark.parametrize(
    ("x", "y", "inner", "noted"),
    [
        ([-1, 4], [-1, 3], [-1, 3], True),
        ([0, 4], [0, 3], None, True),
        (["n", 4], ["n", 3, 1], None, True),
        (["n", 4], ["n", 5], None, True),
        (["n", 4], [-1, 3], None, False),
        (["n", 4], ["n", 3], [7], False),
        (["n", 4], ["n", 3], ["n", 9], False),
        (["n", 4], None, None, False),
        ([-7, 4], [3], [-1, -1, 2], True),
    ],
)
def test_the_graph_wins_over_the_declaration(tmp_path: Path, x: Any, y: Any, inner: Any, noted: bool) -> None:
    path = write(tmp_path / "m.onnx", x, y, inner)
    feed = np.random.default_rng(1).normal(size=(2, 4)).astype(np.float32)
    assert bool(summarize(path).notes) is noted
    described = describe(path)
    assert isinstance(described.inputs[0].shape[0], str) and described.inputs[0].shape[1] == 4
    assert len(described.outputs[0].shape) == 2 and described.outputs[0].shape[1] == 3
    source = load_source(str(path), inputs=["x:float32[2,4]"])
    assert bool(source.notes) is noted
    exported = export_onnx(source, tmp_path / "out.onnx")
    assert exported.notes == tuple(source.notes)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(str(exported.model.path), options)
    assert session.get_inputs()[0].shape == [2, 4]
    (want,) = session.run(None, {"x": feed})
    np.testing.assert_allclose(want, np.maximum(feed @ W, 0), rtol=1e-5, atol=1e-6)
    made = convert(exported.model, tmp_path, to=["tflite"]).tflite
    assert made is not None
    np.testing.assert_allclose(TFLite().load(made).run({"x": feed})["y"], want, rtol=1e-5, atol=1e-6)


def test_a_batch_of_zero_may_be_any(tmp_path: Path) -> None:
    exported = export_onnx(load_source(str(write(tmp_path / "m.onnx", [0, 4], [0, 3]))), tmp_path / "out.onnx")
    session = onnxruntime.InferenceSession(str(exported.model.path))
    assert session.run(None, {"x": np.ones((5, 4), np.float32)})[0].shape == (5, 3)


def test_a_batch_of_zero_that_was_asked_for_is_none(tmp_path: Path) -> None:
    written = write(tmp_path / "m.onnx", ["n", 4], ["n", 3])
    exported = export_onnx(load_source(str(written), inputs=["x:float32[0,4]"]), tmp_path / "0.onnx")
    again = export_onnx(load_source(str(exported.model.path)), tmp_path / "again.onnx")
    for model in (exported.model, again.model):
        assert [spec.shape for spec in (*model.inputs, *model.outputs)] == [(0, 4), (0, 3)] and not exported.notes
        with pytest.raises(BadInput, match="'y' are constants without elements"):  # and not one of any batch
            convert(model, tmp_path / model.path.stem, to=["tflite"])


def test_an_empty_tensor_stays_one(tmp_path: Path) -> None:
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("ReduceSum", ["x"], ["y"], keepdims=0)],
        "g",
        [value("x", TensorProto.FLOAT, [2, 0, 4])],
        [value("y", TensorProto.FLOAT, [])],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), tmp_path / "m.onnx")
    assert describe(tmp_path / "m.onnx").inputs[0].shape == (2, 0, 4)
    assert read_onnx(tmp_path / "m.onnx").graph.inputs[0].shape == (2, 0, 4)


@pytest.mark.parametrize("name", ["input_2:0", "a[0]", "a:b:c", "x:float32[1]", "x y", "ü/1"])
def test_inputs_of_any_name(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / "m.onnx", ["n", 4], ["n", 3], name=name)
    source = load_source(str(path), inputs=[f"{name}:float32[5,4]"])
    assert source.inputs == (TensorSpec(name, "float32", (5, 4)),)
    assert TensorSpec.parse(str(source.inputs[0])) == source.inputs[0]


def test_an_output_without_shape_or_type_takes_the_inferred_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Inferred once; an extent that ONNX itself has no name for is called by the output's."""
    value = helper.make_tensor_value_info
    nodes = [helper.make_node("NonZero", ["x"], ["where"]), helper.make_node("Relu", ["x"], ["y"])]
    untyped = onnx.ValueInfoProto(name="y")
    graph = helper.make_graph(
        nodes, "g", [value("x", TensorProto.FLOAT, ["n", 4])], [value("where", TensorProto.INT64, None), untyped]
    )
    path = tmp_path / "m.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    infer, runs = onnx.shape_inference.infer_shapes, []

    def counted(*args: Any, **options: Any) -> onnx.ModelProto:
        runs.append(options)
        return infer(*args, **options)

    monkeypatch.setattr(onnx.shape_inference, "infer_shapes", counted)
    assert [str(s) for s in describe(path).outputs] == ["where:int64[2,where_dim1]", "y:float32[n,4]"]
    assert len(runs) == 1
    assert not summarize(path).notes, "nothing was declared wrongly"


@pytest.mark.parametrize("declared", [None, [2, 3], [7]])
def test_an_output_that_is_an_input_hides_no_other(tmp_path: Path, declared: Any) -> None:
    value = helper.make_tensor_value_info
    outputs = [value("y", TensorProto.FLOAT, None), value("x", TensorProto.FLOAT, declared)]
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])], "g", [value("x", TensorProto.FLOAT, ["n", 3])], outputs
    )
    path = tmp_path / "m.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    y, x = describe(path).outputs
    assert (y.shape, x.shape[1:]) == (("n", 3), (3,))
