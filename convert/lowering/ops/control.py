"""Branches and loops, whose bodies become functions: TFLite's IF and WHILE, TensorFlow's cond and while.

A Loop or a Scan of a few steps that are known beforehand comes here written out already (``passes.unroll_loops``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import onnx_ir as ir

from ...builders.tensor import Shape, Spec, Tensor, element_count, normalize_axis
from ...graph.reading import source
from ..context import Context, spec
from ..registry import lowers

_FOREVER = 1 << 31
"""A trip count that is none: exporters give the greatest integer where only the condition ends a loop."""


@lowers("If")
def lower_if(ctx: Context, node: ir.Node) -> tuple[Tensor, ...]:
    """The outputs of one of two bodies, as a bool scalar says. TFLite: IF."""
    then, otherwise = (node.attributes[name].as_graph() for name in ("then_branch", "else_branch"))
    condition = ctx.b.reshape(ctx.input(node, 0), ())
    return ctx.b.cond(condition, lambda: ctx.lower_body(then), lambda: ctx.lower_body(otherwise))


@lowers("Loop")
def lower_loop(ctx: Context, node: ir.Node) -> tuple[Tensor, ...]:
    """``while i < M and cond: cond, states, outputs = body(i, cond, states)``. TFLite: WHILE.

    Outputs are collected along a new axis 0 (see :class:`_Collected`).
    """
    b, body = ctx.b, node.attributes["body"].as_graph()
    count, start = ctx.optional(node, 0), ctx.optional(node, 1)
    limit = None if count is None or (count.value is not None and count.value.reshape(()) >= _FOREVER) else count
    limit = None if limit is None else b.reshape(limit, ())
    states = [ctx.tensor(value) for value in node.inputs[2:] if value is not None]
    holds = b.const(np.array(True)) if start is None else b.reshape(start, ())
    fixed = holds.is_all(1) and _never_ends(body)
    end = int(limit.value) if limit is not None and limit.value is not None else None
    collected = [_Collected(ctx, spec(value), end) for value in body.outputs[1 + len(states) :]]
    one = b.const(np.int64(1))

    def goes_on(carried: Sequence[Tensor]) -> list[Tensor]:
        more = [] if limit is None else [b.compare("less", carried[0], limit)]
        tests = more if fixed and more else [*more, carried[1]]
        return [tests[0] if len(tests) == 1 else b.binary("logical_and", *tests)]

    def step(carried: Sequence[Tensor]) -> list[Tensor]:
        index, condition, *rest = carried
        condition_out, *results = ctx.lower_body(body, [index, condition, *rest[: len(states)]])
        stored = _stored(collected, rest[len(states) :], index, results[len(states) :])
        return [b.add(index, one), b.reshape(condition_out, ()), *results[: len(states)], *stored]

    shapes = [spec(value).shape for value in body.inputs[2:]]
    steps, _, *last = b.while_loop(
        [b.const(np.int64(0)), holds, *states, *_starts(collected)],
        [(), (), *shapes, *_shapes(collected)],
        goes_on,
        step,
    )
    parts = zip(collected, _parts(collected, last[len(states) :]), strict=True)
    outputs = [c.all(part, steps, ends_early=not fixed) for c, part in parts]
    return (*last[: len(states)], *outputs)


def _never_ends(body: ir.Graph) -> bool:
    """Whether the condition that a Loop's body gives is the one it gets, or true."""
    found = source(body.outputs[0])
    constant = found.const_value
    return found is body.inputs[1] or (constant is not None and bool(constant.numpy().all()))


@lowers("Scan", since=9)
def lower_scan(ctx: Context, node: ir.Node) -> tuple[Tensor, ...]:
    """``states, outputs = body(states, elements)`` for the elements along an axis of each input. TFLite: WHILE."""
    b, body = ctx.b, node.attributes["body"].as_graph()
    count = int(ctx.attribute(node, "num_scan_inputs"))
    tensors = ctx.inputs(node)
    states, sources = tensors[:-count], tensors[-count:]
    given = list(ctx.attribute(node, "scan_input_axes") or [0] * count)
    axes = [normalize_axis(int(axis), source.rank) for axis, source in zip(given, sources, strict=True)]
    backwards = list(ctx.attribute(node, "scan_input_directions") or [0] * count)
    known = [s.shape[axis] for s, axis in zip(sources, axes, strict=True)]
    counter = next((i for i, extent in enumerate(known) if extent is not None), 0)
    steps = ctx.b.extent_of(sources[counter], axes[counter])
    collected = [_Collected(ctx, spec(value), known[counter]) for value in body.outputs[len(states) :]]
    one = b.const(np.int32(1))

    def element(index: int, at: Tensor) -> Tensor:
        place = b.sub(b.sub(steps, one), at) if backwards[index] else at
        return b.gather(sources[index], place, axes[index])

    def step(carried: Sequence[Tensor]) -> list[Tensor]:
        at, *rest = carried
        results = ctx.lower_body(body, [*rest[: len(states)], *(element(i, at) for i in range(count))])
        stored = _stored(collected, rest[len(states) :], at, results[len(states) :])
        return [b.add(at, one), *results[: len(states)], *stored]

    _, *last = b.while_loop(
        [b.const(np.int32(0)), *states, *_starts(collected)],
        [(), *(spec(v).shape for v in body.inputs[: len(states)]), *_shapes(collected)],
        lambda carried: [b.compare("less", carried[0], steps)],
        step,
    )
    outputs = [c.all(p, steps) for c, p in zip(collected, _parts(collected, last[len(states) :]), strict=True)]
    into = list(ctx.attribute(node, "scan_output_axes") or [0] * len(outputs))
    ends = list(ctx.attribute(node, "scan_output_directions") or [0] * len(outputs))
    outputs = [b.reverse(x, 0) if back else x for x, back in zip(outputs, ends, strict=True)]
    return (*last[: len(states)], *(_first_axis_to(ctx, x, int(axis)) for x, axis in zip(outputs, into, strict=True)))


def _first_axis_to(ctx: Context, x: Tensor, axis: int) -> Tensor:
    at = normalize_axis(axis, x.rank)
    return ctx.b.transpose(x, [*range(1, at + 1), 0, *range(at + 1, x.rank)])


@dataclass
class _Collected:
    """What a loop gives at each step, side by side along a new axis 0.

    Where the number of steps and the size of what each gives are known, it is written into a buffer of that many rows,
    so that no shape changes from step to step. Else it is appended, as a list of elements, to one zero (no runtime
    likes a constant without elements), and the extents of the last step's go along where they are dynamic.
    """

    ctx: Context
    of: Spec
    steps: int | None

    @property
    def _row(self) -> int | None:
        """Elements that a step gives."""
        return element_count(self.of.shape)

    @property
    def _grows(self) -> bool:
        return not self.steps or not self._row

    @property
    def shapes(self) -> list[Shape]:
        """Of what the loop carries for it."""
        if not self._grows:
            return [(self.steps, self._row)]
        return [(None,)] if self._row else [(None,), (len(self.of.shape),)]

    def start(self) -> list[Tensor]:
        b = self.ctx.b
        if not self._grows:
            return [b.const(np.zeros((self.steps or 0, self._row or 0), self.of.dtype))]
        none = b.const(np.zeros(1, self.of.dtype))
        return [none] if self._row else [none, b.int32s([d or 0 for d in self.of.shape])]

    def store(self, carried: Sequence[Tensor], index: Tensor, value: Tensor) -> list[Tensor]:
        """What is carried on, with the value of step ``index`` in it."""
        b = self.ctx.b
        if self._grows:
            longer = b.concat([carried[0], b.reshape(value, (element_count(value.shape),))], 0)
            return [longer] if self._row else [longer, b.shape_of(value)]
        return [b.with_row(carried[0], b.cast(index, "int32"), b.reshape(value, (1, self._row)))]

    def all(self, carried: Sequence[Tensor], count: Tensor, *, ends_early: bool = False) -> Tensor:
        """The values of all ``count`` steps, which are fewer than were to be expected where it ``ends_early``."""
        b, one = self.ctx.b, self.ctx.b.int32s([1])
        steps = b.reshape(b.cast(count, "int32"), (1,))
        if not self._grows:
            rows, shape = carried[0], (self.steps, self._row)
            if ends_early:
                end, strides = b.concat([steps, b.int32s([0])], 0), b.int32s([1, 1])
                rows = b.strided_slice(rows, b.int32s([0, 0]), end, strides, (None, shape[1]), end_mask=0b10)
            return b.reshape(rows, (rows.shape[0], *self.of.shape))
        flat = b.strided_slice(carried[0], one, one, one, (None,), end_mask=1)
        runtime = None if self._row else b.concat([steps, carried[1]], 0)
        return b.reshape(flat, (None, *self.of.shape), runtime)


def _starts(collected: Sequence[_Collected]) -> list[Tensor]:
    return [tensor for c in collected for tensor in c.start()]


def _shapes(collected: Sequence[_Collected]) -> list[Shape]:
    return [shape for c in collected for shape in c.shapes]


def _parts(collected: Sequence[_Collected], carried: Sequence[Tensor]) -> list[Sequence[Tensor]]:
    """What is carried, by what it is carried for."""
    ends = list(accumulate(len(c.shapes) for c in collected))
    return [carried[end - len(c.shapes) : end] for c, end in zip(collected, ends, strict=True)]


def _stored(
    collected: Sequence[_Collected], carried: Sequence[Tensor], index: Tensor, values: Sequence[Tensor]
) -> list[Tensor]:
    parts = zip(collected, _parts(collected, carried), values, strict=True)
    return [tensor for c, part, value in parts for tensor in c.store(part, index, value)]
