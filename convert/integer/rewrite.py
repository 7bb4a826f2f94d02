"""DEQUANTIZE → float operator → QUANTIZE becomes the operator's integer kernel, with the scales that are there.

An operator becomes an integer one where all its operands are known in steps, its result is quantized or holds values of
the operand, and its kernel takes these scales. A DEQUANTIZE is put behind it, and a QUANTIZE to the same scale behind
that is undone; what nobody reads goes at the end. Where a kernel wants operands in one scale, a QUANTIZE from integers
to integers brings them to it, which is what the model says too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...artifact import Array, FloatOp
from ...formats.tflite import edit as fb
from . import grid
from .edit import GraphEdit, Scale
from .rules import COARSER, RULES, KernelRule, Scales

_LIMITS = {"int8": (-128, 127), "int16": (-32767, 32767)}
_BIAS_LIMIT = {"int8": 2.0**31, "int16": 2.0**39}
_BIAS = {"int8": np.int32, "int16": np.int64}


class _Stays(Exception):
    """An operator stays float; says why, as half a sentence."""


def to_integers(content: bytes) -> tuple[bytes, tuple[FloatOp, ...]]:
    """The flatbuffer with integer kernels wherever its own scales allow them, and what they don't allow.

    The main graph only. Returns the operators that stay float though something they read or make is quantized.
    """
    model = fb.read(content)
    if not any(fb.op_name(model, op) == "QUANTIZE" for op in model.subgraphs[0].operators):
        return content, ()
    rewrite = _Rewrite(model)
    rewrite.run()
    return fb.write(model), tuple(rewrite.floats)


class _Rewrite:
    """One run over the main graph, from its inputs on.

    Attributes:
        floats: Operators that stay float, with their reasons.
    """

    def __init__(self, model: Any) -> None:
        self.edit = GraphEdit(model)
        self.floats: list[FloatOp] = []
        self._stands: dict[int, int] = {}  # float tensor → the integers that it is read from
        self._same: dict[int, int] = {}  # integers → equal ones that were there before

    def run(self) -> None:
        self._quantize_earlier()
        operators, self.edit.operators = self.edit.operators, []
        for op in operators:
            op.inputs = [self._same.get(i, i) for i in map(int, op.inputs)]
            kind = self.edit.kind(op)
            if kind == "DEQUANTIZE":
                self._stands[op.outputs[0]] = op.inputs[0]
                self.edit.operators.append(op)
            elif kind == "QUANTIZE":
                self._quantize(op)
            else:
                self._operator(op, kind)
        self.edit.tidy()

    def _quantize_earlier(self) -> None:
        """Quantize before operators that move values, not behind them.

        Integers move as well, and what comes before has the scale for its result then.
        """
        work = [op for op in self.edit.operators if self.edit.kind(op) == "QUANTIZE"]
        while work:
            (result,) = work.pop().inputs
            maker, scale = self.edit.maker(result), self._wanted(result)
            rule = RULES.get(self.edit.kind(maker)) if maker is not None else None
            if maker is None or scale is None or len(maker.outputs) > 1 or rule is None:
                continue
            if rule.scales in (Scales.KEPT, Scales.ALIKE):
                where = [p for p in self._positions(maker, rule) if self._is_quantizable(maker.inputs[p])]
                work += [self.edit.through_steps(maker, position, scale) for position in where]

    def _is_quantizable(self, index: int) -> bool:
        """Whether it is a float result, or an input, that one operator reads."""
        maker = self.edit.maker(index)
        if maker is not None and self.edit.kind(maker) == "DEQUANTIZE":
            return False
        free = self.edit.is_float(index) and self.edit.constant(index) is None
        return free and index not in self.edit.outputs and len(self.edit.readers(index)) == 1

    def _quantize(self, op: Any) -> None:
        """QUANTIZE of what is known in steps: nothing, or a change of steps."""
        (source,), (result,) = op.inputs, op.outputs
        known = self._stands.get(source)
        if known is not None:
            if self.edit.scale(known) == self.edit.scale(result) and result not in self.edit.outputs:
                self._same[result] = known
                return
            op.inputs = [known]
        self.edit.operators.append(op)

    def _operator(self, op: Any, kind: str) -> None:
        rule = RULES.get(kind)
        wanted = self._wanted(op.outputs[0]) if len(op.outputs) else None
        touched = wanted is not None or any(i in self._stands for i in op.inputs)
        try:
            if touched and rule is None:
                raise _Stays("TFLite has no integer kernel for it, or none that takes the model's scales")
            if not touched or rule is None:
                self.edit.operators.append(op)
                return
            self._to_integers(op, rule, wanted)
        except _Stays as why:
            self.floats.append(FloatOp(kind, self.edit.name(op.outputs[0]), str(why)))
            self.edit.operators.append(op)

    def _to_integers(self, op: Any, rule: KernelRule, wanted: Scale | None) -> None:
        positions = self._positions(op, rule)
        if rule.scales is Scales.WEIGHTED:
            self._weighted(op, rule, self._result(op, wanted))
            return
        known = {p: self._stands[op.inputs[p]] for p in positions if op.inputs[p] in self._stands}
        for position in positions:
            if position not in known and self.edit.constant(op.inputs[position]) is None:
                raise _Stays(f"its operand {self.edit.name(op.inputs[position])} isn't quantized")
        if not known:
            raise _Stays("all its operands are constants")
        scales = [self.edit.scale(index) for index in known.values()]
        self._check_types(rule, scales, wanted)
        result = self._scale_of_result(op, rule, scales, wanted)
        one = result if rule.scales is Scales.ALIKE else None
        exact = wanted is None
        for position in positions:
            op.inputs[position] = self._operand(
                op.inputs[position], known.get(position), scales[0].dtype, one, exact=exact
            )
        self._finish(op, result)

    @staticmethod
    def _positions(op: Any, rule: KernelRule) -> Sequence[int]:
        if rule.scales is Scales.WEIGHTED:
            return rule.data[:1] if rule.data else ()
        return range(len(op.inputs)) if rule.data is None else rule.data

    @staticmethod
    def _check_types(rule: KernelRule, scales: Sequence[Scale], wanted: Scale | None) -> None:
        types = {scale.dtype for scale in scales}
        if wanted is not None and rule.scales not in (Scales.KEPT, Scales.AVERAGED):
            types.add(wanted.dtype)
        if len(types) > 1:
            raise _Stays(f"TFLite has no kernel that has {' and '.join(sorted(types))} at once")
        if types == {"int16"} and not rule.wide:
            raise _Stays("TFLite's kernel for int16 doesn't take the model's scales")

    def _result(self, op: Any, wanted: Scale | None) -> Scale:
        if wanted is not None:
            return wanted
        name = self.edit.name(op.outputs[0])
        readers = [self.edit.kind(r) for r in self.edit.readers(op.outputs[0])]
        if "QUANTIZE" in readers:
            raise _Stays(f"its result {name} is used with several scales, or as float as well")
        raise _Stays(f"its result {name} isn't quantized")

    def _scale_of_result(
        self, op: Any, rule: KernelRule, scales: Sequence[Scale], wanted: Scale | None
    ) -> Scale | None:
        first = scales[0]
        match rule.scales:
            case Scales.COUNTED:
                return None
            case Scales.KEPT:
                return first
            case Scales.ALIKE:
                if wanted is None and len(set(scales)) > 1:
                    raise _Stays("its operands have different scales, and its result has none")
                return wanted or first
            case Scales.FREE:
                if wanted is None and self.edit.kind(op) == "RELU":
                    return first
                return self._result(op, wanted)
        mine = first if rule.scales is Scales.AVERAGED else Scale(first.dtype, *rule.fixed)
        result = self._result(op, wanted)
        if rule.last and not mine.is_close(result) and not self._ends(op.outputs[0]):
            raise _Stays(f"its kernel has a scale of {mine.scale:.5g} built in, and the model's is {result.scale:.5g}")
        if mine.scale > COARSER * result.scale:
            raise _Stays(
                f"its kernel rounds to steps of {mine.scale:.3g}, and the model's are finer, {result.scale:.3g}"
            )
        return mine

    def _operand(self, index: int, known: int | None, dtype: str, scale: Scale | None, *, exact: bool) -> int:
        """The integers for an operand, in ``scale`` if it matters; ``exact`` where nothing rounds the result to it."""
        if known is not None:
            if scale is None or self.edit.scale(known) == scale:
                return known
            steps = self.edit.twin(index, scale)
            self.edit.operators.append(self.edit.cast("QUANTIZE", known, steps))
            return steps
        values = self.edit.constant(index)
        low, high = _LIMITS[dtype]
        if values is None:
            raise _Stays(f"its operand {self.edit.name(index)} isn't quantized")
        if scale is not None:
            counted = values.astype(np.float64) / scale.scale + scale.zero_point
            rounded = np.clip(np.rint(counted), low, high)
            if exact and np.abs(counted - rounded).max(initial=0) > grid.TOLERANCE:
                raise _Stays(f"its constant operand {self.edit.name(index)} is no multiple of the others' scale")
            return self.edit.add_constant(index, rounded.astype(dtype), [scale.scale], scale.zero_point)
        found = grid.operand(values, low, high)
        if found is None:
            raise _Stays(f"its constant operand {self.edit.name(index)} isn't quantized")
        return self.edit.add_constant(index, found.steps.astype(dtype), found.scale, found.zero_point)

    def _weighted(self, op: Any, rule: KernelRule, result: Scale) -> None:
        source, kernel, bias = rule.data or ()
        if op.inputs[source] not in self._stands:
            raise _Stays(f"its operand {self.edit.name(op.inputs[source])} isn't quantized")
        known = self._stands[op.inputs[source]]
        scale = self.edit.scale(known)
        self._check_types(rule, [scale], result)
        values = self.edit.constant(op.inputs[kernel])
        found = None if values is None else grid.weights(values, rule.axis)
        if found is None:
            raise _Stays(
                "its weights aren't quantized to int8 with a zero point of 0, as a whole or by output channel, "
                "which is what TFLite's kernel takes"
            )
        steps = self._bias(op, bias, scale, found)
        op.inputs[source] = known
        op.inputs[kernel] = self.edit.add_constant(op.inputs[kernel], found.steps, found.scale, 0, axis=rule.axis)
        if steps is not None:
            step = np.float64(scale.scale) * found.scale
            op.inputs[bias] = self.edit.add_constant(op.inputs[bias], steps, step, 0)
        self._finish(op, result)

    def _bias(self, op: Any, position: int, scale: Scale, weights: grid.GridConstant) -> Array | None:
        if len(op.inputs) <= position or op.inputs[position] < 0:
            return None
        values = self.edit.constant(op.inputs[position])
        if values is None:
            raise _Stays("its bias is computed at run time")
        steps = np.rint(values / (np.float64(scale.scale) * weights.scale))
        if np.abs(steps).max(initial=0) >= _BIAS_LIMIT[scale.dtype]:
            raise _Stays("its bias doesn't fit into steps of the operand's scale times the weights'")
        return steps.astype(_BIAS[scale.dtype])

    def _finish(self, op: Any, result: Scale | None) -> None:
        self.edit.operators.append(op)
        if result is None:
            return
        for position, real in enumerate(op.outputs):
            steps = self.edit.twin(real, result)
            op.outputs[position] = steps
            self._stands[real] = steps
            self.edit.operators.append(self.edit.cast("DEQUANTIZE", steps, real))

    def _ends(self, index: int) -> bool:
        """Whether all that is made of a tensor is outputs of the graph that hold its values."""
        ends = True
        for reader in self.edit.readers(index):
            kind = self.edit.kind(reader)
            moves = kind in ("QUANTIZE", "DEQUANTIZE") or (kind in RULES and RULES[kind].scales is Scales.KEPT)
            ends = ends and moves and all(map(self._ends, reader.outputs))
        return ends

    def _wanted(self, index: int) -> Scale | None:
        """The scale that a float tensor is quantized to, by all who read it."""
        readers = list(self.edit.readers(index))
        if not readers or index in self.edit.outputs or any(self.edit.kind(r) != "QUANTIZE" for r in readers):
            return None
        scales = {self.edit.scale(r.outputs[0]) for r in readers}
        return scales.pop() if len(scales) == 1 else None
