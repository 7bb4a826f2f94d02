"""Inputs and outputs of rank 0 keep it in every runtime, from a file of arrays to the outputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from edgeworthy.convert import convert
from edgeworthy.export.onnx_export import export_onnx
from edgeworthy.source.load import load_source
from edgeworthy.targets.worker import Worker


@pytest.mark.parametrize("target", ["onnxruntime", "tflite", "tensorflow"])
def test_a_scalar_goes_in_and_comes_out(tmp_path: Path, target: str) -> None:
    value = helper.make_tensor_value_info
    nodes = [
        helper.make_node("Mul", ["x", "t"], ["y"]),
        helper.make_node("Add", ["t", "t"], ["twice"]),
        helper.make_node("ReduceSum", ["x"], ["sum"], keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [value("x", TensorProto.FLOAT, [2, 3]), value("t", TensorProto.FLOAT, [])],
        [
            value("y", TensorProto.FLOAT, [2, 3]),
            value("twice", TensorProto.FLOAT, []),
            value("sum", TensorProto.FLOAT, []),
        ],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "m.onnx")
    x, t = np.arange(6, dtype=np.float32).reshape(2, 3), np.array(-1.5, np.float32)
    np.savez(tmp_path / "in.npz", x=x, t=t)
    source = load_source(str(tmp_path / "m.onnx"), inputs_file=tmp_path / "in.npz", inputs=["t:float32[]"])
    assert source.examples["t"].shape == () and str(source.inputs[1]) == "t:float32[]"
    exported = export_onnx(source, tmp_path / "out.onnx").model
    kinds = {"tflite": ["tflite"], "tensorflow": ["saved_model"]}
    made = convert(exported, tmp_path, to=kinds[target]) if target in kinds else None
    artifact = exported if made is None else made.tflite or made.saved_model
    with Worker(target, artifact) as worker:
        outputs = worker.run(source.examples)
    for name, want in (("y", x * t), ("twice", np.float32(-3)), ("sum", np.float32(15))):
        assert outputs[name].shape == np.shape(want), name
        np.testing.assert_array_equal(outputs[name], want)
