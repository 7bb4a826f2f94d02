"""From a graph to a labelling: rules give ports, ports give nets, the cut gives labels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import onnx_ir as ir

from ..graph.reading import schema
from .layouts import TO_CHANNELS_LAST, dims_of, transpose_cost
from .movement import rearrangement
from .partition import LAST_SIDE, NATURAL_SIDE, Net, connected, partition
from .placement import LayoutRules, Op, Placement, Port, constant_of, keep


@dataclass
class Unit:
    """An operator of the graph with its placement; ``variable`` is its label in the cut."""

    op: Op
    placement: Placement
    variable: int


@dataclass(frozen=True)
class Reader:
    """Someone who reads a value: input ``index`` of ``node``, or (``node`` is None) output ``index`` of the graph.

    Attributes:
        end: The variable or terminal that says in which layout it is read.
        absorbs: It is content with the other one too (see :class:`~.placement.Placement`).
    """

    end: int
    node: ir.Node | None
    index: int
    absorbs: bool = False


@dataclass
class Wire:
    """A value that has a channels-last layout: who makes it (a variable or terminal), and who reads it."""

    value: ir.Value
    producer: int
    readers: list[Reader] = field(default_factory=list)


@dataclass
class LayoutPlan:
    """The units of a graph in order, its wires, and the variables that the cut made channels-last."""

    units: list[Unit]
    wires: dict[ir.Value, Wire]
    nets: list[Net]
    channels_last: frozenset[int]
    cost: int

    @property
    def is_empty(self) -> bool:
        """Whether no operator needs channels-last."""
        return not any(unit.placement.required for unit in self.units)

    def label(self, end: int) -> bool:
        """Whether a variable or terminal is channels-last."""
        return end == LAST_SIDE or end in self.channels_last


def make_plan(graph: ir.Graph, opset: int, rules: LayoutRules, *, nhwc: bool = False) -> LayoutPlan:
    """Lay out ``graph`` (its subgraphs aside).

    Args:
        graph: Types and shapes must be known (inferred).
        opset: Version of the default operator set.
        rules: The rule of every operator that has one.
        nhwc: Inputs and outputs of rank 4 and 5 are channels-last; else all are natural.
    """
    units = [Unit(op, _place(op, rules), index) for index, op in enumerate(_operators(graph, opset, rules))]
    wires = _wire(graph, units, nhwc)
    if any(unit.placement.turns for unit in units):
        _settle_turns(units, wires)
        wires = _wire(graph, units, nhwc)
    nets = _nets(units, wires)
    return LayoutPlan(units, wires, nets, *partition(nets))


def has_layout(value: ir.Value | None) -> bool:
    """Whether a value has a channels-last layout of its own (constants take that of their reader)."""
    dims = dims_of(value)
    return dims is not None and len(dims) in TO_CHANNELS_LAST and constant_of(value) is None


def _rule_for(op: Op, rules: LayoutRules) -> Placement | None:
    """The placement of an operator; None if it is natural only."""
    rule = rearrangement if len(op.nodes) > 1 else rules.get((op.node.domain, op.node.op_type))
    return rule(op) if rule and _is_known(op) else None


def _is_known(op: Op) -> bool:
    """Whether the model's opset has the operator. Else nothing is known of its operands; the preflight refuses it."""
    return all(node.domain != "" or schema(node.op_type, op.opset) is not None for node in op.nodes)


def _place(op: Op, rules: LayoutRules) -> Placement:
    placement = _rule_for(op, rules)
    if placement is None:
        return Placement((Port.NATURAL,) * len(op.inputs), (Port.NATURAL,) * len(op.outputs), keep)
    return placement


def _operators(graph: ir.Graph, opset: int, rules: LayoutRules) -> Iterator[Op]:
    """The nodes of ``graph``, a Reshape–Transpose–Reshape that can be laid out only as a whole as one."""
    chains: dict[ir.Node, Op] = {}
    for node in graph:
        if node.op_type == "Transpose" and node.domain == "":
            chain = _chain(node, opset, rules)
            if chain is not None and not any(n in chains for n in chain.nodes):
                chains |= dict.fromkeys(chain.nodes, chain)
    for node in graph:
        if node not in chains:
            yield Op.of((node,), opset)
        elif node is chains[node].node:
            yield chains[node]


def _chain(turn: ir.Node, opset: int, rules: LayoutRules) -> Op | None:
    first = turn.inputs[0].producer() if turn.inputs[0] is not None else None
    if first is None or not _is_reshape(first) or not _is_inner(first.outputs[0]):
        return None
    if first.graph is not turn.graph or not _is_inner(turn.outputs[0]):
        return None
    (use,) = turn.outputs[0].uses()
    if not _is_reshape(use.node) or use.node.graph is not turn.graph or constant_of(first.inputs[0]) is not None:
        return None
    whole = Op.of((first, turn, use.node), opset)
    ends = (Op.of((first,), opset), Op.of((use.node,), opset))
    is_needed = any(_rule_for(end, rules) is None for end in ends)
    return whole if is_needed and _rule_for(whole, rules) is not None else None


def _is_reshape(node: ir.Node) -> bool:
    return node.domain == "" and node.op_type == "Reshape"


def _is_inner(value: ir.Value) -> bool:
    """Whether one node reads the value, and nobody else."""
    return len(value.uses()) == 1 and not value.is_graph_output()


def _wire(graph: ir.Graph, units: list[Unit], nhwc: bool) -> dict[ir.Value, Wire]:
    wires: dict[ir.Value, Wire] = {}
    free = len(units)

    def io_end(value: ir.Value) -> int:
        dims = dims_of(value)
        return LAST_SIDE if nhwc and dims is not None and len(dims) in (4, 5) else NATURAL_SIDE

    for value in graph.inputs:
        if has_layout(value):
            wires[value] = Wire(value, io_end(value))
    for unit in units:
        for made, port in zip(unit.op.outputs, unit.placement.outputs, strict=True):
            if has_layout(made):
                free += port is Port.ANY
                wires[made] = Wire(made, free if port is Port.ANY else end(unit, port))
        for index, (read, port) in enumerate(zip(unit.op.inputs, unit.placement.inputs, strict=True)):
            if read is not None and has_layout(read) and port is not Port.ANY:
                # A value that isn't here yet comes from an enclosing graph.
                reader = Reader(end(unit, port), unit.op.nodes[0], index, unit.placement.absorbs)
                wires.setdefault(read, Wire(read, NATURAL_SIDE)).readers.append(reader)
    for index, value in enumerate(graph.outputs):
        if value in wires:
            wires[value].readers.append(Reader(io_end(value), None, index))
    for value, wire in wires.items():
        inner = [use for use in value.uses() if use.node.graph is not graph] if value.graph is graph else []
        wire.readers += [Reader(NATURAL_SIDE, use.node, use.idx) for use in inner]
    return wires


def end(unit: Unit, port: Port) -> int:
    """The variable or terminal of a port that isn't ANY."""
    return {Port.FOLLOWS: unit.variable, Port.NATURAL: NATURAL_SIDE, Port.CHANNELS_LAST: LAST_SIDE}[port]


def _nets(units: list[Unit], wires: dict[ir.Value, Wire]) -> list[Net]:
    nets = [
        Net(w.producer, tuple(r.end for r in w.readers), transpose_cost(dims_of(w.value) or (), w.value.dtype))
        for w in wires.values()
    ]
    for unit in units:
        nets.append(Net(LAST_SIDE, (unit.variable,), unit.placement.natural_cost))
        nets.append(Net(NATURAL_SIDE, (unit.variable,), unit.placement.channels_last_cost))
    return nets


def _settle_turns(units: list[Unit], wires: dict[ir.Value, Wire]) -> None:
    """Let a Transpose that vanishes either way turn what comes from channels-last, or what goes there."""
    variables = {v for w in wires.values() for v in (w.producer, *(r.end for r in w.readers))} - {NATURAL_SIDE}
    near = connected(_nets([], wires), variables)
    for unit in units:
        if not unit.placement.turns:
            continue
        incoming, outgoing = unit.op.inputs[0], unit.op.outputs[0]
        if incoming in wires and wires[incoming].producer in near:
            ports = Port.CHANNELS_LAST, Port.NATURAL
        elif outgoing in wires and any(reader.end in near for reader in wires[outgoing].readers):
            ports = Port.NATURAL, Port.CHANNELS_LAST
        else:
            continue
        unit.placement = replace(unit.placement, inputs=ports[:1], outputs=ports[1:])
