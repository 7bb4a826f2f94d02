"""Builds a TFLite flatbuffer through TFL-dialect MLIR; needs litert-converter, not TensorFlow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from litert_converter import converter_api_ext as converter
from litert_converter.mlir import ir, passmanager
from litert_converter.mlir.dialects import func

from ...artifact import Array
from ...errors import InternalFault
from ...formats.tflite.weights import Weight, write_with_weights
from ...numerics.distinct import DistinctArrays
from ...vocabulary import SIGNATURE
from .base import Attribute
from .builder import Builder
from .control import Body, Branch, joined
from .tensor import Shape, Spec, Steps, Tensor
from .tflite_cleanup import tidy
from .tflite_functions import TflFunction, constant_op, is_constant

_ELEMENT_TYPES = {
    "bool": "i1", "int8": "i8", "int16": "i16", "int32": "i32", "int64": "i64",
    "uint8": "ui8", "uint16": "ui16", "uint32": "ui32", "uint64": "ui64",
    "float16": "f16", "float32": "f32", "float64": "f64",
}  # fmt: skip
_MLIR_BYTES = 1 << 16
"""Up to which a constant is one of MLIR's; larger ones are weights, which stay out of its sight."""
_COMMA = "\x1f"
"""Stands for a comma in names of inputs and outputs while MLIR has them: it joins all of them by commas, and splits."""
_PIPELINE = "builtin.module(func.func(tfl-optimize),canonicalize,cse)"


class TfliteBuilder(Builder):
    """Makes one function of TFL-dialect MLIR and writes it as a flatbuffer.

    Args:
        inputs: Name and spec of the model's inputs, in order.
    """

    def __init__(self, inputs: Sequence[tuple[str, Spec]]) -> None:
        self._context = ir.Context()
        converter.prepare_mlir_context(self._context)
        self._input_names = [name for name, _ in inputs]
        self._contents = DistinctArrays()
        self._functions: list[TflFunction] = []
        self._names: set[str] = set()
        with self._context, ir.Location.unknown():
            self._element = {name: ir.Type.parse(text) for name, text in _ELEMENT_TYPES.items()}
            self._i32 = self._element["int32"]
            self._module = ir.Module.create()
        self._main = self._function("main", [spec for _, spec in inputs])
        self._open = [self._main]
        self.inputs = [
            Tensor(argument, spec.dtype, spec.shape)
            for argument, (_, spec) in zip(self._main.block.arguments, inputs, strict=True)
        ]

    def _function(self, name: str, arguments: Sequence[Spec], twin: TflFunction | None = None) -> TflFunction:
        """A new function; it takes what its ``twin`` takes from around it."""
        unique = next(n for i in range(len(self._names) + 1) if (n := f"{name}_{i}" if i else name) not in self._names)
        self._names.add(unique)
        with self._context, ir.Location.unknown(), ir.InsertionPoint(self._module.body):
            types = [self._type(spec.dtype, spec.shape) for spec in arguments]
            operation = func.FuncOp(
                unique, ir.FunctionType.get(types, []), visibility=None if unique == "main" else "private"
            )
            block = operation.add_entry_block()
        made = TflFunction(operation, block, len(types), {} if twin is None else twin.captured)
        made.take_all()
        self._functions.append(made)
        return made

    def rename(self, tensor: Tensor, name: str) -> None:
        owner = tensor.handle.owner
        if isinstance(owner, ir.Operation | ir.OpView) and len(owner.results) == 1:
            owner.location = ir.Location.name(name, context=self._context)

    def save(self, outputs: Sequence[tuple[str, Tensor]], path: Path) -> None:
        """Optimize, verify and write the flatbuffer with ``outputs`` as its named results.

        While MLIR optimizes, weights are arguments of the function. As constants they would be multiplied with the
        scale of a layer norm before them and the like, by operators that MLIR then can't fold: the model would multiply
        its weights again in every inference. The graph is written without them; they go to the file as they lie.

        Raises:
            InternalFault: MLIR rejects the module or can't export it.
        """
        with self._context, ir.Location.unknown():
            self._end(self._main, [tensor.handle for _, tensor in outputs])
            try:
                self._module.operation.verify()
                passmanager.PassManager.parse(_PIPELINE).run(self._module.operation)
                weights: list[Weight] = []
                for function in self._functions:
                    tidy(function.block, self.forms)
                    contents = function.reveal()
                    # The exporter numbers tensors in the order of the block: arguments, then what is at its beginning.
                    first = len(function.block.arguments)
                    graph_name = "" if function is self._main else function.name
                    weights += (Weight(graph_name, first + i, content) for i, content in enumerate(contents))
                for function in self._functions[1:]:
                    function.name_arguments()
                names = [name for name, _ in outputs]
                apart = [[name.replace(",", _COMMA) for name in side] for side in (self._input_names, names)]
                converter.set_signature(self._main.operation.operation, SIGNATURE, *apart)
                graph = converter.export_flatbuffer_to_bytes(self._module.operation)
            except (ir.MLIRError, RuntimeError, ValueError) as error:
                raise InternalFault(
                    f"MLIR could not make the TFLite model: {error}",
                    where=str(path),
                    remedy="please report this with the model's `edgeworthy inspect` output",
                ) from error
        graph = _with_commas(graph, [*self._input_names, *names])
        write_with_weights(graph, weights, self._contents, path)

    def _end(self, function: TflFunction, results: Sequence[ir.Value]) -> None:
        with self._context, ir.Location.unknown(), ir.InsertionPoint(function.block):
            func.ReturnOp(list(results))
            function.set_type()

    @contextmanager
    def _inside(self, function: TflFunction) -> Iterator[None]:
        """Within, ops are emitted into ``function``."""
        self._open.append(function)
        yield
        self._open.pop()

    def _local(self, value: ir.Value, depth: int = -1) -> ir.Value:
        """What stands in the open function at ``depth`` (the innermost) for a value made there or around it."""
        function = self._open[depth]
        if function.owns(value):
            return value
        outer = self._local(value, depth - 1)
        if outer in function.inside:
            return function.inside[outer]
        around = self._open[depth - 1]
        weight = next((index for index, (argument, _) in around.weights.items() if argument == outer), None)
        with self._context:
            if weight is not None:
                function.inside[outer] = self._weight(function, weight, outer.type)
            elif is_constant(outer):
                function.inside[outer] = outer.owner.clone(ir.InsertionPoint(function.block)).results[0]
            else:
                function.take(outer)
        return function.inside[outer]

    def _cond(self, condition: Tensor, then: Branch, otherwise: Branch) -> list[Any]:
        functions: list[TflFunction] = []
        given: list[Sequence[Tensor]] = []
        for role, branch in (("then", then), ("else", otherwise)):
            functions.append(self._function(f"{self._scope}/{role}", [], *functions))
            with self._inside(functions[-1]):
                given.append(self._apart(branch()))
                results = [self._local(t.handle) for t in given[-1]]
            self._end(functions[-1], results)
        functions[0].take_all()
        with self._context:
            functions[0].set_type()
        operands = [self._local(value) for value in functions[0].captured]
        types = [self._type(s.dtype, s.shape) for s in joined(*given)]
        return self._with_regions("if", [self._local(condition.handle)], types, [(f, [], operands) for f in functions])

    def _while_loop(self, start: Sequence[Tensor], carried: Sequence[Spec], condition: Body, body: Body) -> list[Any]:
        step = self._function(f"{self._scope}/body", carried)
        with self._inside(step):
            state = _arguments(step, carried)
            results = [self._local(t.handle) for t in self._moved(state, body(state))]
        test = self._function(f"{self._scope}/condition", carried, step)
        with self._inside(test):
            holds = [self._local(t.handle) for t in condition(_arguments(test, carried))]
        self._end(test, holds)
        step.take_all()
        self._end(step, [*results, *(step.inside[value] for value in step.captured)])
        operands = [*(self._local(t.handle) for t in start), *(self._local(value) for value in step.captured)]
        types = [*(self._type(s.dtype, s.shape) for s in carried), *(value.type for value in step.captured)]
        return self._with_regions("while", operands, types, [(f, types, None) for f in (test, step)])[: len(carried)]

    def _moved(self, state: Sequence[Tensor], results: Sequence[Tensor]) -> list[Tensor]:
        """The results of a step, with copies of states that change their place.

        WHILE writes each result over the state in its place, one after the other, so that a state which is a later
        result would be overwritten before it is read.
        """
        places = {t.handle: place for place, t in enumerate(state)}
        return [t if places.get(t.handle, place) == place else self._copy(t) for place, t in enumerate(results)]

    def _apart(self, results: Sequence[Tensor]) -> list[Tensor]:
        """The results of a branch, with copies of those that come again: IF hands out a tensor once only, and garbage
        in its other place.
        """
        handles = [t.handle for t in results]
        return [self._copy(t) if t.handle in handles[:place] else t for place, t in enumerate(results)]

    def _copy(self, t: Tensor) -> Tensor:
        return self._same("maximum", [t, t], t.shape)

    def _with_regions(
        self,
        op: str,
        operands: Sequence[ir.Value],
        types: Sequence[ir.Type],
        regions: Sequence[tuple[TflFunction, Sequence[ir.Type], Sequence[ir.Value] | None]],
    ) -> list[Any]:
        """An op whose regions have arguments of some types, and call a function with some operands, or with these."""
        with self._context, ir.InsertionPoint(self._open[-1].block), self._location(op):
            attributes = {"is_stateless": ir.BoolAttr.get(True)} if op == "while" else {}
            made = ir.Operation.create(
                f"tfl.{op}", results=list(types), operands=list(operands), attributes=attributes, regions=len(regions)
            )
            for region, (function, kinds, given) in zip(made.regions, regions, strict=True):
                block = region.blocks.append(*kinds, arg_locs=[ir.Location.unknown()] * len(kinds))
                with ir.InsertionPoint(block):
                    results = function.call(list(block.arguments) if given is None else given)
                    ir.Operation.create("tfl.yield", operands=results)
        return list(made.results)

    def _emit(
        self, op: str, operands: Sequence[Tensor], attributes: dict[str, Attribute], results: Sequence[Spec]
    ) -> list[Any]:
        with self._context, ir.InsertionPoint(self._open[-1].block), self._location(op):
            operation = ir.Operation.create(
                f"tfl.{op}",
                results=(types := [self._type(s.dtype, s.shape, s.steps) for s in results]),
                operands=[self._local(t.handle) for t in operands],
                attributes={name: self._attribute(name, value) for name, value in attributes.items()}
                | ({"qtype": ir.TypeAttr.get(types[0])} if op == "quantize" else {}),
            )
        return list(operation.results)

    def _nothing(self) -> Any:
        with self._context, ir.InsertionPoint(self._open[-1].block), self._location("no_value"):
            kind, value = ir.NoneType.get(), ir.UnitAttr.get()
            return ir.Operation.create("tfl.no_value", results=[kind], attributes={"value": value}).result

    def _constant(self, value: Array) -> Any:
        kind = self._type(value.dtype.name, value.shape)
        function = self._open[-1]
        if value.nbytes > _MLIR_BYTES:
            return self._weight(function, self._contents.index(value), kind)
        array = np.ascontiguousarray(value).reshape(value.shape)
        key = (array.dtype.name, array.shape, array.tobytes())
        if key not in function.constants:
            with self._context, ir.InsertionPoint(function.block), self._location("const"):
                value = ir.DenseElementsAttr.get(array, type=kind)
                function.constants[key] = constant_op(array, kind, value)
        return function.constants[key]

    def _weight(self, function: TflFunction, content: int, kind: ir.Type) -> ir.Value:
        """What stands in ``function`` for a weight of these contents."""
        if content not in function.weights:
            argument = function.block.add_argument(kind, ir.Location.unknown(self._context))
            function.weights[content] = argument, f"{self._scope}/const"
        return function.weights[content][0]

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


def _arguments(function: TflFunction, specs: Sequence[Spec]) -> list[Tensor]:
    return [Tensor(a, s.dtype, s.shape) for a, s in zip(function.block.arguments, specs, strict=False)]


def _with_commas(graph: bytes, names: Sequence[str]) -> bytes:
    """A flatbuffer with these names as they are, and in those of tensors that MLIR makes of them.

    A string has its length before it and a zero behind.
    """
    for name in names:
        if "," in name:
            for made in (name, f"{SIGNATURE}_{name}", f"{SIGNATURE}_{name}_output"):
                text = made.encode()
                length = len(text).to_bytes(4, "little")
                graph = graph.replace(length + text.replace(b",", _COMMA.encode()) + b"\0", length + text + b"\0")
    return graph
