"""Sums of products over named axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from ...builders.tensor import Tensor, Unsupported
from ..context import Context
from ..registry import lowers

_MOST_AXES = 5
"""Dimensions that BATCH_MATMUL takes."""


@dataclass(frozen=True)
class _Term:
    """A tensor, and the label of each of its axes."""

    tensor: Tensor
    labels: tuple[str, ...]

    def axes(self, labels: Sequence[str]) -> list[tuple[Tensor, int]]:
        return [(self.tensor, self.labels.index(label)) for label in labels]


@lowers("Einsum", since=12)
def lower_einsum(ctx: Context, node: ir.Node) -> Tensor:
    """Einstein summation by ``equation``, with ellipses, diagonals and any number of inputs (ONNX Einsum 12).

    Inputs are taken together from left to right: products without a sum by MUL, with a constant by FULLY_CONNECTED,
    others by BATCH_MATMUL; labels of one input only are summed before.
    """
    tensors = ctx.inputs(node)
    given, output = _parse(str(ctx.attribute(node, "equation")), [t.rank for t in tensors])
    terms = [_diagonal(ctx, _Term(t, labels)) for t, labels in zip(tensors, given, strict=True)]
    terms = [
        _summed(ctx, term, {*output}.union(*(other.labels for other in terms if other is not term))) for term in terms
    ]
    result, *rest = terms
    for i, term in enumerate(rest, 1):
        wanted = {*output}.union(*(later.labels for later in rest[i:]))
        result = _product(ctx, result, term, wanted)
    return ctx.b.transpose(result.tensor, [result.labels.index(label) for label in output])


def _parse(equation: str, ranks: Sequence[int]) -> tuple[list[tuple[str, ...]], tuple[str, ...]]:
    """The labels of the inputs' axes and of the output's; those of an ellipsis are "…0", "…1", from the right."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    texts = left.split(",")
    if len(texts) != len(ranks):
        raise Unsupported(f"the equation {equation!r} is not about {len(ranks)} inputs", "correct the equation")
    inputs = []
    for text, rank in zip(texts, ranks, strict=True):
        before, dots, after = text.partition("...")
        hidden = rank - len(before) - len(after) if dots else 0
        inputs.append((*before, *_hidden(hidden), *after))
        if len(inputs[-1]) != rank:
            raise Unsupported(
                f"{text!r} in the equation names {len(inputs[-1])} axes of {rank}", "correct the equation"
            )
    most = max(sum(label.startswith("…") for label in labels) for labels in inputs)
    if arrow:
        before, dots, after = right.partition("...")
        return inputs, (*before, *_hidden(most if dots else 0), *after)
    every = [label for labels in inputs for label in labels if not label.startswith("…")]
    return inputs, (*_hidden(most), *sorted(label for label in {*every} if every.count(label) == 1))


def _hidden(count: int) -> list[str]:
    return [f"…{i}" for i in reversed(range(count))]


def _diagonal(ctx: Context, term: _Term) -> _Term:
    """Where a label stands twice, only the elements with both indices equal: every (n+1)-th of the two axes as one."""
    b, x, labels = ctx.b, term.tensor, list(term.labels)
    for label in dict.fromkeys(labels):
        while labels.count(label) > 1:
            first = labels.index(label)
            second = labels.index(label, first + 1)
            rest = [a for a in range(x.rank) if a not in (first, second)]
            extent = x.static_shape[first]
            moved = b.reshape(b.transpose(x, [*rest, first, second]), (*(x.shape[a] for a in rest), extent**2))
            x = b.gather(moved, b.const(np.arange(extent, dtype=np.int32) * (extent + 1)), len(rest))
            labels = [*(labels[a] for a in rest), label]
    return _Term(x, tuple(labels))


def _summed(ctx: Context, term: _Term, wanted: set[str]) -> _Term:
    axes = [i for i, label in enumerate(term.labels) if label not in wanted]
    kept = tuple(label for label in term.labels if label in wanted)
    return _Term(ctx.b.reduce("sum", term.tensor, axes, keep_dims=False), kept)


def _product(ctx: Context, p: _Term, q: _Term, wanted: set[str]) -> _Term:
    """Both multiplied, and summed over the labels that both have and nobody wants any more."""
    common = [label for label in p.labels if label in q.labels]
    batch = [label for label in common if label in wanted]
    summed = [label for label in common if label not in wanted]
    if not summed:
        return _multiplied(ctx, p, q)
    if p.tensor.value is not None and q.tensor.value is None:
        p, q = q, p
    left = [label for label in p.labels if label not in common]
    right = [label for label in q.labels if label not in common]
    if not batch and q.tensor.value is not None and p.tensor.is_float:
        return _by_weights(ctx, p, q, left, right, summed)
    return _by_matmul(ctx, p, q, batch, left, right, summed)


def _multiplied(ctx: Context, p: _Term, q: _Term) -> _Term:
    labels = (*p.labels, *(label for label in q.labels if label not in p.labels))

    def aligned(term: _Term) -> Tensor:
        order = [term.labels.index(label) for label in labels if label in term.labels]
        missing = [i for i, label in enumerate(labels) if label not in term.labels]
        moved = ctx.b.transpose(term.tensor, order)
        return ctx.b.expand_dims(moved, missing) if missing else moved

    return _Term(ctx.b.mul(aligned(p), aligned(q)), labels)


def _by_weights(ctx: Context, p: _Term, q: _Term, left: list[str], right: list[str], summed: list[str]) -> _Term:
    """p [left..., summed as one] and constant weights [right as one, summed as one]."""
    one = [[axis] for axis in p.axes(left)]
    x = ctx.b.reshape_by(_moved(ctx, p, [*left, *summed]), [*one, p.axes(summed)])
    weights = ctx.b.reshape_by(_moved(ctx, q, [*right, *summed]), [q.axes(right), q.axes(summed)])
    if x.rank == 1:
        x = ctx.b.expand_dims(x, [0])
    product = ctx.b.fully_connected(x, weights, None)
    result = ctx.b.reshape_by(product, [*one, *([axis] for axis in q.axes(right))])
    return _Term(result, (*left, *right))


def _by_matmul(
    ctx: Context, p: _Term, q: _Term, batch: list[str], left: list[str], right: list[str], summed: list[str]
) -> _Term:
    """p [batch..., left as one, summed as one] × q [batch..., summed as one, right as one]."""
    b = ctx.b
    if len(batch) > _MOST_AXES - 2:
        raise Unsupported(f"a sum of products with {len(batch)} batch axes", "merge some of them first")
    each_p, each_q = ([[axis] for axis in term.axes(batch)] for term in (p, q))
    first = ctx.b.reshape_by(_moved(ctx, p, [*batch, *left, *summed]), [*each_p, p.axes(left), p.axes(summed)])
    second = ctx.b.reshape_by(_moved(ctx, q, [*batch, *right, *summed]), [*each_q, q.axes(right), q.axes(summed)])
    product = b.batch_matmul(first, second, adj_y=True)
    # An ellipsis may broadcast: what the batch became is the product's own.
    became = [[(product, i)] for i in range(len(batch))]
    others = [[axis] for axis in (*p.axes(left), *q.axes(right))]
    return _Term(ctx.b.reshape_by(product, [*became, *others]), (*batch, *left, *right))


def _moved(ctx: Context, term: _Term, labels: Sequence[str]) -> Tensor:
    return ctx.b.transpose(term.tensor, [term.labels.index(label) for label in labels])
