"""The analysis of a quantized file in words: the columns of its tables, for the terminal and for pages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..analysis import Deviation, LayerError, OperatorSensitivity, Place, QuantizationAnalysis, SensitivityResult
from ..display import number, percent

MARKS = {"error": "✗", "warning": "⚠", "note": "·"}
"""Severity → the mark of a finding."""

MODES = {"one": "quantized alone", "all-but-one": "in float, all others as in the file"}


@dataclass(frozen=True)
class LayerColumn:
    """A column of the table of layers; a narrow terminal loses the highest ranks first."""

    title: str
    text: Callable[[LayerError], str]
    rank: int = 0


def decibels(found: Deviation | None) -> str:
    """The SQNR of the worst group of channels; ``exact``, and ``–`` where there is none."""
    if found is None:
        return "–"
    if found.exact:
        return "exact"
    return "no signal" if found.worst_group_db is None else f"{found.worst_group_db:.1f} dB"


def _steps(layer: LayerError) -> str:
    found = layer.local or layer.accumulated
    if found.mean_quanta is None or found.max_quanta is None:
        return "–"
    return f"{found.mean_quanta:.2f} / {found.max_quanta:.0f}"


def _used(layer: LayerError) -> str:
    return "–" if layer.used_share is None else f"{100 * layer.used_share:.0f} %"


COLUMNS = (
    LayerColumn("own error", lambda layer: decibels(layer.local)),
    LayerColumn("gathered", lambda layer: decibels(layer.accumulated), 1),
    LayerColumn("best in its scale", lambda layer: decibels(layer.rounding), 6),
    LayerColumn("steps off, mean / max", _steps, 5),
    LayerColumn("range used", _used, 3),
    LayerColumn("beyond it", lambda layer: percent(layer.saturated) if layer.there else "–", 4),
)
"""SQNRs are of the worst group of channels."""


def where(place: Place) -> str:
    """Module and source line, as far as they are known."""
    return " ".join(filter(None, (place.module, place.source)))


def culprits(found: QuantizationAnalysis) -> list[LayerError]:
    """The layers that have an error of their own, worst first."""
    own = (layer for layer in found.layers if layer.local is None or not layer.local.exact)
    return [layer for layer in own if not layer.scale_of and not layer.accumulated.exact]


def followers(found: QuantizationAnalysis, tensor: str) -> list[str]:
    """Tensors whose error the scale of ``tensor`` explains."""
    return [layer.place.tensor for layer in found.layers if layer.scale_of == tensor]


def groups(layer: LayerError) -> str:
    """Which channels are the worst, and how the whole compares; empty where all are one group."""
    found = layer.local or layer.accumulated
    whole = "" if found.sqnr_db is None else f", all together {found.sqnr_db:.1f} dB"
    return f"channels {found.channels}{whole}" if found.channels else ""


def tally(found: QuantizationAnalysis) -> str:
    """``2 errors, 1 note``; ``nothing`` where there are no findings."""
    parts = [f"{count} {severity}{'s' if count > 1 else ''}" for severity, count in found.counts.items()]
    return ", ".join(parts) or "nothing"


def budget(found: SensitivityResult) -> str:
    """What was tried, in a sentence."""
    base = "exact or without signal" if found.base_db is None else f"{found.base_db:.1f} dB"
    left = "" if len(found.rows) == found.candidates else ", then the budget was spent"
    return (
        f"each operator {MODES[found.mode]}: worst output on {found.samples} samples, where the file has {base}; "
        f"{len(found.rows)} of {found.candidates} operators in {found.seconds:.0f} s{left}"
    )


def figure(row: OperatorSensitivity) -> str:
    """What a trial gave."""
    if row.failure:
        return "failed"
    return "exact" if row.sqnr_db is None else f"{row.sqnr_db:.1f} dB"


def gain(row: OperatorSensitivity, found: SensitivityResult) -> str:
    """What float brings, in dB; of operators that were tried alone, nothing."""
    if found.mode == "one" or row.sqnr_db is None or found.base_db is None:
        return ""
    return f"{row.sqnr_db - found.base_db:+.1f}"


def span(bounds: Sequence[float] | None) -> str:
    """``-1.5 … 3``."""
    return "–" if bounds is None else f"{number(bounds[0])} … {number(bounds[1])}"
