"""A recommendation, for people."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from ..validate import advice_words as words
from .terminal import TextColumn

if TYPE_CHECKING:
    from ..validate.advice import RecommendationResult
    from .console import Console

_MARKS = {"error": "✗", "skipped": "–"}


def advice(console: Console, found: RecommendationResult, folder: Path) -> None:
    """What to take and why, all that was tried, and what was written. A narrow terminal loses figures, never rows."""
    console.say(f"{'✓' if found.pick else '✗'} {found.said}")
    for reason in found.reasons:
        console.say(f"· {reason}")
    columns = words.columns(found)
    console.table(
        ("file", *(TextColumn(c.title, right=True, rank=c.rank) for c in columns), ""),
        [(one.name, *(c.text(one) for c in columns), words.mark(found, one)) for one in found.variants],
    )
    for one in found.variants:
        if said := words.verdict(one):
            console.say(f"{_MARKS.get(one.status, '·')} {one.name}: {said}")
    for left in found.left_out:
        console.say(f"· no time was left for {left}")
    console.say(f"· errors are of {found.samples} feeds: {found.judged_on}")
    if found.metric:
        console.say(f"· accuracy is {found.metric} on {found.labelled}")
    if found.timed_on:
        console.say(f"· latencies are of {found.timed_on}")
    for note in found.notes:
        console.say(f"· {note}")
    if not found.written:
        console.say("· nothing was kept: -o OUT keeps the file, its recipe and a picture")
    for name in found.written:
        console.say(os.path.normpath(folder / name))
    if found.again:
        console.say(f"· to make it again: {found.again}")
