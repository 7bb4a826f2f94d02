"""A PyTorch module made ready: on the CPU, in eval mode, with weights that are numbers; what it takes, and gives."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from ..errors import BadInput
from .example_inputs import Accepted
from .factories import user_code

if TYPE_CHECKING:
    import torch

    from ..artifact import Array

_SHOWN = 10


def prepare(module: torch.nn.Module, where: str) -> list[str]:
    """Put the module on the CPU and in eval mode, and refuse weights that aren't numbers."""
    notes = []
    # A quantized module's state holds dtypes and schemes as well.
    if any(getattr(tensor, "is_meta", False) for tensor in module.state_dict().values()):
        raise BadInput(
            "the module's weights are on the 'meta' device: there are none",
            where=where,
            remedy="make the module on the CPU, or load its weights in the factory",
        )
    module.cpu()
    if any(part.training for part in module.modules()):
        try:
            module.eval()
            notes.append("the model was in training mode; it was switched to eval")
        except NotImplementedError:  # a graph that torch.export made, as PT2E's are, has what it was traced with
            notes.append("the model is a graph that torch.export made: it is in the mode that it was exported in")
    check_weights(module, where)
    return notes


def check_weights(module: torch.nn.Module, where: str) -> None:
    """Buffers may be infinite (attention masks are), but never NaN."""
    bad = [name for name, p in module.named_parameters() if not p.isfinite().all()]
    bad += [name for name, b in module.named_buffers() if b.isnan().any()]
    if bad:
        more = [f"… and {len(bad) - _SHOWN} more"] if len(bad) > _SHOWN else []
        raise BadInput(
            f"{len(bad)} weight{'s' if len(bad) > 1 else ''} of the model {'are' if len(bad) > 1 else 'is'} "
            "not finite (NaN or infinity)",
            where=where,
            details=[*bad[:_SHOWN], *more],
            remedy="the training diverged, or the file is damaged: take a good checkpoint",
        )


def trains(program: torch.export.ExportedProgram) -> bool:
    """Whether dropout or batch normalization was traced with its ``training`` argument true."""
    position = {"aten.dropout.default": 2, "aten.batch_norm.default": 5}
    for node in program.graph.nodes:
        index = position.get(str(node.target))
        if index is not None and len(node.args) > index and node.args[index] is True:
            return True
    return False


def signature(module: torch.nn.Module) -> tuple[Accepted, tuple[str, ...]]:
    """What ``forward`` takes, and which of it by position."""
    kinds = inspect.Parameter
    parameters = list(inspect.signature(module.forward).parameters.values())
    named = [p for p in parameters if p.kind not in (kinds.VAR_POSITIONAL, kinds.VAR_KEYWORD)]
    names = tuple(p.name for p in named)
    required = tuple(p.name for p in named if p.default is p.empty)
    positional = tuple(p.name for p in named if p.kind is kinds.POSITIONAL_ONLY)
    starred = any(p.kind is kinds.VAR_POSITIONAL for p in parameters)
    return Accepted(names, required, others=len(named) < len(parameters), starred=starred), positional


def examples_of(value: object, accepted: Accepted, spec: str) -> dict[str, Array]:
    """A factory's ``example_inputs`` as name → array; those without a name get ``forward``'s, in order."""
    import torch

    if callable(value) and not isinstance(value, torch.Tensor):
        produce: Callable[[], object] = value
        with user_code(spec, "example_inputs() raised"):
            value = produce()
    if value is None:
        return {}
    if isinstance(value, Mapping):
        return {str(name): array_of(str(name), item, spec) for name, item in value.items()}
    items = list(value) if isinstance(value, (tuple, list)) else [value]
    names = accepted.names or tuple(f"input_{i}" for i in range(len(items)))
    if len(items) > len(names):
        raise BadInput(
            f"example_inputs has {len(items)} values, but forward takes {len(names)}",
            where=spec,
            remedy="give example_inputs as a dict of input name and tensor",
        )
    return {name: array_of(name, item, spec) for name, item in zip(names, items, strict=False)}


def array_of(name: str, value: object, where: str) -> Array:
    import torch

    if isinstance(value, np.ndarray):
        return value
    if isinstance(value, torch.Tensor) and value.layout == torch.strided:
        tensor = value.detach().cpu()
        # numpy has no bfloat16
        array: Array = (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()
        return array
    raise BadInput(
        f"{name!r} is a {type(value).__name__}, not a dense tensor",
        where=where,
        remedy="models take and return dense tensors; a module around the model can make the rest",
    )
