"""Write out a Loop or a Scan of a few steps, so that its body is laid out, folded and delegated like any other node.

Before::

    Loop(3, true, x) { i, c, a: b = Mul (a, w);  c, b } ── y           Scan(s:[2,4], xs:[3,4]) { … } ── t, ys

After::

    x ── Mul(w) ── Mul(w) ── Mul(w) ── y           xs ── Gather(0, 1, 2) ── … ── t        Unsqueeze, Concat ── ys

A Loop counts 0, 1, … as constants. A Scan of opset 8 has a batch, whose elements are scanned each on its own.

Leaves alone: Loops whose condition is computed, or whose number of steps is; Scans along an extent that is dynamic;
what would become more than ``_MOST_NODES`` nodes; Loops of no step with a result of unknown size for each.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from ..graph.inlining import inline, lift_weights, replace_by
from ..graph.reading import rank, scalar, source, static_shape
from ..graph.rewriter import Rewriter
from .contract import Pass
from .properties import CONSTANTS_LIFTED, NO_LOCAL_FUNCTIONS, TYPED

_MOST_NODES = 1024
"""Nodes that a loop may become. A WHILE of LiteRT copies what it carries at each step and ends a delegate's part."""

_NO_CONDITION = "it goes on as long as a computed condition holds"


def unroll_loops(rw: Rewriter) -> None:
    for node in rw.nodes("Loop", "Scan"):
        unrolling = _Loop(rw, node) if node.op_type == "Loop" else _Scan(rw, node)
        objection = unrolling.objection()
        if objection is None:
            unrolling.unroll()
        else:
            rw.refuse(node, objection)


class _Unrolling:
    """A Loop or a Scan that is being written out before itself."""

    def __init__(self, rw: Rewriter, node: ir.Node) -> None:
        self.rw, self.node = rw, node
        self.body = node.attributes["body"].as_graph()
        self._made: list[ir.Node] = []

    def step(self, arguments: Sequence[ir.Value]) -> list[ir.Value]:
        """One run of the body; its outputs."""
        inlined = inline(self.rw, self.node, self.body.clone(allow_outer_scope_values=True), arguments)
        self._made += inlined.nodes
        return inlined.outputs

    def add(self, op: str, inputs: Sequence[ir.Value], axis: int) -> ir.Value:
        """A node along ``axis``; its output."""
        made = self.rw.node(op, inputs, {"axis": axis}, main=self.node)
        self.rw.insert(self.node, made)
        self._made.append(made)
        value = made.outputs[0]
        value.type = inputs[0].type
        return value

    def number(self, value: int | Sequence[int]) -> ir.Value:
        return self.rw.constant(self.node, f"{self.node.name}/step", np.array(value, np.int64))

    def element(self, value: ir.Value, axis: int, index: int) -> ir.Value:
        """One element of ``value`` along ``axis``, which goes."""
        return self.add("Gather", [value, self.number(index)], axis)

    def stacked(self, values: Sequence[ir.Value], axis: int) -> ir.Value:
        """Values of one shape along a new axis."""
        return self.add("Concat", [self._unsqueezed(value, axis) for value in values], axis)

    def _unsqueezed(self, value: ir.Value, axis: int) -> ir.Value:
        by_input = self.rw.opset >= 13
        inputs = [value, self.number([axis])] if by_input else [value]
        made = self.rw.node("Unsqueeze", inputs, {} if by_input else {"axes": [axis]}, main=self.node)
        self.rw.insert(self.node, made)
        self._made.append(made)
        made.outputs[0].type = value.type
        return made.outputs[0]

    def finish(self, results: Sequence[ir.Value]) -> None:
        replace_by(self.rw, self.node, results, self._made)

    def too_many(self, steps: int) -> str | None:
        nodes = steps * sum(1 for _ in self.body.all_nodes())
        return f"its {steps} steps would become {nodes} nodes" if nodes > _MOST_NODES else None


class _Loop(_Unrolling):
    def objection(self) -> str | None:
        """Why the Loop must stay one, or None."""
        steps = self._steps()
        if isinstance(steps, str):
            return steps
        if steps == 0 and any(
            static_shape(v) is None or v.dtype is None for v in self.body.outputs[1 + self._states :]
        ):
            return "it has no step, and the size of its results is not known"
        return self.too_many(steps)

    @property
    def _states(self) -> int:
        return len(self.body.inputs) - 2

    def _steps(self) -> int | str:
        count, condition = [*self.node.inputs, None, None][:2]
        start = True if condition is None else scalar(condition)
        if start is not None and not start:
            return 0
        goes_on = source(self.body.outputs[0])
        held = goes_on is self.body.inputs[1] or scalar(goes_on)
        if start is None or not held:
            return _NO_CONDITION
        steps = scalar(count)
        return "the number of its steps is computed" if steps is None else max(int(steps), 0)

    def unroll(self) -> None:
        lift_weights(self.rw, self.node, self.body)
        steps = self._steps()
        states = [v for v in self.node.inputs[2:] if v is not None]
        goes_on = self.rw.constant(self.node, f"{self.node.name}/goes_on", np.array(True))
        collected: list[list[ir.Value]] = [[] for _ in self.body.outputs[1 + len(states) :]]
        for index in range(int(steps)):
            _, *results = self.step([self.number(index), goes_on, *states])
            states, given = results[: len(states)], results[len(states) :]
            for values, value in zip(collected, given, strict=True):
                values.append(value)
        outputs = self.body.outputs[1 + len(states) :]
        stacks = [self.stacked(v, 0) if v else self._nothing(o) for v, o in zip(collected, outputs, strict=True)]
        self.finish([*states, *stacks])

    def _nothing(self, one: ir.Value) -> ir.Value:
        """No element of what the body gives at each step."""
        dtype = (one.dtype or ir.DataType.FLOAT).numpy()  # known: see `objection`
        empty = np.zeros((0, *(static_shape(one) or ())), dtype)
        return self.rw.constant(self.node, f"{one.name}/none", empty)


class _Scan(_Unrolling):
    def __init__(self, rw: Rewriter, node: ir.Node) -> None:
        super().__init__(rw, node)
        self._batched = rw.opset < 9
        values = list(node.inputs)[self._batched :]
        self._read = node.attributes["num_scan_inputs"].as_int()
        self._initial, self._sources = values[: -self._read], values[-self._read :]
        self._written = len(node.outputs) - len(self._initial)

    def objection(self) -> str | None:
        """Why the Scan must stay one, or None."""
        if self._batched and self.node.inputs[0] is not None:
            return "its sequences have lengths of their own"
        if any(v is None for v in (*self._initial, *self._sources)):
            return "an input of it is missing"
        if None in (self._steps, self._batch):
            return "the extent that it goes along is dynamic"
        if not self._steps or not self._batch:
            return "it has no step"
        return self.too_many(self._steps * self._batch)

    @property
    def _batch(self) -> int | None:
        return self._extent(self._sources[0], 0) if self._batched else 1

    @property
    def _steps(self) -> int | None:
        """The extent along which it goes, known from whichever source has it."""
        axes = [1] * self._read if self._batched else self._input_axes()
        extents = (self._extent(value, axis) for value, axis in zip(self._sources, axes, strict=True))
        return next((extent for extent in extents if extent is not None), None)

    @staticmethod
    def _extent(value: ir.Value | None, axis: int) -> int | None:
        dims = rank(value)
        if value is None or value.shape is None or dims is None or not -dims <= axis < dims:
            return None
        extent = value.shape[axis]
        return extent if isinstance(extent, int) else None

    def _input_axes(self) -> list[int]:
        return list(self.rw.attribute(self.node, "scan_input_axes") or [0] * self._read)

    def unroll(self) -> None:
        lift_weights(self.rw, self.node, self.body)
        sources = [v for v in self._sources if v is not None]
        states = [v for v in self._initial if v is not None]
        if not self._batched:
            self.finish(self._scanned(states, sources, self._input_axes()))
            return
        rows = []
        for index in range(self._batch or 0):
            one = [[self.element(v, 0, index) for v in values] for values in (states, sources)]
            rows.append(self._scanned(one[0], one[1], [0] * self._read))
        self.finish([self.stacked(values, 0) for values in zip(*rows, strict=True)])

    def _scanned(self, states: list[ir.Value], sources: list[ir.Value], axes: list[int]) -> list[ir.Value]:
        """Final states and scan outputs of a scan without a batch."""
        steps = self._steps or 0
        backwards = self._directions("scan_input_directions", self._read)
        collected: list[list[ir.Value]] = [[] for _ in range(self._written)]
        for step in range(steps):
            read = [
                self.element(v, axis, steps - 1 - step if back else step)
                for v, axis, back in zip(sources, axes, backwards, strict=True)
            ]
            results = self.step([*states, *read])
            states, given = results[: len(states)], results[len(states) :]
            for values, value in zip(collected, given, strict=True):
                values.append(value)
        ends = self._directions("scan_output_directions", self._written)
        into = self.rw.attribute(self.node, "scan_output_axes") or [0] * self._written
        stacks = [
            self.stacked(values[::-1] if back else values, axis)
            for values, back, axis in zip(collected, ends, into, strict=True)
        ]
        return [*states, *stacks]

    def _directions(self, name: str, count: int) -> list[int]:
        """1 where a sequence goes from its end to its beginning; opset 8 has the inputs' only, by another name."""
        name = "directions" if self._batched and name == "scan_input_directions" else name
        return list(self.rw.attribute(self.node, name) or [0] * count)


PASS = Pass(
    name="unroll_loops",
    run=unroll_loops,
    requires=frozenset({NO_LOCAL_FUNCTIONS, CONSTANTS_LIFTED, TYPED}),
    breaks=frozenset({CONSTANTS_LIFTED}),
    must_follow=("lift_constants", "fold_constants"),
)
