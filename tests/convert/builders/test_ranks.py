"""Ops on more axes than TFLite's kernels take, of random shapes, against numpy; in both artifacts."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeworthy.convert.builders.builder import DryBuilder
from edgeworthy.convert.builders.ranks import MOST_AXES
from edgeworthy.convert.builders.tensor import Spec, Tensor

from .test_builders import BUILDERS

RANKS = (7, 8, 9, 10)
Draw = np.random.Generator


def shapes(rng: Draw, rank: int, count: int) -> list[tuple[int, ...]]:
    """``count`` shapes that broadcast to one without more than 4096 elements."""
    whole = [1 if rng.random() < 0.2 else int(rng.integers(2, 4)) for _ in range(rank)]
    while np.prod(whole) > 4096:
        whole[int(rng.integers(rank))] = 2 if rng.random() < 0.8 else 1
    return [tuple(d if rng.random() < 0.55 else 1 for d in whole) for _ in range(count)]


def filled(rng: Draw, shape: tuple[int, ...]) -> Any:
    return rng.integers(-9, 10, shape).astype(np.float32)


def random_cases(rng: Draw, rank: int) -> list[tuple[list[Any], Callable[..., Tensor], Any]]:
    """(Operands, how a builder does it, what numpy makes of it)"""
    p, q, r = (filled(rng, s) for s in shapes(rng, rank, 3))
    perm = rng.permutation(rank).tolist()
    over = tuple(int(a) for a in np.flatnonzero(rng.random(rank) < 0.5))
    axis = int(rng.integers(rank))
    pads = [(int(lo), int(hi)) for lo, hi in rng.integers(0, 2, (rank, 2))]
    # More axes in turns than any one op takes.
    turns = [filled(rng, tuple(2 if a % 3 == i else 1 for a in range(rank))) for i in range(3)]
    x = filled(rng, tuple(int(d) for d in rng.integers(1, 3, rank)))
    target = np.broadcast_shapes(p.shape, q.shape)
    return [
        ([p, q], lambda b, p, q: b.mul(p, q), p * q),
        ([p, q], lambda b, p, q: b.binary("maximum", p, q), np.maximum(p, q)),
        ([p, q], lambda b, p, q: b.compare("less", p, q), p < q),
        ([p > 0, q, r], lambda b, c, q, r: b.select(c, q, r), np.where(p > 0, q, r)),
        ([turns[0], turns[1]], lambda b, p, q: b.sub(p, q), turns[0] - turns[1]),
        ([turns[0] > 0, *turns[1:]], lambda b, c, p, q: b.select(c, p, q), np.where(turns[0] > 0, *turns[1:])),
        ([q[(0,) * (rank - 7)], p], lambda b, q, p: b.add(q, p), q[(0,) * (rank - 7)] + p),
        ([q], lambda b, q: b.broadcast_to(q, b.int32s(target), target), np.broadcast_to(q, target)),
        ([turns[0]], lambda b, t: b.broadcast_to(t, b.int32s([2] * rank), (2,) * rank),
         np.broadcast_to(turns[0], (2,) * rank)),
        ([x], lambda b, x: b.transpose(x, perm), x.transpose(perm)),
        ([x], lambda b, x: b.transpose(x, [*range(rank)][::-1]), x.transpose()),
        ([x], lambda b, x: b.reduce("sum", x, over, keep_dims=True), x.sum(over, keepdims=True)),
        ([x], lambda b, x: b.reduce("mean", x, range(0, rank, 2), keep_dims=False), x.mean((*range(0, rank, 2),))),
        ([x], lambda b, x: b.reduce("reduce_max", x, over, keep_dims=False), x.max(over)),
        ([x, x], lambda b, x, y: b.concat([x, y], axis), np.concatenate([x, x], axis)),
        ([x], lambda b, x: b.reverse(x, axis), np.flip(x, axis)),
        ([x], lambda b, x: b.unary("softmax", x, beta=1.0), np.exp(x) / np.exp(x).sum(-1, keepdims=True)),
        ([x], lambda b, x: b.pad(x, pads), np.pad(x, pads)),
        ([x], lambda b, x: b.pad(x, pads, 7), np.pad(x, pads, constant_values=7)),
        ([x], lambda b, x: b.fully_connected(x, b.const(np.arange(3.0 * x.shape[-1], dtype="f").reshape(3, -1)), None),
         x @ np.arange(3.0 * x.shape[-1], dtype="f").reshape(3, -1).T),
    ]  # fmt: skip


@pytest.mark.parametrize("run", BUILDERS)
@pytest.mark.parametrize("rank", RANKS)
@pytest.mark.parametrize("is_dynamic", [False, True], ids=["static", "dynamic"])
def test_random_shapes(run: Callable[..., Any], rank: int, is_dynamic: bool, tmp_path: Path) -> None:
    rng = np.random.default_rng(rank)
    cases = [case for _ in range(2) for case in random_cases(rng, rank)]
    inputs, feeds = [], {}
    for i, (operands, _, _) in enumerate(cases):
        free = int(rng.integers(rank - 1))
        for k, value in enumerate(operands):
            shape = tuple(
                None if is_dynamic and a - value.ndim == free - rank and d > 1 else d for a, d in enumerate(value.shape)
            )
            inputs.append((f"x{i}_{k}", Spec(value.dtype.name, shape)))
            feeds[f"x{i}_{k}"] = value

    def lower(b: Any, tensors: list[Tensor]) -> list[tuple[str, Tensor]]:
        given = iter(tensors)
        return [
            (f"y{i}", make(b, *itertools.islice(given, len(operands)))) for i, (operands, make, _) in enumerate(cases)
        ]

    got = run(inputs, lower, feeds, tmp_path / "m")
    for i, (_, _, want) in enumerate(cases):
        made = got[f"y{i}"]
        assert made.shape == want.shape, i
        assert np.allclose(made, want, rtol=1e-5, atol=1e-6), i


class Ranks(DryBuilder):
    """Notes the axes of whatever is no plain pass over the elements."""

    def __init__(self) -> None:
        self.found: list[tuple[str, int]] = []

    def _emit(self, op: str, operands: Any, attributes: Any, results: Any) -> list[None]:
        if op != "reshape" and any(t.shape != results[0].shape for t in operands):
            self.found.append((op, max(len(t.shape) for ts in (operands, results) for t in ts)))
        return super()._emit(op, operands, attributes, results)


@pytest.mark.parametrize("rank", RANKS)
def test_no_op_has_more_axes_than_its_kernel_takes(rank: int) -> None:
    builder = Ranks()
    for operands, make, _ in random_cases(np.random.default_rng(rank), rank):
        make(builder, *(Tensor(None, v.dtype.name, v.shape) for v in operands))
    assert builder.found
    assert not [(op, n) for op, n in builder.found if n > MOST_AXES]
