"""Graphs inside of graphs: the branches and bodies of control flow."""

from __future__ import annotations

from collections.abc import Iterator

from onnx import GraphProto


def graphs_of(graph: GraphProto) -> Iterator[GraphProto]:
    """The graph itself, then those of its nodes, at any depth."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for below in (*((attribute.g,) if attribute.HasField("g") else ()), *attribute.graphs):
                yield from graphs_of(below)
