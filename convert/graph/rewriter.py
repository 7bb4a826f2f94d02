"""The one way a model is changed: names stay unique, metadata survives, dead nodes and weights go at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import onnx_ir as ir

from ...artifact import Array
from ...errors import InternalFault
from ...formats.onnx.names import called
from ...vocabulary import FUSED_DOMAIN
from . import private_ops
from .reading import attribute, nodes_below, opset, schema

IsLowered = Callable[[str, str, int], bool]
"""(domain, operator, the opset it last changed in) → whether the lowering takes the operator as it is."""


@dataclass(frozen=True)
class Refusal:
    """A node that a pass looked at and left alone, and why."""

    node: str
    reason: str


class Rewriter:
    """A model under one pass: what it may ask, and how it may change the graph.

    Attributes:
        model: The model, changed in place.
        changed: Changes made so far.
        refusals: Nodes left alone, each with its reason.
        replaced: Inputs that :meth:`set_input` and :meth:`become` took away; see :meth:`drop_replaced`.
    """

    def __init__(self, model: ir.Model, is_lowered: IsLowered | None = None) -> None:
        self.model = model
        self._is_lowered = is_lowered
        self.changed = 0
        self.refusals: list[Refusal] = []
        self.replaced: dict[ir.Value, None] = {}
        self._copies: Counter[str] = Counter()

    @property
    def opset(self) -> int:
        """The model's version of the default ONNX domain."""
        return opset(self.model)

    def is_lowered(self, op_type: str, domain: str = "") -> bool:
        """Whether the lowering takes an operator as the model's opset has it; without a lowering, any."""
        if self._is_lowered is None:
            return True
        if domain == FUSED_DOMAIN:
            return self._is_lowered(domain, op_type, private_ops.VERSION)
        found = schema(op_type, self.model.opset_imports.get(domain, self.opset), domain)
        return found is not None and self._is_lowered(domain, op_type, found.since_version)

    @cached_property
    def _names(self) -> set[str]:
        names: set[str] = set()
        for graph in self.model.graphs():
            names.update(graph.initializers)
            names.update(v.name for v in graph.inputs if v.name)
            for node in graph:
                names.update(v.name for v in node.outputs if v.name)
                if node.name:
                    names.add(node.name)
        return names

    def unique(self, base: str) -> str:
        """A name that no value and no node of the model has yet."""
        name = base
        while name in self._names:
            self._copies[base] += 1
            name = f"{base}_{self._copies[base]}"
        self._names.add(name)
        return name

    def nodes(self, *op_types: str) -> Iterator[ir.Node]:
        """The ONNX nodes of these types (all nodes if none is named) in every graph; rewriting meanwhile is fine."""
        found = [
            node
            for graph in self.model.graphs()
            for node in graph
            if not op_types or (node.op_type in op_types and node.domain == "")
        ]
        return (node for node in found if node.graph is not None)

    def attribute(self, node: ir.Node, name: str) -> Any:
        """An attribute of an ONNX node, or its default from the schema."""
        return attribute(node, name, self.opset)

    @staticmethod
    def called(node: ir.Node) -> str:
        """What messages call it."""
        return called(node.name, (value.name for value in node.outputs))

    def refuse(self, node: ir.Node, reason: str) -> None:
        """Note that a node that looked right was left alone."""
        self.refusals.append(Refusal(self.called(node), reason))

    def constant(self, near: ir.Node | ir.Graph, base: str, array: Array) -> ir.Value:
        """A new initializer in a graph, or that of the node ``near``; the array is kept, not copied."""
        name = self.unique(base)
        tensor = ir.Tensor(array, name=name)
        value = ir.Value(name=name, shape=ir.Shape(array.shape), type=ir.TensorType(tensor.dtype), const_value=tensor)
        (near if isinstance(near, ir.Graph) else graph_of(near)).register_initializer(value)
        return value

    def shape_constant(self, near: ir.Node, base: str, dims: Iterable[int]) -> ir.Value:
        """A new 1-D int64 initializer."""
        return self.constant(near, base, np.array(tuple(dims), np.int64))

    def node(
        self,
        op_type: str,
        inputs: Sequence[ir.Value | None],
        attributes: Mapping[str, Any] | None = None,
        *,
        main: ir.Node,
        domain: str = "",
        name: str | None = None,
    ) -> ir.Node:
        """A new node of one output that stands for ``main``: it has its metadata, and is named after it."""
        return ir.node(
            op_type,
            inputs,
            attributes or {},
            domain=domain,
            name=self.unique(name or f"{main.name or main.op_type}/{op_type}"),
            metadata_props=dict(main.metadata_props),
        )

    def insert(self, anchor: ir.Node, *nodes: ir.Node) -> None:
        """Put new nodes right before ``anchor``, and name the values they make."""
        for node in nodes:
            for value in node.outputs:
                if value.name is None:
                    value.name = self.unique(f"{node.name}:out")
        anchor.prepend(nodes)

    def value_before(
        self,
        main: ir.Node,
        op_type: str,
        inputs: Sequence[ir.Value],
        extents: Sequence[int | None],
        attributes: Mapping[str, Any] | None = None,
    ) -> ir.Value:
        """What a new node right before ``main`` makes, of these extents and of the type of its first input."""
        made = self.node(op_type, inputs, attributes, main=main)
        self.insert(main, made)
        made.outputs[0].type, made.outputs[0].shape = inputs[0].type, ir.Shape(extents)
        return made.outputs[0]

    def node_behind(
        self,
        value: ir.Value,
        graph: ir.Graph,
        op_type: str,
        inputs: Sequence[ir.Value | None],
        attributes: Mapping[str, Any] | None = None,
        *,
        suffix: str,
    ) -> ir.Node:
        """A new node of one output in ``graph``, right behind the one that makes ``value``, whose metadata it has.

        Where that isn't in ``graph`` the node comes first. It and its output are named after ``value`` and ``suffix``;
        type and shape of the output are the caller's.
        """
        producer = value.producer()
        name = self.unique(f"{value.name}_{suffix}")
        metadata = {} if producer is None else dict(producer.metadata_props)
        node = ir.node(op_type, inputs, attributes or {}, name=name, metadata_props=metadata)
        node.outputs[0].name = name
        if producer is not None and producer.graph is graph:
            graph.insert_after(producer, node)
        elif len(graph):
            graph.insert_before(graph[0], node)
        else:
            graph.append(node)
        return node

    def set_input(self, node: ir.Node, index: int, value: ir.Value | None) -> None:
        """Replace input ``index``, adding absent ones before it."""
        if index >= len(node.inputs):
            node.resize_inputs(index + 1)
        old = node.inputs[index]
        if old is not None:
            self.replaced[old] = None
        node.replace_input_with(index, value)

    def become(
        self,
        node: ir.Node,
        op_type: str,
        inputs: Sequence[ir.Value | None],
        attributes: Mapping[str, Any] | None = None,
    ) -> None:
        """Turn ``node`` into an ``op_type`` of the default domain; it keeps its name, outputs and metadata."""
        node.domain, node.op_type, node.overload = "", op_type, ""
        node.attributes.clear()
        for attr in ir.convenience.convert_attributes(dict(attributes or {})):
            node.attributes.add(attr)
        self.replaced.update(dict.fromkeys(v for v in node.inputs if v is not None))
        node.resize_inputs(len(inputs))
        for index, value in enumerate(inputs):
            node.replace_input_with(index, value)

    def drop_replaced(self) -> None:
        """Remove what nobody uses any more of the inputs that were replaced."""
        for value in self.replaced:
            maker = value.producer()
            if maker is not None:
                self.remove_dead([maker])
            else:
                self.drop_unused(value)
        self.replaced.clear()

    def fused_domain(self, op_type: str, since: int) -> str | None:
        """Where the operator that a fusion wants to make lives, or None if the lowering doesn't take it.

        The default domain if the model's opset has it (from version ``since`` on); else the private domain, with a
        function body that the model's opset can run.
        """
        if self.opset >= since:
            return "" if self.is_lowered(op_type) else None
        return FUSED_DOMAIN if self.is_lowered(op_type, FUSED_DOMAIN) else None

    def fuse(
        self,
        root: ir.Node,
        op_type: str,
        inputs: Sequence[ir.Value | None],
        attributes: Mapping[str, Any],
        *,
        main: ir.Node,
        domain: str = "",
        overload: str = "",
    ) -> ir.Node:
        """Put one node in the place of the expression that ends in ``root``."""
        node = self.node(op_type, inputs, attributes, main=main, domain=domain)
        if domain == FUSED_DOMAIN:
            private_ops.declare(self.model, op_type, overload)
            node.overload = overload
        root.prepend(node)
        self.replace(root, node.outputs[0])
        return node

    def replace(self, node: ir.Node, *values: ir.Value) -> None:
        """Let values take over the outputs of ``node``: name, type, shape, users, and place as the graph's output."""
        for old, value in zip(node.outputs, values, strict=False):
            if value.type is None:
                value.type = old.type
            if value.shape is None:
                value.shape = old.shape
            value.metadata_props.update(old.metadata_props)
            old.replace_all_uses_with(value, replace_graph_outputs=True)
            name, old.name = old.name, None
            value.name = name or value.name  # an output that nobody wants has none
        self.changed += 1
        self.remove_dead([node])

    def bypass(self, node: ir.Node, index: int = 0) -> bool:
        """Take out a node whose (first) output equals its input ``index``.

        False if that can't be done: an output of the graph must keep its name, and an input its own.
        """
        source, old = node.inputs[index], node.outputs[0]
        if source is None:
            return False
        if old.is_graph_output():
            # The output's name has to move to `source`, which must be made in the same graph, and free to rename.
            fixed = source.producer() is None or source.is_graph_output()
            if fixed or source.graph is not old.graph or source.is_initializer():
                return False
        if source.type is None:
            source.type = old.type
        if source.shape is None:
            source.shape = old.shape
        was_output = old.is_graph_output()
        old.replace_all_uses_with(source, replace_graph_outputs=True)
        if was_output:
            name, old.name = old.name, None
            source.name = name
        self.changed += 1
        self.remove_dead([node])
        return True

    def remove_dead(self, nodes: Iterable[ir.Node]) -> int:
        """Remove those of ``nodes`` that nobody uses, what then becomes unused above them, and weights left over."""
        removed = 0
        work = list(nodes)
        while work:
            node = work.pop()
            graph = node.graph
            if graph is None or any(v.uses() or v.is_graph_output() for v in node.outputs):
                continue
            sources = _detach(node)
            graph.remove(node)
            removed += 1
            for source in sources:
                maker = source.producer()
                if maker is not None:
                    work.append(maker)
                else:
                    self.drop_unused(source)
        return removed

    def drop_unused(self, value: ir.Value) -> bool:
        """Forget an initializer that nobody uses, so that its memory is free."""
        unused = value.is_initializer() and not (value.uses() or value.is_graph_output() or value.is_graph_input())
        if unused and value.graph is not None and value.name is not None:
            del value.graph.initializers[value.name]
        return unused


def graph_of(node: ir.Node) -> ir.Graph:
    """The graph a node is in.

    Raises:
        InternalFault: it was removed from its graph.
    """
    if node.graph is None:
        raise InternalFault("a pass went on with a node it had removed", where=node.name)
    return node.graph


def _detach(node: ir.Node) -> list[ir.Value]:
    """Give up every value that a node, or a node in its subgraphs, uses; returns those values, each once."""
    sources: dict[ir.Value, None] = {}
    for inner in (node, *nodes_below(node)):
        for index, value in enumerate(inner.inputs):
            if value is not None:
                sources[value] = None
                inner.replace_input_with(index, None)
    return list(sources)
