"""ONNX's own node tests as plain data, and the rule that says which of them count.

``onnx.backend.test.loader.load_model_tests(kind="node")`` makes the cases in-process (1,884 in onnx 1.23.2).
A case counts when every graph input and output has an element type out of `TFLITE_TYPES` (1,584 do); a
sequence or an optional has its element's type. Left out for their types are float64, uint16, bfloat16,
string, float8, float4 and the 2- and 4-bit integers: TFLite's schema has some of them as tensor types, but
next to no kernel that computes with them. Cases of ``ai.onnx.ml``, ``ai.onnx.preview`` and
``ai.onnx.preview.training`` count by the same rule.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx.backend.test.loader import load_model_tests

TFLITE_TYPES = frozenset(
    getattr(onnx.TensorProto, name)
    for name in ("FLOAT", "FLOAT16", "INT8", "INT16", "INT32", "INT64", "UINT8", "UINT32", "UINT64", "BOOL")
)

Value = Any
"""A numpy array; a list of arrays for a sequence; None for an absent optional."""


@dataclass(frozen=True)
class Case:
    """One node test: a model, one set of inputs, and what ONNX says must come out.

    Attributes:
        op: The operator under test.
        model: A serialized ``ModelProto``: a case travels to a worker by pickle.
    """

    name: str
    op: str
    model: bytes
    inputs: dict[str, Value]
    outputs: dict[str, Value]
    rtol: float
    atol: float


@dataclass(frozen=True)
class Suite:
    """All cases of the installed onnx; ``cases`` are those that count, ``total`` is the number of all."""

    cases: tuple[Case, ...]
    total: int


STORED = ("pytorch-operator", "pytorch-converted", "simple")
"""Kinds of tests that the onnx package has as files: 140, most of them what PyTorch exported in its first years."""


def load_stored() -> Suite:
    """The tests of the kinds ``STORED``."""
    tests: list[Any] = [test for kind in STORED for test in load_model_tests(kind=kind)]
    models = [(test, onnx.load(Path(test.model_dir) / "model.onnx")) for test in tests]
    cases = [_stored_case(test, model) for test, model in models if element_types(model.graph) <= TFLITE_TYPES]
    return Suite(tuple(sorted(cases, key=lambda case: case.name)), len(tests))


def _stored_case(test: Any, model: onnx.ModelProto) -> Case:
    data = Path(test.model_dir) / "test_data_set_0"
    stored = {initializer.name for initializer in model.graph.initializer}
    fed = [value for value in model.graph.input if value.name not in stored]

    def arrays(side: str, values: Sequence[onnx.ValueInfoProto]) -> dict[str, Value]:
        tensors = [onnx.load_tensor(data / f"{side}_{i}.pb") for i in range(len(values))]
        return as_arrays(values, tensors)

    feeds, results = arrays("input", fed), arrays("output", model.graph.output)
    return Case(test.name, test.kind, model.SerializeToString(), feeds, results, test.rtol, test.atol)


def load_suite() -> Suite:
    """Make all node tests (about 5 s) and keep those that count, by name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the generators divide by zero on purpose
        tests: list[Any] = load_model_tests(kind="node")
    operators = {test.name: test.model.graph.node[0].op_type for test in tests if _is_single(test)}
    cases = [_case(test, operators) for test in tests if element_types(test.model.graph) <= TFLITE_TYPES]
    return Suite(tuple(sorted(cases, key=lambda case: case.name)), len(tests))


def element_types(graph: onnx.GraphProto) -> set[int]:
    """Element types (``TensorProto.DataType``) of a graph's inputs and outputs."""
    return {_element_type(value.type) for value in (*graph.input, *graph.output)}


def _element_type(kind: onnx.TypeProto) -> int:
    match kind.WhichOneof("value"):
        case "tensor_type":
            return kind.tensor_type.elem_type
        case "sequence_type":
            return _element_type(kind.sequence_type.elem_type)
        case "optional_type":
            return _element_type(kind.optional_type.elem_type)
    return onnx.TensorProto.UNDEFINED


def _is_single(test: Any) -> bool:
    return len(test.model.graph.node) == 1


def _case(test: Any, operators: Mapping[str, str]) -> Case:
    graph = test.model.graph
    inputs, outputs = test.data_sets[0]  # every node test has one
    base = test.name.partition("_expanded")[0]  # such a case holds an operator's function body
    return Case(
        name=test.name,
        op=operators.get(test.name) or f"{operators.get(base, 'a graph')} (function body)",
        model=test.model.SerializeToString(),
        inputs=as_arrays(graph.input, inputs),
        outputs=as_arrays(graph.output, outputs),
        rtol=test.rtol,
        atol=test.atol,
    )


def as_arrays(values: Sequence[onnx.ValueInfoProto], arrays: Sequence[object]) -> dict[str, Value]:
    """A node test's data by the names of the graph's inputs or outputs."""
    return {value.name: _plain(array) for value, array in zip(values, arrays, strict=True)}


def _plain(value: object) -> Value:
    if value is None:
        return None
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, onnx.TensorProto):
        return onnx.numpy_helper.to_array(value)
    return np.asarray(value)
