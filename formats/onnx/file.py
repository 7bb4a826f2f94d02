"""ONNX files: reading with every check a user's file needs, describing, and writing.

Reading costs one copy of the weights and no more (see ``wire``), and never loads torch or ONNX Runtime.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import onnx_ir as ir
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from ... import files
from ...artifact import Dim, OnnxModel, TensorSpec
from ...errors import BadInput, UnsupportedNode, UnsupportedNodes
from ...numerics.distinct import blocks
from .declared import mark_empty, settle
from .header import check_file, check_header, name_own_domain, type_passed_inputs
from .names import called, unnamed
from .rules import check_form, check_inference
from .weights import check_sizes, external_path, load_external, load_initializers, map_large, read, tensors
from .wire import Span, WireError, split

EXTERNAL_FROM = 1_500_000_000
"""Bytes of weights from which on they go to ``NAME.data`` beside the model (protobuf ends at 2 GiB)."""

_SHOWN = 10

_GRAPH_ERRORS = (
    ir.serde.SerdeError,
    onnx.shape_inference.InferenceError,
    ArithmeticError,
    LookupError,
    NotImplementedError,
    TypeError,
    ValueError,
    AssertionError,
)
"""What onnx and onnx_ir raise on graphs that break ONNX's rules."""


def read_onnx(path: Path, *, mapping: bool = False) -> ir.Model:
    """Read and check an ONNX file; its weights are in memory, external ones too, and no file stays open.

    With ``mapping`` large weights stay in their files, read-only, which must not be written to while the model is used.
    Graph inputs that have an initializer (as in files of IR version 3) become plain constants.

    Raises:
        BadInput: the file is missing, empty, no ONNX, cut off, or of an opset that the installed ``onnx``
            is too old for; its external data is missing, too short or outside its folder; a weight is NaN; the
            graph uses values that nothing computes; or a node breaks the rules of its operator.
    """
    proto, spans = parse(path)
    with _valid(path):
        check_form(proto, path)
        check_sizes(proto, spans, path)
        settle(proto)
        model = ir.serde.deserialize_model(proto)
        _settle_constants(model)
        _sort(model, path)
        load = map_large if mapping else read
        load_initializers(model, proto.graph, spans, path, load)
        load_external(model, path, load)
        check_inference(proto, model, path)
        _check_nan(model, path)
    return model


def signature(proto: onnx.ModelProto, path: Path) -> OnnxModel:
    """The signature of what ``parse`` gave for ``path`` and ``declared.settle`` put right.

    A dimension without a value or a name is dynamic and gets a name made of its tensor's name and axis.

    Raises:
        BadInput: an input or output is no tensor or has no known rank, or the graph breaks ONNX's rules.
        UnsupportedNodes: an output's rank is unknown because of nodes that ONNX doesn't know.
    """
    if any(not _has_shape(value) for value in proto.graph.output):
        _refuse_unknown_nodes(proto, path)
    constants = {tensor.name for tensor in proto.graph.initializer}
    with _valid(path):
        inputs = tuple(_spec(value, path) for value in proto.graph.input if value.name not in constants)
        outputs = tuple(_spec(value, path) for value in proto.graph.output)
    return OnnxModel(path, inputs, outputs)


def external(proto: onnx.ModelProto, path: Path) -> tuple[Path, ...]:
    """The files beside ``path`` that hold its external data, in the order the graph names them.

    Raises:
        BadInput: one is missing or outside the model's folder, or the graph breaks ONNX's rules.
    """
    with _valid(path):
        model = ir.serde.deserialize_model(proto)
        stored = [tensor for _, tensor in tensors(model) if isinstance(tensor, ir.ExternalTensor)]
    return tuple(dict.fromkeys(external_path(path, str(t.location), t.name or "") for t in stored))


def save_onnx(model: ir.Model, path: Path) -> None:
    """Write ``model`` to ``path``, atomically; from ``EXTERNAL_FROM`` bytes on, weights go to ``NAME.data``.

    Raises:
        BadInput: the folder can't be written, or the disk is full.
    """
    with staged_onnx(model, path):
        pass


@contextmanager
def staged_onnx(model: ir.Model, path: Path) -> Iterator[Path]:
    """Write ``model`` to a folder beside ``path`` and yield it there; it takes its place if nothing is raised.

    Raises:
        BadInput: the folder can't be written, or the disk is full.
    """
    mark_empty(model)
    external = sum(tensor.nbytes for _, tensor in tensors(model)) >= EXTERNAL_FROM
    data = path.with_name(f"{path.name}.data")
    with ExitStack() as stack:
        # Left in reverse order: the data file is in its place before the model that needs it.
        part = stack.enter_context(files.atomic_file(path))
        data_part = stack.enter_context(files.atomic_file(data)) if external else None
        folder = stack.enter_context(TemporaryDirectory(".part", f".{path.name}.", path.parent))
        whole = Path(folder, path.name)
        try:
            ir.save(model, whole, format="protobuf", external_data=data.name if external else None)
        except OSError as error:
            if error.errno is not None:
                raise
            # numpy writes arrays with a short count and no errno when the disk is full
            raise OSError(errno.ENOSPC, str(error), str(whole)) from error
        yield whole
        whole.replace(part)
        if data_part is not None:
            whole.with_name(data.name).replace(data_part)


def parse(path: Path) -> tuple[onnx.ModelProto, dict[int, Span]]:
    """The checked ModelProto, less the weights that the spans tell (by index of the initializer).

    Raises:
        BadInput: see ``summary.summarize``.
    """
    check_file(path)
    try:
        skeleton, spans = split(path)
        proto = onnx.ModelProto.FromString(skeleton)
    except (WireError, DecodeError) as error:
        raise BadInput(
            "not an ONNX model, or cut off",
            where=str(path),
            details=[str(error)],
            remedy="copy or export the file again, and compare its size with the original's",
        ) from error
    name_own_domain(proto.opset_import, proto.graph.node)
    for function in proto.functions:
        name_own_domain(function.opset_import, function.node)
    check_header(proto, path)
    type_passed_inputs(proto.graph)
    return proto, spans


@contextmanager
def _valid(path: Path) -> Iterator[None]:
    """What the libraries raise on a graph that breaks ONNX's rules becomes BadInput; they log nothing."""
    logger = logging.getLogger("onnx_ir.serde")
    logger.disabled, before = True, logger.disabled
    try:
        yield
    except _GRAPH_ERRORS as error:
        raise BadInput(
            "the ONNX graph is not valid",
            where=str(path),
            details=[_root_message(error)],
            remedy="export the model again; `python -m onnx.checker FILE` may tell more",
        ) from error
    finally:
        logger.disabled = before


def _root_message(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _settle_constants(model: ir.Model) -> None:
    """No constant is an input, and each has the type and shape of its tensor, whatever else the file says of it."""
    for graph in model.graphs():
        for value in graph.initializers.values():
            tensor = value.const_value
            if tensor is not None and (value.dtype != tensor.dtype or value.shape != tensor.shape):
                value.type, value.shape = ir.TensorType(tensor.dtype), ir.Shape(tensor.shape.numpy())
    graph = model.graph
    constants = {id(value) for value in graph.initializers.values()}
    keep = [value for value in graph.inputs if id(value) not in constants]
    if len(keep) != len(graph.inputs):
        graph.inputs.clear()
        graph.inputs.extend(keep)


def _sort(model: ir.Model, path: Path) -> None:
    """Put the nodes into an order in which every value is computed before it is used."""
    try:
        model.graph.sort()
    except ValueError as error:
        raise BadInput("the graph has a cycle", where=str(path), remedy="export the model again") from error


def _check_nan(model: ir.Model, path: Path) -> None:
    """Infinities are left alone: exporters write attention masks as constants of -inf."""
    bad = [
        name
        for name, value in model.graph.initializers.items()
        if value.const_value is not None and _has_nan(value.const_value)
    ]
    if bad:
        raise BadInput(
            f"{len(bad)} weight{'s have' if len(bad) > 1 else ' has'} NaN values",
            where=str(path),
            details=[*bad[:_SHOWN], *(["…"] if len(bad) > _SHOWN else [])],
            remedy="the training diverged, or the file is damaged: export from a good checkpoint",
        )


def _has_nan(tensor: ir.TensorProtocol) -> bool:
    # A lone NaN is a constant somebody wrote down, not a weight.
    if not tensor.dtype.is_floating_point() or tensor.size < 2:
        return False
    array = tensor.numpy()
    if array.dtype.kind != "f":
        return bool(np.isnan(array.astype(np.float32)).any())
    # `min` hands NaN on, and needs no array of its own.
    return any(bool(np.isnan(block.view(array.dtype).min())) for block in blocks(array))


def _has_shape(value: onnx.ValueInfoProto) -> bool:
    return bool(value.type.HasField("tensor_type") and value.type.tensor_type.HasField("shape"))


def _spec(value: onnx.ValueInfoProto, path: Path) -> TensorSpec:
    kind = value.type.WhichOneof("value")
    if kind != "tensor_type" or not value.type.tensor_type.elem_type:
        raise BadInput(
            f"{value.name!r} is not a tensor ({kind or 'it has no type'})",
            where=str(path),
            remedy="export the model with tensors as its inputs and outputs",
        )
    if not _has_shape(value):
        raise BadInput(
            f"the number of dimensions of {value.name!r} is unknown",
            where=str(path),
            remedy="export the model with the shapes of its inputs and outputs",
        )
    dtype = _dtype(value, path)
    name = "string" if dtype == ir.DataType.STRING else dtype.numpy().name
    dims = value.type.tensor_type.shape.dim
    return TensorSpec(value.name, name, tuple(_dim(value.name, axis, d) for axis, d in enumerate(dims)))


def _dtype(value: onnx.ValueInfoProto, path: Path) -> ir.DataType:
    try:
        return ir.DataType(value.type.tensor_type.elem_type)
    except ValueError as error:  # such as one that the installed onnx-ir is too old for
        raise BadInput(
            f"{value.name!r} has the type {value.type.tensor_type.elem_type}, which isn't known",
            where=str(path),
            remedy="pip install -U onnx onnx-ir, or export the model with a type that they know",
        ) from error


def _dim(tensor: str, axis: int, dim: onnx.TensorShapeProto.Dimension) -> Dim:
    if dim.HasField("dim_value") and dim.dim_value >= 0:
        return dim.dim_value
    return dim.dim_param or unnamed(tensor, axis)


def _refuse_unknown_nodes(proto: onnx.ModelProto, path: Path) -> None:
    opsets = {entry.domain: entry.version for entry in proto.opset_import}
    own = {(f.domain, f.name) for f in proto.functions}
    unknown = []
    for node in proto.graph.node:
        version = opsets.get(node.domain, 0)
        if (node.domain, node.op_type) in own or onnx.defs.has(node.op_type, version, node.domain):
            continue
        props = {entry.key: entry.value for entry in node.metadata_props}
        unknown.append(
            UnsupportedNode(
                op=f"{node.domain}::{node.op_type}" if node.domain else node.op_type,
                opset=version,
                node=called(node.name, node.output),
                module=props.get("edgeworthy.module", ""),
                source=props.get("edgeworthy.source", ""),
                reason="ONNX has no such operator",
                remedy="export the model with standard operators",
            )
        )
    if unknown:
        raise UnsupportedNodes(unknown, where=str(path))
