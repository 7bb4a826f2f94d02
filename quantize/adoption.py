"""Another engine's file of the same model: its inputs and outputs become what ours are called, in our order."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from ..formats.saved_model import argument_names
from .running import input_tensors, output_tensors


def align(theirs: Any, ours: Any) -> None:
    """Give a ``ModelT`` the signature of another, in place.

    Args:
        theirs: Made from the SavedModel, whose inputs are called as ``argument_names`` says.
        ours: The float model that was made with it.

    Raises:
        ValueError: an input or output is missing, or of another shape.
    """
    graph = theirs.subgraphs[0]
    wanted = input_tensors(ours)
    inputs = _found(theirs, ours, input_tensors(theirs), wanted, argument_names(wanted))
    ends = output_tensors(ours)
    outputs = _found(theirs, ours, output_tensors(theirs), ends, {name: name for name in ends})
    mine = ours.subgraphs[0]
    graph.inputs, graph.outputs = _ordered(inputs, wanted, mine.inputs), _ordered(outputs, ends, mine.outputs)
    theirs.signatureDefs = copy.deepcopy(ours.signatureDefs)
    for signature in theirs.signatureDefs or []:
        for entries, indices in ((signature.inputs, inputs), (signature.outputs, outputs)):
            for entry in entries:
                entry.tensorIndex = indices[entry.name.decode()]


def _found(
    theirs: Any, ours: Any, there: Mapping[str, int], wanted: Mapping[str, int], names: Mapping[str, str]
) -> dict[str, int]:
    """Our name → their tensor; ``names``: our name → theirs."""
    missing = [name for name in wanted if names[name] not in there]
    if missing or len(there) != len(wanted):
        raise ValueError(f"it has {', '.join(there) or 'nothing'} where the model has {', '.join(wanted)}")
    found = {name: there[names[name]] for name in wanted}
    for name, index in found.items():
        got, want = _shape(theirs, index), _shape(ours, wanted[name])
        if len(got) != len(want) or any(a != b for a, b in zip(got, want, strict=True) if min(a, b) > 0):
            raise ValueError(f"{name!r} has shape {got} where the model has {want}")
    return found


def _ordered(theirs: Mapping[str, int], ours: Mapping[str, int], order: Sequence[int]) -> list[int]:
    """Their tensors in the order that our graph has; a signature may have another."""
    names = {index: name for name, index in ours.items()}
    return [theirs[names[int(index)]] for index in order]


def _shape(model: Any, index: int) -> Sequence[int]:
    """-1 stands for a dynamic dimension."""
    tensor = model.subgraphs[0].tensors[index]
    shape = tensor.shape if tensor.shapeSignature is None else tensor.shapeSignature
    return [] if shape is None else [int(extent) for extent in shape]
