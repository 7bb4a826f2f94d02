"""Calibration data: real samples that show a static scheme the range of every activation.

Samples come in the source model's own names and layout, from any of ``data.forms.FORMS``. All that are used are read
once when the data is opened: what is wrong with one is an error that says which.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..artifact import Feeds, TensorSpec
from ..data import arrays, forms
from ..data.fitting import batch_size, spread
from ..data.forms import Reading
from ..data.samples import Kept, Label, Sample, Samples, direct
from ..data.survey import Survey
from ..errors import BadInput
from ..schemes import QUANTIZED
from ..source.example_inputs import generated
from ..source.factories import user_code
from ..source.variations import random_feeds
from .contenders import HELD, MOST
from .saved import saved_set

if TYPE_CHECKING:
    from ..artifact import Array

DEFAULT_SAMPLES = 128
"""Samples used when nothing else is said; ranges rarely move after the first hundred."""

SPARE = 16
"""Feeds of other samples that are kept for comparing the result with the float model."""

_COMPARED_BYTES = 2**25
"""Most that more feeds than ``HELD`` may take together."""

FORMS = (*forms.FORMS, "random: noise, to try things out; the result is not fit for deployment")
"""The forms that calibration data can have."""


@dataclass(frozen=True)
class CalibrationSet:
    """Samples, grouped into feeds of the model's batch size.

    Iterating gives ``len(self)`` feeds, each input name → array in the source model's layout and dtype.

    Attributes:
        description: Where the samples come from, for the report.
        samples: How many samples are used.
        fit_for_deployment: False for noise.
        spare: How many feeds of further samples there are, which ``load`` gives from index ``feeds`` on.
        survey: What the samples that are used hold.
        classes: The classes of all the data, as far as they are known.
    """

    description: str
    samples: int
    feeds: int
    load: Callable[[int], dict[str, Array]] = field(repr=False)
    fit_for_deployment: bool = True
    spare: int = 0
    survey: Survey = field(default_factory=lambda: Survey(()), repr=False)
    classes: frozenset[Label] = frozenset()

    def __len__(self) -> int:
        return self.feeds

    def __iter__(self) -> Iterator[dict[str, Array]]:
        return (self.load(i) for i in range(self.feeds))

    @property
    def whole(self) -> CalibrationSet:
        """With the spare feeds behind those that are used."""
        return replace(self, feeds=self.feeds + self.spare, spare=0)

    def held_out(self, count: int) -> tuple[list[dict[str, Array]], str]:
        """At most ``count`` feeds to compare models on, and which these are: of samples that no range was taken from.

        Where all samples are used, those.
        """
        first, there = (self.feeds, self.spare) if self.spare else (0, self.feeds)
        which = "samples held out from calibration" if self.spare else "calibration samples, as all are used"
        return [self.load(first + i) for i in range(min(count, there))], f"{which} ({self.description})"

    def to_compare(self) -> tuple[list[dict[str, Array]], str]:
        """The feeds that ways to make the same file are compared on, and which these are.

        Those that are held out come first. They are few, so feeds that ranges were taken from follow, as far as all of
        them are small: what is close on the first is decided on all.
        """
        held, said = self.held_out(HELD)
        size = max(1, sum(array.nbytes for array in held[0].values())) if held else 1
        most = max(HELD, min(MOST, _COMPARED_BYTES // size))
        if not self.spare:
            return self.held_out(most)[0], said
        more = [self.load(i) for i in range(min(self.feeds, most - len(held)))]
        return held + more, said.replace("from", f"from, and {len(more)} of,", 1) if more else said


def no_calibration(scheme: str) -> BadInput:
    """The error for a static scheme without data."""
    free = [s.name for s in QUANTIZED if not s.needs_calibration]
    return BadInput(
        f"{scheme} needs calibration data: samples that show the range of every activation",
        where="--calibration",
        details=FORMS,
        remedy=f"give --calibration in one of these forms; or use {', '.join(free)}, which need none",
    )


def load_calibration(
    spec: object,
    inputs: Sequence[TensorSpec],
    *,
    how: Reading | None = None,
    samples: int | None = None,
    seed: int = 0,
    examples: Feeds | None = None,
    hold_out: bool = False,
) -> CalibrationSet:
    """Open and check calibration data, and read what is used of it once.

    Args:
        spec: One of ``FORMS``; or arrays by input name, or an iterable of samples, such as a ``DataLoader``.
        inputs: The source model's inputs; the first axis of an input is its batch.
        how: How images, texts and sound become inputs.
        samples: Most samples to use. Of a larger file or folder evenly spaced ones are taken, of a generator the
            first. None: ``DEFAULT_SAMPLES``, or all of a set that was saved (see `saved`).
        seed: For ``random`` and ``sample:NAME``.
        hold_out: Keep feeds for comparing even where there are no more samples than may be used.
        examples: The source's example inputs, which ``random`` samples are like; without them, values by the specs.

    Raises:
        BadInput: there is no data, or it doesn't fit the inputs; says which sample is wrong.
        NotAvailable: a package that reads this form is missing.
    """
    if spec is None or (isinstance(spec, (str, Path)) and str(spec) == ""):
        raise no_calibration("a static scheme")
    if samples is not None and samples < 1:
        raise BadInput(f"{samples} calibration samples are too few", where="--samples", remedy="use at least 1")
    earlier = saved_set(Path(spec)) if isinstance(spec, (str, Path)) and str(spec).endswith(".npz") else None
    most = samples or (earlier.samples if earlier else DEFAULT_SAMPLES)
    if spec == "random":
        return _random(inputs, most, seed, examples, spare=SPARE if hold_out else 0)
    group = batch_size(inputs) or 1
    drawn = isinstance(spec, str) and spec.startswith("sample:")
    if drawn:
        found: Samples = _sample(str(spec), inputs, most + (SPARE * group if hold_out else 0), seed)
    else:
        found = forms.open_samples(spec, inputs, how or Reading(), most=most + SPARE * group, known=FORMS)
    most = min(most, _all_but_spare(len(found), group, found.where)) if hold_out else most
    made = _of(found, inputs, most, in_order=drawn or earlier is not None)
    if earlier is None:
        return made
    described = f"{made.description}, saved from {earlier.description}"
    return CalibrationSet(
        described,
        made.samples,
        made.feeds,
        made.load,
        earlier.fit_for_deployment,
        made.spare,
        made.survey,
        made.classes,
    )


def _of(found: Samples, inputs: Sequence[TensorSpec], samples: int, *, in_order: bool = False) -> CalibrationSet:
    """``samples`` of those found, and some others to compare on; ``in_order``: the first ones, not evenly spaced."""
    group = batch_size(inputs) or 1
    batched = batch_size(inputs) is not None
    of = min(len(found), max(samples, group)) if found.consumed or in_order else len(found)
    used = spread(of, samples, group, found.where)
    rest = _others(len(found), used, group)
    chosen, read = used + rest, direct(found, used + rest)

    def samples_of(index: int) -> list[Sample]:
        return list(read.read(chosen[index * group : (index + 1) * group]))

    def feed(rows: Sequence[Sample]) -> dict[str, Array]:
        if not batched:
            return dict(rows[0].arrays)
        return {spec.name: _stacked([row.arrays[spec.name] for row in rows], spec, found.where) for spec in inputs}

    survey = Survey(inputs)
    for index in range(len(used) // group):
        rows = samples_of(index)
        survey.add(feed(rows), [row.label for row in rows])
    taken = f"{len(used)} of {of} {found.noun}" if len(used) < of else f"{len(used)} {found.noun}"
    return CalibrationSet(
        f"{found.where}: {taken}" + (f"; {found.prepared}" if found.prepared else ""),
        samples=len(used),
        feeds=len(used) // group,
        load=lambda index: feed(samples_of(index)),
        spare=len(rest) // group,
        survey=survey,
        classes=found.classes,
    )


def _stacked(rows: Sequence[Array], spec: TensorSpec, where: str) -> Array:
    if len({row.shape for row in rows}) > 1:
        raise BadInput(
            f"samples of input {spec.name!r} that go into one feed are of different sizes",
            where=where,
            details=sorted({str(list(row.shape)) for row in rows}),
            remedy=f"make them of one size: the model takes {len(rows)} at once",
        )
    return np.stack(rows)


def _others(count: int, used: Sequence[int], group: int) -> list[int]:
    """Some of the ``count`` indices that aren't ``used``, in whole groups."""
    rest = sorted(set(range(count)) - set(used))
    return [rest[i] for i in spread(len(rest), SPARE * group, group, "")] if len(rest) >= group else []


def _all_but_spare(count: int, group: int, where: str) -> int:
    """Samples without those that are held out: a quarter of the feeds, at most ``SPARE``, at least one.

    Raises:
        BadInput: nothing would be left.
    """
    feeds = count // group
    if feeds < 2:
        raise BadInput(
            f"{count} sample{'s' if count > 1 else ''} can't both show ranges and tell which file is true"
            + (f": the model takes {group} at once" if group > 1 else ""),
            where=where,
            remedy=f"give {2 * group} at least; some dozens tell more",
        )
    return (feeds - max(1, min(SPARE, feeds // 4))) * group


def _sample(text: str, inputs: Sequence[TensorSpec], samples: int, seed: int) -> Samples:
    """The calibration data of a bundled sample."""
    from ..samples import SAMPLES

    name = text.removeprefix("sample:")
    if name not in SAMPLES:
        raise BadInput(
            f"there is no sample {name!r}",
            where="--calibration",
            details=[f"sample:{known}" for known in SAMPLES],
            remedy="use one of these",
        )
    with user_code(text, "the sample's data can't be made"):
        found = SAMPLES[name].calibration(samples, seed)
    if found is None:
        raise BadInput(
            f"the sample {name!r} has no data",
            where="--calibration",
            remedy="give one of: " + "; ".join(FORMS),
        )
    return arrays.in_memory(found, inputs, text)


def _random(
    inputs: Sequence[TensorSpec], samples: int, seed: int, examples: Feeds | None, *, spare: int = 0
) -> CalibrationSet:
    """Feeds like the example: of its extents, and of values that the model takes; and ``spare`` others."""
    examples = examples or generated(inputs, seed)
    batch = len(examples[inputs[0].name]) if batch_size(inputs) is not None else 1
    own = {spec.name: np.asarray(examples[spec.name]) for spec in inputs}
    random = np.random.default_rng((seed, 1))  # not what validation draws
    survey, kept = Survey(inputs), Kept()
    feeds = -(-samples // batch)
    for index in range(feeds + spare):
        feed = random_feeds(own, random) if index else own
        if index < feeds:
            survey.add(feed)
        kept.add(Sample(feed))
    return CalibrationSet(
        f"random noise (seed {seed}): {feeds * batch} samples like the example",
        samples=feeds * batch,
        feeds=feeds,
        load=lambda index: dict(kept[index].arrays),
        fit_for_deployment=False,
        spare=spare,
        survey=survey,
    )
