"""Write operators on integers with scales as the float operator between DequantizeLinear and QuantizeLinear.

Before::

    a, a_scale, a_zero, w, w_scale, w_zero, y_scale, y_zero, bias ── QLinearConv ── y

After::

    a ── DequantizeLinear ── Conv(·, DequantizeLinear(w), DequantizeLinear(bias)) ── QuantizeLinear ── y

ConvInteger and MatMulInteger become the operator on Cast(a) - zero point, and a Cast to int32; float32 holds their sums
exactly up to 2²⁴, which is more than 250 products of the largest operands. Those of what DynamicQuantizeLinear rounds,
with weights that int8 holds around 0, become the float operator with its scales: int8 weights come back in the file's
hybrid kernels, which round their operand themselves. DynamicQuantizeLSTM becomes LSTM with what
its weights stand for; that ONNX Runtime rounds its input and states to 8 bits on the way isn't repeated.

Leaves alone: operators of ONNX Runtime's own that aren't in the tables; a zero point or scale of unknown shape.
Source: ONNX QLinearConv-10, QLinearMatMul-10 and -21, ConvInteger-10, MatMulInteger-10;
ONNX Runtime's ContribOperators.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from ..graph.reading import constant, producer, rank, sole_consumer, static_shape
from ..graph.rewriter import Rewriter
from .contract import Pass
from .properties import NO_LOCAL_FUNCTIONS

_MICROSOFT = "com.microsoft"


@dataclass(frozen=True)
class _Form:
    """Where an operator has its operands, each followed by scale and zero point, and the result's two.

    Attributes:
        op: The float operator.
        operands: Positions of the quantized operands; None: from 2 on, in threes.
        result: Position of the result's scale.
        drop: Attributes that the float operator hasn't.
    """

    op: str
    operands: tuple[int, ...] | None
    result: int
    drop: tuple[str, ...] = ()


_FORMS = {
    ("", "QLinearConv"): _Form("Conv", (0, 3), 6),
    ("", "QLinearMatMul"): _Form("MatMul", (0, 3), 6),
    (_MICROSOFT, "QLinearAdd"): _Form("Add", (0, 3), 6),
    (_MICROSOFT, "QLinearMul"): _Form("Mul", (0, 3), 6),
    (_MICROSOFT, "QGemm"): _Form("Gemm", (0, 3), 7),
    (_MICROSOFT, "QLinearSigmoid"): _Form("Sigmoid", (0,), 3),
    (_MICROSOFT, "QLinearLeakyRelu"): _Form("LeakyRelu", (0,), 3),
    (_MICROSOFT, "QLinearAveragePool"): _Form("AveragePool", (0,), 3, ("channels_last",)),
    (_MICROSOFT, "QLinearGlobalAveragePool"): _Form("GlobalAveragePool", (0,), 3, ("channels_last",)),
    (_MICROSOFT, "QLinearConcat"): _Form("Concat", None, 0),
}
_LSTM_INPUTS = 8
_COUNTING = {"ConvInteger": "Conv", "MatMulInteger": "MatMul"}


def write_integer_ops(rw: Rewriter) -> None:
    for graph in rw.model.graphs():
        for node in list(graph):
            form = _FORMS.get((node.domain, node.op_type))
            if form is not None:
                _write(rw, node, form)
            elif node.domain == "" and node.op_type in _COUNTING:
                if not _write_dynamic(rw, node):
                    _count(rw, node)
            elif (node.domain, node.op_type) == (_MICROSOFT, "DynamicQuantizeLSTM"):
                _write_lstm(rw, node)


def _write(rw: Rewriter, node: ir.Node, form: _Form) -> None:
    if any(name in node.attributes and node.attributes[name].as_int() for name in form.drop):
        rw.refuse(node, "it is channels-last")
        return
    positions = form.operands if form.operands is not None else range(2, len(node.inputs), 3)
    weights = form.op in ("Conv", "MatMul", "Gemm")
    made: list[ir.Node] = []
    real: list[ir.Value | None] = []
    for position in positions:
        data, scale, zero = (node.inputs[position + i] for i in range(3))
        axis = _axis(node, form, data, scale) if weights and position else 1
        real.append(_add(rw, node, made, "DequantizeLinear", [data, scale, zero], {"axis": axis}))
    bias = _bias(node, form)
    if bias is not None:
        real.append(_dequantized_bias(rw, node, made, bias))
    given = {a.name: a for a in node.attributes.values() if a.name not in form.drop}
    result = _add(rw, node, made, form.op, real, given)
    ends = node.inputs[form.result : form.result + 2]
    if ends and ends[0] is not None:
        result = _add(rw, node, made, "QuantizeLinear", [result, *ends], {"axis": 1})
    rw.insert(node, *made)
    rw.replace(node, result)


def _add(
    rw: Rewriter, node: ir.Node, made: list[ir.Node], op: str, inputs: Sequence[ir.Value | None], attributes: Any
) -> ir.Value:
    made.append(rw.node(op, inputs, attributes, main=node))
    return made[-1].outputs[0]


def _axis(node: ir.Node, form: _Form, data: ir.Value | None, scale: ir.Value | None) -> int:
    """Of the weights, along which they have scales, if they have several."""
    if form.op == "Conv":
        return 0
    transposed = form.op == "Gemm" and "transB" in node.attributes and node.attributes["transB"].as_int()
    return 0 if transposed else max(len(data.shape or ()) - 1, 0) if data is not None else 1


def _bias(node: ir.Node, form: _Form) -> ir.Value | None:
    at = {"Conv": 8, "Gemm": 6}.get(form.op)
    return node.inputs[at] if at is not None and at < len(node.inputs) else None


def _dequantized_bias(rw: Rewriter, node: ir.Node, made: list[ir.Node], bias: ir.Value) -> ir.Value:
    """int32 in steps of the operand's scale times the weights'."""
    step = _add(rw, node, made, "Mul", [node.inputs[1], node.inputs[4]], {})
    counted = _add(rw, node, made, "Cast", [bias], {"to": ir.DataType.FLOAT})
    return _add(rw, node, made, "Mul", [counted, step], {})


def _count(rw: Rewriter, node: ir.Node) -> None:
    zeros = [node.inputs[i] if i < len(node.inputs) else None for i in (2, 3)]
    shapes = [None if zero is None else _zero_shape(node, i, zero) for i, zero in enumerate(zeros)]
    if any(zero is not None and shape is None for zero, shape in zip(zeros, shapes, strict=True)):
        rw.refuse(node, "it has a zero point of an unknown shape")
        return
    made: list[ir.Node] = []
    real = []
    for data, zero, shape in zip(node.inputs[:2], zeros, shapes, strict=True):
        value = _add(rw, node, made, "Cast", [data], {"to": ir.DataType.FLOAT})
        if zero is not None and shape is not None:
            shift = _add(rw, node, made, "Cast", [zero], {"to": ir.DataType.FLOAT})
            shift = _add(rw, node, made, "Reshape", [shift, rw.constant(node, "shape", np.array(shape, np.int64))], {})
            value = _add(rw, node, made, "Sub", [value, shift], {})
        real.append(value)
    product = _add(rw, node, made, _COUNTING[node.op_type], real, dict(node.attributes))
    result = _add(rw, node, made, "Cast", [product], {"to": ir.DataType.INT32})
    rw.insert(node, *made)
    rw.replace(node, result)


def _write_dynamic(rw: Rewriter, node: ir.Node) -> bool:
    """The float operator on what was quantized at run time, and on what the integer weights stand for.

    Only for weights that int8 holds with a zero point of 0, as hybrid kernels want them (``convert.integer.hybrid``).
    """
    maker, weights = producer(node.inputs[0], "DynamicQuantizeLinear"), constant(node.inputs[1])
    zero = node.inputs[2] if len(node.inputs) > 2 else None
    if maker is None or zero is not maker.outputs[2] or weights is None:
        return False
    given = node.inputs[3] if len(node.inputs) > 3 else None
    shift = np.zeros((), np.int64) if given is None else constant(given)
    counted = _only_reader(node.outputs[0], "Cast")
    end = _only_reader(counted.outputs[0], "Mul") if counted is not None else None
    if shift is None or counted is None or end is None:
        return False
    step = next((v for v in end.inputs if v is not counted.outputs[0]), None)
    scales = producer(step, "Mul")
    if scales is None or maker.outputs[1] not in scales.inputs:
        return False
    scale = constant(next((v for v in scales.inputs if v is not maker.outputs[1]), None))
    at = 0 if node.op_type == "ConvInteger" else weights.ndim - 1
    wide = [-1 if axis == at else 1 for axis in range(weights.ndim)]
    if scale is None or any(a.size not in (1, weights.shape[at]) for a in (scale, shift)):
        return False
    whole = weights.astype(np.int64) - shift.astype(np.int64).reshape(wide)
    if whole.min(initial=0) < -128 or whole.max(initial=0) > 127:
        return False
    real = (whole * scale.astype(np.float64).reshape(wide)).astype(np.float32)
    made: list[ir.Node] = []
    floats = [maker.inputs[0], rw.constant(node, f"{node.name or node.op_type}/weights", real)]
    result = _add(rw, end, made, _COUNTING[node.op_type], floats, dict(node.attributes))
    rw.insert(end, *made)
    rw.replace(end, result)
    return True


def _only_reader(value: ir.Value, op: str) -> ir.Node | None:
    reader = sole_consumer(value)
    return reader if reader is not None and reader.op_type == op else None


def _write_lstm(rw: Rewriter, node: ir.Node) -> None:
    """W [directions, I, 4H] and R [directions, H, 4H] in steps of scales [directions] or [directions, 4H]."""
    inputs = [*node.inputs, *[None] * (_LSTM_INPUTS + 4 - len(node.inputs))]
    made: list[ir.Node] = []
    real: list[ir.Value | None] = []
    for data, scale, zero in (inputs[1], *inputs[8:10]), (inputs[2], *inputs[10:12]):
        found = None if scale is None else static_shape(scale)
        if data is None or scale is None or found is None:
            rw.refuse(node, "it has a scale of an unknown shape")
            return
        shape = rw.constant(node, "shape", np.array([-1, 1, found[1] if len(found) > 1 else 1], np.int64))
        value = _add(rw, node, made, "Cast", [data], {"to": ir.DataType.FLOAT})
        if zero is not None:
            shift = _add(rw, node, made, "Cast", [zero], {"to": ir.DataType.FLOAT})
            value = _add(rw, node, made, "Sub", [value, _add(rw, node, made, "Reshape", [shift, shape], {})], {})
        value = _add(rw, node, made, "Mul", [value, _add(rw, node, made, "Reshape", [scale, shape], {})], {})
        real.append(_add(rw, node, made, "Transpose", [value], {"perm": [0, 2, 1]}))
    rw.insert(node, *made)
    rw.become(node, "LSTM", [inputs[0], *real, *inputs[3:_LSTM_INPUTS]], dict(node.attributes))


def _zero_shape(node: ir.Node, index: int, zero: ir.Value) -> list[int] | None:
    """In which shape a zero point is that of operand ``index`` as a whole, of each output channel, row or column."""
    shape, operand = static_shape(zero), node.inputs[index]
    maker = zero.producer()
    if maker is not None and maker.op_type == "DynamicQuantizeLinear":
        return []  # which ONNX Runtime's quantizer gives no shape in the file
    if shape is None or shape in ((), (1,)):
        return None if shape is None else []
    if node.op_type == "ConvInteger":
        dims = rank(operand)
        return None if dims is None else [-1] + [1] * (dims - 1)
    return [-1, 1] if index == 0 and len(shape) == 1 else list(shape)


PASS = Pass(
    name="write_integer_ops",
    run=write_integer_ops,
    requires=frozenset({NO_LOCAL_FUNCTIONS}),
    must_follow=("inline_functions",),
)
