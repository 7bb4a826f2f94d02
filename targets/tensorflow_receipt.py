"""What TensorFlow did with a graph: the devices that its nodes ran on, and the program that XLA made of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ..artifact import Receipt

_INSTRUCTION = re.compile(r"\s+(?:ROOT )?%?[\w.\-]+ = .*?[\]})] ([\w\-]+)\(")
"""Name, shape with its layout, and the opcode: ``%dot.1 = f32[2,4]{1,0} dot(%a, %b), …``."""

_PLUMBING = {
    "_Arg", "_Retval", "Const", "HostConst", "NoOp", "Identity", "IdentityN", "Placeholder", "ReadVariableOp",
    "VarHandleOp", "_Send", "_Recv", "_HostSend", "_HostRecv", "StatefulPartitionedCall", "PartitionedCall",
}  # fmt: skip
"""Operations that compute nothing."""


@dataclass(frozen=True)
class Placed:
    """A node that computes: operation, name, and the kind of device it ran on, such as ``GPU``."""

    op: str
    name: str
    device: str


@dataclass(frozen=True)
class Program:
    """A compiled program: instructions of its entry, and how many of them are fusions."""

    instructions: int
    fusions: int


def working(graph: Any) -> list[Any]:
    """The nodes of a GraphDef, and of the functions in it, that compute something."""
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    return [node for node in nodes if node.op not in _PLUMBING]


@contextmanager
def recorded() -> Iterator[list[Any]]:
    """The GraphDefs of the functions called within, as they were optimised, split and placed."""
    from tensorflow.python.eager import context

    graphs: list[Any] = []
    context.enable_run_metadata()
    try:
        yield graphs
        graphs += [g for f in context.export_run_metadata().function_graphs for g in f.partition_graphs]
    finally:
        context.disable_run_metadata()


def placed(graphs: Iterable[Any]) -> list[Placed]:
    """The nodes of these graphs that compute, each with its device (``/job:…/device:GPU:0`` is a GPU)."""
    return [
        Placed(node.op, node.name, node.device.rpartition("device:")[2].partition(":")[0])
        for graph in graphs
        for node in working(graph)
    ]


def placement(nodes: Sequence[Placed], asked: str, precision: str) -> Receipt:
    """The receipt of nodes on devices."""
    left = [node for node in nodes if node.device != asked]
    counts = Counter(node.device for node in nodes)
    return Receipt(
        asked=asked,
        ran=" and ".join(device for device, _ in counts.most_common()) or "nothing",
        nodes=len(nodes),
        delegated=len(nodes) - len(left),
        precision=precision,
        fallback=tuple(f"{node.op} {node.name} on {node.device}" for node in left),
    )


def program(function: Any, arguments: Mapping[str, Any]) -> Program:
    """What XLA makes of a ``jit_compile`` function for these arguments, read from its optimised HLO."""
    return read_hlo(function.experimental_get_compiler_ir(**arguments)(stage="optimized_hlo"))


def read_hlo(text: str) -> Program:
    """A program's entry computation; parameters and the tuple of results are no instructions."""
    entry = text[text.index("\nENTRY ") :].splitlines()[2:]
    found = [match[1] for line in entry if (match := _INSTRUCTION.match(line))]
    work = [name for name in found if name not in ("parameter", "tuple", "constant")]
    return Program(len(work), work.count("fusion"))
