"""Mutations of attributes."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

import onnx
from onnx import AttributeProto, ModelProto, helper

from .common import FLOATS, INTS, TEXTS, NothingToMutate, any_attribute, any_node, choose, graphs, vector


def extreme_attribute(rng: Random, model: ModelProto) -> None:
    """Another value of the same type."""
    attr = any_attribute(rng, model)
    if attr.type == AttributeProto.INT:
        attr.i = choose(rng, INTS)
    elif attr.type == AttributeProto.FLOAT:
        attr.f = choose(rng, FLOATS)
    elif attr.type == AttributeProto.STRING:
        attr.s = choose(rng, TEXTS)
    elif attr.type == AttributeProto.INTS:
        _vary(rng, attr.ints, INTS)
    elif attr.type == AttributeProto.FLOATS:
        _vary(rng, attr.floats, FLOATS)
    elif attr.type == AttributeProto.STRINGS:
        _vary(rng, attr.strings, TEXTS)
    else:
        raise NothingToMutate


def _vary(rng: Random, values: Any, extremes: Sequence[Any]) -> None:
    kind = rng.randrange(5)
    if kind == 0 and values:
        del values[rng.randrange(len(values)) :]
    elif kind == 1:
        values.append(choose(rng, extremes))
    elif kind == 2 and values:
        values[:] = rng.sample(list(values), len(values))
    elif values:
        values[rng.randrange(len(values))] = choose(rng, extremes)


def retype_attribute(rng: Random, model: ModelProto) -> None:
    attr = any_attribute(rng, model)
    made = helper.make_attribute(
        attr.name,
        choose(rng, (0, 1.5, "text", [1, 2], [0.5], ["a"], vector([1.0]), helper.make_graph([], "g", [], []))),
    )
    attr.CopyFrom(made)
    if rng.random() < 0.1:
        attr.type = choose(rng, tuple(range(16)))


def drop_attribute(rng: Random, model: ModelProto) -> None:
    node = choose(rng, [n for g in graphs(model) for n in g.node if n.attribute])
    node.attribute.remove(choose(rng, node.attribute))


def add_attribute(rng: Random, model: ModelProto) -> None:
    """One that the operator has and the node leaves to its default, or one that is unknown."""
    node = any_node(rng, model)
    known: Any = onnx.defs.get_schema(node.op_type).attributes if onnx.defs.has(node.op_type) else {}
    name = choose(rng, [*sorted(known), "unknown"] if rng.random() < 0.9 else ["unknown"])
    kind = known[name].type.name if name in known else "INT"
    values: dict[str, Any] = {
        "INT": choose(rng, INTS), "FLOAT": choose(rng, FLOATS), "STRING": choose(rng, TEXTS),
        "INTS": [choose(rng, INTS) for _ in range(rng.randrange(1, 5))], "FLOATS": [choose(rng, FLOATS)],
        "STRINGS": [choose(rng, TEXTS)], "TENSOR": vector([choose(rng, FLOATS)]),
    }  # fmt: skip
    if kind not in values:
        raise NothingToMutate
    for attr in [a for a in node.attribute if a.name == name]:
        node.attribute.remove(attr)
    node.attribute.append(helper.make_attribute(name, values[kind]))
