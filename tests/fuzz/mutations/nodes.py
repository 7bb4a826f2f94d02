"""Mutations of nodes: which there are, what they read and what they make."""

from __future__ import annotations

from random import Random

import onnx
from onnx import ModelProto, helper

from .common import NAMES, any_graph, any_node, choose, graphs, names_of


def drop_node(rng: Random, model: ModelProto) -> None:
    graph = any_graph(rng, model)
    graph.node.remove(choose(rng, graph.node))


def repeat_node(rng: Random, model: ModelProto) -> None:
    """The same node twice, so that two make the same values."""
    graph = any_graph(rng, model)
    graph.node.add().CopyFrom(choose(rng, graph.node))


def chain_node(rng: Random, model: ModelProto) -> None:
    """Another operator between an output and its name."""
    graph = model.graph
    output = choose(rng, graph.output)
    makers = [(n, i) for n in graph.node for i, name in enumerate(n.output) if name == output.name]
    node, index = choose(rng, makers)
    node.output[index] = f"{output.name}~"
    op = choose(rng, _ops_like(1, 1, rng.random() < 0.8))
    graph.node.append(helper.make_node(op, [node.output[index]], [output.name], name="chained"))
    if rng.random() < 0.7:
        output.type.tensor_type.ClearField("shape")


def other_operator(rng: Random, model: ModelProto) -> None:
    """One of the same number of inputs and outputs; it keeps only attributes that it has."""
    node = any_node(rng, model)
    node.op_type = choose(rng, _ops_like(len(node.input), len(node.output), True))
    if rng.random() < 0.8:
        known = onnx.defs.get_schema(node.op_type).attributes
        for attr in [a for a in node.attribute if a.name not in known]:
            node.attribute.remove(attr)


def _ops_like(inputs: int, outputs: int, standard: bool) -> list[str]:
    latest = {s.name: s for s in onnx.defs.get_all_schemas() if s.domain == "" or not standard}
    return sorted(
        name
        for name, s in latest.items()
        if s.min_input <= inputs <= s.max_input and s.min_output <= outputs <= s.max_output and not s.deprecated
    )


def rename_operator(rng: Random, model: ModelProto) -> None:
    node = any_node(rng, model)
    if rng.random() < 0.5:
        node.op_type = choose(rng, ("", "Nonsense", "relu", "Conv", "If", "Loop", "Constant"))
    else:
        node.domain = choose(rng, ("ai.onnx", "ai.onnx.ml", "com.microsoft", "own", "edgeworthy", "edgeworthy.nhwc"))


def rename_node(rng: Random, model: ModelProto) -> None:
    graph = any_graph(rng, model)
    for node in graph.node:
        node.name = choose(rng, ("", "same", "a/b", "\x00"))


def rewire_input(rng: Random, model: ModelProto) -> None:
    """An input becomes another value, maybe one that is computed later."""
    graph = any_graph(rng, model)
    node = choose(rng, [n for n in graph.node if n.input])
    node.input[rng.randrange(len(node.input))] = choose(rng, names_of(graph))


def blank_input(rng: Random, model: ModelProto) -> None:
    node = choose(rng, [n for g in graphs(model) for n in g.node if n.input])
    node.input[rng.randrange(len(node.input))] = ""


def drop_input(rng: Random, model: ModelProto) -> None:
    node = choose(rng, [n for g in graphs(model) for n in g.node if n.input])
    del node.input[rng.randrange(len(node.input))]


def add_input(rng: Random, model: ModelProto) -> None:
    graph = any_graph(rng, model)
    node = choose(rng, graph.node)
    node.input.append(choose(rng, ["", *names_of(graph)]))


def swap_inputs(rng: Random, model: ModelProto) -> None:
    node = choose(rng, [n for g in graphs(model) for n in g.node if len(n.input) > 1])
    names = list(node.input)
    rng.shuffle(names)
    node.input[:] = names


def change_outputs(rng: Random, model: ModelProto) -> None:
    node = any_node(rng, model)
    kind = rng.randrange(4)
    if kind == 0 and node.output:
        del node.output[rng.randrange(len(node.output))]
    elif kind == 1 and node.output:
        node.output[rng.randrange(len(node.output))] = choose(rng, NAMES)
    elif kind == 2:
        node.output.append(choose(rng, ("extra", "")))
    else:
        node.output[:] = [choose(rng, names_of(model.graph)) for _ in node.output]
