"""Small ONNX files, right and wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

ROWS, COLUMNS = 40, 30
WEIGHT = np.ones((ROWS, COLUMNS), np.float32)
"""Large enough to be read apart from the graph."""


def node(op: str, *names: str, **attributes: Any) -> onnx.NodeProto:
    """A node whose name is its operator's in lower case; ``names``: its inputs and its output."""
    return helper.make_node(op, names[:-1], names[-1:], name=op.lower(), **attributes)


def write(
    path: Path,
    *nodes: onnx.NodeProto,
    weight: np.ndarray = WEIGHT,
    dtype: str = "FLOAT",
    opset: int = 20,
    **domains: int,
) -> Path:
    """y[n,30] = relu(x[n,40] @ weight), or other ``nodes``; ``domains`` beside ONNX's own, with their versions."""
    graph = helper.make_graph(
        list(nodes) or [node("MatMul", "x", "weight", "h"), node("Relu", "h", "y")],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.DataType.Value(dtype), ["n", ROWS])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", weight.shape[1]])],
        [numpy_helper.from_array(weight, "weight")],
    )
    opsets = [helper.make_opsetid(domain, version) for domain, version in {"": opset, **domains}.items()]
    path.write_bytes(helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString())
    return path


def write_pool(path: Path) -> Path:
    """y[1,3,1,1] is the mean of each channel of image[1,3,8,8]."""
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, size, size])
        for name, size in (("image", 8), ("y", 1))
    ]
    graph = helper.make_graph([node("GlobalAveragePool", "image", "y")], "graph", values[:1], values[1:])
    opsets = [helper.make_opsetid("", 20)]
    path.write_bytes(helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString())
    return path


def write_external(path: Path, location: str) -> Path:
    """A model whose weight lies in the file that ``location`` tells; that file is not written."""
    proto = onnx.load(write(path))
    tensor = proto.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", str(WEIGHT.nbytes))):
        tensor.external_data.add(key=key, value=value)
    path.write_bytes(proto.SerializeToString())
    return path
