"""What makes data look wrong before hours are spent on it: a table of rules, held against what export saw.

Errors are refused where the data is read (`fitting`); what is found here are warnings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .normalization import Normalization
from .samples import Label
from .survey import Survey, Values

if TYPE_CHECKING:
    from ..artifact import Array

FEW = 32
"""Samples below which ranges still move with every one that is added."""

_FAR = 20.0
"""Times by which the largest magnitudes of data and example may differ: 0…255 and 0…1 are further apart."""

_ENOUGH = 64
"""Values of an example from which on its mean and deviation say something."""

_DEVIATIONS = 4.0
"""Times by which those of data and example may differ."""

_NEGATIVE = 0.1
"""Share of an example's values that is below 0, where the data never is, or the other way round."""

_NORMALIZED = 3.0
"""Times by which a batch normalization's input may be wider or narrower than in training."""

_BYTE = 255.0
_REPEATED = 0.25
_INTERLEAVED = 0.7
"""Where the next value but two is so much nearer than the next one, three colours lie side by side."""

_NAMED = 5


@dataclass(frozen=True)
class Seen:
    """What the rules look at.

    Attributes:
        survey: Of the data.
        examples: Example inputs that somebody gave, not such as were drawn.
        classes: All that are known of: in all of the data, and in labelled data.
        normalization: What the model's first batch normalization makes of the data; None: it has none.
    """

    survey: Survey
    examples: Mapping[str, Array] = field(default_factory=dict)
    classes: frozenset[Label] = frozenset()
    normalization: Normalization | None = None

    @property
    def inputs(self) -> Iterator[tuple[str, Values]]:
        """Float inputs whose data isn't the same number everywhere."""
        return ((name, v) for name, v in self.survey.values.items() if v.count and v.low < v.high)

    def example(self, name: str) -> Values | None:
        """Of an input's given example."""
        if name not in self.examples or self.examples[name].dtype.kind != "f":
            return None
        values = Values()
        values.add(self.examples[name])
        return values if values.count else None


@dataclass(frozen=True)
class DataRule:
    """What may be wrong with data.

    Attributes:
        name: In reports.
        severity: An error is refused where it is met.
        about: What it is.
        remedy: What to do.
        find: Gives a sentence for each thing found; None: the reader refuses it.
    """

    name: str
    severity: str
    about: str
    remedy: str
    find: Callable[[Seen], Iterator[str]] | None = None


@dataclass(frozen=True)
class Doubt:
    """What a rule found."""

    rule: str
    severity: str
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.what}: {self.remedy}"


def check(seen: Seen) -> list[Doubt]:
    """All that the rules find."""
    return [
        Doubt(rule.name, rule.severity, what, rule.remedy)
        for rule in RULES
        if rule.find is not None
        for what in rule.find(seen)
    ]


def unknown_range(seen: Seen) -> list[str]:
    """Inputs of which nothing says what range they have in use: of another scale they would go unnoticed."""
    if seen.normalization is not None:
        return []
    return [name for name, _ in seen.inputs if seen.example(name) is None]


def _few(seen: Seen) -> Iterator[str]:
    if seen.survey.samples < FEW:
        yield f"{seen.survey.samples} calibration samples are few"


def _constant(seen: Seen) -> Iterator[str]:
    for name, values in seen.survey.values.items():
        if values.count and values.low == values.high:
            yield f"the calibration data of {name!r} is {values.low:g} everywhere"


def _repeated(seen: Seen) -> Iterator[str]:
    survey = seen.survey
    if survey.samples > 1 and survey.repeats >= _REPEATED * survey.samples:
        yield f"{survey.repeats} of {survey.samples} calibration samples are repeats of others"


def _channels(seen: Seen) -> Iterator[str]:
    for name, values in seen.inputs:
        if values.channels is None:
            continue
        low, high = values.channels
        still = [f"{i} ({low[i]:g})" for i in range(len(low)) if low[i] == high[i]]
        if still:
            yield f"channels of {name!r} never change in the calibration data: {', '.join(still[:_NAMED])}"


def _scale(seen: Seen) -> Iterator[str]:
    for name, values in seen.inputs:
        data, example = _reach(values), seen.example(name)
        if example and _reach(example) and not 1 / _FAR <= data / _reach(example) <= _FAR:
            yield f"the calibration data of {name!r} reaches {data:.3g}, and its example {_reach(example):.3g}"


def _moments(seen: Seen) -> Iterator[str]:
    scaled = set(_scale(seen))
    for name, values in seen.inputs:
        example = seen.example(name)
        if scaled or example is None or example.count < _ENOUGH or not example.deviation:
            continue
        ratio = values.deviation / example.deviation
        below = [float((seen.examples[name] < 0).mean()), float(values.low < 0)]
        moved = abs(values.mean - example.mean) > 2 * max(values.deviation, example.deviation)
        shifted = (below[0] >= _NEGATIVE and not below[1]) or moved
        if shifted or not 1 / _DEVIATIONS <= ratio <= _DEVIATIONS:
            yield (
                f"the calibration data of {name!r} has mean {values.mean:.3g}, deviation {values.deviation:.3g} and "
                f"least {values.low:.3g}; its example {example.mean:.3g}, {example.deviation:.3g} and {example.low:.3g}"
            )


def _normalized(seen: Seen) -> Iterator[str]:
    found = seen.normalization
    if found is None:
        return
    if not 1 / _NORMALIZED <= found.width <= _NORMALIZED or found.shift > _NORMALIZED:
        yield (
            f"the model's first batch normalization sees values {found.width:.3g} times as wide as in training, "
            f"{found.shift:.3g} deviations off"
        )


def _pixels(seen: Seen) -> Iterator[str]:
    if seen.normalization is not None and not any(_normalized(seen)):
        return
    for name, values in seen.inputs:
        raw = values.whole and values.low >= 0 and 1 < values.high <= _BYTE
        if raw and values.channel_axis is not None and seen.example(name) is None:
            span = f"{values.low:g} to {values.high:g}"
            yield f"the calibration data of {name!r} is whole numbers from {span}, as raw pixels"


def _interleaved(seen: Seen) -> Iterator[str]:
    for name, values in seen.inputs:
        next_one, next_colour = values.steps
        if next_one and next_colour < _INTERLEAVED * next_one:
            yield f"the calibration data of {name!r} looks as if its channels lay last and were not moved"


def _moved(seen: Seen) -> Iterator[str]:
    for name, _ in seen.inputs:
        shape = seen.survey.shapes.get(name, ())
        example = seen.examples[name].shape if name in seen.examples else ()
        if len(shape) != 4 or len(example) != 4 or shape[1:] == example[1:]:
            continue
        if shape[1:] in ((*example[2:], example[1]), (example[3], *example[1:3])):
            yield f"the calibration data of {name!r} has shape {list(shape)}, and its example {list(example)}"


def _classes(seen: Seen) -> Iterator[str]:
    if not seen.survey.labels:
        return
    known = set(seen.classes) | seen.survey.labels
    numbers = [label for label in known if isinstance(label, int)]
    known |= set(range(max(numbers) + 1)) if numbers and max(numbers) < 100_000 else set()
    missing = sorted(known - seen.survey.labels, key=str)
    if missing:
        names = ", ".join(map(str, missing[:_NAMED])) + (" …" if len(missing) > _NAMED else "")
        yield f"no calibration sample is of {len(missing)} of {len(known)} classes ({names})"


def _reach(values: Values) -> float:
    return max(abs(values.low), abs(values.high))


_AS_IN_USE = "is it prepared as for inference (--mean, --std)?"

RULES = (
    DataRule("finite", "error", "NaN or infinity in a sample", "clean the data: ranges can't be measured on it"),
    DataRule(
        "dtype", "error", "integers for a float input, or floats for an integer one", "prepare it as for inference"
    ),
    DataRule("shape", "error", "another layout or size than the input's", "give samples in the model's own layout"),
    DataRule("few", "warning", f"fewer than {FEW} samples", "some dozens more make the ranges steadier", _few),
    DataRule("constant", "warning", "one number everywhere", "its ranges fit no other input", _constant),
    DataRule(
        "repeated", "warning", "many identical samples", "take different ones: repeats show no new range", _repeated
    ),
    DataRule(
        "channel", "warning", "a channel that never changes", "is it filled in, or lost in preprocessing?", _channels
    ),
    DataRule("scale", "warning", "magnitudes far from the example's", _AS_IN_USE, _scale),
    DataRule("moments", "warning", "mean or deviation far from the example's", _AS_IN_USE, _moments),
    DataRule("normalization", "warning", "far from what batch normalization saw in training", _AS_IN_USE, _normalized),
    DataRule(
        "pixels",
        "warning",
        "raw pixels where no example says that the model takes them",
        "if the model doesn't normalize them itself, prepare them as for inference (--mean, --std)",
        _pixels,
    ),
    DataRule(
        "layout",
        "warning",
        "channels last in an input that has them first",
        "array.transpose(0, 3, 1, 2) moves them; a reshape doesn't",
        lambda seen: iter([*_interleaved(seen), *_moved(seen)]),
    ),
    DataRule("class", "warning", "a class without a sample", "add some: its activations have ranges too", _classes),
)
"""All rules, by severity and then from the plain to the particular."""
