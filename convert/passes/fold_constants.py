"""Compute what doesn't depend on the inputs.

Before::

    w ── Transpose ── t ── MatMul(x, ·) ── y         Range(0, 8, 1) ── Cast ── Add(x, ·) ── z

After::

    t' ── MatMul(x, ·) ── y                          c ── Add(x, ·) ── z

Leaves alone: random operators; quantized weights, which ``fold_quantized_constants`` has; nodes with subgraphs;
results that would make the model grow (see ``_LIMIT``); what ONNX's reference implementation can't compute, or computes
slowly element by element. Each refusal says which.

Transposed and reshaped weights stay views of the array they come from, so a large weight isn't held twice.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import onnx
import onnx_ir as ir

from ...artifact import Array
from ..graph.reading import attribute, is_constant, is_random, schema, static_shape
from ..graph.rewriter import Rewriter
from .contract import Pass
from .properties import CONSTANTS_LIFTED, NO_LOCAL_FUNCTIONS, TYPED

_LIMIT = 4 << 20
"""Bytes a result may always have; a larger one may be at most twice its inputs (a cast of float16 weights is)."""

_SLOW_LIMIT = 1 << 14
"""Elements that the operators which ONNX's reference computes one by one may make."""

_SLOW = frozenset({"Conv", "ConvTranspose", "DeformConv", "GridSample", "GRU", "LSTM", "Resize", "RNN", "RoiAlign"})
_GROWING = frozenset({"ConstantOfShape", "EyeLike", "Expand", "OneHot", "Pad", "Range", "Resize", "Tile", "Upsample"})
_QUANTIZED = frozenset({"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"})
_VIEWS = frozenset({"Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"})
_TYPES = frozenset(
    getattr(ir.DataType, name)
    for name in (
        "FLOAT16",
        "FLOAT",
        "DOUBLE",
        "BOOL",
        "INT8",
        "INT16",
        "INT32",
        "INT64",
        "UINT8",
        "UINT16",
        "UINT32",
        "UINT64",
    )
)
_EVALUATION_ERRORS = (
    ArithmeticError, AttributeError, LookupError, MemoryError, OSError, RuntimeError, TypeError, ValueError
)  # fmt: skip


def fold_constants(rw: Rewriter) -> None:
    for node in rw.nodes():
        if _is_candidate(node):
            reason = _fold(rw, node)
            if reason is not None:
                rw.refuse(node, reason)


def _fold(rw: Rewriter, node: ir.Node) -> str | None:
    """Put constants in the place of a node's outputs, or say why not."""
    reason = _objection(rw, node)
    if reason is not None:
        return reason
    results = _evaluate(node, rw.opset)
    if isinstance(results, str):
        return results
    reason = _mismatch(node, results)
    if reason is None:
        rw.replace(node, *(_as_value(rw, node, i, array) for i, array in enumerate(results)))
    return reason


def _is_candidate(node: ir.Node) -> bool:
    if node.domain != "" or not node.inputs or node.op_type in _QUANTIZED:
        return False
    return all(v is None or (is_constant(v) and v.dtype in _TYPES) for v in node.inputs)


def _objection(rw: Rewriter, node: ir.Node) -> str | None:
    """Why a node with constant inputs must not, or need not, be computed now."""
    if schema(node.op_type, rw.opset) is None:
        return "ONNX doesn't know the operator"
    if is_random(node.op_type, rw.opset):
        return "its result is random"
    if any(a.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS) for a in node.attributes.values()):
        return "it has subgraphs"
    shapes = [static_shape(v) for v in node.outputs if v.name]
    if None in shapes:
        return "the size of its result is not known" if node.op_type in _GROWING else None
    elements = sum(math.prod(shape) for shape in shapes if shape is not None) * math.prod(
        rw.attribute(node, "kernel_shape") or ()
    )
    if node.op_type in _SLOW and elements > _SLOW_LIMIT:
        return f"computing {elements} elements one by one takes too long"
    made = sum(_nbytes(v) for v in node.outputs)
    taken = sum(_nbytes(v) for v in node.inputs if v is not None)
    if made > max(_LIMIT, 2 * taken):
        return f"it would add {made / (1 << 20):.1f} MiB to the model"
    return None


def _nbytes(value: ir.Value) -> int:
    shape = static_shape(value)
    if shape is None or value.dtype is None or value.dtype not in _TYPES:
        return 0
    return math.ceil(math.prod(shape) * value.dtype.itemsize)


def _evaluate(node: ir.Node, version: int) -> list[Array] | str:
    """The outputs of a node whose inputs are constants, or why they can't be had."""
    arrays = [None if v is None or v.const_value is None else v.const_value.numpy() for v in node.inputs]
    first, shape = arrays[0], static_shape(node.outputs[0])
    if first is not None and node.op_type in _VIEWS and shape is not None and math.prod(shape) == first.size:
        return [first.reshape(shape)]
    if first is not None and node.op_type == "Transpose":
        perm = node.attributes.get("perm")
        if perm is not None and len(perm.as_ints()) != first.ndim:
            return f"its permutation {list(perm.as_ints())} is of another rank than the data"
        return [first.transpose(perm.as_ints() if perm is not None else None)]
    if node.op_type == "GatherElements" and first is not None and arrays[1] is not None:
        return [_gather_elements(first, arrays[1], attribute(node, "axis", version))]
    return _run_reference(node, arrays, version)


def _gather_elements(data: Array, indices: Array, axis: int) -> Array:
    """GatherElements, which ONNX's reference refuses where the indices have fewer rows than the data."""
    axis %= data.ndim
    rows = data[tuple(slice(None if d == axis else extent) for d, extent in enumerate(indices.shape))]
    return np.take_along_axis(rows, indices, axis)


def _run_reference(node: ir.Node, arrays: Sequence[Array | None], version: int) -> list[Array] | str:
    """Run one node in ONNX's reference implementation."""
    from onnx.reference import ReferenceEvaluator  # takes 50 ms, and many models need no folding

    feeds = {str(v.name): a for v, a in zip(node.inputs, arrays, strict=True) if v is not None}
    proto = ir.to_proto(node)
    # Unnamed outputs are those that nobody wants.
    graph = onnx.helper.make_graph(
        [proto],
        "one_node",
        [onnx.helper.make_empty_tensor_value_info(name) for name in feeds],
        [onnx.helper.make_empty_tensor_value_info(name) for name in proto.output if name],
    )
    try:
        with np.errstate(all="ignore"):
            results = ReferenceEvaluator(graph, opsets={"": version}).run(None, feeds)
    except _EVALUATION_ERRORS as error:
        return f"ONNX's reference implementation can't compute it ({type(error).__name__}: {error})"
    if not all(isinstance(r, np.ndarray | np.generic) for r in results):
        return "its result is not a tensor"
    by_name = dict(zip((name for name in proto.output if name), results, strict=True))
    return [np.asarray(by_name.get(name, np.empty(0))) for name in proto.output]


def _mismatch(node: ir.Node, results: list[Array]) -> str | None:
    """Whether the computed outputs contradict what shape inference says of them."""
    for value, array in zip(node.outputs, results, strict=True):
        if not value.name:
            continue
        shape = static_shape(value)
        if (shape is not None and shape != array.shape) or (
            value.dtype not in (None, ir.DataType.from_numpy(array.dtype))
        ):
            return (
                f"ONNX's reference implementation makes {array.dtype}{list(array.shape)} of it, "
                f"shape inference {value.dtype}{list(value.shape or ())}"
            )
    return None


def _as_value(rw: Rewriter, node: ir.Node, index: int, array: Array) -> ir.Value:
    old = node.outputs[index]
    if old.is_graph_output():  # which must be made by a node
        tensor = ir.Tensor(array, name=old.name)
        holder = rw.node("Constant", [], {"value": tensor}, main=node)
        rw.insert(node, holder)
        value = holder.outputs[0]
        value.type, value.shape = ir.TensorType(tensor.dtype), ir.Shape(array.shape)
        return value
    return rw.constant(node, f"{old.name or node.name}/folded", array)


PASS = Pass(
    name="fold_constants",
    run=fold_constants,
    requires=frozenset({NO_LOCAL_FUNCTIONS, CONSTANTS_LIFTED, TYPED}),
    must_follow=("lift_constants", "infer_shapes"),
)
