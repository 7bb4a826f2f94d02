"""A graph in an older opset computes the same; what can't be said in it is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from edgeworthy.convert.routes.older import lower_opset
from edgeworthy.errors import CheckFailed


def saved(path: Path, nodes: list[Any], *, opset: int = 20, constants: dict[str, Any] | None = None) -> Path:
    sides = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("y",)]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3, 4])
    initializers = [onnx.numpy_helper.from_array(np.array(v), n) for n, v in (constants or {}).items()]
    graph = helper.make_graph(nodes, "g", [x], sides, initializers)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9), path)
    return path


def outputs(path: Path) -> Any:
    x = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]


def test_defaults_that_are_newer_go_and_it_computes_the_same(tmp_path: Path) -> None:
    """ONNX's converter moves the axes of ReduceMean-18 to an attribute and leaves noop_with_empty_axes behind."""
    mean = helper.make_node("ReduceMean", ["x", "axes"], ["m"], keepdims=1, noop_with_empty_axes=0)
    shaped = helper.make_node("Reshape", ["m", "shape"], ["y"], allowzero=0)
    constants = {"axes": np.int64([-1]), "shape": np.int64([6, 1])}
    path = saved(tmp_path / "new.onnx", [mean, shaped], constants=constants)
    before = outputs(path)
    lower_opset(path, 15)
    made = onnx.load(path)
    onnx.checker.check_model(made, full_check=True)
    assert [entry.version for entry in made.opset_import] == [15]
    np.testing.assert_array_equal(outputs(path), before)
    assert before.shape == (6, 1)


def test_a_file_that_is_old_enough_is_left_alone(tmp_path: Path) -> None:
    path = saved(tmp_path / "old.onnx", [helper.make_node("Abs", ["x"], ["y"])], opset=13)
    before = path.read_bytes()
    lower_opset(path, 15)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "node",
    [
        helper.make_node("Gelu", ["x"], ["y"], approximate="tanh"),
        helper.make_node("ReduceMean", ["x"], ["y"], noop_with_empty_axes=1),
    ],
    ids=lambda node: node.op_type,
)
def test_what_is_newer_is_refused(tmp_path: Path, node: Any) -> None:
    path = saved(tmp_path / "new.onnx", [node])
    before = path.read_bytes()
    with pytest.raises(CheckFailed, match="up to opset 15, and the graph of opset 20 can't be said in it"):
        lower_opset(path, 15)
    assert path.read_bytes() == before
