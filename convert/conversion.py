"""ONNX → TFLite and SavedModel: passes, layout, preflight, lowering, and the files."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ..artifact import Artifact, FloatOp, SavedModel, TensorSpec, TFLiteModel
from ..errors import BadInput, UnsupportedNodes
from ..files import atomic_directory, atomic_file
from ..schemes import DYNAMIC, FLOAT32, INT8, Scheme
from ..vocabulary import CONVERTED
from .forms import Forms, choose, of_saved_models

if TYPE_CHECKING:
    import onnx_ir as ir

    from ..formats.tflite.operations import Operation
    from .builders.builder import Builder
    from .builders.tensor import Tensor
    from .layout import LayoutReport
    from .lowering import Form
    from .passes import Check, PassReport

IO_LAYOUTS = ("keep", "nhwc")


@dataclass
class Prepared:
    """A model that the lowering can take, and how it got there.

    Attributes:
        model: The ONNX model after passes and layout; still runs in ONNX Runtime.
        permutations: Input or output name → axes order of the artifact's tensor in terms of the model's
            (``(0, 2, 3, 1)`` where an NCHW input became NHWC).
        rounded: What rounds to scales of the model's own that no kernel takes, and the operators beside it.
    """

    model: ir.Model
    passes: list[PassReport]
    layout: LayoutReport
    permutations: dict[str, tuple[int, ...]]
    rounded: tuple[FloatOp, ...] = ()


@dataclass
class Conversion:
    """What :func:`convert` made.

    Attributes:
        tflite: ``OUTPUT/model_float32.tflite``, if asked for; see :func:`scheme_of`.
        saved_model: ``OUTPUT/saved_model``, if asked for.
        passes: What every pass changed, and what it left alone and why.
        layout: Transposes that the minimum cut placed.
        permutations: See :class:`Prepared`.
        nodes: ONNX nodes in the model as read, and when lowering began.
        forms: What the nodes were lowered to; of both artifacts, that of the TFLite file.
        devices: Whose kernels these forms were chosen for (``forms.toml``).
        float_ops: Operators of a model that is quantized already that stay float, and why.
        seconds: Stage → wall-clock seconds.
    """

    tflite: TFLiteModel | None = None
    saved_model: SavedModel | None = None
    passes: list[PassReport] = field(default_factory=list)
    layout: LayoutReport | None = None
    permutations: dict[str, tuple[int, ...]] = field(default_factory=dict)
    nodes: tuple[int, int] = (0, 0)
    forms: list[Form] = field(default_factory=list)
    devices: tuple[str, ...] = ()
    float_ops: tuple[FloatOp, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)


def scheme_of(path: Path) -> Scheme:
    """What the TFLite file of an ONNX file is to compute in: ``int8`` with the model's own scales, if it has such;
    ``dynamic`` where its layers find ranges at run time. What no kernel takes any scale of becomes ``float32``."""
    from ..formats.onnx.summary import summarize

    found = summarize(path)
    return INT8 if found.quantizes else DYNAMIC if found.ranged else FLOAT32


def convert(
    model: Artifact | Path,
    output: Path,
    *,
    to: Sequence[str] = CONVERTED,
    io_layout: str = "keep",
    unroll: bool = False,
    targets: Sequence[str] = (),
    check_passes: Check | None = None,
) -> Conversion:
    """Convert an ONNX file to artifacts in the folder ``output``: float32, or as the model itself is quantized.

    Args:
        model: The ONNX model.
        output: Folder for ``saved_model/`` and ``model_float32.tflite``, or ``model_int8.tflite`` where the model is
            quantized; its SavedModel computes the rounding to its scales in float32.
        to: Which artifacts: ``tflite`` (needs no TensorFlow), ``saved_model``.
        io_layout: ``keep`` the model's own input and output layouts, or make 4-D and 5-D ones ``nhwc``.
        unroll: Write all steps of recurrent layers out; else those of few steps are, and the others become loops.
        targets: What the TFLite file is for, as ``--for`` takes it: of equal forms those for it are written
            (``forms.toml``); by default those for both CPUs.
        check_passes: Called after every step with the model, which is runnable.

    Raises:
        UnsupportedNodes: some nodes can't be lowered; all of them are listed and nothing is written.
        BadInput: the file is no valid ONNX model, or an option is unknown.
        NotAvailable: a SavedModel is asked for and TensorFlow isn't installed.
    """
    from ..formats.onnx.file import read_onnx

    _check_options(to, io_layout)
    path = model.path if isinstance(model, Artifact) else Path(model)
    chosen, plain = choose(targets, unroll=unroll), of_saved_models(unroll=unroll)
    result = Conversion(devices=(chosen if "tflite" in to else plain).devices)
    with _timed(result.seconds, "read"):
        graph = read_onnx(path, mapping=True)
    made = scheme = scheme_of(path)
    nodes, floats = len(graph.graph), _in_float(graph, hybrid=scheme == DYNAMIC)
    result.float_ops = floats
    with _timed(result.seconds, "prepare"):
        prepared = prepare(graph, io_layout=io_layout, forms=chosen, check=check_passes, where=str(path))
    result.passes, result.layout = prepared.passes, prepared.layout
    result.permutations = prepared.permutations
    result.nodes = (nodes, len(prepared.model.graph))
    if "tflite" in to:
        with _timed(result.seconds, "tflite"), atomic_file(output / scheme.file_name) as part:
            release = "saved_model" not in to
            inputs, outputs = build_tflite(
                prepared.model, part, release=release, forms=chosen, where=str(path), told=result.forms
            )
            if scheme != FLOAT32:
                made, stay = _use_integers(part, scheme, prepared.rounded if scheme == INT8 else ())
                result.float_ops = (*stay, *floats)
        if made != scheme:
            (output / scheme.file_name).replace(output / made.file_name)
        result.tflite = TFLiteModel(output / made.file_name, inputs, outputs, made.name)
    if "saved_model" in to:
        with _timed(result.seconds, "saved_model"), atomic_directory(output / "saved_model") as part:
            told = None if result.forms else result.forms
            inputs, outputs = build_saved_model(prepared.model, part, forms=plain, where=str(path), told=told)
        result.saved_model = SavedModel(output / "saved_model", inputs, outputs)
    return result


def prepare(
    model: ir.Model,
    *,
    io_layout: str = "keep",
    forms: Forms | None = None,
    check: Check | None = None,
    where: str | None = None,
) -> Prepared:
    """Run passes, layout and preflight on ``model``, in place.

    Raises:
        UnsupportedNodes: some nodes can't be lowered; all of them are listed.
    """
    from .layout import to_channels_last
    from .lowering import is_lowered, layout_rules, preflight
    from .passes import run_passes

    try:
        passes = run_passes(model, is_lowered=is_lowered, check=check)
    except BadInput as error:
        error.where = ": ".join(filter(None, (where, error.where)))
        raise
    rounded = _rounded(model, passes)
    layout = to_channels_last(model, layout_rules(), io_layout=io_layout)
    if check:
        check(model, "layout")
    unsupported = preflight(model, forms=forms)
    if unsupported:
        raise UnsupportedNodes(unsupported, where=where)
    permutations = {n: tuple(p) for n, p in layout.permutations.items() if p}
    return Prepared(model, passes, layout, permutations, rounded)


def operations(
    model: Artifact | Path,
    *,
    io_layout: str = "keep",
    unroll: bool = False,
    targets: Sequence[str] = (),
    where: str | None = None,
) -> list[Operation]:
    """The TFLite operators that an ONNX file will become, in float32; nothing is built. Arguments: see :func:`convert`.

    Raises:
        UnsupportedNodes: some nodes can't be lowered; all of them are listed.
        BadInput: the file is no valid ONNX model.
    """
    from ..formats.onnx.file import read_onnx
    from .lowering import recorded

    path = model.path if isinstance(model, Artifact) else Path(model)
    chosen = choose(targets, unroll=unroll)
    prepared = prepare(read_onnx(path), io_layout=io_layout, forms=chosen, where=where or str(path))
    return recorded(prepared.model, forms=chosen)


def build_tflite(
    model: ir.Model,
    path: Path,
    *,
    release: bool = False,
    forms: Forms | None = None,
    where: str | None = None,
    told: list[Form] | None = None,
) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """Write a prepared model as a TFLite flatbuffer; returns its signature's inputs and outputs.

    With ``release`` the model loses its weights on the way, which spares their memory. What its nodes became is added
    to ``told``.
    """
    from .builders.tflite import TfliteBuilder
    from .lowering import forms_written, graph_inputs, lower

    builder = TfliteBuilder(graph_inputs(model))
    outputs = lower(model, builder, builder.inputs, release=release, forms=forms, where=where)
    if told is not None:
        told += forms_written(model, builder)
    empty = [name for name, tensor in outputs if tensor.value is not None and tensor.value.size == 0]
    if empty:
        raise BadInput(
            f"the outputs {', '.join(map(repr, empty))} are constants without elements, which LiteRT can't hand out",
            where=where,
            remedy="take them out of the model's outputs, or give the inputs other sizes with --input",
        )
    builder.save(outputs, path)
    return _signature(model)


def _use_integers(path: Path, scheme: Scheme, rounded: Sequence[FloatOp]) -> tuple[Scheme, tuple[FloatOp, ...]]:
    """Put integer kernels into a file, where the scales in it allow them; returns what the file then computes in, what
    stays float, and why: ``float32`` where it rounds to the model's scales and no kernel computes in them."""
    from .integer import has_kernels, to_hybrid, to_integers, together

    content, kept = (to_hybrid if scheme == DYNAMIC else to_integers)(path.read_bytes())
    path.write_bytes(content)
    stay = together(kept, rounded)
    return (FLOAT32 if scheme == INT8 and stay and not has_kernels(content) else scheme), stay


def _rounded(model: ir.Model, passes: Sequence[PassReport]) -> tuple[FloatOp, ...]:
    """What no integer kernel can come of, by the graph."""
    from .integer import rounded_in_float

    reports = [p for p in passes if p.name in ("clip_real_numbers", "fuse_quantization")]
    return rounded_in_float(model, {r.node: r.reason for report in reports for r in report.refusals})


def _in_float(model: ir.Model, *, hybrid: bool) -> tuple[FloatOp, ...]:
    """Layers of integers that ``write_integer_ops`` writes as float ones, and that stay so.

    Args:
        model: As it was read.
        hybrid: Whether the file tells itself which of its layers stay float.
    """
    from ..formats.onnx.summary import COUNTED
    from .graph.reading import producer

    found = []
    for graph in () if hybrid else model.graphs():
        for node in graph:
            op, name = node.op_type, node.outputs[0].name or ""
            if op == "DynamicQuantizeLSTM":
                found.append(FloatOp("LSTM", name, "its scales are found at run time, by no kernel of TFLite's"))
            elif op in COUNTED and producer(node.inputs[0], "DynamicQuantizeLinear") is not None:
                why = (
                    "its weights have another zero point than TFLite's kernels take, so it is float, with its rounding"
                )
                found.append(FloatOp(op, name, why))
    return tuple(found)


def build_saved_model(
    model: ir.Model,
    path: Path,
    *,
    forms: Forms | None = None,
    where: str | None = None,
    told: list[Form] | None = None,
) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """Write a prepared model as a SavedModel into the folder ``path``; returns its signature. ``told``: as above."""
    from .builders.tensorflow import save_model
    from .lowering import forms_written, graph_inputs, lower

    def traced(builder: Builder, inputs: Sequence[Tensor]) -> list[tuple[str, Tensor]]:
        outputs = lower(model, builder, inputs, forms=forms or of_saved_models(), where=where)
        if told is not None:
            told.extend(forms_written(model, builder))
        return outputs

    save_model(graph_inputs(model), traced, path)
    return _signature(model)


def _signature(model: ir.Model) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    from .lowering import graph_inputs
    from .lowering.context import spec

    names = {name for name, _ in graph_inputs(model)}
    values = [v for v in model.graph.inputs if v.name in names], list(model.graph.outputs)
    described = [
        tuple(
            TensorSpec(
                str(value.name),
                spec(value).dtype,
                tuple(d if isinstance(d, int) else str(d) for d in value.shape or ()),
            )
            for value in side
        )
        for side in values
    ]
    return described[0], described[1]


def _check_options(to: Sequence[str], io_layout: str) -> None:
    unknown = [name for name in to if name not in CONVERTED]
    if unknown or not to:
        raise BadInput(
            f"unknown artifact {', '.join(unknown) or '(none given)'}",
            where="--to",
            remedy=f"use {' and '.join(CONVERTED)}, separated by commas",
        )
    if io_layout not in IO_LAYOUTS:
        raise BadInput(f"unknown layout {io_layout!r}", where="--io-layout", remedy=f"use {' or '.join(IO_LAYOUTS)}")


@contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[stage] = time.perf_counter() - start
