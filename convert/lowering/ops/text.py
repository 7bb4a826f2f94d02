"""Counting of n-grams."""

from __future__ import annotations

from functools import reduce
from itertools import pairwise

import numpy as np
import onnx_ir as ir

from ....artifact import Array
from ...builders.tensor import Tensor, Unsupported
from ..context import Context
from ..registry import lowers


@lowers("TfIdfVectorizer", since=9)
def lower_tf_idf(ctx: Context, node: ir.Node) -> Tensor:
    """X [C] or [N,C], C static → float32 [(N,) outputs]: how often each n-gram of the pool is there, or ``weights``.

    An n-gram's items lie 1 to ``max_skip_count`` + 1 apart. Each place is compared with all of the pool at once; those
    of one column of the result add up in a product with ones.
    """
    b, x = ctx.b, ctx.input(node, 0)
    pool = ctx.attribute(node, "pool_int64s")
    if not pool or x.shape[-1:] in ((), (None,)):
        raise Unsupported("n-grams of strings, or of a dynamic length", "give the tokens as integers of a fixed length")
    grams, numbers, columns = _grams(ctx, node, np.asarray(pool, np.int64))
    tokens = b.cast(x if x.rank == 2 else b.expand_dims(x, [0]), "int64")
    counts = [_counts(ctx, node, tokens, items) for items in grams]
    width = max(ctx.attribute(node, "ngram_indexes")) + 1
    mode, weights = ctx.attribute(node, "mode"), ctx.attribute(node, "weights")
    found = b.concat(counts, 1)
    if mode == "IDF":
        found = b.cast(b.compare("greater", found, b.like(found, 0)), "float32")
    places = np.zeros((width, len(columns)), np.float32)
    places[columns, np.arange(len(columns))] = 1 if mode == "TF" or not weights else np.asarray(weights, "f")[numbers]
    found = b.fully_connected(found, b.const(places), None)
    return found if x.rank == 2 else b.squeeze(found, [0])


def _grams(ctx: Context, node: ir.Node, pool: Array) -> tuple[list[Array], list[int], list[int]]:
    """The n-grams of each length that counts, int64 [G, n]; each one's number in the pool, and its column."""
    starts = [*ctx.attribute(node, "ngram_counts"), len(pool)]
    indexes = enumerate(ctx.attribute(node, "ngram_indexes"))
    shortest, longest = (int(ctx.attribute(node, f"{end}_gram_length")) for end in ("min", "max"))
    grams, kept = [], []
    for size, (start, stop) in enumerate(pairwise(starts), 1):
        items = pool[start:stop].reshape(-1, size)
        own = [next(indexes) for _ in items]
        if shortest <= size <= longest and len(items):
            grams.append(items)
            kept += own
    return grams, [number for number, _ in kept], [column for _, column in kept]


def _counts(ctx: Context, node: ir.Node, tokens: Tensor, items: Array) -> Tensor:
    """int64 [N, C], [G, n] → how often each is there, float32 [N, G]."""
    b, size, length = ctx.b, items.shape[1], tokens.shape[1] or 0
    apart = range(1, 2 if size == 1 else int(ctx.attribute(node, "max_skip_count")) + 2)
    found = []
    for distance in apart:
        places = length - distance * (size - 1)
        if places <= 0:
            break
        hits = []
        for k in range(size):
            window = b.slice(tokens, [0, k * distance], [-1, places])
            hits.append(b.compare("equal", b.expand_dims(window, [2]), b.const(items[None, None, :, k])))
        every = reduce(lambda p, q: b.binary("logical_and", p, q), hits)
        found.append(b.reduce("sum", b.cast(every, "float32"), [1], keep_dims=False))
    if not found:
        none = b.mul(b.cast(b.slice(tokens, [0, 0], [-1, 1]), "float32"), b.const(np.float32(0)))
        return b.mul(none, b.const(np.zeros((1, len(items)), np.float32)))
    return reduce(b.add, found)
