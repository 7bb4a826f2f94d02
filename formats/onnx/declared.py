"""Shapes that an ONNX file declares are claims: what is inferred from its nodes and inputs wins.

Exporters write a declared extent of -1, or 0, for one that isn't known, and ranks and extents that their graph doesn't
have. Runtimes go by what they compute.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import onnx
import onnx_ir as ir

from .nesting import graphs_of
from .older import modernize
from .parts import take_apart
from .rules import INFERENCE_ERRORS, leave_out_crashing

EMPTY_KEY = "edgeworthy.empty"
"""A model's metadata that says of each of its inputs whose batch is 0 that it is so: the names, one a line."""


def settle(proto: onnx.ModelProto) -> list[str]:
    """Put right what ``proto`` declares, in place; returns a sentence for each input and output that was wrong.

    Extents below 0 become unknown, and 0 where it is the batch of an input, unless ``mark_empty`` said that it is
    meant; outputs take the shapes that ONNX infers of the graph, as far as it can, and their types where they have
    none; shapes of inner values that contradict the inferred ones are dropped. A model of an opset below 8 becomes one
    of that opset (see `older`), and sequences among the outputs their tensors (see `parts`).

    Args:
        proto: The model, whose nodes have the form that their operators ask for; large weights may be without data.
    """
    constants = {tensor.name for tensor in proto.graph.initializer}
    notes = [*modernize(proto), *take_apart(proto)]
    empty = {name for entry in proto.metadata_props if entry.key == EMPTY_KEY for name in entry.value.splitlines()}
    for info in proto.graph.input:
        dims = info.type.tensor_type.shape.dim
        least = [int(_is_batch(axis, dims) and info.name not in empty) for axis in range(len(dims))]
        unknown = [d for d, low in zip(dims, least, strict=True) if d.HasField("dim_value") and d.dim_value < low]
        if unknown and info.name not in constants:
            notes.append(
                f"the file declares {info.name!r} as {_text(info.type.tensor_type.shape)}: "
                "what is below 1 there was taken for unknown"
            )
            for dim in unknown:
                dim.ClearField("dim_value")
    for info in _infos(proto.graph):
        for dim in info.type.tensor_type.shape.dim:
            if dim.HasField("dim_value") and dim.dim_value < 0:
                dim.ClearField("dim_value")
    inferred = _inferred(proto)
    wrong = [info for info in proto.graph.value_info if _contradicts(info, inferred)]
    for info in wrong:
        proto.graph.value_info.remove(info)
    for info in proto.graph.output:
        if info.name not in inferred or info.type.WhichOneof("value") not in (None, "tensor_type"):
            continue
        found, declared = inferred[info.name], info.type.tensor_type
        if _contradicts(info, inferred):
            notes.append(
                f"the file declares {info.name!r} as {_text(declared.shape)}, "
                f"and its nodes make {_text(found.shape)}: that was taken"
            )
        elif declared.HasField("shape"):
            continue
        declared.elem_type = declared.elem_type or found.elem_type
        declared.shape.CopyFrom(found.shape)
    return notes


def mark_empty(model: ir.Model) -> None:
    """Have ``settle`` leave the batches of 0 that are in ``model`` alone, once it is a file: they were asked for."""
    empty = [str(value.name) for value in model.graph.inputs if value.shape is not None and value.shape[:1] == (0,)]
    model.metadata_props.pop(EMPTY_KEY, None)
    if empty:
        model.metadata_props[EMPTY_KEY] = "\n".join(empty)


def _is_batch(axis: int, dims: Sequence[onnx.TensorShapeProto.Dimension]) -> bool:
    """Whether an extent of 0 stands for any number: on the first axis, where no other is 0."""
    others = [d for i, d in enumerate(dims) if i != axis and d.HasField("dim_value")]
    return axis == 0 and len(dims) > 1 and all(d.dim_value != 0 for d in others)


def _infos(graph: onnx.GraphProto) -> Iterator[onnx.ValueInfoProto]:
    for each in graphs_of(graph):
        yield from (*each.input, *each.output, *each.value_info)


def _inferred(proto: onnx.ModelProto) -> dict[str, onnx.TypeProto.Tensor]:
    """Value of the main graph → the type and shape that ONNX infers for it; empty if inference fails.

    Dimensions have the names that the inputs' have. Those that ONNX makes up hold for one run of it only.
    """
    bare = onnx.ModelProto()
    bare.CopyFrom(proto)
    del bare.graph.value_info[:]
    inputs = {info.name: info.type for info in bare.graph.input}
    for output in bare.graph.output:
        if output.name in inputs:  # without a shape of its own ONNX infers none of any output
            output.type.CopyFrom(inputs[output.name])
        elif output.type.HasField("tensor_type"):
            output.type.tensor_type.ClearField("shape")
    leave_out_crashing(bare.graph)
    try:
        done = onnx.shape_inference.infer_shapes(bare, check_type=False, strict_mode=False, data_prop=True)
    except INFERENCE_ERRORS:
        return {}  # what is wrong with the graph, its checks say
    names = {dim.dim_param for info in proto.graph.input for dim in info.type.tensor_type.shape.dim}
    found = {}
    for info in (*done.graph.value_info, *done.graph.output):
        if info.type.HasField("tensor_type") and info.type.tensor_type.HasField("shape"):
            found[info.name] = info.type.tensor_type
            for dim in info.type.tensor_type.shape.dim:
                if dim.HasField("dim_param") and dim.dim_param not in names:
                    dim.ClearField("dim_param")
    return found


def _contradicts(info: onnx.ValueInfoProto, inferred: dict[str, onnx.TypeProto.Tensor]) -> bool:
    """Whether a declared rank or number is another than the inferred one."""
    if info.name not in inferred or not info.type.tensor_type.HasField("shape"):
        return False
    declared, found = info.type.tensor_type.shape.dim, inferred[info.name].shape.dim
    return len(declared) != len(found) or any(
        a.HasField("dim_value") and b.HasField("dim_value") and a.dim_value != b.dim_value
        for a, b in zip(declared, found, strict=True)
    )


def _text(shape: onnx.TensorShapeProto) -> str:
    return f"[{','.join(str(d.dim_value) if d.HasField('dim_value') else d.dim_param or '?' for d in shape.dim)}]"
