"""Which nodes of a TFLite file LiteRT's accelerator left to the CPU: it tells how many, and of which operators.

The names are worked out as TFLite's delegates work, and held against the number that LiteRT told; where the operators
alone don't give it, each such node is tried as a model of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..formats.tflite import edit
from ..formats.tflite.summary import SubgraphSummary

if TYPE_CHECKING:
    from ..formats.tflite.summary import OperatorSummary


@dataclass(frozen=True)
class Delegation:
    """What LiteRT told of a compilation.

    Attributes:
        taken: Nodes that the accelerator took.
        left: Nodes that it left.
        operators: Those that it refused, such as ``GATHER``: all nodes of one, or some of them.
        reasons: Why, as it put it.
        partitions: Parts of the graph that it took.
    """

    taken: int
    left: int
    operators: Set[str] = frozenset()
    reasons: tuple[str, ...] = ()
    partitions: int = 1


def left_over(
    graph: SubgraphSummary, told: Delegation, takes: Callable[[int], bool], *, largest: bool = False
) -> tuple[str, ...] | None:
    """The nodes left, each as operator and its first output; None where no reading gives the number that was told.

    Args:
        graph: The main subgraph.
        told: What was told of it.
        takes: Whether the accelerator takes the node of this index when it is a model of its own.
        largest: Whether it takes the largest of the parts that it could, and no other.
    """
    if told.taken + told.left != len(graph.ops):
        return None
    suspects = {index for index, op in enumerate(graph.ops) if op.op in told.operators}
    if not told.taken:
        return tuple(name(graph, op) for op in graph.ops)
    left = _left(graph, suspects, largest)
    if len(left) != told.left:
        left = _left(graph, {index for index in suspects if not takes(index)}, largest)
    return tuple(name(graph, graph.ops[index]) for index in sorted(left)) if len(left) == told.left else None


def name(graph: SubgraphSummary, op: OperatorSummary) -> str:
    """Operator and first output, as every receipt writes a node."""
    return " ".join([op.op, *(graph.tensors[i].name for i in op.outputs[:1])])


def _left(graph: SubgraphSummary, refused: set[int], largest: bool) -> set[int]:
    if not largest:
        return refused
    parts = [part for part in partitions(graph, refused) if not part & refused]
    return set(range(len(graph.ops))) - max(parts, key=len, default=set())


def partitions(graph: SubgraphSummary, refused: set[int]) -> list[set[int]]:
    """The graph in parts whose nodes are all refused or all not, as TFLite's ``graph_info.cc`` makes them.

    Each part is begun by the first node in order whose operands are there, and takes what is ready of its kind.
    """
    made = {i for op in graph.ops for i in op.outputs}
    waiting, parts = dict(enumerate(graph.ops)), []
    while waiting:
        part: set[int] = set()
        kind, grew = None, True
        while grew:
            grew = False
            for index, op in list(waiting.items()):
                ready = not any(i in made for i in op.inputs)
                if ready and (kind is None or (index in refused) == kind):
                    kind, grew = index in refused, True
                    part.add(index)
                    del waiting[index]
                    made -= set(op.outputs)
        if not part:
            break  # a circle, which no file has that an interpreter loads
        parts.append(part)
    return parts


def alone(content: bytes, index: int) -> bytes:
    """A node of the main subgraph as a model of its own: its operands are inputs, but for constants."""
    model = edit.read(content)
    graph = model.subgraphs[0]
    op = graph.operators[index]
    operands = [int(i) for i in op.inputs if i >= 0 and not edit.is_constant(model, graph.tensors[i])]
    graph.operators, graph.inputs, graph.outputs = [op], _once(operands), _once([int(i) for i in op.outputs])
    model.signatureDefs, model.metadata, model.metadataBuffer = None, None, None
    edit.drop_unused_buffers(model)
    return edit.write(model)


def _once(indices: Sequence[int]) -> list[Any]:
    return list(dict.fromkeys(indices))
