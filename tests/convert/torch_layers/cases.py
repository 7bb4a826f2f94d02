"""All cases by name, and how they are grouped."""

from __future__ import annotations

from collections.abc import Container

from .activations import ACTIVATIONS, ARITHMETIC, NORMALIZATIONS
from .convolutions import CONVOLUTIONS, POOLS, RESIZING
from .dynamic import DYNAMIC
from .tensors import ATTENTION, MOVEMENT, PRODUCTS, REDUCTIONS, SELECTION
from .windows import WINDOWS

FAMILIES = (
    CONVOLUTIONS, POOLS, RESIZING, ACTIVATIONS, NORMALIZATIONS, ARITHMETIC, PRODUCTS, ATTENTION, REDUCTIONS,
    SELECTION, MOVEMENT, DYNAMIC, WINDOWS,
)  # fmt: skip

CASES = {case.name: case for family in FAMILIES for case in family}
if len(CASES) != sum(map(len, FAMILIES)):
    raise ValueError("two cases have one name")

_SIZE = 12


def groups(alone: Container[str]) -> list[list[str]]:
    """The cases in groups that are exported as one model; those in ``alone`` and dynamic ones are so."""
    result = []
    for family in FAMILIES:
        names = [case.name for case in family if not case.dynamic and case.name not in alone]
        result += [names[i : i + _SIZE] for i in range(0, len(names), _SIZE)]
        result += [[case.name] for case in family if case.dynamic or case.name in alone]
    return result
