"""Ways to quantize a model that are worth trying: every scheme, and mixes of integers and float, as recipes.

Schemes that are made when nobody asks come first, of these and of the others what needs no data, as it is made in
seconds; the search for a budget (``repair``), which takes longest, is last.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace

from ..devices import computes_integers_alone
from ..schemes import DYNAMIC, INT8, SCHEMES
from .kinds import ARITHMETIC, CONVOLUTIONS, EXACT, MATRICES
from .recipe import Recipe, Rule
from .tensorflow_engine import refuses


@dataclass(frozen=True)
class Variant:
    """One way.

    Attributes:
        name: What rows call it.
        recipe: What makes its file.
        mixed: Whether it adds rules or transforms of its own to a scheme.
        searched: Whether the recipe is only where a search begins.
        skipped: Why there is no use in trying it; empty: there is.
    """

    name: str
    recipe: Recipe
    mixed: bool = False
    searched: bool = False
    skipped: str = ""

    @property
    def slug(self) -> str:
        """The name of its file, without a suffix."""
        return re.sub(r"\W+", "_", self.name)


def variants(recipes: Mapping[str, Recipe], kinds: Collection[str]) -> Iterator[Variant]:
    """All ways, in the order that they are worth the time.

    Args:
        recipes: Scheme → its recipe, as the user's keys say.
        kinds: The kinds of operators in the float model.
    """
    whole = any(recipe.full_integer for recipe in recipes.values())
    for one in _all(recipes, kinds):
        yield replace(one, skipped=_useless(one, whole=whole))


def _all(recipes: Mapping[str, Recipe], kinds: Collection[str]) -> Iterator[Variant]:
    for name in sorted(recipes, key=lambda name: (not SCHEMES[name].default, SCHEMES[name].needs_calibration)):
        yield Variant(SCHEMES[name].title, recipes[name])
        if SCHEMES[name] is DYNAMIC and {*CONVOLUTIONS} & {*kinds} and {*MATRICES} & {*kinds}:
            yield _mix(recipes[name], "matrices alone", _float(CONVOLUTIONS, "convolutions in float"))
        if name == INT8.name and {*kinds} - {*ARITHMETIC, *EXACT}:
            yield _mix(recipes[name], "sums of products alone", _float_but((*ARITHMETIC, *EXACT)))
        if name == INT8.name:
            equalized = recipes[name].model_copy(update={"transforms": ("equalize",)})
            yield Variant(f"{INT8.title}, equalized", equalized, mixed=True)
    if INT8.name in recipes:
        yield Variant(f"{INT8.title}, repaired", recipes[INT8.name], mixed=True, searched=True)


def _mix(recipe: Recipe, what: str, rule: Rule) -> Variant:
    # A pattern of the user's has the last word.
    mixed = recipe.model_copy(update={"rules": (rule, *recipe.rules)})
    return Variant(f"{SCHEMES[recipe.scheme].title}, {what}", mixed, mixed=True)


def _float(kinds: Collection[str], why: str) -> Rule:
    return Rule(pattern="|".join(kinds), by="operator", why=why)


def _float_but(kinds: Collection[str]) -> Rule:
    return Rule(pattern=f"(?!(?:{'|'.join(kinds)})$).*", by="operator", why="integers in sums of products alone")


def _useless(variant: Variant, *, whole: bool) -> str:
    """Why there is no use in trying it. ``whole``: no operator may stay float."""
    recipe = variant.recipe
    scheme, device = SCHEMES[recipe.scheme], recipe.device
    if not scheme.needs_calibration or variant.searched or (variant.mixed and not recipe.transforms):
        if device and computes_integers_alone(device):
            return f"it computes in float, and {device} computes integers alone"
        if whole:
            return "it computes in float, and --full-integer was asked for"
    if recipe.io_dtype != "float32" and scheme.activation_bits != 8:
        return f"it computes in {scheme.activations}, so its inputs and outputs can't be {recipe.io_dtype}"
    return _refused(variant) if recipe.engine == "tensorflow" else ""


def _refused(variant: Variant) -> str:
    """Why TensorFlow's quantizer can't make it."""
    return "TensorFlow's quantizer takes no decisions on single operators" if variant.mixed else refuses(variant.recipe)
