"""Builds a TFLite flatbuffer through TFL-dialect MLIR; needs litert-converter, not TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from litert_converter import converter_api_ext as converter
from litert_converter.mlir import ir, passmanager
from litert_converter.mlir.dialects import func

from ...artifact import Array
from ...errors import InternalFault
from ...vocabulary import SIGNATURE
from .base import Attribute
from .builder import Builder
from .tensor import Shape, Spec, Steps, Tensor

_ELEMENT_TYPES = {
    "bool": "i1", "int8": "i8", "int16": "i16", "int32": "i32", "int64": "i64",
    "uint8": "ui8", "uint16": "ui16", "uint32": "ui32", "uint64": "ui64",
    "float16": "f16", "float32": "f32", "float64": "f64",
}  # fmt: skip
# Above this many bytes a constant stays out of MLIR's sight until the flatbuffer is written: see TfliteBuilder.save.
_OPAQUE_BYTES = 1 << 16
_PIPELINE = "builtin.module(func.func(tfl-optimize),canonicalize,cse)"


class TfliteBuilder(Builder):
    """Makes one function of TFL-dialect MLIR and writes it as a flatbuffer.

    Args:
        inputs: Name and spec of the model's inputs, in order.
    """

    most_depthwise_taps = 25  # XNNPACK's largest unipass kernel, LiteRT 2.3; see lowering/depthwise.py

    def __init__(self, inputs: Sequence[tuple[str, Spec]]) -> None:
        self._context = ir.Context()
        converter.prepare_mlir_context(self._context)
        self._input_names = [name for name, _ in inputs]
        self._opaque: list[tuple[Array, str]] = []
        self._constants: dict[tuple[str, tuple[int, ...], bytes], ir.Value] = {}
        with self._context, ir.Location.unknown():
            self._element = {name: ir.Type.parse(text) for name, text in _ELEMENT_TYPES.items()}
            self._i32 = self._element["int32"]
            self._module = ir.Module.create()
            types = [self._type(spec.dtype, spec.shape) for _, spec in inputs]
            with ir.InsertionPoint(self._module.body):
                self._function = func.FuncOp("main", ir.FunctionType.get(types, []))
                self._block = self._function.add_entry_block()
        self.inputs = [
            Tensor(argument, spec.dtype, spec.shape)
            for argument, (_, spec) in zip(self._block.arguments, inputs, strict=True)
        ]

    def rename(self, tensor: Tensor, name: str) -> None:
        owner = tensor.handle.owner
        if isinstance(owner, ir.Operation | ir.OpView) and len(owner.results) == 1:
            owner.location = ir.Location.name(name, context=self._context)

    def save(self, outputs: Sequence[tuple[str, Tensor]], path: Path) -> None:
        """Optimize, verify and write the flatbuffer with ``outputs`` as its named results.

        While MLIR optimizes, large weights are arguments of the function. As constants they would be multiplied with
        the scale of a layer norm before them and the like, by operators that MLIR then can't fold: the model would
        multiply its weights again in every inference.

        Raises:
            InternalFault: MLIR rejects the module or can't export it.
        """
        with self._context, ir.Location.unknown():
            with ir.InsertionPoint(self._block):
                func.ReturnOp([tensor.handle for _, tensor in outputs])
            try:
                self._set_function_type()
                self._module.operation.verify()
                passmanager.PassManager.parse(_PIPELINE).run(self._module.operation)
                self._drop_idle_reshapes()
                self._reveal_weights()
                self._set_function_type()
                names = [name for name, _ in outputs]
                converter.set_signature(self._function.operation, SIGNATURE, self._input_names, names)
                converter.export_flatbuffer_to_file(self._module.operation, str(path))
            except (ir.MLIRError, RuntimeError, ValueError) as error:
                raise InternalFault(
                    f"MLIR could not make the TFLite model: {error}",
                    where=str(path),
                    remedy="please report this with the model's `edgeworthy inspect` output",
                ) from error

    def _set_function_type(self) -> None:
        results = self._block.operations[len(self._block.operations) - 1].operands
        function_type = ir.FunctionType.get([a.type for a in self._block.arguments], [v.type for v in results])
        self._function.attributes["function_type"] = ir.TypeAttr.get(function_type)

    def _drop_idle_reshapes(self) -> None:
        """MLIR's own rewriting leaves reshapes of ``[-1]`` to ``[-1]``, such as before the ONE_HOT that it finds."""
        for op in list(self._block.operations):
            if op.operation.name != "tfl.reshape" or op.operands[0].type != op.results[0].type:
                continue
            kind = ir.RankedTensorType(op.results[0].type)
            dynamic = [kind.is_dynamic_dim(axis) for axis in range(kind.rank)]
            if sum(dynamic) == 0 or (sum(dynamic) == 1 and 0 not in _known_extents(kind)):
                op.results[0].replace_all_uses_with(op.operands[0])
                op.operation.erase()

    def _reveal_weights(self) -> None:
        """Put constants in the place of the arguments that stood for large weights.

        In the order of their size, the largest first: the exporter starts at the last, so its buffer grows, by copying,
        while it is still small (BERT-base: a peak of 1.20 GB instead of 1.35 GB).
        """
        first = len(self._input_names)
        arguments = list(self._block.arguments)[first:]
        for index in sorted(range(len(arguments)), key=lambda i: self._opaque[i][0].nbytes):
            argument, (array, name) = arguments[index], self._opaque[index]
            if not any(True for _ in argument.uses):
                continue
            with ir.InsertionPoint.at_block_begin(self._block), ir.Location.name(name):
                blob = ir.DenseResourceElementsAttr.get_from_buffer(array.data, f"weights_{index}", argument.type)
                argument.replace_all_uses_with(_constant_op(array, argument.type, blob))
        for index in reversed(range(first, first + len(arguments))):
            self._block.erase_argument(index)

    def _emit(
        self, op: str, operands: Sequence[Tensor], attributes: dict[str, Attribute], results: Sequence[Spec]
    ) -> list[Any]:
        with self._context, ir.InsertionPoint(self._block), self._location(op):
            operation = ir.Operation.create(
                f"tfl.{op}",
                results=(types := [self._type(s.dtype, s.shape, s.steps) for s in results]),
                operands=[t.handle for t in operands],
                attributes={name: self._attribute(name, value) for name, value in attributes.items()}
                | ({"qtype": ir.TypeAttr.get(types[0])} if op == "quantize" else {}),
            )
        return list(operation.results)

    def _nothing(self) -> Any:
        with self._context, ir.InsertionPoint(self._block), self._location("no_value"):
            kind, value = ir.NoneType.get(), ir.UnitAttr.get()
            return ir.Operation.create("tfl.no_value", results=[kind], attributes={"value": value}).result

    def _constant(self, value: Array) -> Any:
        array = np.ascontiguousarray(value).reshape(value.shape)
        kind = self._type(array.dtype.name, array.shape)
        if array.nbytes > _OPAQUE_BYTES and array.dtype != np.bool_:
            self._opaque.append((array, f"{self._scope}/const"))
            return self._block.add_argument(kind, ir.Location.unknown(self._context))
        key = (array.dtype.name, array.shape, array.tobytes())
        if key not in self._constants:
            with self._context, ir.InsertionPoint(self._block), self._location("const"):
                self._constants[key] = _constant_op(array, kind, ir.DenseElementsAttr.get(array, type=kind))
        return self._constants[key]

    def _type(self, dtype: str, shape: Shape, steps: Steps | None = None) -> ir.Type:
        dynamic = ir.ShapedType.get_dynamic_size()
        extents = [dynamic if d is None else d for d in shape]
        element = self._element[dtype]
        if steps is not None:
            # A float32 as a decimal of 17 digits is read back as it was.
            text = f"!quant.uniform<{_ELEMENT_TYPES[dtype]}:f32, {steps.scale:.17e}:{steps.zero_point}>"
            element = ir.Type.parse(text, context=self._context)
        return ir.RankedTensorType.get(extents, element, loc=ir.Location.unknown(self._context))

    def _attribute(self, name: str, value: Attribute) -> ir.Attribute:
        if isinstance(value, bool):
            return ir.BoolAttr.get(value)
        if isinstance(value, int):
            return ir.IntegerAttr.get(self._i32, value)
        if isinstance(value, float):
            return ir.FloatAttr.get(self._element["float32"], value)
        if name == "mode":
            return ir.Attribute.parse(f"#tfl<mirror_pad_attr {value}>")
        return ir.StringAttr.get(str(value))

    def _location(self, op: str) -> ir.Location:
        return ir.Location.name(f"{self._scope}/{op}" if self._scope else op)


def _known_extents(kind: ir.RankedTensorType) -> list[int]:
    return [kind.get_dim_size(axis) for axis in range(kind.rank) if not kind.is_dynamic_dim(axis)]


def _constant_op(array: Array, kind: ir.Type, value: ir.Attribute) -> ir.Value:
    # arith has no unsigned integers.
    op = "tfl.pseudo_const" if array.dtype.kind == "u" else "arith.constant"
    return ir.Operation.create(op, results=[kind], attributes={"value": value}).result
