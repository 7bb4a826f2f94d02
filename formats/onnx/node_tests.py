"""ONNX's own node tests as plain data, and the rule that says which of them count.

The onnx package makes them in-process (1,884 in onnx 1.23.2). A test counts when every graph input and output has an
element type out of `TFLITE_TYPES` (1,584 do); a sequence or an optional has its element's type. Left out for their
types are float64, uint16, bfloat16, string, float8, float4 and the 2- and 4-bit integers: TFLite's schema has some of
them as tensor types, but next to no kernel that computes with them. Tests of ``ai.onnx.ml``, ``ai.onnx.preview`` and
``ai.onnx.preview.training`` count by the same rule.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx

from ...errors import NotAvailable

TFLITE_TYPES = frozenset(
    getattr(onnx.TensorProto, name)
    for name in ("FLOAT", "FLOAT16", "INT8", "INT16", "INT32", "INT64", "UINT8", "UINT32", "UINT64", "BOOL")
)

NodeTestValue = Any
"""A numpy array; a list of arrays for a sequence; None for an absent optional."""


@dataclass(frozen=True)
class NodeTest:
    """One test: a model, one set of inputs, and what ONNX says must come out.

    Attributes:
        op: The operator under test.
        model: A serialized ``ModelProto``: a test travels to a worker by pickle.
    """

    name: str
    op: str
    model: bytes
    inputs: dict[str, NodeTestValue]
    outputs: dict[str, NodeTestValue]
    rtol: float
    atol: float


@dataclass(frozen=True)
class NodeTests:
    """All tests of the installed onnx; ``cases`` are those that count, by name, ``total`` is the number of all."""

    cases: tuple[NodeTest, ...]
    total: int


def load_node_tests() -> NodeTests:
    """Make all node tests (about 5 s) and keep those that count, by name.

    Raises:
        NotAvailable: the installed onnx brings none, as where a distribution left its tests out.
    """
    try:
        from onnx.backend.test.loader import load_model_tests

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # the generators divide by zero on purpose
            tests: list[Any] = load_model_tests(kind="node")
    except ImportError as error:
        raise NotAvailable(
            f"the installed onnx {onnx.__version__} brings no node tests: {error}",
            where=str(onnx.__file__),
            remedy=f"take the package of PyPI: pip install --force-reinstall onnx=={onnx.__version__}",
        ) from error
    operators = {test.name: test.model.graph.node[0].op_type for test in tests if _is_single(test)}
    cases = [_case(test, operators) for test in tests if element_types(test.model.graph) <= TFLITE_TYPES]
    return NodeTests(tuple(sorted(cases, key=lambda case: case.name)), len(tests))


def element_types(graph: onnx.GraphProto) -> set[int]:
    """Element types (``TensorProto.DataType``) of a graph's inputs and outputs."""
    return {_element_type(value.type) for value in (*graph.input, *graph.output)}


def as_arrays(values: Sequence[onnx.ValueInfoProto], arrays: Sequence[object]) -> dict[str, NodeTestValue]:
    """A node test's data by the names of the graph's inputs or outputs."""
    return {value.name: _plain(array) for value, array in zip(values, arrays, strict=True)}


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


def _case(test: Any, operators: Mapping[str, str]) -> NodeTest:
    graph = test.model.graph
    inputs, outputs = test.data_sets[0]  # every node test has one
    base = test.name.partition("_expanded")[0]  # such a case holds an operator's function body
    return NodeTest(
        name=test.name,
        op=operators.get(test.name) or f"{operators.get(base, 'a graph')} (function body)",
        model=test.model.SerializeToString(),
        inputs=as_arrays(graph.input, inputs),
        outputs=as_arrays(graph.output, outputs),
        rtol=test.rtol,
        atol=test.atol,
    )


def _plain(value: object) -> NodeTestValue:
    if value is None:
        return None
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, onnx.TensorProto):
        return onnx.numpy_helper.to_array(value)
    return np.asarray(value)
