"""Inputs that are made constants: ``--bind sr=16000``."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..artifact import TensorSpec
from ..errors import BadInput, did_you_mean
from .torch_names import require_torch

if TYPE_CHECKING:
    import torch

    from ..artifact import Array

Value = bool | int | float
"""What an input may be bound to; a tensor input is filled with it."""


def check_names(bound: Mapping[str, Value], names: tuple[str, ...], others: bool) -> None:
    """Raise BadInput unless every bound name is one of the model's inputs."""
    unknown = [name for name in bound if name not in names and not others]
    if unknown:
        raise BadInput(
            f"the model has no input named {unknown[0]!r} to bind",
            where="--bind",
            details=[f"it has {name}" for name in names],
            remedy=did_you_mean(unknown[0], names) or "use the names of the model's own inputs",
        )


def filled(spec: TensorSpec, value: Value) -> Array:
    """The array that a bound input is; dynamic dimensions are 1.

    Raises:
        BadInput: the input's type can't hold the value.
    """
    array = np.full(spec.concrete_shape(), value)
    cast = array.astype(spec.dtype)
    exact = np.dtype(spec.dtype).kind == "f" or np.array_equal(cast, array)
    if not exact or not np.isfinite(cast.astype(np.float64)).all():
        raise BadInput(f"{spec} can't be {value!r}", where="--bind", remedy=f"give a number that {spec.dtype} can hold")
    return cast


def bind_keywords(module: torch.nn.Module, bound: Mapping[str, Value]) -> None:
    """Give these arguments of ``forward`` their values for good; it keeps the module's names and state."""
    forward: Any = module.forward
    module.forward = functools.partial(forward, **bound)


def bind_tensors(module: torch.nn.Module, names: tuple[str, ...], bound: Mapping[str, Array]) -> Any:
    """A module that takes the inputs left of ``names`` by position, and has the others fixed.

    For exported programs, whose ``forward`` can't be replaced.
    """
    torch = require_torch()

    class Bound(torch.nn.Module):  # type: ignore[name-defined, misc]  # torch is imported when it is needed
        def __init__(self) -> None:
            super().__init__()
            self.bound = module

        def forward(self, *tensors: Any) -> Any:
            given = iter(tensors)
            known = {n: torch.from_numpy(v) for n, v in bound.items()}
            return self.bound(*(known[name] if name in known else next(given) for name in names))

    made = Bound()
    made.training = False  # eval() would ask the program, which refuses
    return made
