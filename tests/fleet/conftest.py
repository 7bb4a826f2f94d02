"""Two small models, as files."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``abs.onnx`` and ``relu.onnx``."""
    folder = tmp_path_factory.mktemp("models")
    for op in ("Abs", "Relu"):
        save_model(folder / f"{op.lower()}.onnx", op, [1, 3])
    return folder


def save_model(file: Path, op: str, shape: list[int]) -> None:
    """A model of one operator with one input and one output, as a file."""
    x, y = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name in "xy")
    graph = onnx.helper.make_graph([onnx.helper.make_node(op, ["x"], ["y"])], "g", [x], [y])
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=10), file)
