"""Where a model changes between integers and floats: every border costs a QUANTIZE or a DEQUANTIZE.

Some operators have to be float, and convolutions and products are worth their casts. What lies between goes to the side
where the fewest bytes are cast: a minimum cut, in which equal costs go to float, as that is exact.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import networkx as nx

from ..formats.tflite import edit as fb

_WORTH = ("BATCH_MATMUL", "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")

_MOVES = ("EXPAND_DIMS", "GATHER", "PAD", "RESHAPE", "REVERSE_V2", "SLICE", "SQUEEZE", "STRIDED_SLICE", "TRANSPOSE")
"""Nothing is lost by them, and int8 moves less: at equal costs they stay integer."""

_FLOAT, _INTEGER = "float", "integer"


def joined(model: Any, floats: Iterable[int], fixed: Iterable[int]) -> set[int]:
    """Operators of the main graph that become float because their neighbours are.

    Args:
        model: A ``ModelT``.
        floats: Operators that stay float already.
        fixed: Operators that somebody wants as integers.
    """
    floats, fixed = set(floats), set(fixed)
    graph = model.subgraphs[0]
    kinds = [fb.op_name(model, op) for op in graph.operators]
    cut, near = nx.DiGraph(), nx.Graph()
    for index, kind in enumerate(kinds):
        if index in floats:
            cut.add_edge(_FLOAT, index)
        elif kind in _WORTH or index in fixed:
            cut.add_edge(index, _INTEGER)
            continue
        elif kind in _MOVES:
            cut.add_edge(index, _INTEGER, capacity=1)
        near.add_node(index)
    _add_casts(cut, near, model)
    if _FLOAT not in cut or _INTEGER not in cut:
        return set()
    _, (side, _) = nx.minimum_cut(
        cut, _FLOAT, _INTEGER
    )  # what can't reach the sink is float: the larger side of equals
    reached = {i for part in nx.connected_components(near) if part & floats for i in part}
    return {i for i in side if isinstance(i, int)} & reached - floats


def _add_casts(cut: Any, near: Any, model: Any) -> None:
    """One edge for each cast that may be: of a float tensor that integers read, and the other way round."""
    graph = model.subgraphs[0]
    made = {int(i): index for index, op in enumerate(graph.operators) for i in op.outputs}
    for reader, op in enumerate(graph.operators):
        for tensor in {int(i) for i in op.inputs if int(i) in made and fb.is_float(graph.tensors[i])}:
            maker, nbytes = made[tensor], fb.nbytes(graph.tensors[tensor])
            quantized, dequantized = f"{tensor} quantized", f"{tensor} dequantized"
            cut.add_edge(maker, quantized, capacity=nbytes)  # one copy serves all of its readers
            cut.add_edge(quantized, reader)
            cut.add_edge(reader, dequantized)
            cut.add_edge(dequantized, maker, capacity=nbytes)
            if maker in near and reader in near:
                near.add_edge(maker, reader)
