"""Sources: whatever a user may name as a model, loaded and ready to be exported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ..artifact import DTYPES, TensorSpec
from ..errors import BadInput
from ..formats.saved_model import none_in
from ..vocabulary import ConvertedKind
from . import model_files, torch_files
from .binding import Value, bind_keywords, bind_tensors, check_names, filled
from .example_inputs import Accepted, dynamic_sizes, resized, resolve
from .factories import from_python, seeded, user_code
from .modules import array_of, check_weights, examples_of, prepare, signature, trains
from .torch_names import flatten_outputs, require_torch
from .zoos import from_zoo

if TYPE_CHECKING:
    import torch

    from ..artifact import Array, Feeds

SourceKind = Literal["module", "onnx", "exported_program", "torchscript", "tflite", "saved_model"]

FORMS = (
    "model.onnx, model.pt2 (torch.export) or model.ts.pt (TorchScript)",
    "model.tflite or the folder of a SavedModel",
    "file.py:factory or package.module:factory",
    "sample:NAME, torchvision:NAME, timm:NAME, hf:CONFIG-OR-DIR",
    "lightning:package.module:Class@file.ckpt",
)
"""What a source may look like, for messages."""

_OWN_WEIGHTS = ("onnx", "exported_program", "torchscript", "tflite", "saved_model")
"""Kinds that weights can't be loaded into."""

_CANT_BIND: dict[SourceKind, tuple[str, str]] = {
    "torchscript": (
        "TorchScript file",
        "export it to ONNX first (edgeworthy export) and bind the input of that file, or use a factory",
    ),
    "tflite": ("TFLite file", "bind it in the model that the file was made from"),
    "saved_model": ("SavedModel", "bind it in the model that it was made from"),
}
"""Kind → what it is called, and what to do instead."""


@dataclass
class Source:
    """A model as the user named it.

    Attributes:
        spec: What the user wrote.
        kind: What it is.
        module: The module in eval mode on the CPU; None for an ONNX or TFLite file and a SavedModel.
        path: The file or folder, if the source is one.
        inputs: Its inputs, in order; named dimensions are dynamic.
        examples: One value for each input, dynamic dimensions made concrete.
        notes: What was done to the model on the way.
        program: The exported program that ``module`` is made from, if it is one.
        positional: The inputs that ``module`` takes by position; the others go by keyword.
        given: The inputs whose examples somebody gave; those of the others are generated.
        bound: Inputs of the model that were made constants, and are none of ``inputs`` any more.
    """

    spec: str
    kind: SourceKind
    module: torch.nn.Module | None
    path: Path | None
    inputs: tuple[TensorSpec, ...]
    examples: dict[str, Array]
    notes: list[str] = field(default_factory=list)
    program: torch.export.ExportedProgram | None = None
    positional: tuple[str, ...] = ()
    given: frozenset[str] = frozenset()
    bound: Mapping[str, Value] = field(default_factory=dict)

    def arguments(self, feeds: Feeds) -> tuple[tuple[torch.Tensor, ...], dict[str, torch.Tensor]]:
        """``feeds`` as the positional and keyword arguments of the module."""
        torch = require_torch()
        tensors = {s.name: torch.from_numpy(np.array(feeds[s.name])) for s in self.inputs}
        args = tuple(tensors.pop(name) for name in self.positional)
        return args, tensors

    def run(self, feeds: Feeds) -> dict[str, Array]:
        """Run the module once, without gradients; returns output name → array.

        Raises:
            BadInput: the module raised, or returned something else than tensors.
        """
        torch = require_torch()
        if self.module is None:
            raise BadInput(
                "this source is no PyTorch module",
                where=self.spec,
                remedy="give the PyTorch model that it was exported from",
            )
        args, kwargs = self.arguments(feeds)
        shapes = ", ".join(f"{name}:{v.dtype}{list(v.shape)}" for name, v in feeds.items())
        what = f"the model can't run on {shapes}"
        with torch.no_grad(), user_code(self.spec, what, "give inputs of the shapes and types it takes"):
            result = self.module(*args, **kwargs)
        return {name: array_of(name, tensor, self.spec) for name, tensor in flatten_outputs(result, self.spec).items()}


def load_source(
    spec: str,
    *,
    weights: Path | None = None,
    weights_key: str | None = None,
    bind: Mapping[str, Value] | None = None,
    inputs: Sequence[str] = (),
    inputs_file: Path | None = None,
    seed: int = 0,
) -> Source:
    """Load a source (see ``FORMS``) and settle its inputs.

    Args:
        spec: The source.
        weights: A ``.safetensors`` file or a checkpoint of plain tensors to load into the module.
        weights_key: Where in that checkpoint they are, as in ``ema``; see ``checkpoints.chosen``.
        bind: Input → value: it becomes a constant, and an ``If`` on it the branch that it takes.
        inputs: ``name:dtype[dims]``, as ``--input`` takes them.
        inputs_file: An ``.npz`` with a value for each input.
        seed: Of random weights and of generated inputs.

    Raises:
        BadInput: the source, its weights or its inputs can't be used.
        NotAvailable: a package it needs isn't installed.
    """
    path = Path(spec)
    converted = model_files.converted_kind(path)
    kind = converted or (torch_files.file_kind(path) if path.is_file() or ":" not in spec else None)
    if kind in _OWN_WEIGHTS and weights is not None:
        raise BadInput(
            "--weights goes with a factory; this file has its own weights",
            where=spec,
            remedy="leave --weights out, or give file.py:factory as the source",
        )
    if weights_key is not None and weights is None:
        raise BadInput("there are no weights that the key could be in", where="--weights-key", remedy="give --weights")
    if kind == "checkpoint" and path.is_file():
        raise BadInput(
            "this file is a checkpoint: weights without the model's code",
            where=spec,
            remedy=f"write a factory and give both: file.py:factory --weights {spec}",
        )
    if kind == "onnx":
        source, accepted = _onnx(spec, path)
    elif kind == "exported_program":
        source, accepted = _exported_program(spec, path)
    elif kind == "torchscript":
        source, accepted = _torchscript(spec, path)
    elif converted is not None:
        source, accepted = _converted(spec, converted, path)
    else:
        source, accepted = _module(spec, weights, weights_key, seed)
    return _settled(source, _bind(source, accepted, bind or {}), inputs, inputs_file, seed)


def from_module(
    module: torch.nn.Module,
    spec: str,
    examples: object = None,
    *,
    inputs: Sequence[str] = (),
    inputs_file: Path | None = None,
    seed: int = 0,
) -> Source:
    """A module that is in memory as a source; it is put in eval mode on the CPU.

    Args:
        module: The model.
        spec: What to call it.
        examples: Example inputs: a tensor, a tuple or a dict of tensors, or a function that gives them.
        inputs: As in ``load_source``; so are the other arguments and the errors.
    """
    source, accepted = _of_module(module, examples, spec, prepare(module, spec), seed)
    return _settled(source, accepted, inputs, inputs_file, seed)


def _settled(source: Source, accepted: Accepted, inputs: Sequence[str], inputs_file: Path | None, seed: int) -> Source:
    """``source`` with its inputs and their examples."""
    source.inputs, source.examples, source.given = resolve(
        accepted, specs=inputs, file=inputs_file, own=source.examples, seed=seed, where=source.spec
    )
    names = [s.name for s in source.inputs]
    star = accepted.starred and not accepted.names
    source.positional = tuple(name for name in names if star or name in source.positional)
    return source


def timed_examples(source: Source) -> dict[str, Array]:
    """The examples with a batch of 1 instead of a generated one, which is larger for the sake of checks."""
    fixed = dynamic_sizes((s for s in source.inputs if s.name in source.given), source.examples)
    batches = {s.shape[0] for s in source.inputs if s.shape and isinstance(s.shape[0], str)} - set(fixed)
    return resized(source.inputs, source.examples, {dim: 1 for dim in batches if isinstance(dim, str)})


def _bind(source: Source, accepted: Accepted, bound: Mapping[str, Value]) -> Accepted:
    """Make inputs constants; returns what the model takes then."""
    if not bound:
        return accepted
    check_names(bound, accepted.names, accepted.others)
    specs = {spec.name: spec for spec in accepted.specs}
    fixed = {name: filled(specs[name], value) for name, value in bound.items() if name in specs}
    if source.kind in _CANT_BIND:
        what, remedy = _CANT_BIND[source.kind]
        raise BadInput(f"an input of a {what} can't be bound", where="--bind", remedy=remedy)
    if source.kind == "module" and source.module is not None:
        bind_keywords(source.module, bound)
    elif source.module is not None:
        source.module = bind_tensors(source.module, accepted.names, fixed)
        source.program = None
    source.bound = dict(bound)
    source.examples = {name: value for name, value in source.examples.items() if name not in bound}
    source.positional = tuple(name for name in source.positional if name not in bound)
    source.notes += [f"the input {name!r} is bound to {value!r}" for name, value in bound.items()]
    return Accepted(
        tuple(name for name in accepted.names if name not in bound),
        tuple(name for name in accepted.required if name not in bound),
        tuple(spec for spec in accepted.specs if spec.name not in bound),
        accepted.others,
        accepted.starred,
    )


def _onnx(spec: str, path: Path) -> tuple[Source, Accepted]:
    from ..formats.onnx.summary import summarize

    summary = summarize(path)
    model = summary.model
    strange = [str(s) for s in (*model.inputs, *model.outputs) if s.dtype not in DTYPES]
    if strange:
        raise BadInput(
            "the model has inputs or outputs of a type that isn't supported",
            where=spec,
            details=strange,
            remedy=f"leave what makes or takes them out of the exported graph; supported are {', '.join(DTYPES)}",
        )
    names = tuple(s.name for s in model.inputs)
    source = Source(spec, "onnx", None, path, model.inputs, {}, list(summary.notes))
    return source, Accepted(names, names, model.inputs)


def _converted(spec: str, kind: ConvertedKind, path: Path) -> tuple[Source, Accepted]:
    found = model_files.read(path)
    names = tuple(s.name for s in found.inputs)
    return Source(spec, kind, None, path, found.inputs, {}, list(found.notes)), Accepted(names, names, found.inputs)


def _exported_program(spec: str, path: Path) -> tuple[Source, Accepted]:
    program = torch_files.load_exported_program(path)
    specs = torch_files.program_inputs(program, path)
    names = tuple(s.name for s in specs)
    module = program.module()
    check_weights(module, spec)
    arguments = program.call_spec.in_spec.children() if program.call_spec.in_spec else []
    count = arguments[0].num_leaves if arguments else len(names)
    examples = torch_files.program_examples(program)
    source = Source(spec, "exported_program", module, path, specs, examples, program=program)
    source.positional = names[:count]
    if trains(program):
        raise BadInput(
            "the program was exported in training mode: its dropout or batch normalization still trains",
            where=spec,
            remedy="call model.eval() before torch.export.export",
        )
    return source, Accepted(names, names, specs)


def _torchscript(spec: str, path: Path) -> tuple[Source, Accepted]:
    module = torch_files.load_torchscript(path)
    notes = prepare(module, spec)
    schema: Any = module.forward.schema  # type: ignore[attr-defined]  # of a ScriptMethod
    arguments = schema.arguments[1:]  # the first is the module itself
    names = tuple(a.name for a in arguments)
    required = tuple(a.name for a in arguments if not a.has_default_value())
    source = Source(spec, "torchscript", module, path, (), {}, notes, positional=names)
    return source, Accepted(names, required)


def _module(spec: str, weights: Path | None, key: str | None, seed: int) -> tuple[Source, Accepted]:
    made = from_zoo(spec, pretrained=weights is None, seed=seed)
    if made is None and spec.endswith(".py"):
        raise BadInput(
            "the source names a Python file and no factory",
            where=spec,
            remedy=f"name the function or class in it that makes the model, as in {spec}:make",
        )
    if made is None and ":" not in spec and Path(spec).is_dir():
        raise none_in(Path(spec))
    if made is None and ":" not in spec:
        missing = Path(spec).suffix and not Path(spec).exists()
        raise BadInput(
            "no such file" if missing else "this is not a source that edgeworthy knows",
            where=spec,
            details=FORMS,
            remedy="check the path" if missing else "name the model in one of these forms",
        )
    module, examples, notes = made if made is not None else (*from_python(spec, seed), [])
    if weights is not None:
        notes += torch_files.load_weights(module, weights, key)
    notes += prepare(module, spec if weights is None else str(weights))
    return _of_module(module, examples, spec, notes, seed)


def _of_module(
    module: torch.nn.Module, examples: object, spec: str, notes: list[str], seed: int
) -> tuple[Source, Accepted]:
    source = Source(spec, "module", module, None, (), {}, notes)
    accepted, source.positional = signature(module)
    with seeded(seed):
        source.examples = examples_of(examples, accepted, spec)
    return source, accepted
