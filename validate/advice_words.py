"""A recommendation in words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ..display import milliseconds, percent, size
from ..schemes import FLOAT32
from .advice import RecommendationResult, VariantResult
from .made import SamplesAre
from .ranking import CRITERIA, against, first

FEW = 8
"""Feeds that say little if they are fewer."""


def sentence(pick: VariantResult, *, keeps: bool, samples: str = "") -> str:
    """What to take, and what it is like. ``samples``: those that errors are of, ``4 held-out feeds``."""
    if not keeps:
        return f"Nothing keeps to all limits; {pick.name} is the nearest: {likeness(pick, samples)}"
    if pick.scheme == FLOAT32.name:
        return f"Stay with float32: {likeness(pick, samples)}"
    return f"Take {pick.name}: {likeness(pick, samples)}"


def feeds(count: int, are: SamplesAre) -> str:
    """``4 held-out feeds``."""
    kind = {"held out": "held-out ", "random": "random "}.get(are, f"{are} " if are else "")
    return f"{count} {kind}feed{'' if count == 1 else 's'}"


def few(count: int, are: SamplesAre) -> Iterator[str]:
    """That chance decides where there are so few."""
    if 0 < count < FEW and are in ("held out", "calibration"):
        yield (
            f"errors are of {feeds(count, are)}, so few that others may tell another story: "
            f"a quarter of --calibration is held out, so give {4 * FEW} samples or more"
        )


def likeness(one: VariantResult, samples: str = "") -> str:
    """``0.31× the time and 0.27× the size of float32 (121 µs, 42.6 kB), 31 dB on 4 held-out feeds, accuracy 98 %``."""
    latency, room = CRITERIA["latency"], CRITERIA["size"]
    timed = latency.cost(one) is not None
    absolute = ", ".join([*([milliseconds(one.latency_ms)] if timed else []), size(one.size_bytes)])
    ratios = " and ".join([*([f"{latency.said(one)} the time"] if timed else []), f"{room.said(one)} the size"])
    parts = [absolute if one.scheme == FLOAT32.name else f"{ratios} of float32 ({absolute})"]
    on = f" on {samples}" if samples else ""
    parts += [] if one.scheme == FLOAT32.name else [CRITERIA["error"].said(one) + on]
    return ", ".join([*parts, *accuracy(one)])


def accuracy(one: VariantResult) -> Iterator[str]:
    """The accuracy, with what was lost and how sure that is."""
    if one.accuracy is None:
        return
    lost = ""
    if one.drop is not None and one.drop_low is not None and one.drop_high is not None:
        lost = f" (loses {percent(one.drop)}, 95 % interval {percent(one.drop_low)} to {percent(one.drop_high)})"
    yield f"accuracy {percent(one.accuracy)}{lost}"


def reasons(variants: Sequence[VariantResult], prefer: str, asked: Sequence[str]) -> Iterator[str]:
    """Why the first of the ranked variants is.

    Args:
        variants: Ranked.
        prefer: What decided first.
        asked: The limits.
    """
    tried = [one for one in variants if one.status in ("pass", "fail") and one.same_as is None]
    good = [one for one in tried if one.status == "pass"]
    limits = " and ".join(asked) or "nothing"
    if not good:
        yield f"none of {len(tried)} files keeps to: {limits}"
        return
    yield f"{len(good)} of {len(tried)} files keep to the limits ({limits})"
    pick, trail = first(good, prefer)
    left = len(good)
    for criterion, fewer in trail:
        of = f"of the {left} that are equal so far" if left < len(good) else f"of these {left}"
        alone = "it is" if fewer == 1 else f"it is among the {fewer} that are"
        yield f"{of} {alone} the {criterion.most}, at {criterion.said(pick)}"
        left = fewer
    runner = next((one for one in good if one.name != pick.name and one.beaten_by is None), None)
    if runner is not None:
        gains, costs = against(runner, pick)
        but = f", but {', '.join(costs)}" if costs else ""
        yield f"next is {runner.name}: {', '.join(gains) or 'no better in anything'}{but}"


@dataclass(frozen=True)
class AdviceColumn:
    """A column of the table of variants. ``rank``: how soon a narrow terminal leaves it out."""

    title: str
    rank: int
    text: Callable[[VariantResult], str]


def columns(found: RecommendationResult) -> list[AdviceColumn]:
    """Those that there are figures for."""
    made = [
        AdviceColumn("SQNR", 0, lambda one: CRITERIA["error"].said(one) if one.tradeoff else "–"),
        AdviceColumn("accuracy", 1, lambda one: percent(one.accuracy)),
        AdviceColumn("loses", 5, lambda one: percent(one.drop)),
        AdviceColumn("latency", 2, CRITERIA["latency"].said),
        AdviceColumn("median", 6, lambda one: milliseconds(one.latency_ms)),
        AdviceColumn("size", 3, CRITERIA["size"].said),
        AdviceColumn("bytes", 7, lambda one: size(one.size_bytes)),
    ]
    return [column for column in made if any(column.text(one) != "–" for one in found.variants)]


def mark(found: RecommendationResult, one: VariantResult) -> str:
    """How the variant ended, in a word."""
    if one.same_as is not None:
        return "same"
    if one.status != "pass":
        return {"fail": "misses", "error": "error", "skipped": "skipped"}.get(one.status, one.status)
    return "take" if one.name == found.pick else "beaten" if one.beaten_by else "front"


def verdict(one: VariantResult) -> str:
    """What speaks for and against it; why there is no file."""
    if one.same_as is not None:
        return f"makes the same file as {one.same_as}"
    return one.failure or one.why
