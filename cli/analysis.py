"""What the analysis of quantized files found, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import FIX
from ..schemes import get_scheme
from ..validate import analysis_words as words
from .terminal import TextColumn

if TYPE_CHECKING:
    from ..analysis import Place, QuantizationAnalysis
    from .console import Console

_FEW = 3
"""Findings that are shown where nobody asked for an analysis."""

_LAYERS = 12


def analysis(console: Console, found: QuantizationAnalysis) -> None:
    """The findings, and what samples showed; without samples the worst findings alone."""
    scheme = get_scheme(found.scheme).short_name
    if found.failure:
        console.say(f"· {scheme} could not be linted: {found.failure}")
        return
    shown = found.findings if found.samples else [f for f in found.findings if f.severity != "note"][:_FEW]
    if found.findings or found.samples:
        more = "" if len(shown) == sum(found.counts.values()) else "; --analyze shows all"
        console.say(f"· {scheme}: the lint found {words.tally(found)}{more}")
    for number, finding in enumerate(shown, start=1):
        place = f"{finding.place.op} {finding.place.tensor}"
        console.say(f"{words.MARKS[finding.severity]} {finding.rule}: {place}: {finding.message}")
        if said := words.where(finding.place):
            console.say(f"  {said}")
        if number == len(shown) or shown[number].rule != finding.rule:
            console.say(f"{FIX}{finding.remedy}")
    if found.samples:
        _layers(console, found)
        _sensitivity(console, found)


def _layers(console: Console, found: QuantizationAnalysis) -> None:
    culprits = words.culprits(found)
    heads = [TextColumn(c.title, right=True, rank=c.rank) for c in words.COLUMNS]
    console.table(
        (f"worst of {found.layer_count} tensors", *heads, TextColumn("from", rank=2)),
        [
            (_name(layer.place), *(c.text(layer) for c in words.COLUMNS), words.where(layer.place))
            for layer in culprits[:_LAYERS]
        ],
    )
    scheme = get_scheme(found.scheme).short_name
    console.say(f"· {scheme} against the float file on {found.samples} samples: {found.inputs}")
    for layer in culprits[:_LAYERS]:
        if said := words.groups(layer):
            console.say(f"· {layer.place.tensor}: {said}")
        if behind := words.followers(found, layer.place.tensor):
            console.say(f"· {layer.place.tensor}: its scale explains {', '.join(behind)}")


def _sensitivity(console: Console, found: QuantizationAnalysis) -> None:
    tried = found.sensitivity
    if tried is None:
        return
    console.table(
        (
            "sensitivity",
            TextColumn("worst output", right=True),
            TextColumn("gain", right=True),
            TextColumn("from", rank=1),
        ),
        [(_name(row.place), words.figure(row), words.gain(row, tried), words.where(row.place)) for row in tried.rows],
    )
    for row in tried.rows:
        if row.failure:
            console.say(f"✗ {_name(row.place)}: {row.failure}")
    console.say(f"· {words.budget(tried)}")


def _name(place: Place) -> str:
    return f"{place.op} {place.tensor}"
