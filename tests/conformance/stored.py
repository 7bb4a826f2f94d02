"""The tests that the onnx package has as files: 140, most of them what PyTorch exported in its first years."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx
from onnx.backend.test.loader import load_model_tests

from edgeworthy.formats.onnx.node_tests import (
    TFLITE_TYPES,
    NodeTest,
    NodeTests,
    NodeTestValue,
    as_arrays,
    element_types,
)  # fmt: skip

KINDS = ("pytorch-operator", "pytorch-converted", "simple")


def load_stored() -> NodeTests:
    """The tests of `KINDS`."""
    tests: list[Any] = [test for kind in KINDS for test in load_model_tests(kind=kind)]
    models = [(test, onnx.load(Path(test.model_dir) / "model.onnx")) for test in tests]
    cases = [_case(test, model) for test, model in models if element_types(model.graph) <= TFLITE_TYPES]
    return NodeTests(tuple(sorted(cases, key=lambda case: case.name)), len(tests))


def _case(test: Any, model: onnx.ModelProto) -> NodeTest:
    data = Path(test.model_dir) / "test_data_set_0"
    stored = {initializer.name for initializer in model.graph.initializer}
    fed = [value for value in model.graph.input if value.name not in stored]

    def arrays(side: str, values: Sequence[onnx.ValueInfoProto]) -> dict[str, NodeTestValue]:
        tensors = [onnx.load_tensor(data / f"{side}_{i}.pb") for i in range(len(values))]
        return as_arrays(values, tensors)

    feeds, results = arrays("input", fed), arrays("output", model.graph.output)
    return NodeTest(test.name, test.kind, model.SerializeToString(), feeds, results, test.rtol, test.atol)
