"""The recipes that a run quantizes by: the one that a file holds, or those that the keys of ``[quantize]`` say."""

from __future__ import annotations

from collections.abc import Iterable

from ..config import Config
from ..devices import find, of_targets
from ..errors import BadInput, NotAvailable
from ..quantize.range_methods import checked
from ..quantize.recipe import Recipe
from ..quantize_tables import QuantizeTable
from ..schemes import SCHEMES
from ..tables import Engine
from ..targets import TARGETS

_SAYS = (
    "schemes", "io_dtype", "ranges", "weight_ranges", "bias_correction", "engine", "device", "full_integer",
    "exclude", "keep_float", "only",
)  # fmt: skip
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


def engine(table: QuantizeTable, recipe: Recipe | None) -> Engine:
    """What quantizes."""
    return recipe.engine if recipe else table.engine


def device(config: Config) -> str:
    """What static schemes are quantized for: ``--device``; where nobody says, what ``--for`` names.

    Raises:
        BadInput: there is no such device.
    """
    table = config.quantize
    told = "device" in table.model_fields_set
    return find(table.device) if told else of_targets(config.preflight.targets) or find(table.device)


def of(config: Config, schemes: Iterable[str], recipe: Recipe | None) -> dict[str, Recipe]:
    """Scheme → the recipe that its file is made by.

    Raises:
        BadInput: there is no such device or range method, or a pattern is no regular expression.
        NotAvailable: TensorFlow's quantizer is asked for, and TensorFlow isn't installed.
    """
    table, tensorflow = config.quantize, TARGETS["tensorflow"]
    if engine(table, recipe) != "ai-edge" and tensorflow.version is None:
        raise NotAvailable(
            f"the engine {engine(table, recipe)} needs TensorFlow, which is not installed",
            where="--engine",
            remedy=f"{tensorflow.install}, or use --engine ai-edge",
        )
    if recipe is not None:
        return {recipe.scheme: recipe}
    meant = device(config)
    checked(table.ranges)
    plain = {"exclude": table.stays_float, "only": table.only, "device": meant, "engine": table.engine}
    plain |= {"weight_ranges": table.weight_ranges}
    static = plain | {"io_dtype": table.io_dtype, "full_integer": table.full_integer, "ranges": table.ranges}
    static |= {"bias_correction": table.bias_correction}
    return {name: Recipe.of(name, **(static if SCHEMES[name].needs_calibration else plain)) for name in schemes}
