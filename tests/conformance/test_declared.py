"""A declared output shape that stands in for a run-time value is told from one that says nothing new."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import pytest

from edgeworthy.formats.onnx.node_tests import NodeTest
from edgeworthy.validate.node_tests import NodeTestOutcome

from .declared import DeclaredPass, without_declared_shapes
from .suite import Run, table
from .worker import check


def model(nodes: str, outputs: str, length: str = "2") -> bytes:
    text = f'<ir_version: 8, opset_import: ["" : 18]> g (float[6] x, int64[{length}] a) => ({outputs}) {{ {nodes} }}'
    made: bytes = onnx.parser.parse_model(text).SerializeToString()
    return made


@pytest.mark.parametrize(
    ("nodes", "outputs", "declares"),
    [
        ("y = Relu (x)", "float[6] y", False),
        ("y = Reshape (x, a)", "float[2,3] y", True),
        ("y, z = Split (x, a)", "float[2] y, float[4] z", True),
    ],
)
def test_what_a_model_declares(nodes: str, outputs: str, declares: bool) -> None:
    stripped = without_declared_shapes(model(nodes, outputs))
    assert (stripped is not None) == declares
    if stripped is not None:
        graph = onnx.load_model_from_string(stripped).graph
        assert not any(value.type.tensor_type.HasField("shape") for value in graph.output)
        assert all(value.type.tensor_type.HasField("shape") for value in graph.input)


@pytest.mark.parametrize(("length", "declared"), [("2", False), ("n", True)])
def test_a_case_is_run_again_without(length: str, declared: bool, tmp_path: Path) -> None:
    """How many extents a shape of any length has is known at run time only, and a TFLite file has fixed ranks."""
    x = np.arange(6, dtype=np.float32)
    inputs = {"x": x, "a": np.array([2, 3], np.int64)}
    proto = model("y = Reshape (x, a)", "float[2,3] y", length)
    case = NodeTest("c", "Reshape", proto, inputs, {"y": x.reshape(2, 3)}, 1e-5, 1e-6)
    outcome = check(case, "tflite", tmp_path, lambda stage: None)
    assert (outcome.status, isinstance(outcome, DeclaredPass)) == ("pass", declared)
    assert ("rank of 'y' is unknown" in outcome.detail) == declared


@pytest.mark.parametrize(("artifact", "times"), [("tflite", 2), ("saved_model", 1)])
def test_a_saved_model_that_passes_without_is_not_made_again(artifact: str, times: int, tmp_path: Path) -> None:
    x = np.arange(6, dtype=np.float32)
    proto = model("y = Reshape (x, a)", "float[2,3] y")
    case = NodeTest("c", "Reshape", proto, {"x": x, "a": np.array([2, 3])}, {"y": x.reshape(2, 3)}, 1e-5, 1e-6)
    stages: list[str] = []
    assert check(case, artifact, tmp_path, stages.append) == NodeTestOutcome("pass")
    assert stages == ["converting", "running"] * times


def test_the_table_counts_them_apart() -> None:
    outcomes = {"a": NodeTestOutcome("pass"), "b": DeclaredPass("pass", "why"), "c": NodeTestOutcome("timeout")}
    run = Run("tflite", outcomes, 1.0)
    assert (run.passed, run.declared) == (2, 1)
    header, row = table([run])
    assert row.split() == ["tflite", "2/3", "66.7%", "1", "1", "1"]
    assert "by declared shape" in header
