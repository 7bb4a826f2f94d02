"""The recipes that a run quantizes by: the one that a file holds, or those that the keys of ``[quantize]`` say."""

from __future__ import annotations

from collections.abc import Iterable

from ..config import QuantizeTable
from ..errors import BadInput
from ..quantize.devices import find
from ..quantize.recipe import Recipe
from ..schemes import SCHEMES

_SAYS = ("schemes", "io_dtype", "device", "full_integer", "exclude", "keep_float", "only")
"""Keys of ``[quantize]`` that a recipe speaks for."""


def given(table: QuantizeTable) -> Recipe | None:
    """The recipe that ``--recipe`` names.

    Raises:
        BadInput: it can't be read, or another key says what it says.
    """
    if table.recipe is None:
        return None
    told = [name for name in _SAYS if getattr(table, name) != type(table).model_fields[name].default]
    if told:
        raise BadInput(
            f"a recipe says all, and {' and '.join(told)} would say it too",
            where="--recipe",
            remedy=f"leave out {' and '.join(told)}, or change the recipe's file",
        )
    return Recipe.read(table.recipe)


def of(table: QuantizeTable, schemes: Iterable[str], recipe: Recipe | None) -> dict[str, Recipe]:
    """Scheme → the recipe that its file is made by.

    Raises:
        BadInput: there is no such device, or a pattern is no regular expression.
    """
    if recipe is not None:
        return {recipe.scheme: recipe}
    find(table.device)
    plain = {"exclude": table.stays_float, "only": table.only, "device": table.device}
    static = plain | {"io_dtype": table.io_dtype, "full_integer": table.full_integer}
    return {name: Recipe.of(name, **(static if SCHEMES[name].needs_calibration else plain)) for name in schemes}
