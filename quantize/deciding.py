"""What each operator of a model computes in: by its device, by what the user says, and by what the samples showed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ..artifact import FloatOp
from ..devices import computes_integers_alone
from ..errors import CheckFailed
from ..formats.tflite import edit as fb
from ..schemes import get_scheme
from . import devices, engine, lookups
from .exclusion import decisions
from .islands import joined, picoseconds
from .kinds import ARITHMETIC, LAYERS, MIN_ELEMENTS
from .ranges import Observer, unfit_operators
from .recipe import FLOATS, Compute, Decision, Recipe

_JOINED = "a cast before and behind it would cost more than it gains"
_LEAST_PS = 20_000_000
"""Picoseconds that a whole model has to gain in float before it stays so."""

_ALL_FLOAT = "no layer is faster in int8 on {}: all compute in float32, and weights are {}; --device says for whom else"
_FASTER = "faster in float32, with its casts, on {}"


def decide(
    content: bytes, recipe: Recipe, modules: Mapping[str, str], observer: Observer | None
) -> tuple[dict[int, Decision], list[str]]:
    """Operators of the main graph that don't follow the scheme → what they compute in; and notes.

    The device's wish is the weakest, a rule of the recipe is stronger, and what int8 would ruin stays float whoever
    wants it. With ``full_integer`` only what has no integer form does, and the notes say what that costs.

    Args:
        content: The float model.
        recipe: Where it is resolved, it has the only say.
        modules: As in ``exclusion.decisions``.
        observer: What samples showed; None for a scheme without ranges.

    Raises:
        BadInput: a pattern matches nothing, or there is no such device.
    """
    scheme, model = get_scheme(recipe.scheme), fb.read(content)
    told = decisions(model, recipe, modules)
    if recipe.resolved:
        return told, []
    unfit = unfit_operators(observer, lossy=not recipe.full_integer) if observer else {}
    ruined = {index: Decision("float32", why) for index, why in unfit.items()}
    if recipe.device is None or computes_integers_alone(recipe.device):
        return told | ruined, []
    if recipe.full_integer:
        return told | ruined, devices.regrets(content, scheme, recipe.device)
    decided = devices.preferences(content, scheme, recipe.device) | told | ruined
    if observer is None:
        return decided, []
    more, whole = _joining(model, recipe, decided, devices.costs(content, scheme, recipe.device))
    decided |= {index: _in_float(model, index, recipe.device) for index in more}
    return decided, [_ALL_FLOAT.format(recipe.device, scheme.weights)] * whole


def _joining(
    model: Any, recipe: Recipe, decided: Mapping[int, Decision], costs: devices.Costs | None
) -> tuple[set[int], bool]:
    """What else is better in float than in integers; and whether that leaves no layer in integers."""
    floats = {index for index, d in decided.items() if d.compute in FLOATS} | _without_form(model, recipe)
    fixed = {index for index, d in decided.items() if d.compute not in FLOATS}
    float_io = recipe.io_dtype == "float32"
    more = joined(model, floats, fixed, costs, float_io=float_io)
    layers = {index for index, op in enumerate(model.subgraphs[0].operators) if fb.op_name(model, op) in LAYERS}
    if costs is None or not layers & more or not layers <= floats | more:
        return more, False
    usual = joined(model, floats, fixed)  # what a user would miss is the integers
    taken = [picoseconds(model, floats | some, costs, float_io=float_io) for some in (usual, more)]
    return (more, True) if taken[0] - taken[1] >= _LEAST_PS else (usual, False)


def joining(content: bytes, recipe: Recipe, decided: Mapping[int, Decision]) -> dict[int, Decision]:
    """What lies between operators that are float and is better so too; layers stay what they are.

    Args:
        content: The float model.
        recipe: Its device says what casts and operators take.
        decided: As of ``decide``, and more.
    """
    model = fb.read(content)
    floats = {index for index, d in decided.items() if d.compute in FLOATS} | _without_form(model, recipe)
    products = {i for i, op in enumerate(model.subgraphs[0].operators) if fb.op_name(model, op) in ARITHMETIC}
    fixed = {index for index, d in decided.items() if d.compute not in FLOATS} | (products - floats)
    costs = devices.costs(content, get_scheme(recipe.scheme), recipe.device) if recipe.device else None
    more = joined(model, floats, fixed, costs, float_io=recipe.io_dtype == "float32")
    return {index: Decision(in_float(model, index), _JOINED) for index in more}


def _in_float(model: Any, index: int, device: str) -> Decision:
    """A layer has integer weights all the same, where they are many, and a lookup such a table."""
    layer = fb.op_name(model, model.subgraphs[0].operators[index]) in LAYERS
    return Decision(in_float(model, index), _FASTER.format(device) if layer else _JOINED)


def in_float(model: Any, index: int) -> Compute:
    """What an operator of the main graph computes in that is to be float: with integer weights where it has many.

    They are unpacked when the file is loaded, so the file stays small and the operator as fast as in float. Of a table
    that rows are looked up in, those are unpacked that are asked for.
    """
    graph = model.subgraphs[0]
    op = graph.operators[index]
    if lookups.is_lookup(model, graph, op):
        return "weights"
    if fb.op_name(model, op) not in LAYERS:
        return "float32"
    weights = graph.tensors[op.inputs[1]]
    large = fb.is_constant(model, weights) and math.prod(weights.shape) >= MIN_ELEMENTS
    return "weights" if large else "float32"


def _without_form(model: Any, recipe: Recipe) -> set[int]:
    """Operators that the quantizer leaves in float by itself."""
    supported = engine.supported_operators(get_scheme(recipe.scheme))
    return {i for i, op in enumerate(model.subgraphs[0].operators) if fb.op_name(model, op) not in supported}


def require_integers(found: Sequence[FloatOp]) -> None:
    """Refuse a file with float operators.

    Raises:
        CheckFailed: there are some; names them.
    """
    if found:
        raise CheckFailed(
            f"{len(found)} operator{'s' if len(found) > 1 else ''} can't be integer",
            where="--full-integer",
            details=[f"{op.op} {op.name}: {op.reason}" for op in found],
            remedy="compute them by other operations, or outside of the model; or leave --full-integer out",
        )
