"""Tensors that are made rather than computed from data."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ...builders.legality import check_extents
from ...builders.tensor import Tensor, Unsupported
from ..context import DTYPES, Context
from ..extents import positions
from ..registry import lowers


@lowers("Constant")
def lower_constant(ctx: Context, node: ir.Node) -> Tensor:
    """The tensor, number or list in the node's one attribute."""
    (attribute,) = node.attributes.values()
    value = attribute.value
    if attribute.name == "value":
        dtype = value.dtype
        if dtype not in DTYPES:
            raise Unsupported(f"a constant of type {dtype.name}", "a constant of float32 or integers")
        return ctx.b.const(value.numpy())
    if attribute.name.startswith("value_float"):
        return ctx.b.const(np.asarray(value, np.float32))
    if attribute.name.startswith("value_int"):
        return ctx.b.const(np.asarray(value, np.int64))
    raise Unsupported(f"a constant given as {attribute.name}", "a constant of numbers")


@lowers("ConstantOfShape", since=9)
def lower_constant_of_shape(ctx: Context, node: ir.Node) -> Tensor:
    """A tensor of the shape in the input, all ``value`` (float 0 by default). TFLite: FILL."""
    given = node.attributes.get("value")
    value = np.zeros(1, np.float32) if given is None else given.as_tensor().numpy()
    shape = ctx.known(node, 0)
    if shape is not None:
        check_extents("the constant", value.dtype.name, tuple(shape.reshape(-1).tolist()))
        return ctx.b.const(np.full(shape.reshape(-1).tolist(), value.reshape(-1)[0], value.dtype))
    scalar = ctx.b.const(value.reshape(-1)[0])
    return ctx.b.fill(ctx.b.cast(ctx.input(node, 0), "int32"), scalar, ctx.output(node).shape)


@lowers("Range", since=11)
def lower_range(ctx: Context, node: ir.Node) -> Tensor:
    """start, start+delta, ... before limit. TFLite: RANGE."""
    start, limit, delta = (ctx.b.reshape(t, ()) for t in ctx.inputs(node))
    return ctx.b.range(start, limit, delta, ctx.output(node).shape[0])


@lowers("EyeLike", since=9)
def lower_eye_like(ctx: Context, node: ir.Node) -> Tensor:
    """Ones on diagonal ``k`` of a matrix shaped like X."""
    b, x, k, dtype = ctx.b, ctx.input(node, 0), int(ctx.attribute(node, "k")), ctx.output(node).dtype
    if x.is_static:
        height, width = x.static_shape
        return b.const(np.eye(height, width, k, dtype))
    rows, columns = (positions(ctx, x, axis) for axis in range(2))
    on = b.sub(b.expand_dims(columns, [0]), b.expand_dims(rows, [1]))
    return b.cast(b.compare("equal", on, b.const(np.int32(k))), dtype)


@lowers("OneHot", since=9)
def lower_one_hot(ctx: Context, node: ir.Node) -> Tensor:
    """values[1] at the indices along a new axis of extent depth, values[0] elsewhere. TFLite: ONE_HOT."""
    b = ctx.b
    indices, depth, values = ctx.inputs(node)
    size = b.cast(b.reshape(depth, ()), "int32")
    index = indices if indices.dtype in ("int32", "int64") else b.cast(indices, "int64")
    index = b.cast(index, "int32")
    negative = b.compare("less", index, b.like(index, 0))
    index = b.select(negative, b.add(index, size), index)
    off, on = (b.reshape(b.slice(values, [i], [1]), ()) for i in (0, 1))
    return b.one_hot(index, size, on, off, int(ctx.attribute(node, "axis")))


@lowers("Trilu", since=14)
def lower_trilu(ctx: Context, node: ir.Node) -> Tensor:
    """The upper (or lower) triangle of the last two axes from diagonal ``k``; zeros elsewhere."""
    b, x = ctx.b, ctx.input(node, 0)
    k = ctx.optional(node, 1)
    # Element (i, j) lies on diagonal j - i.
    rows, columns = (positions(ctx, x, axis) for axis in (x.rank - 2, x.rank - 1))
    if rows.value is not None and columns.value is not None:
        on = b.const(columns.value[None, :] - rows.value[:, None])
    else:
        on = b.sub(b.expand_dims(columns, [0]), b.expand_dims(rows, [1]))
    diagonal = b.const(np.int32(0)) if k is None else b.cast(b.reshape(k, ()), "int32")
    upper = bool(ctx.attribute(node, "upper"))
    if diagonal.value is not None and on.value is not None:
        keep = b.const(on.value >= diagonal.value if upper else on.value <= diagonal.value)
    else:
        keep = b.compare("greater_equal" if upper else "less_equal", on, diagonal)
    return b.select(keep, x, b.const(np.zeros((), x.dtype)))


@lowers("OptionalHasElement", since=18)
def lower_optional_has_element(ctx: Context, node: ir.Node) -> Tensor:
    """Whether there is an input; a tensor of the graph always is."""
    there = bool(node.inputs) and node.inputs[0] is not None
    if there:
        ctx.input(node, 0)
    return ctx.b.const(np.asarray(there))


@lowers("OptionalGetElement", since=18)
def lower_optional_get_element(ctx: Context, node: ir.Node) -> Tensor:
    """The input itself, which is a tensor."""
    return ctx.input(node, 0)
