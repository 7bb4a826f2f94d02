"""A recipe: all that decides how one quantized file is made of one float file and its calibration data.

It is a value, and a JSON file. What a user asks for leaves things open (a scheme, patterns, a device); what comes back
beside the file is ``resolved``: every decision is a rule on one operator, so that it makes the same bytes again,
whatever a later table of devices says.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError, model_validator

from .. import files
from ..errors import BadInput, did_you_mean
from ..schemes import get_scheme
from ..tables import Engine, IoDtype
from .range_methods import AUTO, MIN_MAX, checked
from .rounding import Refinement, Rounding, refinements

Compute = Literal["float32", "float16", "weights", "dynamic", "int8", "int16"]
"""What an operator computes in. Weights follow: of a float operator they are float32. ``float16``: it
computes in float32 with constants that are stored in half precision. ``weights``: it computes in float32 with integer
weights, in the scheme's bits where the runtime unpacks those and in 8 else. ``dynamic``: it reads and writes float32,
and computes in integers with the range that its input has at run time, as in a dynamic scheme."""

FLOATS: tuple[Compute, ...] = ("float32", "float16", "weights", "dynamic")
"""What reads and writes float32."""

By = Literal["any", "operator", "name", "module", "result"]
"""What of an operator a pattern speaks of (see ``exclusion``); ``result``: its first result's name, as it is."""

WeightRangeMethod = Literal["auto", "max", "octav"]

Correction = Literal["auto", "on", "off"]

RangeMethod = Annotated[str, AfterValidator(checked)]

Transform = Literal["equalize"]

SUFFIX = ".recipe.json"


def _expression(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"{pattern!r} is no regular expression: {error}") from error
    return pattern


Pattern = Annotated[str, AfterValidator(_expression)]


class _Value(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Rule(_Value):
    """What the operators that a pattern means compute in.

    Attributes:
        pattern: A regular expression; of ``by="result"``, a name as it is.
        compute: What they compute in.
        by: What of an operator the pattern speaks of.
        why: Shown beside each operator that the rule keeps in float.
    """

    pattern: str
    compute: Compute = "float32"
    by: By = "any"
    why: str = ""

    @model_validator(mode="after")
    def _has_a_pattern(self) -> Rule:
        if self.by != "result":
            _expression(self.pattern)
        return self


@dataclass(frozen=True)
class Decision:
    """What an operator computes in, and why not in what its scheme says."""

    compute: Compute
    why: str


class Recipe(_Value):
    """How one quantized file is made.

    Attributes:
        version: Of this format.
        scheme: Full name of the scheme: what all operators get that no rule speaks of.
        engine: What quantizes; ``both``: whichever does better on samples that no range was taken from.
        ranges: How samples become ranges of activations (see ``range_methods``).
        weight_ranges: How far the integers of weights reach (see ``weight_ranges``).
        bias_correction: Whether biases make up for the mean error of the weights (see ``bias_correction``).
        transforms: What is done to the float model first, in this order (see ``transforms``).
        io_dtype: Dtype of the float model's float inputs and outputs.
        device: What it is quantized for: what that computes better in another type gets it (``devices``). None: for
            nothing in particular.
        full_integer: No operator may stay float.
        only: Patterns; operators that none of them means stay float. Empty: all may be quantized.
        rules: The last one that means an operator decides.
        resolved: Every decision is in ``rules``; nothing is added to them.
        float_model: SHA-256 of the float ``.tflite`` file; None: of any.
        calibration: SHA-256 of the calibration samples; None: any, or none at all.
        samples: How many those are; so many are taken of the data, where nobody says how many. None: as usual.
        made_by: What made the file that the recipe came with, and in which versions.
    """

    version: Literal[1] = 1
    scheme: Annotated[str, AfterValidator(lambda name: get_scheme(name).name)]
    engine: Engine = "ai-edge"
    ranges: RangeMethod = AUTO
    weight_ranges: WeightRangeMethod = "max"
    bias_correction: Correction = "off"
    io_dtype: IoDtype = "float32"
    device: str | None = None
    full_integer: bool = False
    transforms: tuple[Transform, ...] = ()
    only: tuple[Pattern, ...] = ()
    rules: tuple[Rule, ...] = ()
    resolved: bool = False
    float_model: str | None = None
    calibration: str | None = None
    samples: int | None = None
    made_by: str = ""

    @classmethod
    def of(cls, scheme: str, *, exclude: Sequence[str] = (), only: Sequence[str] = (), **more: Any) -> Recipe:
        """The recipe of a scheme, with what stays float by pattern.

        Raises:
            BadInput: there is no such scheme, a pattern is no regular expression, or a value isn't allowed.
        """
        rules = [{"pattern": pattern, "why": f"excluded by {pattern!r}"} for pattern in exclude]
        return _checked({"scheme": scheme, "rules": tuple(rules), "only": tuple(only), **more}, "the recipe")

    @property
    def rounding(self) -> Rounding:
        """What it says of rounding; of what it leaves open the plainest."""
        ranges = MIN_MAX if self.ranges == AUTO else self.ranges
        return Rounding(ranges, "octav" if self.weight_ranges == "octav" else "max", self.bias_correction == "on")

    @property
    def compares(self) -> bool:
        """Whether files of several ways of rounding are to be compared."""
        return AUTO in (self.ranges, self.weight_ranges, self.bias_correction)

    @property
    def refinements(self) -> list[Refinement]:
        """What there is to try of what it leaves open beside ranges, in this order."""
        told = {"weights": self.weight_ranges, "bias_correction": self.bias_correction}
        found = refinements(get_scheme(self.scheme))
        return [change for change in found if all(told[key] == AUTO for key in change)]

    def rounded(self, by: Rounding) -> Recipe:
        """The same, with nothing left open of rounding."""
        corrected: Correction = "on" if by.bias_correction else "off"
        told = {"ranges": by.ranges, "weight_ranges": by.weights, "bias_correction": corrected}
        return self.model_copy(update=told)

    @property
    def has_patterns(self) -> bool:
        """Whether it speaks of operators that are yet to be found."""
        return bool(self.only) or any(rule.by != "result" for rule in self.rules)

    @classmethod
    def read(cls, path: Path) -> Recipe:
        """Read a recipe file.

        Raises:
            BadInput: there is none, it is no JSON, or it holds what a recipe doesn't have; each by name.
        """
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            said = error.strerror if isinstance(error, OSError) else "it is no text"
            raise BadInput(
                f"the recipe can't be read: {said}",
                where=str(path),
                remedy=f"give the {SUFFIX[1:]} of a quantized file",
            ) from error
        return _checked(text, str(path))

    def write(self, path: Path) -> None:
        """Write it to ``path``, atomically; the same recipe gives the same bytes."""
        files.write_text(path, self.model_dump_json(indent=2) + "\n")


def path_beside(model: Path) -> Path:
    """Where the recipe of a quantized file is: ``model_int8.recipe.json`` beside ``model_int8.tflite``."""
    return model.with_name(model.stem + SUFFIX)


def _checked(given: str | dict[str, Any], where: str) -> Recipe:
    try:
        return Recipe.model_validate_json(given) if isinstance(given, str) else Recipe.model_validate(given)
    except ValidationError as error:
        raise BadInput(
            "this is no recipe",
            where=where,
            details=[_explained(e["loc"], e["type"], e["msg"]) for e in error.errors(include_url=False)],
            remedy="correct these, or let `edgeworthy quantize` write a recipe and change that",
        ) from error


def _explained(place: Sequence[int | str], kind: str, message: str) -> str:
    shown = ".".join(map(str, place))
    if kind != "extra_forbidden":
        return f"{shown}: {message.removeprefix('Value error, ')}".removeprefix(": ")
    table = Rule if place[0] == "rules" else Recipe
    near = did_you_mean(str(place[-1]), table.model_fields)
    return f"unknown key {shown!r}{'; ' + near if near else ''} (known here: {', '.join(table.model_fields)})"
