"""What is in a TFLite flatbuffer: signature, operators, tensors, sizes. No interpreter is loaded.

The layout is TFLite's ``schema.fbs`` (version 3), read field by field from a memory map, so that a large
model costs no more than a small one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ai_edge_litert import schema_py_generated as schema

from ...artifact import Dim, TensorSpec, TFLiteModel
from ...schemes import FLOAT32, made_by
from ...vocabulary import SIGNATURE
from .opening import opened

STEPS = ("int8", "uint8", "int16")
"""Dtypes that inputs, outputs and activations are quantized to."""
_WEIGHTS = ("int2", "int4", "int8", "uint8")
_NARROW = ("int2", "int4")
_LEFT_OUT = -1
"""Index of an operator's input that isn't given."""


def _members(enum: Any) -> dict[int, str]:
    return {value: name for name, value in vars(enum).items() if isinstance(value, int)}


OP_NAMES: dict[int, str] = _members(schema.BuiltinOperator)
"""Builtin operator code → name, such as 3 → ``CONV_2D``."""

DTYPE_NAMES: dict[int, str] = {code: name.lower() for code, name in _members(schema.TensorType).items()}
"""Tensor type code → numpy-like dtype name, such as 9 → ``int8``."""


@dataclass(frozen=True)
class QuantizationParameters:
    """Affine quantization of a tensor, ``real = scale * (q - zero_point)``.

    ``scale`` and ``zero_point`` are those of the first channel when there are several along ``axis``.
    """

    scale: float
    zero_point: int
    channels: int = 1
    axis: int = 0


@dataclass(frozen=True)
class TensorSummary:
    """A tensor of a TFLite subgraph; ``nbytes`` are its stored bytes, 0 for an activation."""

    name: str
    dtype: str
    shape: tuple[Dim, ...]
    nbytes: int = 0
    quantization: QuantizationParameters | None = None

    @property
    def is_constant(self) -> bool:
        return self.nbytes > 0


@dataclass(frozen=True)
class OperatorSummary:
    """An operator; ``inputs`` and ``outputs`` index the subgraph's tensors, -1 is an input left out."""

    op: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True)
class SubgraphSummary:
    """One subgraph: index 0 is the model, others are bodies of control flow and composites."""

    name: str
    tensors: tuple[TensorSummary, ...]
    ops: tuple[OperatorSummary, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    @cached_property
    def used(self) -> tuple[TensorSummary, ...]:
        """Tensors that an operator, or who runs the graph, reads or writes: a file may hold others."""
        return tuple(self.tensors[i] for i in sorted(self.referred))

    @property
    def referred(self) -> set[int]:
        """Their indices."""
        by_operators = {i for op in self.ops for i in (*op.inputs, *op.outputs)}
        return {*self.inputs, *self.outputs, *by_operators} - {_LEFT_OUT}


@dataclass(frozen=True)
class SignatureSummary:
    """A function of the file; ``key`` is None for a graph that no signature names.

    Inputs and outputs are in the order of the graph, under the names of the signature, each with its tensor.
    """

    key: str | None
    inputs: tuple[tuple[TensorSpec, TensorSummary], ...]
    outputs: tuple[tuple[TensorSpec, TensorSummary], ...]


@dataclass(frozen=True)
class TFLiteSummary:
    """Everything ``inspect`` shows of a TFLite file.

    ``signature`` names ``inputs`` and ``outputs``; None: they have their tensors' names. ``input_tensors`` and
    ``output_tensors`` tell each one's index in the main graph, whose order is no key: a tensor may have several names.
    """

    path: Path
    size: int
    description: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    graphs: tuple[SubgraphSummary, ...]
    input_tensors: Mapping[str, int]
    output_tensors: Mapping[str, int]
    signatures: tuple[str, ...] = ()
    signature: str | None = None

    @property
    def quantized_inputs(self) -> frozenset[str]:
        """Inputs that hold steps of a scale: float values are quantized for them."""
        return self._quantized(self.input_tensors)

    @property
    def quantized_outputs(self) -> frozenset[str]:
        """Outputs that hold steps of a scale."""
        return self._quantized(self.output_tensors)

    @property
    def output_steps(self) -> dict[str, float]:
        """Output → scale of the grid that its values lie on: its own, or that of what a DEQUANTIZE makes it of."""
        main = self.graphs[0]
        sources = {i: op.inputs[0] for op in main.ops if op.op == "DEQUANTIZE" for i in op.outputs}
        tensors = {name: main.tensors[sources.get(index, index)] for name, index in self.output_tensors.items()}
        stepped = {name: t for name, t in tensors.items() if t.dtype in STEPS and not t.is_constant}
        return {name: t.quantization.scale for name, t in stepped.items() if t.quantization}

    def _quantized(self, side: Mapping[str, int]) -> frozenset[str]:
        tensors = {name: self.graphs[0].tensors[index] for name, index in side.items()}
        return frozenset(name for name, t in tensors.items() if t.quantization and t.dtype in STEPS)

    @property
    def scheme(self) -> str:
        """The name in ``schemes.SCHEMES`` that its tensors go with, whoever quantized them.

        Activations in steps are a static scheme; int8 weights alone a dynamic one, or, where they are dequantized
        before use, weight-only; float16 weights ``float16``.
        """
        main = self.graphs[0]
        stored = {t.dtype for t in main.used if _is_quantized_constant(t)}
        narrow = next((dtype for dtype in _WEIGHTS if dtype in stored), None)
        steps = {t.dtype for t in main.used if t.quantization and t.dtype in STEPS and not t.is_constant}
        if steps:
            return made_by("static", narrow, "int16" if steps == {"int16"} else "int8").name
        unpacked = {i for op in main.ops if op.op == "DEQUANTIZE" for i in op.inputs}
        read = {i for op in main.ops for i in op.inputs} - {_LEFT_OUT}
        weights = {i for i in read if _is_quantized_constant(main.tensors[i])}
        if weights - unpacked:
            return made_by("dynamic", narrow).name
        if weights:
            return made_by("weight_only", narrow).name
        return made_by("cast" if any(main.tensors[i].dtype == "float16" for i in unpacked) else "none").name

    @property
    def op_counts(self) -> dict[str, int]:
        """Operator name → how often, over all subgraphs, most frequent first."""
        counts = Counter(op.op for graph in self.graphs for op in graph.ops)
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))

    @property
    def constant_bytes(self) -> dict[str, int]:
        """Dtype name → stored bytes of constants; a buffer counts for each tensor that shares it."""
        total: Counter[str] = Counter()
        for graph in self.graphs:
            for tensor in graph.tensors:
                total[tensor.dtype] += tensor.nbytes
        return {dtype: n for dtype, n in sorted(total.items()) if n}

    @property
    def activation_dtypes(self) -> dict[str, int]:
        """Dtype name → how many tensors that are used and no constants have it."""
        total = Counter(t.dtype for graph in self.graphs for t in graph.used if not t.is_constant)
        return dict(sorted(total.items()))


def _is_quantized_constant(tensor: TensorSummary) -> bool:
    """Scales of blocks are in another tensor; what has less than a byte has scales in any case."""
    return tensor.is_constant and tensor.dtype in _WEIGHTS and (tensor.dtype in _NARROW or bool(tensor.quantization))


def describe(path: Path, scheme: str = FLOAT32.name) -> TFLiteModel:
    """The signature of a TFLite file, in the subgraph's own order of inputs and outputs.

    Raises:
        BadInput: the file is missing, empty, no TFLite flatbuffer, or damaged.
    """
    with opened(path) as model:
        graph = model.Subgraphs(0)
        inputs, outputs = (_specs(graph, side) for side in _named(graph, _main_signature(model)))
    return TFLiteModel(path, inputs, outputs, scheme)


def summarize(path: Path) -> TFLiteSummary:
    """All of a TFLite file but the values of its weights.

    Raises:
        BadInput: the file is missing, empty, no TFLite flatbuffer, or damaged.
    """
    with opened(path) as model:
        graph, main = model.Subgraphs(0), _main_signature(model)
        fed, given = _named(graph, main)
        inputs, outputs = _specs(graph, fed), _specs(graph, given)
        codes = [model.OperatorCodes(i) for i in range(model.OperatorCodesLength())]
        names = [op_name(code) for code in codes]
        graphs = tuple(_graph(model, model.Subgraphs(i), names) for i in range(model.SubgraphsLength()))
        description = text_of(model.Description())
        keys = tuple(text_of(model.SignatureDefs(i).SignatureKey()) for i in range(model.SignatureDefsLength()))
        used = text_of(main.SignatureKey()) if main is not None else None
    by_name = [{name: index for index, name in side} for side in (fed, given)]
    size = path.stat().st_size
    return TFLiteSummary(path, size, description, inputs, outputs, graphs, by_name[0], by_name[1], keys, used)


def functions(path: Path) -> tuple[SignatureSummary, ...]:
    """The main graph's function first, then those of the other signatures.

    Raises:
        BadInput: the file is missing, empty, no TFLite flatbuffer, or damaged.
    """
    with opened(path) as model:
        main = _main_signature(model)
        others = [model.SignatureDefs(i) for i in range(model.SignatureDefsLength())]
        key = None if main is None else text_of(main.SignatureKey())
        return (
            _function(model, model.Subgraphs(0), main),
            *(
                _function(model, model.Subgraphs(s.SubgraphIndex()), s)
                for s in others
                if text_of(s.SignatureKey()) != key
            ),
        )


def _function(model: Any, graph: Any, signature: Any | None) -> SignatureSummary:
    inputs, outputs = (
        tuple((_spec(graph.Tensors(index), name), _tensor(model, graph.Tensors(index))) for index, name in side)
        for side in _named(graph, signature)
    )
    return SignatureSummary(None if signature is None else text_of(signature.SignatureKey()), inputs, outputs)


def _specs(graph: Any, side: Iterable[tuple[int, str]]) -> tuple[TensorSpec, ...]:
    return tuple(_spec(graph.Tensors(index), name) for index, name in side)


def _named(graph: Any, signature: Any | None) -> Iterator[list[tuple[int, str]]]:
    """Inputs, then outputs: tensors' indices and names, in the graph's order (the flatbuffer sorts a signature's)."""
    for side in ("Inputs", "Outputs"):
        order = _listed(graph, side)
        names = [(i, text_of(graph.Tensors(i).Name())) for i in order]
        if signature is not None:
            position = {tensor: i for i, tensor in reversed(list(enumerate(order)))}
            entries = [(entry.TensorIndex(), text_of(entry.Name())) for entry in _listed(signature, side)]
            names = sorted(entries, key=lambda entry: position.get(entry[0], len(order)))
        if any(index >= graph.TensorsLength() for index, _ in names):
            raise IndexError("the file names tensors that it doesn't have")
        yield names


def _listed(table: Any, side: str) -> list[Any]:
    """A vector of a graph's or a signature's: ``Inputs`` or ``Outputs``."""
    return [getattr(table, side)(i) for i in range(getattr(table, f"{side}Length")())]


def _main_signature(model: Any) -> Any | None:
    """The signature of subgraph 0: ``serving_default`` where there are several; None where there is none.

    A file with several functions has a subgraph for each, and interpreters resize the inputs of the first only.
    """
    found = [model.SignatureDefs(i) for i in range(model.SignatureDefsLength())]
    main = [signature for signature in found if signature.SubgraphIndex() == 0]
    return next((s for s in main if text_of(s.SignatureKey()) == SIGNATURE), main[0] if main else None)


def _spec(tensor: Any, name: str) -> TensorSpec:
    return TensorSpec(name, DTYPE_NAMES[tensor.Type()], _shape(tensor))


def _shape(tensor: Any) -> tuple[Dim, ...]:
    """Extents; one that is -1 in ``shape_signature`` is ``batch`` on axis 0 and ``dim<axis>`` after it."""
    if tensor.ShapeSignatureLength():
        dims = [tensor.ShapeSignature(i) for i in range(tensor.ShapeSignatureLength())]
    else:
        dims = [tensor.Shape(i) for i in range(tensor.ShapeLength())]
    return tuple(int(d) if d >= 0 else (f"dim{axis}" if axis else "batch") for axis, d in enumerate(dims))


def op_name(code: Any) -> str:
    builtin = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
    custom = code.CustomCode()
    return f"CUSTOM:{text_of(custom)}" if custom else OP_NAMES.get(builtin, f"BUILTIN_{builtin}")


def _graph(model: Any, graph: Any, names: list[str]) -> SubgraphSummary:
    tensors = tuple(_tensor(model, graph.Tensors(i)) for i in range(graph.TensorsLength()))
    ops = []
    for i in range(graph.OperatorsLength()):
        op = graph.Operators(i)
        op_inputs = tuple(op.Inputs(k) for k in range(op.InputsLength()))
        op_outputs = tuple(op.Outputs(k) for k in range(op.OutputsLength()))
        ops.append(OperatorSummary(names[op.OpcodeIndex()], op_inputs, op_outputs))
    inputs, outputs = (tuple(_listed(graph, side)) for side in ("Inputs", "Outputs"))
    found = SubgraphSummary(text_of(graph.Name()), tensors, tuple(ops), inputs, outputs)
    if not found.referred <= set(range(len(tensors))):
        raise IndexError("the file names tensors that it doesn't have")
    return found


def _tensor(model: Any, tensor: Any) -> TensorSummary:
    buffer = model.Buffers(tensor.Buffer())
    # Files over 2 GB keep the data after the flatbuffer, at an offset.
    nbytes = buffer.Size() if buffer.Offset() > 1 else buffer.DataLength()
    return TensorSummary(
        text_of(tensor.Name()), DTYPE_NAMES[tensor.Type()], _shape(tensor), nbytes, quantization_of(tensor)
    )


def quantization_of(tensor: Any) -> QuantizationParameters | None:
    params = tensor.Quantization()
    if params is None or not params.ScaleLength():
        return None
    zero_point = params.ZeroPoint(0) if params.ZeroPointLength() else 0
    return QuantizationParameters(params.Scale(0), zero_point, params.ScaleLength(), params.QuantizedDimension())


def text_of(value: bytes | None) -> str:
    return value.decode("utf-8", errors="replace") if value else ""
