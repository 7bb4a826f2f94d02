"""Mutations of inputs, outputs and the types and shapes that a file states."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, TypeProto, helper, numpy_helper

from .common import DIMS, DTYPES, NAMES, NothingToMutate, any_graph, any_kind, any_value, choose, names_of


def extreme_dim(rng: Random, model: ModelProto) -> None:
    dims = any_kind(rng, model).shape.dim
    dim = choose(rng, dims)
    if rng.random() < 0.25:
        dim.dim_param = choose(rng, ("N", "M", "", "2*N", "unk__0", "N/0", "max(N,1)"))
    else:
        dim.dim_value = choose(rng, DIMS)


def change_rank(rng: Random, model: ModelProto) -> None:
    kind = any_kind(rng, model)
    action = rng.randrange(4)
    if action == 0:
        kind.ClearField("shape")
    elif action == 1:
        del kind.shape.dim[rng.randrange(len(kind.shape.dim) + 1) :]
    else:
        for _ in range(choose(rng, (1, 1, 2, 6))):
            kind.shape.dim.add().dim_value = choose(rng, (0, 1, 2))


def change_type(rng: Random, model: ModelProto) -> None:
    any_kind(rng, model).elem_type = choose(rng, DTYPES)


def wrap_type(rng: Random, model: ModelProto) -> None:
    """A tensor becomes a sequence, an optional, a map, or has no type at all."""
    value = any_value(rng, model)
    inner = TypeProto()
    inner.CopyFrom(value.type)
    value.ClearField("type")
    kind = rng.randrange(5)
    if kind == 0:
        value.type.sequence_type.elem_type.CopyFrom(inner)
    elif kind == 1:
        value.type.optional_type.elem_type.CopyFrom(inner)
    elif kind == 2:
        value.type.map_type.key_type = TensorProto.INT64
        value.type.map_type.value_type.CopyFrom(inner)
    elif kind == 3:
        value.type.sparse_tensor_type.CopyFrom(TypeProto.SparseTensor(elem_type=inner.tensor_type.elem_type))


def rename_value(rng: Random, model: ModelProto) -> None:
    any_value(rng, model).name = choose(rng, NAMES)


def drop_value(rng: Random, model: ModelProto) -> None:
    graph = any_graph(rng, model)
    values = choose(rng, [v for v in (graph.input, graph.output, graph.initializer) if v])
    del values[rng.randrange(len(values))]


def repeat_value(rng: Random, model: ModelProto) -> None:
    graph = any_graph(rng, model)
    values = choose(rng, [v for v in (graph.input, graph.output, graph.initializer, graph.value_info) if v])
    values.add().CopyFrom(choose(rng, values))


def more_outputs(rng: Random, model: ModelProto) -> None:
    """An input, a constant or an inner value is an output as well."""
    graph = any_graph(rng, model)
    graph.output.add().name = choose(rng, names_of(graph))


def state_value(rng: Random, model: ModelProto) -> None:
    """A type and a shape that the file states of an inner value, right or wrong."""
    graph = any_graph(rng, model)
    dims = [choose(rng, (0, 1, 2, 3, "N")) for _ in range(rng.randrange(5))]
    graph.value_info.append(
        helper.make_tensor_value_info(choose(rng, names_of(graph)), choose(rng, DTYPES[1:14]), dims)
    )


def input_to_constant(rng: Random, model: ModelProto) -> None:
    graph = any_graph(rng, model)
    value = choose(rng, [v for v in graph.input if v.type.HasField("tensor_type")])
    kind = value.type.tensor_type
    shape = [min(max(d.dim_value, 0), 8) if d.HasField("dim_value") else 2 for d in kind.shape.dim]
    if kind.elem_type not in helper.get_all_tensor_dtypes() or kind.elem_type in (0, TensorProto.STRING):
        raise NothingToMutate
    dtype = helper.tensor_dtype_to_np_dtype(kind.elem_type)
    numbers = np.random.default_rng(rng.randrange(2**32)).integers(-2, 4, shape[:8])
    with np.errstate(all="ignore"):
        graph.initializer.append(numpy_helper.from_array(numbers.astype(dtype), value.name))
    if rng.random() < 0.8:
        graph.input.remove(value)


def constant_to_input(rng: Random, model: ModelProto) -> None:
    graph = any_graph(rng, model)
    tensor = choose(rng, graph.initializer)
    dims: list[Any] = [choose(rng, (d, d, d, "N")) for d in tensor.dims]
    graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, dims))
    if rng.random() < 0.8:
        graph.initializer.remove(tensor)


def freeze(rng: Random, model: ModelProto, values: Mapping[str, Any]) -> list[str]:
    """Make initializers of some inputs, with the values that suit the model; tells which."""
    frozen = []
    for value in list(model.graph.input):
        array = values.get(value.name)
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "iufb":
            continue
        small = array.dtype.kind == "i" or value is not model.graph.input[0]
        if value.type.HasField("tensor_type") and array.size <= 4096 and rng.random() < (0.8 if small else 0.2):
            model.graph.initializer.append(numpy_helper.from_array(array, value.name))
            model.graph.initializer[-1].data_type = value.type.tensor_type.elem_type
            model.graph.input.remove(value)
            frozen.append(f"freeze {value.name}")
    return frozen
