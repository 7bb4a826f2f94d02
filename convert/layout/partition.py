"""Which nodes run channels-last: a minimum cut.

Every variable (an integer) takes one of two labels. A :class:`Net` is a value: it has the layout of its
producer, and if any of its consumers wants the other one, *one* transposed copy is made, at the net's cost.
That is a cut between the terminals with two auxiliary vertices a net::

            cost          ∞                        cost          ∞
    producer ──▶ out ──▶ each consumer     producer ◀── in ◀── each consumer

(An arc is cut when it leads from the channels-last to the natural side.) With one consumer the two
auxiliary vertices fall away. Max-flow is Dinic's (Dinic 1970, *Soviet Math. Doklady* 11); the graphs have
some hundred vertices, for which importing a graph library would take longer than this whole step.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Iterable
from dataclasses import dataclass

NATURAL_SIDE = -1
"""The terminal that is always natural."""

LAST_SIDE = -2
"""The terminal that is always channels-last."""


@dataclass(frozen=True)
class Net:
    """A value: who makes it, who reads it (variables or terminals), and what a transposed copy costs (≥ 0)."""

    producer: int
    consumers: tuple[int, ...]
    cost: int


def partition(nets: Iterable[Net]) -> tuple[frozenset[int], int]:
    """The channels-last variables of a cheapest labelling, and its cost.

    Among the cheapest labellings this is the one with the most channels-last variables, so that what
    follows a convolution stays beside it; variables that nothing pulls that way stay natural.
    """
    nets = [n for n in nets if n.cost > 0]
    network = _Network()
    source, sink = network.vertex(LAST_SIDE), network.vertex(NATURAL_SIDE)
    infinity = 1 + sum(n.cost for n in nets)
    for net in nets:
        consumers = sorted(set(net.consumers) - {net.producer})
        if len(consumers) == 1:
            network.connect(network.vertex(net.producer), network.vertex(consumers[0]), net.cost, net.cost)
        elif consumers:
            producer, leaving, entering = network.vertex(net.producer), network.vertex(), network.vertex()
            network.connect(producer, leaving, net.cost, 0)
            network.connect(entering, producer, net.cost, 0)
            for consumer in map(network.vertex, consumers):
                network.connect(leaving, consumer, infinity, 0)
                network.connect(consumer, entering, infinity, 0)
    cost = network.saturate(source, sink)
    natural = network.reaching(sink)
    labelled = {v for v, vertex in network.names.items() if vertex not in natural}
    return frozenset(connected(nets, labelled) - {LAST_SIDE}), cost


def cost_of(nets: Iterable[Net], channels_last: frozenset[int]) -> int:
    """What a labelling costs."""
    side = channels_last | {LAST_SIDE}
    return sum(n.cost for n in nets if any((c in side) != (n.producer in side) for c in n.consumers))


def connected(nets: Iterable[Net], among: Container[int]) -> set[int]:
    """Those of the variables ``among`` that hang together with the channels-last terminal, and that itself."""
    neighbours: dict[int, set[int]] = {}
    for net in nets:
        members = {v for v in (net.producer, *net.consumers) if v == LAST_SIDE or v in among}
        for member in members:
            neighbours.setdefault(member, set()).update(members)
    reached, queue = {LAST_SIDE}, [LAST_SIDE]
    while queue:
        found = neighbours.get(queue.pop(), set()) - reached
        reached |= found
        queue.extend(found)
    return reached


class _Network:
    """A flow network with integer capacities: arc ``a`` and its reverse ``a ^ 1`` lie side by side."""

    def __init__(self) -> None:
        self.names: dict[int, int] = {}
        self._arcs: list[list[int]] = []
        self._head: list[int] = []
        self._capacity: list[int] = []

    def vertex(self, name: int | None = None) -> int:
        """The vertex of a variable or terminal, made when first asked for; without a name a new one."""
        if name is not None and name in self.names:
            return self.names[name]
        self._arcs.append([])
        if name is not None:
            self.names[name] = len(self._arcs) - 1
        return len(self._arcs) - 1

    def connect(self, tail: int, head: int, forth: int, back: int) -> None:
        """An arc of capacity ``forth``, and one of capacity ``back`` the other way."""
        for start, end, capacity in ((tail, head, forth), (head, tail, back)):
            self._arcs[start].append(len(self._head))
            self._head.append(end)
            self._capacity.append(capacity)

    def saturate(self, source: int, sink: int) -> int:
        """Push a maximum flow; returns its value."""
        flow = 0
        while (level := self._levels(source))[sink] >= 0:
            tried = [0] * len(self._arcs)
            while path := self._path(source, sink, level, tried):
                pushed = min(self._capacity[arc] for arc in path)
                for arc in path:
                    self._capacity[arc] -= pushed
                    self._capacity[arc ^ 1] += pushed
                flow += pushed
        return flow

    def reaching(self, sink: int) -> set[int]:
        """The vertices from which residual capacity leads to ``sink``."""
        found, queue = {sink}, [sink]
        while queue:
            for arc in self._arcs[queue.pop()]:
                if self._capacity[arc ^ 1] > 0 and self._head[arc] not in found:
                    found.add(self._head[arc])
                    queue.append(self._head[arc])
        return found

    def _levels(self, source: int) -> list[int]:
        """Each vertex's distance from ``source`` along residual arcs; -1 where none leads."""
        level = [-1] * len(self._arcs)
        level[source] = 0
        queue = deque([source])
        while queue:
            vertex = queue.popleft()
            for arc in self._arcs[vertex]:
                if self._capacity[arc] > 0 and level[self._head[arc]] < 0:
                    level[self._head[arc]] = level[vertex] + 1
                    queue.append(self._head[arc])
        return level

    def _path(self, source: int, sink: int, level: list[int], tried: list[int]) -> list[int]:
        """The arcs of one residual path along ascending levels; empty if there is none any more.

        ``tried`` counts, for each vertex, its arcs that are of no more use in this phase.
        """
        path: list[int] = []
        vertex = source
        while vertex != sink:
            if tried[vertex] == len(self._arcs[vertex]):
                if not path:
                    return []
                vertex = self._head[path.pop() ^ 1]
                tried[vertex] += 1
                continue
            arc = self._arcs[vertex][tried[vertex]]
            if self._capacity[arc] > 0 and level[self._head[arc]] == level[vertex] + 1:
                path.append(arc)
                vertex = self._head[arc]
            else:
                tried[vertex] += 1
        return path
