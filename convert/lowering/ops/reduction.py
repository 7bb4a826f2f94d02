"""Reductions over axes."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ...builders.reductions import Axes, RuntimeAxes
from ...builders.remedies import BROKEN
from ...builders.tensor import Shape, Tensor, Unsupported, format_shape, normalize_axis
from ...layout.axes import arg_reduce, cumulative_sum, reduction
from ..context import Context
from ..extents import are_among, extents_beside
from ..registry import lowers

_PLAIN = {
    "ReduceMean": "mean", "ReduceSum": "sum", "ReduceMax": "reduce_max", "ReduceMin": "reduce_min",
    "ReduceProd": "reduce_prod",
}  # fmt: skip
_COMPOSED = ("ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceSumSquare")


def axes_of(ctx: Context, node: ir.Node, rank: int) -> Axes:
    """The axes of a reduction, from the attribute or (later opsets) the second input; all by default."""
    given = ctx.attribute(node, "axes")
    if given is None:
        constant = ctx.known(node, 1)
        present = len(node.inputs) > 1 and node.inputs[1] is not None
        if constant is None and present and ctx.input(node, 1).shape != (0,):
            return _runtime_axes(ctx, node, rank)
        given = [] if constant is None else constant.reshape(-1).tolist()
    if not given:
        return [] if ctx.attribute(node, "noop_with_empty_axes") else list(range(rank))
    return sorted(normalize_axis(int(a), rank) for a in given)


def _runtime_axes(ctx: Context, node: ir.Node, rank: int) -> RuntimeAxes:
    """Which axes go is known at run time only; the shapes come from what the model says of its output."""
    axes, shape = ctx.b.cast(ctx.input(node, 1), "int32"), ctx.output(node).shape
    kept = ctx.input(node, 0).shape
    if axes.shape[0] is None:
        raise Unsupported(
            "the number of axes to reduce must be static: none at all means every one", "name the axes: x.sum((1, 2))"
        )
    if len(shape) == rank and any(
        d not in (None, 1) and have not in (None, d) for d, have in zip(shape, kept, strict=True)
    ):
        raise Unsupported(
            f"its result is stated as {format_shape(shape)}, which no reduction makes of its input", BROKEN
        )
    if axes.shape[0] is not None and not ctx.attribute(node, "keepdims") and len(shape) != rank - axes.shape[0]:
        raise Unsupported(
            f"its result is stated as {format_shape(shape)}, of another rank than the reduction makes", BROKEN
        )
    if ctx.attribute(node, "keepdims"):
        count = axes.shape[0]
        dropped: Shape = (None,) * (rank - (count or 0))
        return RuntimeAxes(axes, shape, dropped)
    return RuntimeAxes(axes, (None,) * rank, shape)


@lowers(*_PLAIN, *_COMPOSED, layout=reduction)
def lower_reduce(ctx: Context, node: ir.Node) -> Tensor:
    """X reduced over ``axes``, which stay as 1 (``keepdims=1``) or go. TFLite: MEAN, SUM, REDUCE_*."""
    b, x = ctx.b, ctx.input(node, 0)
    axes = axes_of(ctx, node, x.rank)
    keep = bool(ctx.attribute(node, "keepdims"))
    op = node.op_type
    if isinstance(axes, RuntimeAxes) and 0 in x.shape:
        return _of_nothing(ctx, op, x, axes, keep)
    if op in _PLAIN:
        if x.dtype == "bool" and op in ("ReduceMax", "ReduceMin"):
            return b.reduce("reduce_any" if op == "ReduceMax" else "reduce_all", x, axes, keep_dims=keep)
        return b.reduce(_PLAIN[op], x, axes, keep_dims=keep)
    if op == "ReduceLogSumExp":
        return _log_sum_exp(ctx, x, axes, keep)
    if op == "ReduceL1":
        return b.reduce("sum", b.unary("abs", x), axes, keep_dims=keep)
    if op == "ReduceLogSum":
        return b.unary("log", b.reduce("sum", x, axes, keep_dims=keep))
    total = b.reduce("sum", b.mul(x, x), axes, keep_dims=keep)
    return b.unary("sqrt", total) if op == "ReduceL2" else total


def _of_nothing(ctx: Context, op: str, x: Tensor, axes: RuntimeAxes, keep: bool) -> Tensor:
    """What reduces no elements: its shape comes at run time, and if it has elements these are what changes nothing."""
    b = ctx.b
    if keep:
        extents = b.shape_of(x)
        shape = b.select(are_among(ctx, axes.axes, x.rank), b.like(extents, 1), extents)
    else:
        shape = extents_beside(ctx, x, axes.axes)
    limits = np.iinfo(x.dtype) if np.dtype(x.dtype).kind in "iu" else None
    value = {
        "ReduceLogSum": -np.inf, "ReduceLogSumExp": -np.inf, "ReduceMean": np.nan, "ReduceProd": 1,
        "ReduceMax": limits.min if limits else x.dtype != "bool" and -np.inf,
        "ReduceMin": limits.max if limits else x.dtype == "bool" or np.inf,
    }.get(op, 0)  # fmt: skip
    if limits and value != value:
        raise Unsupported(f"the mean of no {x.dtype} numbers", "give the inputs other sizes with --input")
    return b.fill(shape, b.const(np.asarray(value, x.dtype)), axes.kept if keep else axes.dropped)


def _log_sum_exp(ctx: Context, x: Tensor, axes: Axes, keep: bool) -> Tensor:
    """Shifted by the maximum, so that exp does not overflow."""
    b = ctx.b
    if not x.is_float:
        raise Unsupported(f"the logarithm of a sum of exponentials of {x.dtype}", "cast its input to float32")
    top = b.reduce("reduce_max", x, axes, keep_dims=True)
    # An all -inf slice would give inf - inf.
    top = b.binary("maximum", top, b.like(x, -3.0e38))
    total = b.reduce("sum", b.unary("exp", b.sub(x, top)), axes, keep_dims=keep)
    if isinstance(axes, RuntimeAxes) and not keep:
        top = b.reduce("reduce_max", top, axes, keep_dims=False)
    elif not isinstance(axes, RuntimeAxes) and not keep:
        top = b.squeeze(top, axes)
    return b.add(b.unary("log", total), top)


@lowers("ArgMax", "ArgMin", layout=arg_reduce)
def lower_arg_extreme(ctx: Context, node: ir.Node) -> Tensor:
    """Index (int64) of the first extreme element along ``axis``. TFLite: ARG_MAX, ARG_MIN."""
    b, x = ctx.b, ctx.input(node, 0)
    axis = normalize_axis(int(ctx.attribute(node, "axis")), x.rank)
    op = "arg_max" if node.op_type == "ArgMax" else "arg_min"
    if ctx.attribute(node, "select_last_index"):
        extent = x.shape[axis]
        if extent is None:
            raise Unsupported("select_last_index needs a static axis", "give the input a static shape")
        index = b.arg_extreme(op, b.reverse(x, axis), axis)
        index = b.sub(b.const(extent - 1, "int64"), index)
    else:
        index = b.arg_extreme(op, x, axis)
    return b.expand_dims(index, [axis]) if ctx.attribute(node, "keepdims") else index


@lowers("CumSum", since=11, layout=cumulative_sum)
def lower_cumsum(ctx: Context, node: ir.Node) -> Tensor:
    """Running sum along an axis. TFLite: CUMSUM."""
    x, axis = ctx.input(node, 0), ctx.b.cast(ctx.b.reshape(ctx.input(node, 1), ()), "int32")
    return ctx.b.cumsum(
        x,
        axis,
        exclusive=bool(ctx.attribute(node, "exclusive")),
        reverse=bool(ctx.attribute(node, "reverse")),
    )
