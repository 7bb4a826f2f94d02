"""Export to ONNX: the graph of a source, named as its code names things, and checked against it."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnx_ir as ir

from .. import files
from ..artifact import OnnxModel, TensorSpec
from ..errors import BadInput
from ..formats.onnx.file import parse, read_onnx, save_onnx, staged_onnx
from ..formats.onnx.names import output_names, pin, rename
from ..formats.onnx.summary import describe, summarize
from ..source.binding import filled
from ..source.example_inputs import dynamic_sizes, other_sizes, resized
from ..source.load import Source
from ..source.torch_names import flatten_outputs, require_torch, stamp
from ..source.variations import edges
from ..workers.scratch import Scratch
from .check import OutputError, check_export
from .errors import Exporter, explained, made_static
from .program import overloads_of_onnx
from .quantized_modules import is_packed, refuse_unfinished
from .quiet import quiet, silent_stdout
from .simplify import simplified

if TYPE_CHECKING:
    import torch

    from ..artifact import Array, Feeds


@dataclass(frozen=True)
class Export:
    """An exported model.

    Attributes:
        model: The file.
        exporter: ``dynamo`` or ``torchscript``; ``none`` where the source was ONNX already.
        opset: Of the default domain.
        notes: What a user should know about the way it went.
        check: Output name → its error in ONNX Runtime against the module; empty where there is no module.
    """

    model: OnnxModel
    exporter: str
    opset: int
    notes: tuple[str, ...]
    check: Mapping[str, OutputError]


def export_onnx(source: Source, output: Path, *, exporter: Exporter = "dynamo", opset: int | None = None) -> Export:
    """Export ``source`` to the file ``output`` and run it in ONNX Runtime against the module.

    Every node has its PyTorch module path and source line in its metadata (``MODULE_KEY``, ``SOURCE_KEY``).
    Two exports of one source are equal byte by byte. An ONNX source is checked and copied.

    Args:
        source: What ``load_source`` made.
        output: The ``.onnx`` file to write; weights above ``formats.onnx.file.EXTERNAL_FROM`` go to ``output.data``.
        exporter: PyTorch's exporter; a TorchScript source always takes ``torchscript``.
        opset: ONNX opset; the exporter's own default without.

    Raises:
        BadInput: the module can't run on its inputs, is random, can't be exported, or not with these dynamic
            dimensions.
        CheckFailed: the exported graph computes something else than the module.
        RuntimeFailure: ONNX Runtime can't run the exported graph.
    """
    if source.kind == "onnx":
        return _copy(source, output, opset)
    notes = list(source.notes)
    if source.kind == "torchscript" and exporter == "dynamo":
        exporter = "torchscript"
        notes.append("TorchScript files can't go through torch.export: the TorchScript exporter was used")
    if source.module is not None:
        refuse_unfinished(source.module, source.spec)
    if exporter == "dynamo" and source.module is not None and is_packed(source.module):
        exporter = "torchscript"
        notes.append("torch.export doesn't take modules of torch.ao.nn.quantized: the TorchScript exporter was used")
    if source.kind == "exported_program" and exporter == "torchscript":
        raise BadInput(
            "the TorchScript exporter doesn't take exported programs",
            where=source.spec,
            remedy="leave --exporter torchscript out, or give the module's factory as the source",
        )
    outputs = source.run(source.examples)
    wanted = dict(zip(output_names(outputs, source.inputs), outputs.values(), strict=True))
    model, warned = _graph(source, exporter, opset, list(wanted))
    used = {value.name for value in model.graph.inputs}
    notes += warned
    notes += [f"the model doesn't use its input {s.name!r}" for s in source.inputs if s.name not in used]
    made = model.opset_imports[""]
    with staged_onnx(model, output) as whole:
        check, more = _check(source, whole, wanted, traced=exporter == "torchscript", hints=warned)
    return Export(describe(output), exporter, made, (*notes, *more), check)


def _graph(source: Source, exporter: Exporter, opset: int | None, outputs: Sequence[str]) -> tuple[ir.Model, list[str]]:
    """The exported graph under the model's own names, and what the tracer warned of."""
    # Extents of 1 are raised for tracing: PyTorch may take them for broadcasting.
    sizes = dynamic_sizes(source.inputs, source.examples)
    feeds = resized(source.inputs, source.examples, {dim: max(2, n) for dim, n in sizes.items()})
    with quiet() as warned, explained(source, exporter), overloads_of_onnx():
        make = _export_dynamo if exporter == "dynamo" else _export_torchscript
        model = make(source, feeds, opset)
    rename(model, [s.name for s in source.inputs], outputs)
    _check_dynamic(model, source)
    pin(model, source.inputs)
    stamp(model)
    made = model.opset_imports[""]
    if opset is not None and made != opset:
        raise BadInput(
            f"the exporter made opset {made}, not {opset}: this graph can't be put in opset {opset}",
            where=source.spec,
            remedy=f"take --opset {made}, or try --exporter torchscript",
        )
    return model, warned


def _copy(source: Source, output: Path, opset: int | None) -> Export:
    path = source.path
    if path is None:
        raise BadInput(
            "this source has no file", where=source.spec, remedy="give the ONNX file itself, or a PyTorch model"
        )
    model = read_onnx(path)
    made = model.opset_imports.get("", 0)
    if opset is not None and opset != made:
        raise BadInput(
            f"the file is of opset {made}; edgeworthy doesn't change the opset of ONNX files",
            where=str(path),
            remedy="leave --opset out, or export the PyTorch model again with the opset you want",
        )
    if source.bound:
        _bind(model, source)
    in_place, file = path.resolve() == output.resolve(), summarize(path)
    changed = pin(model, source.inputs) or bool(source.bound)
    if changed or ((file.external or file.notes) and not in_place):
        if in_place:
            raise BadInput(
                "the model would be overwritten by one with other inputs or shapes",
                where=str(path),
                remedy="choose another folder with --output, or leave --input and --bind out",
            )
        save_onnx(model, output)
    elif not in_place:
        with files.atomic_file(output) as part:
            shutil.copyfile(path, part)
    return Export(describe(output), "none", made, tuple(source.notes), {})


def _bind(model: ir.Model, source: Source) -> None:
    """Make bound inputs initializers; the passes take the branch of an ``If`` that depends on them alone."""
    for value in [v for v in model.graph.inputs if v.name in source.bound]:
        dims = tuple(d if isinstance(d, int) else 1 for d in value.shape or ())
        dtype = ir.DataType.FLOAT if value.dtype is None else value.dtype
        spec = TensorSpec(str(value.name), dtype.numpy().name, dims)
        model.graph.inputs.remove(value)
        value.const_value, value.shape = (
            ir.tensor(filled(spec, source.bound[spec.name]), name=spec.name),
            ir.Shape(dims),
        )
        model.graph.register_initializer(value)


def _export_dynamo(source: Source, feeds: Feeds, opset: int | None) -> ir.Model:
    torch = require_torch()
    args, kwargs = source.arguments(feeds)
    # The exporter's optimizer takes Add(x, c) for x where |c| ≤ 1e-8, and Mul(x, c) where c is within 1e-5 of 1.
    options: dict[str, Any] = {"dynamo": True, "verbose": False, "opset_version": opset, "optimize": False}
    module = source.module
    if source.program is not None or module is None:
        return simplified(torch.onnx.export(source.program, **options).model)
    axes = _dynamic_axes(source)
    # Bound like the arguments: what forward takes as *args and **kwargs is nested in them.
    shapes = inspect.signature(module.forward).bind(
        *(axes[name] for name in source.positional), **{name: axes[name] for name in kwargs}
    )
    program = torch.onnx.export(
        module,
        args,
        kwargs=kwargs,
        dynamic_shapes=shapes.arguments if any(axes.values()) else None,
        **options,
    )
    return simplified(program.model)


def _export_torchscript(source: Source, feeds: Feeds, opset: int | None) -> ir.Model:
    torch = require_torch()
    args, kwargs = source.arguments(feeds)
    with Scratch() as folder:
        path = Path(folder, "model.onnx")
        # Provenance is only written by a verbose export, which prints the graph as well, from C++.
        with silent_stdout(), _plain_forward(source):
            torch.onnx.export(
                source.module,
                (*args, *kwargs.values()),
                path,
                dynamo=False,
                verbose=True,
                input_names=[s.name for s in source.inputs],
                dynamic_axes={name: axes for name, axes in _dynamic_axes(source).items() if axes},
                opset_version=opset,
            )
        _tell_outputs_apart(path)
        return read_onnx(path)


def _tell_outputs_apart(path: Path) -> None:
    """The tracer makes two outputs of one name of a tensor that is returned twice, which no graph may have."""
    names = [value.name for value in parse(path)[0].graph.output]
    if len(set(names)) == len(names):
        return
    proto = onnx.load(path, load_external_data=False)
    for index, value in enumerate(proto.graph.output):
        if value.name in names[:index]:
            copy = f"{value.name}/{index}"
            proto.graph.node.append(onnx.helper.make_node("Identity", [value.name], [copy], name=copy))
            value.name = copy
    onnx.save(proto, path)


@contextmanager
def _plain_forward(source: Source) -> Iterator[None]:
    """Meanwhile ``forward`` takes all inputs by position and returns a tuple of tensors, as the tracer wants."""
    module = source.module
    if module is None or source.kind != "module":
        yield
        return
    forward: Any = module.forward
    names = [s.name for s in source.inputs if s.name not in source.positional]

    def plain(*tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        count = len(source.positional)
        result = forward(*tensors[:count], **dict(zip(names, tensors[count:], strict=True)))
        return tuple(flatten_outputs(result).values())

    own = vars(module).get("forward")
    module.forward = plain
    try:
        yield
    finally:
        del module.forward
        if own is not None:
            module.forward = own


def _dynamic_axes(source: Source) -> dict[str, dict[int, str]]:
    return {s.name: {a: d for a, d in enumerate(s.shape) if isinstance(d, str)} for s in source.inputs}


def _check_dynamic(model: ir.Model, source: Source) -> None:
    """A dimension that was asked to be dynamic is."""
    values = {value.name: value for value in model.graph.inputs}
    for spec in source.inputs:
        shape = values[spec.name].shape if spec.name in values else None
        for axis, dim in enumerate(spec.shape):
            if isinstance(dim, str) and shape is not None and isinstance(shape[axis], int):
                raise made_static(spec.name, axis, dim, str(shape[axis]))


def _check(
    source: Source, model: Path, wanted: Mapping[str, Array], *, traced: bool, hints: Sequence[str]
) -> tuple[dict[str, OutputError], list[str]]:
    """Compare with the module on the examples and, if there are dynamic dimensions, at another size."""
    feeds, references, notes = [source.examples], [wanted], []

    def run(inputs: Feeds) -> dict[str, Array] | None:
        try:
            return dict(zip(wanted, source.run(inputs).values(), strict=True))
        except BadInput:
            return None

    def add(inputs: Feeds) -> bool:
        result = run(inputs)
        if result is not None:
            feeds.append(dict(inputs))
            references.append(result)
        return result is not None

    sizes = other_sizes(source.inputs, source.examples)
    if sizes and not any(add(resized(source.inputs, source.examples, other)) for other in sizes):
        notes.append("the dynamic dimensions could not be checked: the module raises at other sizes")
    if traced:  # a trace holds one side of each branch: other values may take the other
        add({n: np.negative(a) if a.dtype.kind == "f" else a for n, a in source.examples.items()})

    def floor(inputs: Feeds) -> dict[str, Array] | None:
        _refuse_random(source, inputs)
        truth = _in_float64(source, inputs)
        return None if truth is None else dict(zip(wanted, truth.values(), strict=True))

    at_edges = {n: (at, want) for n, at in edges(source.examples).items() if (want := run(at)) is not None}
    rounds = summarize(model).quantizes or summarize(model).ranged
    checked = check_export(model, feeds, references, floor=floor, edges=at_edges, hints=hints, rounds=rounds)
    return checked, notes


def _refuse_random(source: Source, feeds: Feeds) -> None:
    first, second = source.run(feeds), source.run(feeds)
    random = [name for name in first if not np.array_equal(first[name], second[name], equal_nan=True)]
    if random:
        raise BadInput(
            f"the module's output {random[0]!r} is random: two runs on the same inputs differ",
            where=source.spec,
            remedy="make what forward draws at random an input of the model, or leave it out in eval mode",
        )


def _in_float64(source: Source, feeds: Feeds) -> dict[str, Array] | None:
    """The module's outputs in float64; None if it can't be copied or run so."""
    if source.kind != "module" or source.module is None:
        return None
    doubles = {n: a.astype(np.float64) if a.dtype.kind == "f" else a for n, a in feeds.items()}
    try:
        return dataclasses.replace(source, module=copy.deepcopy(source.module).double()).run(doubles)
    except (BadInput, RuntimeError, TypeError):
        return None
