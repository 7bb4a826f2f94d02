"""The TFLite operators that a graph will become, with the PyTorch lines that they come from; nothing is built."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import onnx_ir as ir

from ...formats.tflite.operations import Operand, Operation
from ...vocabulary import MODULE_KEY, SOURCE_KEY
from ..builders.base import Attribute
from ..builders.builder import DryBuilder
from ..builders.control import Body, Branch, joined
from ..builders.tensor import Spec, Tensor
from .lower import graph_inputs, lower


def recorded(model: ir.Model, *, unroll: bool = False) -> list[Operation]:
    """What a prepared graph is lowered to, in order, before MLIR fuses any of it.

    Raises:
        UnsupportedNodes: a node can't be lowered (``prepare`` finds all of them).
    """
    recorder = _Recorder({str(node.outputs[0].name): node for node in model.graph.all_nodes()})
    inputs = [Tensor(name, spec.dtype, spec.shape) for name, spec in graph_inputs(model)]
    lower(model, recorder, inputs, unroll=unroll)
    return recorder.operations


class _Recorder(DryBuilder):
    """Keeps what is emitted. A tensor's handle is its name."""

    def __init__(self, nodes: dict[str, ir.Node]) -> None:
        self.operations: list[Operation] = []
        self._nodes = nodes
        self._scope = ""

    @contextmanager
    def scope(self, name: str) -> Iterator[None]:
        outer, self._scope = self._scope, name
        yield
        self._scope = outer

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
            )
        )
