"""What ``repair`` and its ``worker`` process say to each other."""

from __future__ import annotations

from dataclasses import dataclass

from ..messages import Request
from ..recipe import Recipe
from .budget import Budget
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
    """The recipe of what was found, how it was found, and what its layers don't compute in int8."""

    recipe: Recipe
    outcome: SearchResult
    gave_up: str
