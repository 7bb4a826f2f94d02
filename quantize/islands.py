"""Where a model changes between integers and floats: every border costs a QUANTIZE or a DEQUANTIZE.

Some operators have to be float. What the others do is a minimum cut between the two types. Where a device's costs are
known, it is what takes the least time; elsewhere layers are integer, and the rest goes where the fewest bytes are cast.
Equal costs go to float, as that is exact.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any

import networkx as nx

from ..formats.tflite import edit as fb
from .devices import Costs
from .kinds import ARITHMETIC

_MOVES = ("EXPAND_DIMS", "GATHER", "PAD", "RESHAPE", "REVERSE_V2", "SLICE", "SQUEEZE", "STRIDED_SLICE", "TRANSPOSE")
"""Nothing is lost by them, and int8 moves less: at equal costs they stay integer."""

_FLOAT, _INTEGER = "float", "integer"


def joined(
    model: Any, floats: Iterable[int], fixed: Iterable[int], costs: Costs | None = None, *, float_io: bool = True
) -> set[int]:
    """Operators of the main graph that become float because that is faster, or because their neighbours are.

    Args:
        model: A ``ModelT``.
        floats: Operators that stay float already.
        fixed: Operators that somebody wants as integers.
        costs: What operators and casts take. None: nobody knows, and products are worth their casts.
        float_io: Whether the file's inputs and outputs are float; it counts where costs are known.
    """
    floats, fixed = set(floats), set(fixed)
    kinds = [fb.op_name(model, op) for op in model.subgraphs[0].operators]
    cut, near = nx.DiGraph(), nx.Graph()
    for index, kind in enumerate(kinds):
        saved = costs.saved.get(index) if costs else None
        if index in floats:
            cut.add_edge(_FLOAT, index)
        elif index in fixed or (costs is None and kind in ARITHMETIC):
            cut.add_edge(index, _INTEGER)
            continue
        elif saved is not None and saved < 0:
            cut.add_edge(_FLOAT, index, capacity=-saved)
        elif saved or kind in _MOVES:
            cut.add_edge(index, _INTEGER, capacity=saved or 1)
        near.add_node(index)
    _add_casts(cut, near, model, costs, _FLOAT if float_io else _INTEGER)
    if _FLOAT not in cut or (costs is None and _INTEGER not in cut):
        return set()
    cut.add_node(_INTEGER)  # where nothing is worth a cast, nothing leads there
    _, (side, _) = nx.minimum_cut(
        cut, _FLOAT, _INTEGER
    )  # what can't reach the sink is float: the larger side of equals
    begun = floats | (side & costs.saved.keys() if costs else set())
    reached = {i for part in nx.connected_components(near) if part & begun for i in part}
    return {i for i in side if isinstance(i, int)} & reached - floats


def picoseconds(model: Any, floats: Collection[int], costs: Costs, *, float_io: bool = True) -> int:
    """What a choice takes, less what the operators take in float: what int8 saves counts as negative, and casts do.

    Args:
        floats: The operators of the main graph that are float.
    """
    sides = dict.fromkeys(range(len(model.subgraphs[0].operators)), False) | dict.fromkeys(floats, True)
    sides[_OUTSIDE] = float_io
    needed = {(t, sides[reader]) for maker, reader, t in _handed(model, outside=True) if sides[reader] != sides[maker]}
    casts = sum(_price(model, tensor, costs) for tensor, _ in needed)
    return casts - sum(ps for index, ps in costs.saved.items() if not sides[index])


_OUTSIDE = -1
"""Who makes the model's inputs and reads its outputs."""


def _handed(model: Any, *, outside: bool) -> Iterator[tuple[int, int, int]]:
    """(operator that makes, operator that reads, float tensor), for each reading of one."""
    graph = model.subgraphs[0]
    made = {int(i): index for index, op in enumerate(graph.operators) for i in op.outputs}
    read = [(index, int(i)) for index, op in enumerate(graph.operators) for i in op.inputs]
    if outside:
        made |= dict.fromkeys(map(int, graph.inputs), _OUTSIDE)
        read += [(_OUTSIDE, int(i)) for i in graph.outputs]
    for reader, tensor in read:
        if tensor in made and fb.is_float(graph.tensors[tensor]):
            yield made[tensor], reader, tensor


def _price(model: Any, tensor: int, costs: Costs | None) -> int:
    nbytes = fb.nbytes(model.subgraphs[0].tensors[tensor])
    return costs.cast * nbytes // 4 if costs else nbytes


def _add_casts(cut: Any, near: Any, model: Any, costs: Costs | None, outside: str) -> None:
    """One edge for each cast that may be: of a float tensor that integers read, and the other way round."""
    for made, read, tensor in _handed(model, outside=costs is not None):
        maker, reader = (outside if end == _OUTSIDE else end for end in (made, read))
        price = _price(model, tensor, costs)
        quantized, dequantized = f"{tensor} quantized", f"{tensor} dequantized"
        cut.add_edge(maker, quantized, capacity=price)  # one copy serves all of its readers
        cut.add_edge(quantized, reader)
        cut.add_edge(reader, dequantized)
        cut.add_edge(dequantized, maker, capacity=price)
        if maker in near and reader in near:
            near.add_edge(maker, reader)
