"""The cut against brute force, and against another library's maximum flow."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product

import networkx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeworthy.convert.layout.partition import LAST_SIDE, NATURAL_SIDE, Net, cost_of, partition


def brute_force(nets: list[Net]) -> int:
    """The cost of a cheapest labelling, by trying all."""
    variables = sorted({v for n in nets for v in (n.producer, *n.consumers)} - {NATURAL_SIDE, LAST_SIDE})
    labellings = product((False, True), repeat=len(variables))
    costs: Iterable[int] = (
        cost_of(nets, frozenset(v for v, last in zip(variables, bits, strict=True) if last)) for bits in labellings
    )
    return min(costs)


ends = st.integers(-2, 9)
net = st.builds(Net, ends, st.lists(ends, max_size=4).map(tuple), st.integers(0, 20))
arc = st.builds(Net, st.integers(-2, 80), st.tuples(st.integers(-2, 80)), st.integers(1, 1000))


@settings(max_examples=150, deadline=None)
@given(st.lists(net, max_size=14))
def test_cut_is_optimal(nets: list[Net]) -> None:
    channels_last, cost = partition(nets)
    assert cost == cost_of(nets, channels_last) == brute_force(nets)


@settings(max_examples=30, deadline=None)
@given(st.lists(arc, max_size=300))
def test_cost_is_the_maximum_flow(nets: list[Net]) -> None:
    graph = networkx.DiGraph()
    graph.add_nodes_from([LAST_SIDE, NATURAL_SIDE])
    for n in nets:
        for tail, head in ((n.producer, n.consumers[0]), (n.consumers[0], n.producer)):
            if tail != head:
                before = graph.get_edge_data(tail, head, {"capacity": 0})["capacity"]
                graph.add_edge(tail, head, capacity=before + n.cost)
    assert partition(nets)[1] == networkx.maximum_flow_value(graph, LAST_SIDE, NATURAL_SIDE)


def test_nothing_is_natural() -> None:
    assert partition([]) == (frozenset(), 0)
    assert partition([Net(0, (1,), 5), Net(NATURAL_SIDE, (2,), 5)]) == (frozenset(), 0)


def test_a_value_read_by_many_is_transposed_once() -> None:
    """0 is natural, its three readers are channels-last: one copy."""
    nets = [Net(NATURAL_SIDE, (LAST_SIDE, LAST_SIDE, LAST_SIDE), 7)]
    assert partition(nets) == (frozenset(), 7)


@pytest.mark.parametrize(("first", "second", "expected"), [(3, 9, set()), (9, 3, {0}), (5, 5, {0})])
def test_the_cheaper_side_is_cut(first: int, second: int, expected: set[int]) -> None:
    """channels-last ── first ── 0 ── second ── natural; at a tie 0 goes with channels-last."""
    nets = [Net(LAST_SIDE, (0,), first), Net(0, (NATURAL_SIDE,), second)]
    assert partition(nets) == (frozenset(expected), min(first, second))
