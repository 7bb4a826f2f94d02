"""How many steps of its grid (quanta) a quantized output is off the same file on LiteRT's usual kernels of this CPU.

A quantized file says which integers come out, but for how a product is brought back to the grid. Kernels of one family
do that alike on every machine; an operator on another family is at most one quantum off (docs/targets.md has what was
measured). Through the layers of a network such quanta grow, and by how much is the network's: TFLite's own families,
right all of them, are 1 quantum apart at the end of a small network, and 47 at the end of a MobileNetV2 of random
weights. So:

- of one family: nothing but the same bits passes;
- of two: one quantum passes; more passes with a note as far as TFLite's families here are apart on these very inputs,
  ``MULTIPLE`` times.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from .. import display
from . import remedies
from .chain import Chain, Outcome
from .results import Hop, OutputParity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..artifact import Array

MULTIPLE = 2.0
"""Kernels that are right were at most 1.5 times as far off (LiteRT's GPU on a ViT), wrong ones 20 times and more."""

_EXACT, _ONE = 0.0, 1.0


class Ruler:
    """What the outputs of one hop are counted from.

    Attributes:
        start: The run of the same file that quanta are counted from. None: the file has no grid, this is that run, or
            that run failed.
    """

    def __init__(self, outcome: Outcome, chain: Chain) -> None:
        self._outcome, self._chain = outcome, chain
        self.start: Outcome | None = None
        self._alike = False
        grid = chain.grids.get(outcome.subject.name)
        if grid is None or grid.usual.name == outcome.subject.name:
            return
        self._grid = grid
        usual, family = chain.run(grid.usual), _family(outcome)
        twin = grid.others.get(family, grid.usual)
        start = usual if twin.name == outcome.subject.name or _family(usual) == family else chain.run(twin)
        if start.ran:
            self.start, self._alike = start, _family(start) == family

    def held(self, output: OutputParity) -> OutputParity:
        """The result of an output with its quanta, and what comes of them."""
        start = self.start
        count = self._count(output.name, self._outcome) if start and not output.problems else None
        if start is None or count is None:
            return output
        spread = None if self._alike or count <= _ONE else self._spread(output.name)
        limit = _EXACT if self._alike else max(_ONE, MULTIPLE * (spread or 0.0))
        name = start.subject.name
        update: dict[str, object] = {"quanta": count, "quanta_limit": limit, "quanta_apart": spread}
        if output.passed is not None and count > limit:
            rule = f"{output.limit}, and {_rule(limit, name)}"
            kept = output.breach if output.passed is False else ""
            breach = ", ".join(filter(None, (kept, f"{display.quanta(count)} off")))
            remedy = remedies.SAME_KERNELS if self._alike else remedies.OTHER_KERNELS
            update |= {"passed": False, "limit": rule, "breach": breach, "remedy": remedy}
        return output.model_copy(update=update)

    def _spread(self, name: str) -> float | None:
        """How far TFLite's other kernels are from the usual ones; None where none ran."""
        found = [self._count(name, self._chain.run(subject)) for subject in self._grid.others.values()]
        return max((count for count in found if count is not None), default=None)

    def _count(self, name: str, outcome: Outcome) -> float | None:
        """Largest difference to the run it is counted from, in quanta; None where the output has no grid."""
        step = self._grid.steps.get(name)
        here = outcome.output(name) if outcome.ran else None
        there = self.start.output(name) if self.start else None
        if not step or here is None or there is None or not _alike(here, there):
            return None
        return quanta(here, there, step)


def quanta(actual: Sequence[Array], expected: Sequence[Array], step: float) -> float:
    """max |a-b| / step over all samples, to a hundredth: floats on one grid are equal up to their own rounding.

    Integers are steps themselves.
    """
    return round(max(_largest(actual, expected), default=0.0) / (step if actual[0].dtype.kind == "f" else 1.0), 2)


def notes(hops: Sequence[Hop]) -> list[str]:
    """What a reader should know of hops that are off by more than one quantum and pass."""
    return [
        f"{hop.name}: {output.name} is {display.quanta(output.quanta)} off {hop.counted_from}; "
        f"TFLite's own kernels are {display.quanta(output.quanta_apart)} apart on the same inputs"
        for hop in hops
        for output in hop.outputs
        if output.passed and output.quanta and output.quanta > _ONE and output.quanta_apart is not None
    ]


def _rule(limit: float, name: str) -> str:
    return f"bit-exact with {name}" if limit == _EXACT else f"within {display.quanta(limit)} of {name}"


def _family(outcome: Outcome) -> str:
    return outcome.receipt.family if outcome.receipt else ""


def _alike(some: Sequence[Array], others: Sequence[Array]) -> bool:
    return all(a.shape == b.shape and a.dtype == b.dtype for a, b in zip(some, others, strict=True))


def _largest(actual: Sequence[Array], expected: Sequence[Array]) -> Iterator[float]:
    for a, b in zip(actual, expected, strict=True):
        finite = np.isfinite(a) & np.isfinite(b)
        yield float(np.max(np.abs(a[finite].astype(np.float64) - b[finite].astype(np.float64)), initial=0.0))
