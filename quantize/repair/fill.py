"""From all in float back to integers, as far as the budget lets: where it saves the most for the error that it costs.

What a part of the model adds to the noise of the outputs is measured: a file with that part alone in integers. Noise of
parts that are quantized together adds up, near enough to choose by (the file that is chosen is measured as a whole).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .budget import Quality

_TOO_MUCH = 0.5
"""A part that takes more than this share of what is allowed is looked at in halves."""

PARTS = 8
"""Parts to begin with."""


@dataclass(frozen=True)
class Stretch:
    """Neighbouring operators. ``names``: of their results; ``works``: of each, its share of the model's arithmetic."""

    names: tuple[str, ...]
    works: tuple[float, ...]

    @property
    def work(self) -> float:
        return sum(self.works)

    def halves(self) -> tuple[Stretch, Stretch]:
        """Two parts of about the same work; of one operator there are none."""
        done, cut = 0.0, 0
        while cut < len(self.names) - 1 and (cut == 0 or done + self.works[cut] / 2 < self.work / 2):
            done, cut = done + self.works[cut], cut + 1
        return Stretch(self.names[:cut], self.works[:cut]), Stretch(self.names[cut:], self.works[cut:])


@dataclass(frozen=True)
class Cost:
    """A part and the noise that it alone makes, as a share of the signal."""

    part: Stretch
    noise: float


def noise(quality: Quality) -> float:
    """Of the worst group of channels, as a share of its signal."""
    return 10 ** (-quality.sqnr_db / 10) if quality.sqnr_db < math.inf else 0.0


def fill(
    parts: Sequence[Stretch],
    least_db: float,
    judge: Callable[[Sequence[str]], Quality | None],
    meets: Callable[[Sequence[str]], bool],
    is_late: Callable[[str], bool],
    *,
    floor: float = 0.0,
) -> list[str]:
    """Results of the operators that may be in integers; none where no part may.

    Args:
        parts: What could be in integers.
        least_db: The SQNR that has to be reached.
        judge: Quality with only these in integers; None where there is no such file.
        meets: Whether the budget holds with these in integers.
        is_late: Whether time is over; is told what is left out by that.
        floor: The noise with none in integers, as a share of the signal.
    """
    allowed = 10 ** (-least_db / 10)
    costs: list[Cost] = []
    queue = sorted(parts, key=lambda part: -part.work)
    while queue and not is_late(f"{len(queue)} parts of the model in integers"):
        part = queue.pop(0)
        quality = judge(part.names)
        found = max(noise(quality) - floor, 0.0) if quality is not None else math.inf
        if found > _TOO_MUCH * allowed and len(part.names) > 1:
            queue = sorted([*queue, *part.halves()], key=lambda half: -half.work)
        else:
            costs.append(Cost(part, found))
    chosen: list[Cost] = []
    spent = floor
    for cost in sorted(costs, key=lambda cost: cost.noise / max(cost.part.work, 1e-12)):
        if spent + cost.noise <= allowed:
            chosen, spent = [*chosen, cost], spent + cost.noise
    while chosen and not meets(_names(chosen)):
        if is_late(f"what of {len(chosen)} parts may be in integers together"):
            return []
        chosen.remove(max(chosen, key=lambda cost: cost.noise))
    return _names(chosen)


def _names(costs: Sequence[Cost]) -> list[str]:
    return [name for cost in costs for name in cost.part.names]
