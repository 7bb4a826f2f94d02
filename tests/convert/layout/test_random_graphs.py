"""Random graphs: the numbers stay, the plan is a cheapest one, and no more is moved than it says."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import product
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgeworthy.convert.layout.partition import LAST_SIDE, NATURAL_SIDE, cost_of
from edgeworthy.convert.layout.plan import LayoutPlan, make_plan
from edgeworthy.convert.lowering import layout_rules

Shape = tuple[int, ...]
Nodes = tuple[str, dict[str, object]]
START: Shape = (1, 4, 2, 3)


def text_of(values: Iterable[int]) -> str:
    return "[" + ",".join(map(str, values)) + "]"


def conv(draw: st.DrawFn, x: str, shape: Shape, w: str) -> tuple[str, object, Shape]:
    channels = draw(st.sampled_from([1, 4]))
    return f"Conv({x}, {w})", (channels, shape[1], *[1] * (len(shape) - 2)), (shape[0], channels, *shape[2:])


def scale(draw: st.DrawFn, x: str, shape: Shape, w: str) -> tuple[str, object, Shape]:
    rank = draw(st.integers(0, len(shape)))
    kept = [draw(st.booleans()) for _ in range(rank)]
    factor = tuple(d if keep else 1 for d, keep in zip(shape[len(shape) - rank :], kept, strict=True))
    return f"Mul({x}, {w})", factor, shape


def matmul(draw: st.DrawFn, x: str, shape: Shape, w: str) -> tuple[str, object, Shape]:
    return f"MatMul({x}, {w})", (shape[-1], 2), (*shape[:-1], 2)


def transpose(draw: st.DrawFn, x: str, shape: Shape, w: str) -> tuple[str, object, Shape]:
    rank = len(shape)
    usual = [(0, *range(2, rank), 1), (0, rank - 1, *range(1, rank - 1))]
    perm = draw(st.one_of(st.sampled_from(usual), st.permutations(range(rank))))
    return f"Transpose<perm={text_of(perm)}>({x})", [], tuple(shape[axis] for axis in perm)


def reshape(draw: st.DrawFn, x: str, shape: Shape, w: str) -> tuple[str, object, Shape]:
    """Split an axis, merge two, drop or add one of extent 1."""
    axis = draw(st.integers(0, len(shape) - 1))
    kind = draw(st.sampled_from(["split", "merge", "add"]))
    if kind == "split" and shape[axis] % 2 == 0 and len(shape) < 6:
        shape = (*shape[:axis], 2, shape[axis] // 2, *shape[axis + 1 :])
    elif kind == "merge" and axis and len(shape) > 3:
        shape = (*shape[: axis - 1], shape[axis - 1] * shape[axis], *shape[axis + 1 :])
    elif len(shape) < 6:
        shape = (*shape[:axis], 1, *shape[axis:])
    return f"Reshape({x}, {w})", list(shape), shape


def reduce(draw: st.DrawFn, x: str, shape: Shape, w: str) -> tuple[str, object, Shape]:
    axis = draw(st.integers(0, len(shape) - 1))
    keep = draw(st.booleans()) or len(shape) < 4
    left = shape[:axis] + (1,) * keep + shape[axis + 1 :]
    return f"ReduceMean<keepdims={int(keep)}>({x}, {w})", [axis], left


def take(draw: st.DrawFn, x: str, shape: Shape, w: str) -> tuple[str, object, Shape]:
    axis = draw(st.integers(0, len(shape) - 1))
    return f"Gather<axis={axis}>({x}, {w})", [0, 0], (*shape[:axis], 2, *shape[axis + 1 :])


def softmax(draw: st.DrawFn, x: str, shape: Shape, w: str) -> tuple[str, object, Shape]:
    return f"Softmax<axis={draw(st.integers(0, len(shape) - 1))}>({x})", [], shape


def relu(draw: st.DrawFn, x: str, shape: Shape, w: str) -> tuple[str, object, Shape]:
    return f"Relu({x})", [], shape


MAKERS = (conv, conv, scale, matmul, transpose, transpose, reshape, reshape, reduce, take, softmax, relu)


@st.composite
def graphs(draw: st.DrawFn) -> Nodes:
    """Up to ten nodes; every value that nobody reads is an output."""
    values = {"x0": START, "x1": START}
    unread, lines = set(values), []
    weights: dict[str, object] = {}
    for index in range(draw(st.integers(1, 10))):
        x = draw(st.sampled_from(sorted(values)))
        name, w, shape = f"v{index}", f"w{index}", values[x]
        others = sorted(v for v, s in values.items() if s == shape and v != x)
        if draw(st.booleans()) and others:
            other = draw(st.sampled_from(others))
            unread.discard(other)
            line = f"Add({x}, {other})" if draw(st.booleans()) else f"Max({x}, {other}, {x})"
        else:
            make = draw(st.sampled_from(MAKERS))
            line, weight, shape = make(draw, x, shape, w)
            weights |= {w: weight} if f"{w})" in line else {}
        unread = unread - {x} | {name}
        values[name] = shape
        lines.append(f"{name} = {line}")
    inputs = ", ".join(f"float{text_of(START)} {x}" for x in ("x0", "x1"))
    outputs = ", ".join(sorted(v for v in unread if v.startswith("v")))
    return f"g ({inputs}) => ({outputs}) {{ {chr(10).join(lines)} }}", weights


def cheapest(plan: LayoutPlan) -> int:
    nets = [n for n in plan.nets if n.cost and set(n.consumers) - {n.producer}]
    variables = sorted({v for n in nets for v in (n.producer, *n.consumers)} - {NATURAL_SIDE, LAST_SIDE})
    costs: Iterable[int] = (
        cost_of(nets, frozenset(v for v, last in zip(variables, bits, strict=True) if last))
        for bits in product((False, True), repeat=len(variables))
    )
    return min(costs)


@pytest.mark.parametrize("io_layout", ["keep", "nhwc"])
def test_random_graphs(laid_out: Callable[..., Any], io_layout: str) -> None:
    plans: list[LayoutPlan] = []

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(graphs())
    def check(graph: Nodes) -> None:
        text, weights = graph
        plans.clear()
        result = laid_out(
            text, weights, io_layout,
            edit=[lambda m: plans.append(make_plan(m.graph, 20, layout_rules(), nhwc=io_layout == "nhwc"))],
        )  # fmt: skip
        (plan,) = plans
        assert plan.cost == cost_of(plan.nets, plan.channels_last) == cheapest(plan)
        assert sum(t.nbytes for t in result.report.inserted) <= plan.cost

    check()
