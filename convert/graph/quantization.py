"""Scale, zero point and axis of QuantizeLinear and DequantizeLinear, read and checked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from ...artifact import Array
from .reading import attribute, constant

RANGES: dict[ir.DataType, tuple[int, int]] = {
    ir.DataType.INT2: (-2, 1), ir.DataType.UINT2: (0, 3), ir.DataType.INT4: (-8, 7), ir.DataType.UINT4: (0, 15),
    ir.DataType.INT8: (-128, 127), ir.DataType.UINT8: (0, 255), ir.DataType.INT16: (-(1 << 15), (1 << 15) - 1),
    ir.DataType.UINT16: (0, (1 << 16) - 1), ir.DataType.INT32: (-(1 << 31), (1 << 31) - 1),
}  # fmt: skip
"""The integer types of a quantized tensor → their ends; int32 is for biases."""

MOVING = ("Flatten", "Gather", "Identity", "MaxPool", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze")
"""Operators whose first operand's values are the result's, in whatever type."""

_REAL = (ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.BFLOAT16, ir.DataType.DOUBLE)


@dataclass(frozen=True)
class Parameters:
    """What the integers of one node stand for, ``scale · (q - zero_point)``.

    Attributes:
        scale: float32, and ``zero_point``, whole numbers as float32 or float64: one of each, or of a shape that
            broadcasts to the data.
        zero_point: See ``scale``.
        steps: Type of the integers.
        real: Type of what they stand for.
    """

    scale: Array
    zero_point: Array
    steps: ir.DataType
    real: ir.DataType

    @property
    def per_tensor(self) -> bool:
        return self.scale.size == 1

    @property
    def key(self) -> tuple[float, int, ir.DataType]:
        """Equal for nodes that quantize, and dequantize, a whole tensor alike."""
        return float(self.scale.reshape(())), int(self.zero_point.reshape(())), self.steps


def parameters_of(node: ir.Node, opset: int) -> Parameters | str:
    """The parameters of a QuantizeLinear or DequantizeLinear, or why they are of no use."""
    data, scale_value = node.inputs[0], node.inputs[1] if len(node.inputs) > 1 else None
    zero_value = node.inputs[2] if len(node.inputs) > 2 else None
    scale, zero = constant(scale_value), constant(zero_value)
    if data is None or scale_value is None or scale is None or (zero_value is not None and zero is None):
        return "its scale or zero point is computed at run time"
    quantizes = node.op_type == "QuantizeLinear"
    steps = _steps(node, data, zero_value, opset) if quantizes else data.dtype
    real = data.dtype if quantizes else scale_value.dtype
    if steps not in RANGES or real not in _REAL:
        return f"it is between {_name(real)} and {_name(steps)}"
    if zero_value is not None and zero_value.dtype != steps:
        return f"its zero point is {_name(zero_value.dtype)} and its integers are {_name(steps)}"
    wide = scale.astype(np.float32)
    if not (np.isfinite(wide) & (wide > 0)).all():
        return f"its scale is {float(wide[~(np.isfinite(wide) & (wide > 0))][0]):g}, and must be a positive number"
    shift = np.zeros(scale.shape, np.float64) if zero is None else zero.astype(np.float64)
    if shift.shape != scale.shape and (shift.size, scale.size) != (1, 1):
        return f"its scale has the shape {list(scale.shape)} and its zero point {list(shift.shape)}"
    if scale.size == 1 and not attribute(node, "block_size", opset):
        return Parameters(wide.reshape(()), shift.reshape(()), steps, real)
    return _spread(node, wide, shift, (steps, real), opset)


def _spread(
    node: ir.Node, scale: Array, zero: Array, types: tuple[ir.DataType, ir.DataType], opset: int
) -> Parameters | str:
    """Parameters along an axis, or by block of it, in a shape that broadcasts to the data."""
    data = node.inputs[0]
    shape = None if data is None else data.shape
    axis = attribute(node, "axis", opset)
    axis = 1 if axis is None else int(axis)
    if shape is None:
        return "the rank of its operand is unknown"
    if not -len(shape) <= axis < len(shape):
        return f"its axis is {axis}, and its operand has the rank {len(shape)}"
    axis, extent = axis % len(shape), shape[axis]
    block = int(attribute(node, "block_size", opset) or 0)
    if block:
        if not isinstance(extent, int) or scale.ndim != len(shape) or scale.shape[axis] != -(-extent // block):
            return f"its scale has the shape {list(scale.shape)}, which doesn't go with blocks of {block}"
        spread = [np.repeat(a, block, axis).take(range(extent), axis) for a in (scale, zero)]
        return Parameters(spread[0], spread[1], *types)
    if scale.shape != (extent,):
        return f"its scale has the shape {list(scale.shape)}, and axis {axis} of its operand has {extent} elements"
    along = [-1 if a == axis else 1 for a in range(len(shape))]
    return Parameters(scale.reshape(along), zero.reshape(along), *types)


def _steps(node: ir.Node, data: ir.Value, zero: ir.Value | None, opset: int) -> ir.DataType | None:
    given = int(attribute(node, "output_dtype", opset) or 0)
    if given:
        return ir.DataType(given)
    return ir.DataType.UINT8 if zero is None else zero.dtype


def _name(dtype: ir.DataType | None) -> str:
    return "of an unknown type" if dtype is None else dtype.name.lower()
