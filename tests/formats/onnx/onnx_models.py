"""A small ONNX model with a large weight, as a file, and refusals of what is wrong with it."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeworthy.errors import BadInput
from edgeworthy.formats.onnx.file import read_onnx
from edgeworthy.formats.onnx.wire import LARGE

WEIGHT = np.random.default_rng(0).standard_normal((40, 40)).astype(np.float32)
BIAS = np.arange(40, dtype=np.float32)

ANY_WEIGHT = [helper.make_node("Size", ["w"], ["size"]), helper.make_node("Add", ["x", "b"], ["y"])]
"""Nodes that go with a weight of any type and shape."""


def build(*, opset: int = 18, weight: np.ndarray = WEIGHT, **changes: Any) -> onnx.ModelProto:
    """x[n,40] @ weight + bias, with the weight above ``LARGE`` and the bias below it."""
    assert weight.nbytes >= LARGE > BIAS.nbytes
    nodes = [helper.make_node("MatMul", ["x", "w"], ["h"]), helper.make_node("Add", ["h", "b"], ["y"])]
    graph = helper.make_graph(
        changes.get("nodes", nodes),
        "graph",
        changes.get("inputs", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 40])]),
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 40])],
        [numpy_helper.from_array(weight, "w"), numpy_helper.from_array(BIAS, "b")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def write(path: Path, model: onnx.ModelProto) -> Path:
    path.write_bytes(model.SerializeToString())
    return path


def arrays(model: ir.Model) -> dict[str, np.ndarray]:
    tensors = {name: value.const_value for name, value in model.graph.initializers.items()}
    return {name: tensor.numpy() for name, tensor in tensors.items() if tensor is not None}


def refused(path: Path) -> BadInput:
    with pytest.raises(BadInput) as caught:
        read_onnx(path)
    assert caught.value.exit_code == 2
    assert caught.value.remedy or caught.value.details
    return caught.value
