from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeworthy.artifact import OnnxModel, TensorSpec
from edgeworthy.errors import BadInput
from edgeworthy.targets import get


def write(path: Path, nodes: list[Any], weights: dict[str, Any], out: int = TensorProto.FLOAT) -> OnnxModel:
    infos = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [3]), helper.make_tensor_value_info("y", out, None)]
    tensors = [numpy_helper.from_array(a, n) for n, a in weights.items()]
    graph = helper.make_graph(nodes, "g", infos[:1], infos[1:], tensors)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return OnnxModel(path, (TensorSpec("x", "float32", (3,)),), (TensorSpec("y", "float32", ("n",)),))


def test_network_is_float64_to_the_last_bits(onnx_model: OnnxModel, images: Any, expected: Any) -> None:
    session = get("onnx-reference").load(onnx_model)
    out = session.run({"image": images})["logits"]
    assert out.dtype == np.float64 and session.receipt.precision == "float64"
    np.testing.assert_allclose(out, expected, rtol=1e-12)


def test_constants_casts_and_subgraphs_are_widened(tmp_path: Path) -> None:
    third = helper.make_graph(
        [helper.make_node("Constant", [], ["t"], value_float=1 / 3), helper.make_node("Div", ["i", "t"], ["r"])],
        "then",
        [],
        [helper.make_tensor_value_info("r", TensorProto.FLOAT, None)],
    )
    nodes = [
        helper.make_node("Cast", ["x"], ["i"], to=TensorProto.FLOAT),
        helper.make_node("If", ["yes"], ["d"], then_branch=third, else_branch=third),
        helper.make_node("Div", ["d", "w"], ["y"]),
    ]
    model = write(tmp_path / "m.onnx", nodes, {"yes": np.array(True), "w": np.array([3.0, 7.0, 9.0], np.float32)})
    x = np.array([1.0, 2.0, 5.0], np.float32)
    wanted = x.astype(np.float64) / np.float64(np.float32(1 / 3)) / np.array([3.0, 7.0, 9.0])
    np.testing.assert_allclose(get("onnx-reference").load(model).run({"x": x})["y"], wanted, rtol=1e-15)


def test_gather_elements_on_a_long_axis(tmp_path: Path) -> None:
    data, indices = np.arange(300, dtype=np.float32).reshape(100, 3), np.array([[99, -1], [0, 5]])
    nodes = [helper.make_node("GatherElements", ["data", "k"], ["y"], axis=0)]
    model = write(tmp_path / "m.onnx", nodes, {"data": data, "k": indices})
    out = get("onnx-reference").load(model).run({"x": np.zeros(3, np.float32)})["y"]
    np.testing.assert_array_equal(out, [[297, 298], [0, 16]])


def test_lost_precision_is_refused(tmp_path: Path) -> None:
    nodes = [helper.make_node("Cast", ["x"], ["y"], to=TensorProto.FLOAT16)]
    model = write(tmp_path / "m.onnx", nodes, {}, TensorProto.FLOAT16)
    with pytest.raises(BadInput, match="float64 was lost"):
        get("onnx-reference").load(model).run({"x": np.zeros(3, np.float32)})
