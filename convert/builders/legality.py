"""What TFLite's kernels require of operands beyond their dtypes, and what becomes of tensors without elements.

The kernels check it when a file is loaded, which is too late: a model that breaks it, however it came to be valid ONNX,
is refused at the node that breaks it. Source: the ``Prepare`` functions of LiteRT 2.3 (``tflite/kernels/*.cc``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ...artifact import Array
from .remedies import BROKEN
from .tensor import Shape, Spec, Tensor, Unsupported, element_count, format_shape

_MOST = (1 << 31) - 1
"""TFLite counts extents and elements in int32."""

Operands = Sequence[Tensor]
Attributes = Mapping[str, Any]
Requirement = Callable[[Operands, Sequence[Spec], Attributes], str]
"""Says what an op lacks, in half a sentence; empty if it lacks nothing."""


def check(op: str, operands: Operands, results: Sequence[Spec], attributes: Attributes) -> None:
    """Hold an op against what its kernel requires.

    Raises:
        Unsupported: the runtime would refuse it.
    """
    for spec in results:
        check_extents(op, spec.dtype, spec.shape)
    requirement = _REQUIREMENTS.get(op)
    lacking = requirement(operands, results, attributes) if requirement else ""
    if lacking:
        raise Unsupported(f"TFLite's {op.upper()} {lacking}", "look at the shapes of this node's operands")


def check_extents(what: str, dtype: str, shape: Shape) -> None:
    """Hold a tensor against what TFLite can count.

    Raises:
        Unsupported: an extent is negative, or the tensor has 2³¹ bytes or more.
    """
    if any(d is not None and d < 0 for d in shape):
        raise Unsupported(f"{what} would have a negative extent, {format_shape(shape)}", BROKEN)
    count = math.prod(d for d in shape if d is not None)
    if (
        any(d is not None and d > _MOST for d in shape)
        or count * (np.dtype(dtype).itemsize if dtype != "none" else 1) > _MOST
    ):
        raise Unsupported(
            f"{what} would have {format_shape(shape)} {dtype} elements, more than TFLite can hold",
            "give the model's inputs smaller sizes with --input",
        )


def without_elements(
    op: str, operands: Operands, results: Sequence[Spec], attributes: Attributes
) -> list[Array] | None:
    """The results of an op that must not run because they, or its operands, have no elements; None if it may.

    The kernels of some ops, or XNNPACK's, refuse such tensors, crash on them, or compute something else.

    Raises:
        Unsupported: the op can't do without the elements.
    """
    if op not in _NEED_ELEMENTS and any(operand.value is None for operand in operands):
        return None
    if all(0 in spec.shape for spec in results) and results:
        shapes = [_static(op, spec.shape) for spec in results]
        return [np.zeros(shape, spec.dtype) for shape, spec in zip(shapes, results, strict=True)]
    if not any(0 in operand.shape and not _is_list(operand) for operand in operands):
        return None
    neutral = _NEUTRAL.get(op)
    if neutral is None or any(None in spec.shape for spec in results):
        raise Unsupported(f"TFLite's {op.upper()} takes no tensor without elements", "leave it out of the model")
    made = [np.asarray(neutral(operands, spec)) for spec in results]
    return [np.broadcast_to(a, _static(op, s.shape)).astype(s.dtype) for a, s in zip(made, results, strict=True)]


def _is_list(operand: Tensor) -> bool:
    """Whether an operand is a list of axes or extents, which may be empty."""
    return operand.rank == 1 and operand.value is not None and operand.dtype == "int32"


def _static(op: str, shape: Shape) -> tuple[int, ...]:
    if None in shape:
        raise Unsupported(f"the result of {op} never has elements, {format_shape(shape)}", "leave it out of the model")
    return tuple(d or 0 for d in shape)


def _lowest(dtype: str) -> Any:
    return -np.inf if np.dtype(dtype).kind == "f" else np.iinfo(dtype).min


def _highest(dtype: str) -> Any:
    return np.inf if np.dtype(dtype).kind == "f" else np.iinfo(dtype).max


def _pad_value(operands: Operands, spec: Spec) -> Any:
    value = operands[2].value if len(operands) > 2 else np.zeros((), spec.dtype)
    if value is None:
        raise Unsupported("the value to pad with must be constant where there is nothing else", "pad with a number")
    return value


_NEUTRAL: dict[str, Callable[[Operands, Spec], Any]] = {
    **dict.fromkeys(("sum", "batch_matmul", "scatter_nd", "pad", "reduce_any"), lambda operands, spec: 0),
    **dict.fromkeys(("reduce_prod", "reduce_all"), lambda operands, spec: 1),
    "padv2": _pad_value,
    "reduce_max": lambda operands, spec: _lowest(spec.dtype),
    "reduce_min": lambda operands, spec: _highest(spec.dtype),
    "mean": lambda operands, spec: np.nan if np.dtype(spec.dtype).kind == "f" else 0,
}
"""What an op makes of no elements at all."""

_NEED_ELEMENTS = frozenset({
    *_NEUTRAL, "arg_max", "arg_min", "average_pool_2d", "broadcast_to", "concatenation", "conv_2d", "conv_3d",
    "conv_3d_transpose", "cumsum", "depth_to_space", "depthwise_conv_2d", "fill", "fully_connected", "gather_nd",
    "l2_normalization", "local_response_normalization", "log_softmax", "max_pool_2d", "mirror_pad", "pack", "prelu",
    "resize_bilinear", "resize_nearest_neighbor", "reverse_sequence", "reverse_v2", "softmax", "space_to_depth",
    "tile", "topk_v2", "transpose_conv", "unpack", "unsorted_segment_max", "unsorted_segment_min",
    "unsorted_segment_prod",
})  # fmt: skip
"""Ops whose kernels don't do without; found by running each on tensors without elements in LiteRT 2.3."""


def _agree(a: int | None, b: int | None) -> bool:
    return a is None or b is None or a == b


def _same_shape(a: Shape, b: Shape) -> bool:
    return len(a) == len(b) and all(map(_agree, a, b))


def _reshape(operands: Operands, results: Sequence[Spec], attributes: Attributes) -> str:
    before, after = element_count(operands[0].shape), element_count(results[0].shape)
    if _agree(before, after):
        return ""
    return f"can't make {format_shape(results[0].shape)} of {format_shape(operands[0].shape)}"


def _transpose(operands: Operands, results: Sequence[Spec], attributes: Attributes) -> str:
    perm, rank = operands[1].value, operands[0].rank
    if perm is None or sorted(perm.tolist()) == list(range(rank)):
        return ""
    return f"can't put {rank} axes in the order {perm.tolist()}"


def _concatenation(operands: Operands, results: Sequence[Spec], attributes: Attributes) -> str:
    first, axis = operands[0], attributes["axis"]
    for part in operands:
        if not _same_shape((*part.shape[:axis], None, *part.shape[axis + 1 :]), first.shape):
            return f"can't join {format_shape(first.shape)} and {format_shape(part.shape)} along axis {axis}"
    return ""


def _pack(operands: Operands, results: Sequence[Spec], attributes: Attributes) -> str:
    first = operands[0]
    other = next((p for p in operands if not _same_shape(p.shape, first.shape)), None)
    return "" if other is None else f"can't stack {format_shape(first.shape)} and {format_shape(other.shape)}"


def _split_v(operands: Operands, results: Sequence[Spec], attributes: Attributes) -> str:
    sizes, axis = operands[1].value, operands[2].value
    if sizes is None or axis is None:
        return ""
    extent = operands[0].shape[int(axis)]
    if (sizes < 0).any() or not _agree(extent, int(sizes.sum())):
        return f"can't cut an extent of {extent} into {sizes.tolist()}"
    return ""


def _slice(operands: Operands, results: Sequence[Spec], attributes: Attributes) -> str:
    x, (begin, size) = operands[0], (t.value for t in operands[1:3])
    if begin is None or size is None:
        return ""
    for extent, low, count in zip(x.shape, begin.tolist(), size.tolist(), strict=True):
        if low < 0 or count < -1 or (extent is not None and low + max(count, 0) > extent):
            return f"can't take {size.tolist()} elements from {begin.tolist()} of {format_shape(x.shape)}"
    return ""


def _gather(operands: Operands, results: Sequence[Spec], attributes: Attributes) -> str:
    x, indices = operands[0], operands[1].value
    extent = x.shape[attributes["axis"]]
    if indices is None or extent is None or not indices.size or (indices.min() >= 0 and indices.max() < extent):
        return ""
    return f"has an index from {indices.min()} to {indices.max()}, and the axis has {extent} elements"


def _scatter_nd(operands: Operands, results: Sequence[Spec], attributes: Attributes) -> str:
    indices, updates, made = operands[0].shape, operands[1].shape, results[0].shape
    depth = indices[-1] if indices else None
    if not indices or (depth is not None and depth > len(made)):
        return f"has indices {format_shape(indices)} into a tensor {format_shape(made)}"
    if depth is not None and not _same_shape(updates, (*indices[:-1], *made[depth:])):
        return f"has updates {format_shape(updates)} for indices {format_shape(indices)} into {format_shape(made)}"
    return ""


def _bias(weights: int, axis: int, bias: int, *, result: bool = False) -> Requirement:
    """The bias has an element for each output channel: ``axis`` of operand ``weights``, or of the result."""

    def lacking(operands: Operands, results: Sequence[Spec], attributes: Attributes) -> str:
        channels = results[0].shape[-1] if result else operands[weights].shape[axis]
        if operands[bias].dtype == "none" or _same_shape(operands[bias].shape, (channels,)):
            return ""
        return f"has a bias {format_shape(operands[bias].shape)} for {channels} output channels"

    return lacking


def _conv_2d(operands: Operands, results: Sequence[Spec], attributes: Attributes) -> str:
    channels, taken = operands[0].shape[-1], operands[1].shape[-1]
    if channels is not None and taken is not None and (taken == 0 or channels % taken):
        return f"has {channels} channels, and weights for {taken}"
    return _bias(1, 0, 2)(operands, results, attributes) or _window(operands, results, attributes)


def _depthwise(operands: Operands, results: Sequence[Spec], attributes: Attributes) -> str:
    channels, made = operands[0].shape[-1], operands[1].shape[-1]
    if channels is not None and made is not None and (channels == 0 or made % channels):
        return f"has {channels} channels, and weights for {made}"
    return _bias(1, 3, 2)(operands, results, attributes) or _window(operands, results, attributes)


def _window(operands: Operands, results: Sequence[Spec], attributes: Attributes) -> str:
    """A window that is larger than what it slides over leaves nothing, which the kernels count as something."""
    before, after = operands[0].shape[1:-1], results[0].shape[1:-1]
    if 0 in after and 0 not in before:
        return f"has a window larger than its input {format_shape(operands[0].shape)}"
    return ""


def _fully_connected(operands: Operands, results: Sequence[Spec], attributes: Attributes) -> str:
    x, weights = operands[0].shape, operands[1].shape
    if len(weights) != 2 or not x or not _agree(x[-1], weights[1]):
        return f"can't multiply {format_shape(x)} with weights {format_shape(weights)}"
    return _bias(1, 0, 2)(operands, results, attributes)


def _batch_matmul(operands: Operands, results: Sequence[Spec], attributes: Attributes) -> str:
    a, b = operands[0].shape, operands[1].shape
    if min(len(a), len(b)) < 2 or not _agree(
        a[-2 if attributes["adj_x"] else -1], b[-1 if attributes["adj_y"] else -2]
    ):
        return f"can't multiply {format_shape(a)} and {format_shape(b)}"
    return ""


def _space_to_depth(operands: Operands, results: Sequence[Spec], attributes: Attributes) -> str:
    block, extents = attributes["block_size"], operands[0].shape[1:3]
    if any(d is not None and d % block for d in extents):
        return f"can't cut {format_shape(operands[0].shape)} into blocks of {block}"
    return ""


def _depth_to_space(operands: Operands, results: Sequence[Spec], attributes: Attributes) -> str:
    block, channels = attributes["block_size"], operands[0].shape[3]
    return (
        f"can't make blocks of {block} of {channels} channels" if channels is not None and channels % block**2 else ""
    )


def _broadcast_to(operands: Operands, results: Sequence[Spec], attributes: Attributes) -> str:
    before, after = operands[0].shape, results[0].shape
    ends = zip(before[::-1], after[::-1], strict=False)
    if len(before) > len(after) or any(a != 1 and not _agree(a, b) for a, b in ends):
        return f"can't make {format_shape(after)} of {format_shape(before)}"
    return ""


def _tile(operands: Operands, results: Sequence[Spec], attributes: Attributes) -> str:
    repeats, rank = operands[1].shape, operands[0].rank
    return "" if _same_shape(repeats, (rank,)) else f"has {format_shape(repeats)} repeats for {rank} axes"


def _reverse_sequence(operands: Operands, results: Sequence[Spec], attributes: Attributes) -> str:
    x, lengths = operands[0], operands[1]
    axes = attributes["seq_dim"], attributes["batch_dim"]
    if len(set(axes)) < 2 or not all(0 <= axis < x.rank for axis in axes):
        return f"can't go along the axes {list(axes)} of {format_shape(x.shape)}"
    return "" if _same_shape(lengths.shape, (x.shape[axes[1]],)) else f"has {format_shape(lengths.shape)} lengths"


def _prelu(operands: Operands, results: Sequence[Spec], attributes: Attributes) -> str:
    return _broadcast_to(operands[1:], results, attributes)


def _arg_extreme(operands: Operands, results: Sequence[Spec], attributes: Attributes) -> str:
    axis = operands[1].value
    empty = axis is not None and operands[0].shape[int(axis)] == 0
    return "has no element to find along its axis" if empty else ""


def _topk(operands: Operands, results: Sequence[Spec], attributes: Attributes) -> str:
    count, extent = results[0].shape[-1], operands[0].shape[-1] if operands[0].shape else 0
    return f"can't find {count} of {extent}" if count is not None and extent is not None and count > extent else ""


_REQUIREMENTS: dict[str, Requirement] = {
    "reshape": _reshape,
    "transpose": _transpose,
    "concatenation": _concatenation,
    "pack": _pack,
    "split_v": _split_v,
    "slice": _slice,
    "gather": _gather,
    "scatter_nd": _scatter_nd,
    "conv_2d": _conv_2d,
    "depthwise_conv_2d": _depthwise,
    "conv_3d": _bias(1, 4, 2),
    "transpose_conv": _bias(1, 0, 3),
    "average_pool_2d": _window,
    "max_pool_2d": _window,
    "fully_connected": _fully_connected,
    "batch_matmul": _batch_matmul,
    "space_to_depth": _space_to_depth,
    "depth_to_space": _depth_to_space,
    "broadcast_to": _broadcast_to,
    "tile": _tile,
    "reverse_sequence": _reverse_sequence,
    "prelu": _prelu,
    "arg_max": _arg_extreme,
    "arg_min": _arg_extreme,
    "topk_v2": _topk,
}
