"""The TFLite operators that a graph will become, with the PyTorch lines that they come from; nothing is built."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import onnx_ir as ir

from ...formats.tflite.operations import Operand, Operation
from ...vocabulary import MODULE_KEY, SOURCE_KEY
from ..builders.base import Attribute
from ..builders.builder import Builder, DryBuilder
from ..builders.control import Body, Branch, joined
from ..builders.tensor import Spec, Tensor
from ..forms import Forms
from .lower import graph_inputs, lower


def recorded(model: ir.Model, *, forms: Forms | None = None) -> list[Operation]:
    """What a prepared graph is lowered to, in order, before MLIR fuses any of it.

    Raises:
        UnsupportedNodes: a node can't be lowered (``prepare`` finds all of them).
    """
    recorder = _Recorder({str(node.outputs[0].name): node for node in model.graph.all_nodes()})
    inputs = [Tensor(name, spec.dtype, spec.shape) for name, spec in graph_inputs(model)]
    lower(model, recorder, inputs, forms=forms)
    return recorder.operations


@dataclass(frozen=True)
class Form:
    """What nodes of one operator were lowered to, all alike.

    Attributes:
        op: The ONNX operator.
        operators: TFLite operator → how many for each node, before MLIR fuses any; empty where nothing is computed.
        reasons: Why it has this form and not a plainer one.
        nodes: Name of the first value that each node makes, its PyTorch module and its line; empty where unknown.
    """

    op: str
    operators: dict[str, int]
    reasons: tuple[str, ...]
    nodes: list[tuple[str, str, str]] = field(default_factory=list)


def forms_written(model: ir.Model, builder: Builder) -> list[Form]:
    """What the nodes of ``model`` became in ``builder``, in the order of their first."""
    found: dict[object, Form] = {}
    for node in model.graph:
        name = str(node.outputs[0].name)
        written = builder.written[name]
        key = node.op_type, frozenset(written.ops.items()), tuple(written.reasons)
        form = found.setdefault(key, Form(node.op_type, dict(written.ops), tuple(written.reasons)))
        form.nodes.append((name, node.metadata_props.get(MODULE_KEY, ""), node.metadata_props.get(SOURCE_KEY, "")))
    return list(found.values())


class _Recorder(DryBuilder):
    """Keeps what is emitted. A tensor's handle is its name."""

    def __init__(self, nodes: dict[str, ir.Node]) -> None:
        self.operations: list[Operation] = []
        self._nodes = nodes

    def _emit(
        self, op: str, operands: Sequence[Tensor], attributes: dict[str, Attribute], results: Sequence[Spec]
    ) -> list[None]:
        self._record(op, operands, attributes, results)
        return [None] * len(results)

    def _cond(self, condition: Tensor, then: Branch, otherwise: Branch) -> list[None]:
        specs = joined(then(), otherwise())
        self._record("if", [condition], {}, specs)
        return [None] * len(specs)

    def _while_loop(self, start: Sequence[Tensor], carried: Sequence[Spec], condition: Body, body: Body) -> list[None]:
        self._record("while", start, {}, carried)
        return super()._while_loop(start, carried, condition, body)

    def _record(
        self, op: str, operands: Sequence[Tensor], attributes: dict[str, Attribute], results: Sequence[Spec]
    ) -> None:
        node = self._nodes.get(self._scope)
        metadata = node.metadata_props if node is not None else {}
        self.operations.append(
            Operation(
                op=op.upper(),
                name=self._scope,
                inputs=tuple(Operand("", t.dtype, t.shape, t.value is not None, t.value) for t in operands),
                outputs=tuple(Operand(self._scope, spec.dtype, spec.shape) for spec in results),
                attributes=attributes,
                module=metadata.get(MODULE_KEY, ""),
                source=metadata.get(SOURCE_KEY, ""),
                onnx=node.op_type if node is not None else "",
            )
        )
