"""Where a model changes between integers and floats, held against a count of all choices."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from edgeworthy.artifact import TFLiteModel
from edgeworthy.formats.tflite import edit as fb
from edgeworthy.quantize import devices
from edgeworthy.quantize.deciding import joining
from edgeworthy.quantize.islands import joined, picoseconds
from edgeworthy.quantize.recipe import Decision, Recipe

from .tflite_graph import FC, NO_ACTIVATION, Graph, Weights, i32, scalar


def branched(path: Path) -> TFLiteModel:
    """Two inputs, parts of a SPLIT, values that are read twice, an output that is read on, and a number of rank 0."""
    g, shape, half = Graph(x=(2, 8), y=(2, 8)), (2, 8), (2, 4)
    added = g.op("add", list(g.inputs), shape, **NO_ACTIVATION)
    left, right = g.op("split", [np.array(1, np.int32), added], [half, half], num_splits=2)
    joint = g.op("add", [g.op("tanh", [left], half), right], half, **NO_ACTIVATION)
    number = g.op("mean", [g.op("logistic", [joint], half), i32(0, 1)], (), keep_dims=False)
    scaled = g.op("mul", [g.op("tanh", [added], shape), number], shape, **NO_ACTIVATION)
    return g.save(path, joint=joint, scaled=scaled)


@pytest.mark.parametrize("float_io", [True, False])
def test_no_other_choice_takes_less_time(float_io: bool, tmp_path: Path) -> None:
    """All choices are counted; of those that take the least time, the one with the most floats is made."""
    model, random = fb.read(branched(tmp_path / "m.tflite").path.read_bytes()), np.random.default_rng(0)
    graph = model.subgraphs[0]
    count, made = len(graph.operators), {int(o): k for k, op in enumerate(graph.operators) for o in op.outputs}
    readers: dict[int, list[int]] = {int(i): [] for i in (*graph.inputs, *made)}  # -1: what is outside
    for k, op in enumerate(graph.operators):
        for i in {int(i) for i in op.inputs if int(i) in readers}:
            readers[i].append(k)
    for i in graph.outputs:
        readers[int(i)].append(-1)

    def counted(floats: frozenset[int], costs: devices.Costs) -> int:
        sides = floats | {-1} if float_io else floats
        changes = (
            fb.nbytes(graph.tensors[i]) // 4 * len({r in sides for r in to} - {made.get(i, -1) in sides})
            for i, to in readers.items()
        )
        return costs.cast * sum(changes) + sum(saved for k, saved in costs.saved.items() if k in floats)

    choices = [frozenset(c) for n in range(count + 1) for c in itertools.combinations(range(count), n)]
    for signs in ([-60, 60], [3, 5], [0, 0], [-60, 60], [-60, 60]):  # nothing may be worth a cast, and nothing lost
        drawn = random.integers(-100, 101, count - 2) if signs[0] < 0 else random.integers(0, signs[1] + 1, count - 2)
        saved = [*signs, *drawn.tolist()]
        costs = devices.Costs(dict(enumerate(random.permutation(saved).tolist())), 7)
        least = min(counted(choice, costs) for choice in choices)
        found = joined(model, (), (), costs, float_io=float_io)
        best = [choice for choice in choices if counted(choice, costs) == least]
        assert found == set(max(best, key=len)), costs
        assert all(picoseconds(model, c, costs, float_io=float_io) == counted(c, costs) - sum(saved)
                   for c in choices[:: count])  # fmt: skip


def test_an_island_joins_its_neighbours_and_a_residual_doesnt(tmp_path: Path) -> None:
    g, w = Graph(x=(1, 16, 32)), Weights(0)

    def linear(x: object) -> object:
        return g.op("fully_connected", [x, w(32, 32, fan_in=32), w(32, fan_in=8)], (1, 16, 32), **FC)

    a = g.op("gelu", [linear(g.inputs[0])], (1, 16, 32), approximate=False)  # 1, in float
    b = g.op("mul", [a, scalar(0.5)], (1, 16, 32), **NO_ACTIVATION)  # 2
    c = g.op("tanh", [b], (1, 16, 32))  # 3, in float
    d = linear(c)  # 4
    e = g.op("add", [d, linear(d)], (1, 16, 32), **NO_ACTIVATION)  # 6
    f = g.op("reshape", [e, i32(16, 32)], (16, 32))  # 7
    model = fb.read(g.save(tmp_path / "m.tflite", y=linear(f)).path.read_bytes())
    kinds = [fb.op_name(model, op) for op in model.subgraphs[0].operators]
    floats = {kinds.index("GELU"), kinds.index("TANH")}
    assert [kinds[i] for i in joined(model, floats, ())] == ["MUL"]
    assert joined(model, floats, {kinds.index("MUL")}) == set()
    assert joined(model, (), ()) == set()


@pytest.mark.parametrize("device", [None, "x86"])
def test_what_moves_values_between_layers_in_float_is_float(device: str | None, tmp_path: Path) -> None:
    """A border of integers in front of a RESHAPE costs two casts and their error; layers themselves stay as decided."""
    g, w = Graph(x=(1, 16, 64)), Weights(0)

    def linear(x: object) -> object:
        return g.op("fully_connected", [x, w(64, 64, fan_in=64), w(64, fan_in=8)], (1, 16, 64), **FC)

    x = g.op("reshape", [linear(g.inputs[0]), i32(1, 64, 16)], (1, 64, 16))  # 1
    x = g.op("reshape", [g.op("relu", [x], (1, 64, 16)), i32(1, 16, 64)], (1, 16, 64))  # 2, 3
    x = g.op("reshape", [linear(x), i32(1, 64, 16)], (1, 64, 16))  # 4, 5
    x = g.op("reshape", [x, i32(1, 16, 64)], (1, 16, 64))  # 6
    content = g.save(tmp_path / "m.tflite", y=linear(x)).path.read_bytes()
    recipe = Recipe.of("int8", device=device)
    first = {0: Decision("weights", ""), 4: Decision("dynamic", "")}
    assert set(joining(content, recipe, first)) == {1, 2, 3}
    assert set(joining(content, recipe, first | {7: Decision("float32", "")})) == {1, 2, 3, 5, 6}
    assert set(joining(content, recipe, first | {2: Decision("int8", "")})) <= {1, 3}
