"""What ``repair`` and its ``worker`` process say to each other."""

from __future__ import annotations

from dataclasses import dataclass

from ..messages import Request
from ..recipe import Recipe
from .budget import Budget, Quality
from .search import SearchResult


@dataclass(frozen=True)
class RepairRequest:
    """What to repair, and for how long.

    Attributes:
        request: As for quantizing; its recipe says what the scheme, and the user, decide.
        budget: What has to be reached.
        seconds: Time for trials.
    """

    request: Request
    budget: Budget
    seconds: float


@dataclass(frozen=True)
class RepairAnswer:
    """What was found.

    Attributes:
        recipe: Makes the file.
        outcome: How it was found.
        quality: What it reaches on the samples that it was chosen by and on others, the worse of both.
        gave_up: What its layers don't compute in int8.
        searches: Those before the last one.
    """

    recipe: Recipe
    outcome: SearchResult
    quality: Quality
    gave_up: str
    searches: tuple[str, ...] = ()
