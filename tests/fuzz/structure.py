"""Mutations of a model's structure: each takes a random generator and a ``ModelProto``, and changes it in place.

Some break ONNX's rules outright (a name that nothing makes, an operator that isn't there), some keep them in form and
go to the limits of what an operator takes (an extent of 0, an axis of 2⁶³ - 1), and some are consistent enough to give
another right model (every float a double, every extent of 3 none at all).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random
from typing import Any

import numpy as np
import onnx
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, TypeProto, helper, numpy_helper

INTS = (-(2**63), -(2**31) - 1, -(2**31), -100, -3, -2, -1, 0, 1, 2, 3, 5, 100, 2**31 - 1, 2**31, 2**40, 2**63 - 1)
FLOATS = (float("nan"), float("inf"), float("-inf"), -1.0, -0.0, 0.0, 1e-45, 0.5, 1.0, 3.4e38)
DIMS = (-1, 0, 0, 1, 2, 3, 7, 2**31 - 1, 2**31, 2**62)
DTYPES = tuple(range(24))
TEXTS = (b"", b"VALID", b"SAME_UPPER", b"linear", b"nope", b"\xff\xfe", b"a,b->ab", "ß".encode())
NAMES = ("", "x", "y", "a/b:0", "\x00", "ü" * 40)

Mutation = Callable[[Random, ModelProto], None]


class NothingToMutate(Exception):
    """A model has no place for a mutation."""


def graphs(model: ModelProto) -> list[GraphProto]:
    """The main graph and all below it."""

    def below(graph: GraphProto) -> Iterator[GraphProto]:
        yield graph
        for node in graph.node:
            for attr in node.attribute:
                for inner in (*((attr.g,) if attr.HasField("g") else ()), *attr.graphs):
                    yield from below(inner)

    return list(below(model.graph))


def choose(rng: Random, items: Sequence[Any]) -> Any:
    """One of ``items``."""
    if not items:
        raise NothingToMutate
    return items[rng.randrange(len(items))]


def _graph(rng: Random, model: ModelProto) -> GraphProto:
    return choose(rng, graphs(model)) if rng.random() < 0.5 else model.graph


def _node(rng: Random, model: ModelProto) -> NodeProto:
    bodies = [f for f in model.functions if f.node]
    if bodies and rng.random() < 0.4:
        return choose(rng, choose(rng, bodies).node)
    return choose(rng, _graph(rng, model).node)


def _names(graph: GraphProto) -> list[str]:
    made = [name for node in graph.node for name in node.output]
    return [*made, *(v.name for v in graph.input), *(t.name for t in graph.initializer), "nowhere"]


def _attribute(rng: Random, model: ModelProto) -> AttributeProto:
    return choose(rng, [a for g in graphs(model) for n in g.node for a in n.attribute])


def _tensor(rng: Random, model: ModelProto) -> TensorProto:
    held = [a.t for g in graphs(model) for n in g.node for a in n.attribute if a.HasField("t")]
    return choose(rng, [t for g in graphs(model) for t in g.initializer] + held)


def _value(rng: Random, model: ModelProto) -> onnx.ValueInfoProto:
    graph = _graph(rng, model)
    return choose(rng, [*graph.input, *graph.input, *graph.output, *graph.value_info])


def _kind(rng: Random, model: ModelProto) -> TypeProto.Tensor:
    kind = _value(rng, model).type
    while kind.HasField("sequence_type") or kind.HasField("optional_type"):
        kind = kind.sequence_type.elem_type if kind.HasField("sequence_type") else kind.optional_type.elem_type
    tensor: TypeProto.Tensor = kind.tensor_type
    return tensor


# Nodes


def drop_node(rng: Random, model: ModelProto) -> None:
    graph = _graph(rng, model)
    graph.node.remove(choose(rng, graph.node))


def repeat_node(rng: Random, model: ModelProto) -> None:
    """The same node twice, so that two make the same values."""
    graph = _graph(rng, model)
    graph.node.add().CopyFrom(choose(rng, graph.node))


def chain_node(rng: Random, model: ModelProto) -> None:
    """Another operator between an output and its name."""
    graph = model.graph
    output = choose(rng, graph.output)
    makers = [(n, i) for n in graph.node for i, name in enumerate(n.output) if name == output.name]
    node, index = choose(rng, makers)
    node.output[index] = f"{output.name}~"
    op = choose(rng, _ops_like(1, 1, rng.random() < 0.8))
    graph.node.append(helper.make_node(op, [node.output[index]], [output.name], name="chained"))
    if rng.random() < 0.7:
        output.type.tensor_type.ClearField("shape")


def other_operator(rng: Random, model: ModelProto) -> None:
    """One of the same number of inputs and outputs; it keeps only attributes that it has."""
    node = _node(rng, model)
    node.op_type = choose(rng, _ops_like(len(node.input), len(node.output), True))
    if rng.random() < 0.8:
        known = onnx.defs.get_schema(node.op_type).attributes
        for attr in [a for a in node.attribute if a.name not in known]:
            node.attribute.remove(attr)


def _ops_like(inputs: int, outputs: int, standard: bool) -> list[str]:
    latest = {s.name: s for s in onnx.defs.get_all_schemas() if s.domain == "" or not standard}
    return sorted(
        name
        for name, s in latest.items()
        if s.min_input <= inputs <= s.max_input and s.min_output <= outputs <= s.max_output and not s.deprecated
    )


def rename_operator(rng: Random, model: ModelProto) -> None:
    node = _node(rng, model)
    if rng.random() < 0.5:
        node.op_type = choose(rng, ("", "Nonsense", "relu", "Conv", "If", "Loop", "Constant"))
    else:
        node.domain = choose(rng, ("ai.onnx", "ai.onnx.ml", "com.microsoft", "own", "edgeworthy", "edgeworthy.nhwc"))


def rename_node(rng: Random, model: ModelProto) -> None:
    graph = _graph(rng, model)
    for node in graph.node:
        node.name = choose(rng, ("", "same", "a/b", "\x00"))


def rewire_input(rng: Random, model: ModelProto) -> None:
    """An input becomes another value, maybe one that is computed later."""
    graph = _graph(rng, model)
    node = choose(rng, [n for n in graph.node if n.input])
    node.input[rng.randrange(len(node.input))] = choose(rng, _names(graph))


def blank_input(rng: Random, model: ModelProto) -> None:
    node = choose(rng, [n for g in graphs(model) for n in g.node if n.input])
    node.input[rng.randrange(len(node.input))] = ""


def drop_input(rng: Random, model: ModelProto) -> None:
    node = choose(rng, [n for g in graphs(model) for n in g.node if n.input])
    del node.input[rng.randrange(len(node.input))]


def add_input(rng: Random, model: ModelProto) -> None:
    graph = _graph(rng, model)
    node = choose(rng, graph.node)
    node.input.append(choose(rng, ["", *_names(graph)]))


def swap_inputs(rng: Random, model: ModelProto) -> None:
    node = choose(rng, [n for g in graphs(model) for n in g.node if len(n.input) > 1])
    names = list(node.input)
    rng.shuffle(names)
    node.input[:] = names


def change_outputs(rng: Random, model: ModelProto) -> None:
    node = _node(rng, model)
    kind = rng.randrange(4)
    if kind == 0 and node.output:
        del node.output[rng.randrange(len(node.output))]
    elif kind == 1 and node.output:
        node.output[rng.randrange(len(node.output))] = choose(rng, NAMES)
    elif kind == 2:
        node.output.append(choose(rng, ("extra", "")))
    else:
        node.output[:] = [choose(rng, _names(model.graph)) for _ in node.output]


# Attributes


def extreme_attribute(rng: Random, model: ModelProto) -> None:
    """Another value of the same type."""
    attr = _attribute(rng, model)
    if attr.type == AttributeProto.INT:
        attr.i = choose(rng, INTS)
    elif attr.type == AttributeProto.FLOAT:
        attr.f = choose(rng, FLOATS)
    elif attr.type == AttributeProto.STRING:
        attr.s = choose(rng, TEXTS)
    elif attr.type == AttributeProto.INTS:
        _vary(rng, attr.ints, INTS)
    elif attr.type == AttributeProto.FLOATS:
        _vary(rng, attr.floats, FLOATS)
    elif attr.type == AttributeProto.STRINGS:
        _vary(rng, attr.strings, TEXTS)
    else:
        raise NothingToMutate


def _vary(rng: Random, values: Any, extremes: Sequence[Any]) -> None:
    kind = rng.randrange(5)
    if kind == 0 and values:
        del values[rng.randrange(len(values)) :]
    elif kind == 1:
        values.append(choose(rng, extremes))
    elif kind == 2 and values:
        values[:] = rng.sample(list(values), len(values))
    elif values:
        values[rng.randrange(len(values))] = choose(rng, extremes)


def retype_attribute(rng: Random, model: ModelProto) -> None:
    attr = _attribute(rng, model)
    made = helper.make_attribute(
        attr.name,
        choose(rng, (0, 1.5, "text", [1, 2], [0.5], ["a"], np_tensor([1.0]), helper.make_graph([], "g", [], []))),
    )
    attr.CopyFrom(made)
    if rng.random() < 0.1:
        attr.type = choose(rng, tuple(range(16)))


def drop_attribute(rng: Random, model: ModelProto) -> None:
    node = choose(rng, [n for g in graphs(model) for n in g.node if n.attribute])
    node.attribute.remove(choose(rng, node.attribute))


def add_attribute(rng: Random, model: ModelProto) -> None:
    """One that the operator has and the node leaves to its default, or one that is unknown."""
    node = _node(rng, model)
    known: Any = onnx.defs.get_schema(node.op_type).attributes if onnx.defs.has(node.op_type) else {}
    name = choose(rng, [*sorted(known), "unknown"] if rng.random() < 0.9 else ["unknown"])
    kind = known[name].type.name if name in known else "INT"
    values: dict[str, Any] = {
        "INT": choose(rng, INTS), "FLOAT": choose(rng, FLOATS), "STRING": choose(rng, TEXTS),
        "INTS": [choose(rng, INTS) for _ in range(rng.randrange(1, 5))], "FLOATS": [choose(rng, FLOATS)],
        "STRINGS": [choose(rng, TEXTS)], "TENSOR": np_tensor([choose(rng, FLOATS)]),
    }  # fmt: skip
    if kind not in values:
        raise NothingToMutate
    for attr in [a for a in node.attribute if a.name == name]:
        node.attribute.remove(attr)
    node.attribute.append(helper.make_attribute(name, values[kind]))


def np_tensor(values: Sequence[float]) -> TensorProto:
    return numpy_helper.from_array(np.asarray(values, np.float32), "t")


# Values


def extreme_dim(rng: Random, model: ModelProto) -> None:
    dims = _kind(rng, model).shape.dim
    dim = choose(rng, dims)
    if rng.random() < 0.25:
        dim.dim_param = choose(rng, ("N", "M", "", "2*N", "unk__0", "N/0", "max(N,1)"))
    else:
        dim.dim_value = choose(rng, DIMS)


def change_rank(rng: Random, model: ModelProto) -> None:
    kind = _kind(rng, model)
    action = rng.randrange(4)
    if action == 0:
        kind.ClearField("shape")
    elif action == 1:
        del kind.shape.dim[rng.randrange(len(kind.shape.dim) + 1) :]
    else:
        for _ in range(choose(rng, (1, 1, 2, 6))):
            kind.shape.dim.add().dim_value = choose(rng, (0, 1, 2))


def change_type(rng: Random, model: ModelProto) -> None:
    _kind(rng, model).elem_type = choose(rng, DTYPES)


def wrap_type(rng: Random, model: ModelProto) -> None:
    """A tensor becomes a sequence, an optional, a map, or has no type at all."""
    value = _value(rng, model)
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
    _value(rng, model).name = choose(rng, NAMES)


def drop_value(rng: Random, model: ModelProto) -> None:
    graph = _graph(rng, model)
    values = choose(rng, [v for v in (graph.input, graph.output, graph.initializer) if v])
    del values[rng.randrange(len(values))]


def repeat_value(rng: Random, model: ModelProto) -> None:
    graph = _graph(rng, model)
    values = choose(rng, [v for v in (graph.input, graph.output, graph.initializer, graph.value_info) if v])
    values.add().CopyFrom(choose(rng, values))


def more_outputs(rng: Random, model: ModelProto) -> None:
    """An input, a constant or an inner value is an output as well."""
    graph = _graph(rng, model)
    graph.output.add().name = choose(rng, _names(graph))


def state_value(rng: Random, model: ModelProto) -> None:
    """A type and a shape that the file states of an inner value, right or wrong."""
    graph = _graph(rng, model)
    dims = [choose(rng, (0, 1, 2, 3, "N")) for _ in range(rng.randrange(5))]
    graph.value_info.append(helper.make_tensor_value_info(choose(rng, _names(graph)), choose(rng, DTYPES[1:14]), dims))


def input_to_constant(rng: Random, model: ModelProto) -> None:
    graph = _graph(rng, model)
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
    graph = _graph(rng, model)
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


# Constants


def extreme_numbers(rng: Random, model: ModelProto) -> None:
    tensor = _tensor(rng, model)
    array = _array(tensor).copy()
    if not array.size or array.dtype.kind not in "iufb":
        raise NothingToMutate
    flat = array.reshape(-1)
    value = choose(rng, FLOATS if array.dtype.kind == "f" else INTS)
    with np.errstate(all="ignore"):
        flat[rng.randrange(flat.size)] = np.asarray(value).astype(array.dtype)
    _store(tensor, array)


def resize_constant(rng: Random, model: ModelProto) -> None:
    """Other extents, with data to match."""
    tensor = _tensor(rng, model)
    array = _array(tensor)
    shape = list(array.shape)
    if shape and rng.random() < 0.7:
        shape[rng.randrange(len(shape))] = choose(rng, (0, 0, 1, 2, 3, 7))
    elif shape and rng.random() < 0.5:
        del shape[rng.randrange(len(shape))]
    else:
        shape.insert(rng.randrange(len(shape) + 1), choose(rng, (0, 1, 2)))
    _store(tensor, np.resize(array, shape))


def retype_constant(rng: Random, model: ModelProto) -> None:
    tensor = _tensor(rng, model)
    dtype = choose(rng, ("float32", "float64", "float16", "int64", "int32", "int8", "uint8", "uint64", "bool"))
    with np.errstate(all="ignore"):
        _store(tensor, _array(tensor).astype(dtype))


def mislabel_constant(rng: Random, model: ModelProto) -> None:
    """Extents or a type that the data don't have."""
    tensor = _tensor(rng, model)
    kind = rng.randrange(4)
    if kind == 0:
        tensor.data_type = choose(rng, DTYPES)
    elif kind == 1:
        tensor.dims.append(choose(rng, DIMS))
    elif kind == 2:
        tensor.dims[:] = [choose(rng, DIMS) for _ in range(rng.randrange(4))]
    else:
        tensor.raw_data = bytes(rng.randrange(256) for _ in range(rng.randrange(40)))


def displace_data(rng: Random, model: ModelProto) -> None:
    """External data at another place, or of another length."""
    tensor = _tensor(rng, model)
    tensor.data_location = TensorProto.EXTERNAL
    if not tensor.external_data:
        tensor.external_data.add(key="location", value="weights")
    entry = choose(rng, tensor.external_data)
    entry.value = choose(rng, ("", "-1", "0", "7", "nope", "../weights", str(2**40), str(2**70), "/etc/passwd", "."))


def _array(tensor: TensorProto) -> np.ndarray[Any, Any]:
    if tensor.data_location == TensorProto.EXTERNAL:
        raise NothingToMutate
    try:
        return numpy_helper.to_array(tensor)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:  # an earlier mutation broke it
        raise NothingToMutate from error


def _store(tensor: TensorProto, array: np.ndarray[Any, Any]) -> None:
    try:
        tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), tensor.name))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise NothingToMutate from error


# The whole model


def other_opset(rng: Random, model: ModelProto) -> None:
    kind = rng.randrange(8)
    if kind == 0:
        del model.opset_import[:]
    elif kind == 1:
        model.opset_import.add(domain=choose(rng, ("", "ai.onnx", "own", "com.microsoft")), version=choose(rng, (1, 9)))
    elif kind == 2:
        choose(rng, model.opset_import).domain = choose(rng, ("ai.onnx", "other"))
    else:
        versions = (*range(1, onnx.defs.onnx_opset_version() + 1), 0, -1, 99, 2**40)
        choose(rng, model.opset_import).version = choose(rng, versions)


def other_ir_version(rng: Random, model: ModelProto) -> None:
    model.ir_version = choose(rng, (0, 1, 3, 4, 8, 10, onnx.IR_VERSION, 99, -1))


def change_functions(rng: Random, model: ModelProto) -> None:
    function = choose(rng, model.functions)
    kind = rng.randrange(6)
    if kind == 0:
        model.functions.remove(function)
    elif kind == 1:
        function.name = choose(rng, [f.name for f in model.functions])
    elif kind == 2:
        function.node.append(NodeProto(op_type=function.name, domain=function.domain, input=function.input))
    elif kind == 3 and function.opset_import:
        choose(rng, function.opset_import).version = choose(rng, (1, 7, 13, 99))
    elif kind == 4 and function.input:
        del function.input[rng.randrange(len(function.input))]
    else:
        function.output.append(choose(rng, ("v", "w", "nowhere")))


def other_extent(rng: Random, model: ModelProto) -> None:
    """An extent is another one wherever it occurs; shapes that are stated of what is computed go."""
    extents = [d.dim_value for v in model.graph.input for d in v.type.tensor_type.shape.dim if d.dim_value]
    old = choose(rng, extents)
    new = choose(rng, (0, 0, 1, 2, old + 1))
    for value in model.graph.input:
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_value == old and dim.HasField("dim_value"):
                if rng.random() < 0.15:
                    dim.dim_param = "N"
                else:
                    dim.dim_value = new
    for tensor in model.graph.initializer:
        if old in tensor.dims:
            array = _array(tensor)
            _store(tensor, np.resize(array, [new if d == old else d for d in array.shape]))
    _forget_shapes(model)


def other_element_type(rng: Random, model: ModelProto) -> None:
    """An element type is another one wherever it occurs."""
    kinds = [v.type.tensor_type for v in model.graph.input if v.type.HasField("tensor_type")]
    old = choose(rng, kinds).elem_type
    new = choose(rng, DTYPES[1:14])
    for value in (*model.graph.input, *model.graph.output):
        if value.type.tensor_type.elem_type == old:
            value.type.tensor_type.elem_type = new
    if new == TensorProto.STRING:
        return
    for tensor in [t for t in model.graph.initializer if t.data_type == old]:
        with np.errstate(all="ignore"):
            _store(tensor, _array(tensor).astype(helper.tensor_dtype_to_np_dtype(new)))
    del model.graph.value_info[:]


def _forget_shapes(model: ModelProto) -> None:
    del model.graph.value_info[:]
    for output in model.graph.output:
        if output.type.HasField("tensor_type"):
            output.type.tensor_type.ClearField("shape")


MUTATIONS: tuple[Mutation, ...] = (
    drop_node, repeat_node, chain_node, other_operator, rename_operator, rename_node, rewire_input, blank_input,
    drop_input, add_input, swap_inputs, change_outputs, extreme_attribute, retype_attribute, drop_attribute,
    add_attribute, extreme_dim, change_rank, change_type, wrap_type, rename_value, drop_value, repeat_value,
    more_outputs, state_value, input_to_constant, constant_to_input, extreme_numbers, resize_constant, retype_constant,
    mislabel_constant, displace_data, other_opset, other_ir_version, change_functions, other_extent,
    other_element_type,
    # What comes through the checks most often, and so reaches the conversion, comes more often.
    extreme_attribute, add_attribute, extreme_numbers, resize_constant, input_to_constant, other_extent, chain_node,
    other_operator, other_element_type,
)  # fmt: skip
