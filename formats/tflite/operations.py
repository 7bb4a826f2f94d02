"""Operators with all that a delegate, compiler or runtime looks at before it takes them.

They come out of a file (:func:`read`), or out of a lowering that builds nothing, before there is any file
(``convert.lowering.recorded``).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from .opening import opened
from .ops import OPS, Int8
from .summary import DTYPE_NAMES, op_name, quantization_of, text_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MOST_VALUES = 1 << 10
"""Elements of a constant that is read: axes, pads and the like are shorter, weights longer."""

_ENUMS = {
    "padding": schema.Padding,
    "fused_activation_function": schema.ActivationFunctionType,
    "mode": schema.MirrorPadMode,
    "weights_format": schema.FullyConnectedOptionsWeightsFormat,
}
_WINDOW_WEIGHTS = ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV")
_AXES = {
    **dict.fromkeys(("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD", "REDUCE_ALL", "REDUCE_ANY"), 1),
    **dict.fromkeys(("ARG_MAX", "ARG_MIN", "REVERSE_V2", "CUMSUM", "EXPAND_DIMS"), 1),
    "SPLIT": 0,
    "SPLIT_V": 2,
}
"""Operator → the operand that holds its axes."""
_SIZED_BY_FIRST = ("TRANSPOSE_CONV", "CONV_3D_TRANSPOSE")
"""Operators whose first operand is the result's shape: a size, and no data, even where it is computed."""
_BIASED = {"CONV_2D": 2, "DEPTHWISE_CONV_2D": 2, "FULLY_CONNECTED": 2, "TRANSPOSE_CONV": 3}
"""Operator → the operand that is its bias, which int8 kernels take as int32."""

FLOATS = ("float16", "float32", "float64")


@dataclass(frozen=True, eq=False)
class Operand:
    """A tensor that an operator reads or writes.

    Attributes:
        name: Of the tensor; may be empty.
        dtype: numpy-like name, ``none`` for an operand that is left out.
        shape: Extents, None where dynamic.
        constant: Whether it is part of the model.
        value: The contents of a short constant.
        scales: How many scales it is quantized with; 0 for none.
        quantization: (scale, zero point) of a tensor quantized as a whole, where known.
        nbytes: Stored bytes of a constant of a file.
        buffer: Where a file holds them: tensors of one number share them; 0 for none.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...]
    constant: bool = False
    value: NDArray[Any] | None = None
    scales: int = 0
    quantization: tuple[float, int] | None = None
    nbytes: int = 0
    buffer: int = 0

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements; of a dynamic extent, 1 counts."""
        return math.prod(d or 1 for d in self.shape)

    @property
    def zeros(self) -> bool:
        """Whether it is a short constant of zeros, or of what stands for zero."""
        zero = self.quantization[1] if self.quantization else 0
        return self.value is not None and bool((self.value == zero).all())

    @property
    def nhwc(self) -> tuple[int, ...]:
        """At least four extents, with ones in front; of a dynamic extent, 1 counts."""
        known = tuple(1 if d is None else d for d in self.shape)
        return (1,) * (4 - len(known)) + known


@dataclass(frozen=True, eq=False)
class Operation:
    """One operator.

    Attributes:
        op: Its name among the schema's ``BuiltinOperator``, or ``CUSTOM:name``.
        name: Of its result.
        attributes: As in the TFL dialect; enumerations by name.
        version: As in the file; None where there is none yet.
        module: PyTorch module that it comes from, if known.
        source: PyTorch source line that it comes from, if known.
        onnx: ONNX operator that it is a part of, if known.
    """

    op: str
    name: str
    inputs: tuple[Operand, ...]
    outputs: tuple[Operand, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    version: int | None = None
    module: str = ""
    source: str = ""
    onnx: str = ""

    def __str__(self) -> str:
        return f"{self.op} {self.name}".strip()

    @property
    def x(self) -> Operand:
        """The operand that is computed on: the first that isn't constant."""
        return next(iter(self._data), (*self.inputs, *self.outputs)[0])

    @property
    def y(self) -> Operand:
        """The first result."""
        return self.outputs[0]

    @property
    def tensors(self) -> tuple[Operand, ...]:
        """What it reads and writes that isn't part of the model."""
        return (*self._data, *self.outputs)

    @property
    def _data(self) -> tuple[Operand, ...]:
        begin = 1 if self.op in _SIZED_BY_FIRST else 0
        return tuple(t for t in self.inputs[begin:] if not t.constant and t.dtype != "none")

    @property
    def weights(self) -> Operand:
        """The second operand."""
        return self.inputs[1]

    @property
    def bias(self) -> Operand | None:
        """What a product's sums begin with, where it is there."""
        at = _BIASED.get(self.op, len(self.inputs))
        found = self.inputs[at] if at < len(self.inputs) else None
        return None if found is None or found.dtype == "none" else found

    @property
    def kernel(self) -> tuple[int, int]:
        """Height and width of its window; 1 × 1 without one."""
        if self.op in _WINDOW_WEIGHTS:
            height, width = self.inputs[1].shape[1:3]
            return height or 1, width or 1
        return self.attributes.get("filter_height", 1), self.attributes.get("filter_width", 1)

    @property
    def axes(self) -> tuple[int, ...]:
        """The axes that it works along, counted from the front; empty where they aren't constant."""
        told: Any = self.attributes.get("axis", ())
        if (at := _AXES.get(self.op)) is not None:
            value = self.inputs[at].value
            told = () if value is None else value
        rank = max(self.x.rank, 1)
        return tuple(int(a) % rank for a in np.reshape(told, -1))

    @property
    def pads(self) -> tuple[tuple[int, int], ...]:
        """Before and after each axis, as its second operand says; empty where that isn't constant."""
        value = self.inputs[1].value if len(self.inputs) > 1 else None
        return () if value is None else tuple((int(a), int(b)) for a, b in value.reshape(-1, 2))

    @property
    def permutation(self) -> tuple[int, ...]:
        """Of a transpose; empty where it isn't constant."""
        value = self.inputs[1].value if len(self.inputs) > 1 else None
        return () if value is None else tuple(int(a) for a in value.reshape(-1))


def read(path: Path) -> list[Operation]:
    """The operators of all subgraphs of a TFLite file, in their order.

    Raises:
        BadInput: the file is missing, empty, no TFLite flatbuffer, or damaged.
    """
    with opened(path) as model:
        codes = [model.OperatorCodes(i) for i in range(model.OperatorCodesLength())]
        return [operation for k in range(model.SubgraphsLength()) for operation in _graph(model, k, codes)]


def of_main(content: bytes) -> list[Operation]:
    """The operators of the main graph of a flatbuffer, in their order."""
    model = schema.Model.GetRootAs(content, 0)
    return _graph(model, 0, [model.OperatorCodes(i) for i in range(model.OperatorCodesLength())])


def as_int8(operation: Operation) -> Operation:
    """A float operator as the quantizer will leave it: in int8, where it has a rule for that."""
    row = OPS.get(operation.op.lower())
    if row is None or row.int8 is Int8.FLOAT or all(t.dtype != "float32" for t in operation.tensors):
        return operation
    bias = _BIASED.get(operation.op)
    inputs = tuple(_quantized(t, "int32" if i == bias else "int8") for i, t in enumerate(operation.inputs))
    return replace(operation, inputs=inputs, outputs=tuple(_quantized(t, "int8") for t in operation.outputs))


def _quantized(operand: Operand, dtype: str) -> Operand:
    return replace(operand, dtype=dtype, scales=1) if operand.dtype == "float32" else operand


def _graph(model: Any, number: int, codes: Sequence[Any]) -> list[Operation]:
    graph, made = model.Subgraphs(number), {}

    def operand(index: int) -> Operand:
        if index >= graph.TensorsLength():
            raise IndexError("the file names tensors that it doesn't have")
        if index not in made:
            made[index] = Operand("", "none", ()) if index < 0 else _operand(model, graph.Tensors(index))
        return made[index]

    found = []
    for i in range(graph.OperatorsLength()):
        op = graph.Operators(i)
        code = codes[op.OpcodeIndex()]
        outputs = tuple(operand(op.Outputs(k)) for k in range(op.OutputsLength()))
        found.append(
            Operation(
                op=op_name(code),
                name=outputs[0].name if outputs else "",
                inputs=tuple(operand(op.Inputs(k)) for k in range(op.InputsLength())),
                outputs=outputs,
                attributes=_attributes(op),
                version=code.Version(),
            )
        )
    return found


def _operand(model: Any, tensor: Any) -> Operand:
    buffer = model.Buffers(tensor.Buffer())
    dims = tensor.ShapeSignature if tensor.ShapeSignatureLength() else tensor.Shape
    shape = tuple(None if dims(i) < 0 else int(dims(i)) for i in range(tensor.ShapeLength()))
    length, dtype = buffer.DataLength(), DTYPE_NAMES[tensor.Type()]
    value = None
    if length and hasattr(np, dtype) and length <= _MOST_VALUES * np.dtype(dtype).itemsize:
        value = np.frombuffer(buffer.DataAsNumpy().tobytes(), dtype).reshape([d or 0 for d in shape])
    found, params = quantization_of(tensor), tensor.Quantization()
    scales = params.ScaleLength() if params is not None else 0
    return Operand(
        name=text_of(tensor.Name()),
        dtype=dtype,
        shape=shape,
        constant=(stored := length or (buffer.Size() if buffer.Offset() > 1 else 0)) > 0,
        value=value,
        scales=scales,
        quantization=(found.scale, found.zero_point) if found is not None and scales == 1 else None,
        nbytes=stored,
        buffer=tensor.Buffer() if stored else 0,
    )


def _attributes(op: Any) -> dict[str, Any]:
    """The scalar options of an operator."""
    table = op.BuiltinOptions()
    name = _option_names().get(op.BuiltinOptionsType())
    if table is None or name is None:
        return {}
    options = getattr(schema, name)()
    options.Init(table.Bytes, table.Pos)
    return {key: _named(key, getattr(options, method)()) for key, method in _scalars(name).items()}


def _named(key: str, value: Any) -> Any:
    if key not in _ENUMS:
        return value
    return next((name for name, code in vars(_ENUMS[key]).items() if code == value), value)


@cache
def _option_names() -> dict[int, str]:
    return {code: name for name, code in vars(schema.BuiltinOptions).items() if isinstance(code, int) and code}


@cache
def _scalars(name: str) -> dict[str, str]:
    """Attribute → the accessor of an options table that gives it; vectors are left out."""
    table = vars(getattr(schema, name))
    methods = [m for m, f in table.items() if callable(f) and f.__code__.co_argcount == 1 and m[0].isupper()]
    ends = ("AsNumpy", "Length", "IsNone")
    return {re.sub(r"(?<!^)(?=[A-Z])", "_", m).lower(): m for m in methods if not m.endswith(ends)}
