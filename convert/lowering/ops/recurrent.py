"""Recurrent layers: step after step as operators, or a loop (WHILE), as the form ``steps_written_out`` says.

TFLite's own sequence ops keep their state in variables from one inference to the next, which ONNX's don't.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import inf

import numpy as np
import onnx_ir as ir

from ...builders.tensor import Tensor, Unsupported
from ...forms import STEPS
from ..context import Context
from ..registry import lowers

_ACTIVATIONS = {"Sigmoid": "logistic", "Tanh": "tanh", "Relu": "relu"}

RecurrentState = tuple[Tensor | None, ...]
"""Hidden state, and cell state of an LSTM, [N,H] each; None where all is zero."""


@dataclass(frozen=True)
class _Cell:
    """One direction of a layer: what a step needs but its input and state.

    Attributes:
        recurrent: R [gates·H, H].
        recurrent_bias: [gates·H] that is added to the state's product; None where it went into the input's.
        activations: f, g and h of ONNX's formulas.
        clip: Bound of what enters an activation, or None.
    """

    recurrent: Tensor
    recurrent_bias: Tensor | None
    activations: tuple[Callable[[Tensor], Tensor], ...]
    clip: float | None
    hidden: int
    peepholes: Tensor | None = None
    linear_before_reset: bool = False
    couples: bool = False


CellStep = Callable[[Context, _Cell, Tensor, RecurrentState], RecurrentState]
Step = Callable[[Tensor, RecurrentState], RecurrentState]
"""From X·Wᵀ + bias of a step [N, gates·H] and the state before it to the state after it."""


@lowers("RNN", since=7)
def lower_rnn(ctx: Context, node: ir.Node) -> tuple[Tensor, ...]:
    """Hₜ = f(Xₜ·Wᵀ + Hₜ₋₁·Rᵀ + Wb + Rb). X [T,N,I] → Y [T,directions,N,H] and Y_h [directions,N,H] (ONNX RNN 7-22)."""
    return _layer(ctx, node, _rnn_step, gates=1, defaults=("Tanh",), states=1)


@lowers("GRU", since=7)
def lower_gru(ctx: Context, node: ir.Node) -> tuple[Tensor, ...]:
    """z, r = f(...), h = g(...), Hₜ = (1 - z)·h + z·Hₜ₋₁. X [T,N,I] → Y [T,directions,N,H] and Y_h (ONNX GRU 7-22)."""
    return _layer(ctx, node, _gru_step, gates=3, defaults=("Sigmoid", "Tanh"), states=1)


@lowers("LSTM", since=7)
def lower_lstm(ctx: Context, node: ir.Node) -> tuple[Tensor, ...]:
    """i, o, f = f(...), c = g(...), Cₜ = f·Cₜ₋₁ + i·c, Hₜ = o·h(Cₜ). X [T,N,I] → Y, Y_h and Y_c (ONNX LSTM 7-22)."""
    return _layer(ctx, node, _lstm_step, gates=4, defaults=("Sigmoid", "Tanh", "Tanh"), states=2)


def _layer(
    ctx: Context, node: ir.Node, step: CellStep, *, gates: int, defaults: tuple[str, ...], states: int
) -> tuple[Tensor, ...]:
    b, x = ctx.b, ctx.input(node, 0)
    batch_first = bool(ctx.attribute(node, "layout"))
    if batch_first:
        x = b.transpose(x, (1, 0, 2))
    hidden = ctx.input(node, 2).shape[-1]
    if hidden is None:
        raise Unsupported("a hidden state of dynamic size", "give the weights a fixed size")
    lengths = _lengths(ctx, node, x.shape[0])
    direction = str(ctx.attribute(node, "direction"))
    backwards = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}[direction]
    written_out = _is_written_out(ctx, ctx.input(node, 2), x.shape[0])
    b.because(f"its {x.shape[0]} steps are written out" if written_out else "it loops over its steps")
    sequences, finals = [], []
    for d, reverse in enumerate(backwards):
        cell, inputs = _cell(ctx, node, x, d, gates, defaults, hidden)
        state: RecurrentState = tuple(_initial(ctx, node, 5 + i, d, batch_first) for i in range(states))
        if written_out:
            sequence, final = _written_out(ctx, partial(step, ctx, cell), inputs, state, lengths, reverse)
        else:
            start = tuple(_zeros(ctx, x, hidden) if tensor is None else tensor for tensor in state)
            sequence, final = _loop(ctx, partial(step, ctx, cell), inputs, start, lengths, reverse)
        sequences.append(sequence)
        finals.append(final)
    y = b.pack(sequences, 1)
    lasts = [b.pack([_known(final[i]) for final in finals], 0) for i in range(states)]
    if batch_first:
        y, lasts = b.transpose(y, (2, 0, 1, 3)), [b.transpose(last, (1, 0, 2)) for last in lasts]
    return y, *lasts


def _is_written_out(ctx: Context, recurrent: Tensor, length: int | None) -> bool:
    """Whether ``length`` steps with weights R [directions, gates·H, H] become operators of their own."""
    most = ctx.b.forms.numbers(STEPS)
    if length is None or most is None:
        return False
    weights = np.prod(recurrent.static_shape[1:]) * np.dtype(recurrent.dtype).itemsize
    return bool(length <= most.get("steps", inf) and length * weights <= most.get("bytes", inf))


def _written_out(
    ctx: Context, step: Step, inputs: Tensor, state: RecurrentState, lengths: Tensor | None, reverse: bool
) -> tuple[Tensor, RecurrentState]:
    """All hidden states [T,N,H], and the last state: each step by operators of its own."""
    parts, outputs = ctx.b.unpack(inputs, 0), []
    for t in reversed(range(len(parts))) if reverse else range(len(parts)):
        at = ctx.b.const(np.int32(t))
        new = step(parts[t], state)
        state = new if lengths is None else _while_it_lasts(ctx, lengths, at, new, state)
        outputs.append(_known(_while_it_lasts(ctx, lengths, at, new[:1], (None,))[0] if lengths else state[0]))
    return ctx.b.pack(outputs[::-1] if reverse else outputs, 0), state


def _loop(
    ctx: Context, step: Step, inputs: Tensor, state: RecurrentState, lengths: Tensor | None, reverse: bool
) -> tuple[Tensor, RecurrentState]:
    """The same by one WHILE, whose body has the step."""
    b, one = ctx.b, ctx.b.const(np.int32(1))
    start = [_known(tensor) for tensor in state]
    count, zero = b.extent_of(inputs, 0), b.like(start[0], 0)

    def body(carried: Sequence[Tensor]) -> list[Tensor]:
        t, outputs, *old = carried
        at = b.sub(b.sub(count, one), t) if reverse else t
        new = step(b.gather(inputs, at, 0), tuple(old))
        kept = new if lengths is None else _while_it_lasts(ctx, lengths, at, new, tuple(old))
        shown = new[:1] if lengths is None else _while_it_lasts(ctx, lengths, at, new[:1], (None,))
        return [b.add(t, one), b.with_row(outputs, at, b.expand_dims(_known(shown[0]), [0])), *map(_known, kept)]

    shape = (inputs.shape[0], *start[0].shape)
    room = b.fill(b.concat([b.reshape(count, (1,)), b.shape_of(start[0])], 0), zero, shape)
    _, outputs, *last = b.while_loop(
        [b.const(np.int32(0)), room, *start],
        [(), shape, *(tensor.shape for tensor in start)],
        lambda carried: [b.compare("less", carried[0], count)],
        body,
    )
    return outputs, tuple(last)


def _zeros(ctx: Context, x: Tensor, hidden: int) -> Tensor:
    """A state [N,H] for x [T,N,I]."""
    b = ctx.b
    if x.shape[1] is not None:
        return b.const(np.zeros((x.shape[1], hidden), x.dtype))
    return b.fill(b.concat([b.reshape(b.extent_of(x, 1), (1,)), b.int32s([hidden])], 0), b.like(x, 0), (None, hidden))


def _lengths(ctx: Context, node: ir.Node, length: int | None) -> Tensor | None:
    """[N,1] int32; None where every sequence has all steps."""
    known, given = ctx.known(node, 4), ctx.optional(node, 4)
    if given is None or (known is not None and length is not None and (known == length).all()):
        return None
    return ctx.b.expand_dims(ctx.b.cast(given, "int32"), [1])


def _while_it_lasts(
    ctx: Context, lengths: Tensor, t: Tensor, new: RecurrentState, old: RecurrentState
) -> RecurrentState:
    """Where a sequence has ended the old state stays."""
    b = ctx.b
    lasts = b.compare("greater", lengths, t)
    return tuple(
        None if n is None else b.select(lasts, n, b.like(n, 0) if o is None else o)
        for n, o in zip(new, old, strict=True)
    )


def _known(state: Tensor | None) -> Tensor:
    if state is None:
        raise Unsupported("a sequence of length 0", "give the sequence a fixed length with --input")
    return state


def _initial(ctx: Context, node: ir.Node, index: int, direction: int, batch_first: bool) -> Tensor | None:
    """[N,H] of one direction; None where it is left out or all zero."""
    known, given = ctx.known(node, index), ctx.optional(node, index)
    if given is None or (known is not None and not known.any()):
        return None
    return _part(ctx, ctx.b.transpose(given, (1, 0, 2)) if batch_first else given, direction)


def _part(ctx: Context, x: Tensor, index: int) -> Tensor:
    """``x[index]``."""
    b, rest = ctx.b, x.rank - 1
    return b.squeeze(b.slice(x, [index, *[0] * rest], [1, *[-1] * rest]), [0])


def _cell(
    ctx: Context, node: ir.Node, x: Tensor, direction: int, gates: int, defaults: tuple[str, ...], hidden: int
) -> tuple[_Cell, Tensor]:
    """The cell, and X·Wᵀ + bias of all steps, [T, N, gates·H]."""
    b, size = ctx.b, gates * hidden
    weights, recurrent = (_part(ctx, ctx.input(node, i), direction) for i in (1, 2))
    separate = node.op_type == "GRU" and bool(ctx.attribute(node, "linear_before_reset"))
    bias = recurrent_bias = None
    both = ctx.optional(node, 3)
    if both is not None:
        both = _part(ctx, both, direction)
        bias, recurrent_bias = (b.slice(both, [i * size], [size]) for i in (0, 1))
        if not separate:
            bias, recurrent_bias = _sum(ctx, bias, recurrent_bias), None
    peepholes = ctx.optional(node, 7) if node.op_type == "LSTM" else None
    cell = _Cell(
        recurrent, recurrent_bias, _activations(ctx, node, direction, defaults), ctx.attribute(node, "clip"), hidden,
        None if peepholes is None else _part(ctx, peepholes, direction), separate,
        node.op_type == "LSTM" and bool(ctx.attribute(node, "input_forget")),
    )  # fmt: skip
    return cell, b.fully_connected(x, weights, bias)


def _sum(ctx: Context, p: Tensor, q: Tensor) -> Tensor:
    if p.value is not None and q.value is not None:
        return ctx.b.const(p.value + q.value)
    return ctx.b.add(p, q)


def _activations(
    ctx: Context, node: ir.Node, direction: int, defaults: tuple[str, ...]
) -> tuple[Callable[[Tensor], Tensor], ...]:
    names = ctx.attribute(node, "activations") or ()
    count = len(defaults)
    chosen = [str(n) for n in names[direction * count : (direction + 1) * count]] or defaults
    if not {*chosen} <= {*_ACTIVATIONS}:
        raise Unsupported(f"the activations {', '.join(chosen)}", f"use {', '.join(_ACTIVATIONS)}")
    return tuple(lambda x, op=_ACTIVATIONS[name]: ctx.b.unary(op, x) for name in chosen)


def _clipped(ctx: Context, cell: _Cell, x: Tensor) -> Tensor:
    if not cell.clip:
        return x
    low, high = ctx.b.like(x, -cell.clip), ctx.b.like(x, cell.clip)
    return ctx.b.binary("minimum", ctx.b.binary("maximum", x, low), high)


def _with_state(ctx: Context, cell: _Cell, x: Tensor, h: Tensor | None) -> Tensor:
    """x + h·Rᵀ."""
    return x if h is None else ctx.b.add(x, ctx.b.fully_connected(h, cell.recurrent, None))


def _gates(ctx: Context, cell: _Cell, x: Tensor, count: int) -> tuple[Tensor, ...]:
    return ctx.b.split(x, [cell.hidden] * count, 1)


def _rnn_step(ctx: Context, cell: _Cell, x: Tensor, state: RecurrentState) -> RecurrentState:
    return (cell.activations[0](_clipped(ctx, cell, _with_state(ctx, cell, x, state[0]))),)


def _gru_step(ctx: Context, cell: _Cell, x: Tensor, state: RecurrentState) -> RecurrentState:
    b, (f, g), (h,), size = ctx.b, cell.activations, state, cell.hidden
    wide, last = b.split(x, [2 * size, size], 1)
    to_gates, to_last = (b.slice(cell.recurrent, [i, 0], [n, -1]) for i, n in ((0, 2 * size), (2 * size, size)))
    bias, last_bias = (
        (None, None)
        if cell.recurrent_bias is None
        else (b.slice(cell.recurrent_bias, [i], [n]) for i, n in ((0, 2 * size), (2 * size, size)))
    )
    if h is not None:
        wide = b.add(wide, b.fully_connected(h, to_gates, bias))
    elif bias is not None:
        wide = b.add(wide, bias)
    z, r = _gates(ctx, cell, f(_clipped(ctx, cell, wide)), 2)
    if cell.linear_before_reset:
        inner = last_bias if h is None else b.fully_connected(h, to_last, last_bias)
        last = last if inner is None else b.add(last, b.mul(r, inner))
    elif h is not None:
        last = b.add(last, b.fully_connected(b.mul(r, h), to_last, None))
    new = g(_clipped(ctx, cell, last))
    # (1 - z)·new + z·h
    return (b.sub(new, b.mul(z, new)) if h is None else b.add(new, b.mul(z, b.sub(h, new))),)


def _lstm_step(ctx: Context, cell: _Cell, x: Tensor, state: RecurrentState) -> RecurrentState:
    b, (f, g, out), (h, c) = ctx.b, cell.activations, state
    parts = list(_gates(ctx, cell, _with_state(ctx, cell, x, h), 4))
    peepholes = None if cell.peepholes is None else [
        b.slice(cell.peepholes, [i * cell.hidden], [cell.hidden]) for i in range(3)
    ]  # fmt: skip
    if peepholes is not None and c is not None:
        parts[0], parts[2] = (b.add(parts[i], b.mul(peepholes[i], c)) for i in (0, 2))
    enter, forget = (f(_clipped(ctx, cell, parts[i])) for i in (0, 2))
    if cell.couples:
        forget = b.sub(b.like(enter, 1), enter)
    new = b.mul(enter, g(_clipped(ctx, cell, parts[3])))
    if c is not None:
        new = b.add(b.mul(forget, c), new)
    leave = parts[1] if peepholes is None else b.add(parts[1], b.mul(peepholes[1], new))
    return b.mul(f(_clipped(ctx, cell, leave)), out(new)), new
