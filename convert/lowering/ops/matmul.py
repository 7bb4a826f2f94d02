"""Matrix products."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ....artifact import Array
from ...builders.remedies import BROKEN
from ...builders.tensor import Tensor, Unsupported, broadcast, element_count, static
from ..context import Context
from ..registry import lowers


@lowers("MatMul")
def lower_matmul(ctx: Context, node: ir.Node) -> Tensor:
    """A [...,M,K] · B [...,K,N] → [...,M,N] as numpy.matmul, vectors included.

    TFLite: FULLY_CONNECTED where B is a constant matrix, BATCH_MATMUL otherwise.
    """
    b, a = ctx.b, ctx.input(node, 0)
    weights = ctx.known(node, 1)
    if weights is not None and weights.ndim == 2 and a.is_float and a.rank >= 1:
        return _by_fully_connected(ctx, a, ctx.b.const(weights.T), None)
    right = ctx.input(node, 1)
    if a.rank == 0 or right.rank == 0:
        raise Unsupported("a scalar is no matrix", "multiply with x * y")
    left_vector, right_vector = a.rank == 1, right.rank == 1
    if left_vector:
        a = b.expand_dims(a, [0])
    if right_vector:
        right = b.expand_dims(right, [1])
    rank = max(a.rank, right.rank)
    if rank > 5:
        return _of_high_rank(ctx, a, right)
    result = b.batch_matmul(_with_rank(ctx, a, rank), _with_rank(ctx, right, rank))
    dropped = [rank - 2] * left_vector + [rank - 1] * right_vector
    return b.squeeze(result, dropped) if dropped else result


def _of_high_rank(ctx: Context, a: Tensor, right: Tensor) -> Tensor:
    """More than the 5 dimensions of BATCH_MATMUL: all but the last two become one."""
    b = ctx.b
    lead = static(broadcast(a.static_shape[:-2], right.static_shape[:-2]))
    flat = []
    for t in (a, right):
        whole = (*lead, *t.static_shape[-2:])
        spread = b.broadcast_to(_with_rank(ctx, t, len(whole)), b.int32s(whole), whole)
        flat.append(b.reshape(spread, (element_count(lead), *t.shape[-2:])))
    return b.reshape(b.batch_matmul(*flat), (*lead, a.shape[-2], right.shape[-1]))


def _with_rank(ctx: Context, x: Tensor, rank: int) -> Tensor:
    return ctx.b.expand_dims(x, list(range(rank - x.rank))) if x.rank < rank else x


def _by_fully_connected(ctx: Context, x: Tensor, weights: Tensor, bias: Tensor | None) -> Tensor:
    b = ctx.b
    if x.rank == 1:
        row = b.fully_connected(b.expand_dims(x, [0]), weights, bias)
        return b.squeeze(row, [0])
    return b.fully_connected(x, weights, bias)


def _scaled(array: Array, factor: float) -> Array:
    """A constant times a number, in the constant's own type."""
    wide = np.result_type(array.dtype, np.float32)  # half a product would be rounded twice
    return array if factor == 1 else (array.astype(wide) * wide.type(factor)).astype(array.dtype)


@lowers("Gemm", since=7)
def lower_gemm(ctx: Context, node: ir.Node) -> Tensor:
    """alpha·A'B' + beta·C with A [M,K], B [K,N] (each perhaps transposed), C broadcast to [M,N].

    TFLite: FULLY_CONNECTED where B is constant and C, if any, one row; else BATCH_MATMUL.
    """
    b, x = ctx.b, ctx.input(node, 0)
    alpha, beta = float(ctx.attribute(node, "alpha")), float(ctx.attribute(node, "beta"))
    adj_x, adj_y = bool(ctx.attribute(node, "transA")), bool(ctx.attribute(node, "transB"))
    weights, bias = ctx.known(node, 1), ctx.known(node, 2)
    has_bias = len(node.inputs) > 2 and node.inputs[2] is not None and beta != 0
    one_row = bias is not None and bias.size == (bias.shape[-1] if bias.ndim else 1)
    if weights is not None and x.is_float and (one_row or not has_bias):
        kernel = weights if adj_y else weights.T
        kernel = _scaled(kernel, alpha)
        row = None
        if has_bias and bias is not None:
            if bias.size not in (1, kernel.shape[0]):
                raise Unsupported(f"C has {bias.size} elements for {kernel.shape[0]} columns", BROKEN)
            row = _scaled(np.broadcast_to(bias.reshape(-1), kernel.shape[:1]), beta)
        left = b.transpose(x, [1, 0]) if adj_x else x
        return b.fully_connected(left, b.const(kernel), None if row is None else b.const(row))
    product = b.batch_matmul(x, ctx.input(node, 1), adj_x=adj_x, adj_y=adj_y)
    if alpha != 1:
        product = b.mul(product, b.like(product, alpha))
    if not has_bias:
        return product
    addend = ctx.input(node, 2)
    return b.add(product, addend if beta == 1 else b.mul(addend, b.like(addend, beta)))
