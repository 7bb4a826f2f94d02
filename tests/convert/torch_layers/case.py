"""What a case is, a PyTorch module and inputs for it, and what can become of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import numpy as np
import torch
from torch import nn

Array = np.ndarray[Any, Any]
Draw = Callable[[np.random.Generator], Array]
"""Draws one input."""

ARTIFACTS = {"tflite": "tflite", "saved_model": "tensorflow"}
"""Artifact → the target that runs it."""


@dataclass(frozen=True)
class Outcome:
    """What became of one case on one artifact; ``floors`` is its error in floors of PyTorch's own error."""

    status: str
    detail: str = ""
    floors: float = 0.0


Outcomes = dict[tuple[str, str], Outcome]
"""(case, artifact) → outcome."""


@dataclass(frozen=True)
class Case:
    """One module and its inputs.

    Attributes:
        make: Makes the module; run under a seed of the case's own.
        inputs: What draws each input, in the order of ``forward``.
        dynamic: Input → axis → name of a dynamic dimension; such a case is exported on its own.
        other: Draws inputs of other extents, for the dynamic ones.
    """

    name: str
    make: Callable[[], nn.Module]
    inputs: tuple[Draw, ...]
    dynamic: tuple[dict[int, str], ...] = ()
    other: tuple[Draw, ...] = ()

    @property
    def seed(self) -> int:
        return crc32(self.name.encode())

    def module(self) -> nn.Module:
        """The module in eval mode, with parameters and statistics that aren't those it is born with."""
        torch.manual_seed(self.seed)
        made = self.make().eval()
        with torch.no_grad():
            for name, buffer in made.named_buffers():
                if name.endswith("running_mean"):
                    buffer.normal_()
                elif name.endswith("running_var"):
                    buffer.uniform_(0.5, 2)
            for module in made.modules():
                if "Norm" in type(module).__name__:
                    for parameter in module.parameters():
                        parameter.normal_()
        return made

    def draw(self) -> list[tuple[Array, ...]]:
        """The sets of inputs to compare on."""
        rng = np.random.default_rng(self.seed)
        return [tuple(d(rng) for d in draws) for draws in (self.inputs, self.other) if draws]


class Function(nn.Module):
    """A function of tensors as a module; ``held`` tensors become buffers and come first."""

    def __init__(self, function: Callable[..., Any], held: Sequence[torch.Tensor] = ()) -> None:
        super().__init__()
        self._function = function
        self._held = len(held)
        for i, tensor in enumerate(held):
            self.register_buffer(f"held_{i}", tensor)

    def forward(self, *inputs: torch.Tensor) -> Any:
        return self._function(*(getattr(self, f"held_{i}") for i in range(self._held)), *inputs)


class First(nn.Module):
    """The first output of a module."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.inner(*inputs)[0]
        return result


def layer(name: str, make: Callable[[], nn.Module], *inputs: Draw, **more: Any) -> Case:
    """A case of a module."""
    return Case(name, make, inputs, **more)


def function(name: str, of: Callable[..., Any], *inputs: Draw, held: Sequence[torch.Tensor] = (), **more: Any) -> Case:
    """A case of a function of tensors."""
    return Case(name, lambda: Function(of, held), inputs, **more)


def normal(*shape: int, dtype: str = "float32") -> Draw:
    return lambda rng: np.asarray(rng.standard_normal(shape), dtype)


def uniform(low: float, high: float, *shape: int) -> Draw:
    return lambda rng: np.asarray(rng.uniform(low, high, shape), np.float32)


def integers(low: int, high: int, *shape: int, dtype: str = "int64") -> Draw:
    """From ``low`` to ``high`` - 1."""
    return lambda rng: np.asarray(rng.integers(low, high, shape), dtype)


def booleans(*shape: int) -> Draw:
    return lambda rng: rng.random(shape) < 0.5


def permutations(rows: int, length: int) -> Draw:
    """[rows, length] of distinct numbers a row."""
    return lambda rng: np.stack([rng.permutation(length) for _ in range(rows)])


def given(values: Any, dtype: str = "float32") -> Draw:
    return lambda rng: np.asarray(values, dtype)
