"""Small ONNX files, right and wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

ROWS, COLUMNS = 40, 30


def model(**changes: Any) -> onnx.ModelProto:
    """y[n,30] = relu(x[n,40] @ weight); ``changes``: nodes, weight, opset, domains, input, ir."""
    nodes = [helper.make_node("MatMul", ["x", "weight"], ["h"], "product"), helper.make_node("Relu", ["h"], ["y"], "relu")]
    weight = changes.get("weight", np.ones((ROWS, COLUMNS), np.float32))
    graph = helper.make_graph(
        changes.get("nodes", nodes),
        "graph",
        changes.get("inputs", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", ROWS])]),
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", COLUMNS])],
        [numpy_helper.from_array(weight, "weight")],
    )
    domains = {"": changes.get("opset", 20)} | changes.get("domains", {})
    opsets = [helper.make_opsetid(domain, version) for domain, version in domains.items()]
    return helper.make_model(graph, opset_imports=opsets, ir_version=changes.get("ir", 10))


def write(path: Path, **changes: Any) -> Path:
    path.write_bytes(model(**changes).SerializeToString())
    return path


def write_external(path: Path, location: str) -> Path:
    """A model whose weight lies in the file ``location`` says; that file is not written."""
    proto = model()
    tensor = proto.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", str(4 * ROWS * COLUMNS))):
        tensor.external_data.add(key=key, value=value)
    path.write_bytes(proto.SerializeToString())
    return path
