"""What mutations draw from: the extremes, and the places of a model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import numpy as np
import onnx
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, TypeProto, numpy_helper

from edgeworthy.formats.onnx.nesting import graphs_of

INTS = (-(2**63), -(2**31) - 1, -(2**31), -100, -3, -2, -1, 0, 1, 2, 3, 5, 100, 2**31 - 1, 2**31, 2**40, 2**63 - 1)
FLOATS = (float("nan"), float("inf"), float("-inf"), -1.0, -0.0, 0.0, 1e-45, 0.5, 1.0, 3.4e38)
DIMS = (-1, 0, 0, 1, 2, 3, 7, 2**31 - 1, 2**31, 2**62)
DTYPES = tuple(range(24))
TEXTS = (b"", b"VALID", b"SAME_UPPER", b"linear", b"nope", b"\xff\xfe", b"a,b->ab", "ß".encode())
NAMES = ("", "x", "y", "a/b:0", "\x00", "ü" * 40)

Mutation = Callable[[Random, ModelProto], None]
"""Changes a model in place."""


class NothingToMutate(Exception):
    """A model has no place for a mutation."""


def graphs(model: ModelProto) -> list[GraphProto]:
    """The main graph and all below it."""
    return list(graphs_of(model.graph))


def choose(rng: Random, items: Sequence[Any]) -> Any:
    """One of ``items``."""
    if not items:
        raise NothingToMutate
    return items[rng.randrange(len(items))]


def any_graph(rng: Random, model: ModelProto) -> GraphProto:
    return choose(rng, graphs(model)) if rng.random() < 0.5 else model.graph


def any_node(rng: Random, model: ModelProto) -> NodeProto:
    bodies = [f for f in model.functions if f.node]
    if bodies and rng.random() < 0.4:
        return choose(rng, choose(rng, bodies).node)
    return choose(rng, any_graph(rng, model).node)


def names_of(graph: GraphProto) -> list[str]:
    made = [name for node in graph.node for name in node.output]
    return [*made, *(v.name for v in graph.input), *(t.name for t in graph.initializer), "nowhere"]


def any_attribute(rng: Random, model: ModelProto) -> AttributeProto:
    return choose(rng, [a for g in graphs(model) for n in g.node for a in n.attribute])


def any_tensor(rng: Random, model: ModelProto) -> TensorProto:
    held = [a.t for g in graphs(model) for n in g.node for a in n.attribute if a.HasField("t")]
    return choose(rng, [t for g in graphs(model) for t in g.initializer] + held)


def any_value(rng: Random, model: ModelProto) -> onnx.ValueInfoProto:
    graph = any_graph(rng, model)
    return choose(rng, [*graph.input, *graph.input, *graph.output, *graph.value_info])


def any_kind(rng: Random, model: ModelProto) -> TypeProto.Tensor:
    kind = any_value(rng, model).type
    while kind.HasField("sequence_type") or kind.HasField("optional_type"):
        kind = kind.sequence_type.elem_type if kind.HasField("sequence_type") else kind.optional_type.elem_type
    tensor: TypeProto.Tensor = kind.tensor_type
    return tensor


def array_of(tensor: TensorProto) -> np.ndarray[Any, Any]:
    if tensor.data_location == TensorProto.EXTERNAL:
        raise NothingToMutate
    try:
        return numpy_helper.to_array(tensor)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:  # an earlier mutation broke it
        raise NothingToMutate from error


def store(tensor: TensorProto, array: np.ndarray[Any, Any]) -> None:
    try:
        tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), tensor.name))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise NothingToMutate from error


def vector(values: Sequence[float]) -> TensorProto:
    return numpy_helper.from_array(np.asarray(values, np.float32), "t")
