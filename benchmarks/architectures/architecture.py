"""What an architecture of the zoo is: a module in a small size, its inputs, and which of their extents may vary."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from edgeworthy.samples.seeding import seed_weights

Draw = Callable[[torch.Generator, int], torch.Tensor]
"""Draws an input of so many examples."""

_EXAMPLES, _SEED = 4, 0
"""Examples that BatchNorm's statistics are taken from."""

TAKES_STATISTICS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


@dataclass(frozen=True)
class Architecture:
    """One architecture.

    Attributes:
        family: Its section of the table.
        make: Makes the module; run under a seed.
        inputs: Argument of ``forward`` → what draws it.
        axes: Input → names of its dimensions that may vary, one word an axis and ``.`` for a fixed one, as in
            ``batch . height width``; empty: none may.
        sizes: Three choices of the extents that vary, where the usual ones (two examples, three, one; an extent and a
            step more and less) don't fit the model.
    """

    family: str
    make: Callable[[], nn.Module]
    inputs: Mapping[str, Draw]
    axes: Mapping[str, str] = field(default_factory=dict)
    sizes: Sequence[Mapping[str, int]] = ()

    def module(self) -> nn.Module:
        """The module in eval mode, weights and statistics by seed, with ``example_inputs`` of one example."""
        torch.manual_seed(_SEED)
        module = self.make().eval()
        seed_weights(module, self._draw(_EXAMPLES), _SEED)
        module.example_inputs = self._draw(1)  # type: ignore[assignment]
        return module

    def _draw(self, count: int) -> dict[str, torch.Tensor]:
        generator = torch.Generator().manual_seed(_SEED)
        return {name: draw(generator, count) for name, draw in self.inputs.items()}

    @property
    def dimensions(self) -> Mapping[str, Mapping[int, str]]:
        """Input → axis → the name of its extent."""
        named = {name: dict(enumerate(words.split())) for name, words in self.axes.items()}
        return {name: {a: word for a, word in found.items() if word != "."} for name, found in named.items()}


class Picked(nn.Module):
    """A model called by keywords, of whose outputs some are taken, by name.

    Its own inputs go by position: PyTorch exports no dynamic dimension of ``**kwargs``.

    Args:
        model: Takes keywords, and gives something with attributes.
        inputs: Names of its arguments, in order.
        outputs: Names of tensors, in order; empty: what it gives is one, or several, itself.
        options: What it is given besides its inputs.
        method: What is called of it.
    """

    def __init__(
        self, model: nn.Module, inputs: str, outputs: str, options: Mapping[str, Any], method: str = "__call__"
    ) -> None:
        super().__init__()
        self.model, self._inputs, self._outputs = model, inputs.split(), outputs.split()
        self._options, self._method = dict(options), method

    def forward(self, *inputs: torch.Tensor) -> Any:
        named = dict(zip(self._inputs, inputs, strict=True))
        result = getattr(self.model, self._method)(**named, **self._options)
        return {name: getattr(result, name) for name in self._outputs} or result


def normal(*shape: int) -> Draw:
    """[examples, \\*shape], float32."""
    return lambda generator, count: torch.randn(count, *shape, generator=generator)


def uniform(*shape: int, low: float = 0.0, high: float = 1.0) -> Draw:
    return lambda generator, count: torch.rand(count, *shape, generator=generator) * (high - low) + low


def tokens(vocabulary: int, *shape: int) -> Draw:
    """Ids from 1 on, as 0 often is padding."""
    return lambda generator, count: torch.randint(1, vocabulary, (count, *shape), generator=generator)


def mask(length: int) -> Draw:
    """Ones, and zeros in the last quarter."""

    def draw(_: torch.Generator, count: int) -> torch.Tensor:
        return (torch.arange(length) < length * 3 // 4).long().expand(count, -1).clone()

    return draw


def same(draw: Draw) -> Draw:
    """Without an axis for examples."""
    return lambda generator, _: draw(generator, 1)[0]
