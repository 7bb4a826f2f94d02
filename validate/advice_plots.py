"""The picture of a recommendation: what each file loses against what it costs (see ``drawing``)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..display import percent
from .advice import RecommendationResult, VariantResult
from .drawing import FAIL, FIRST, MUTED, SECOND, SURFACE, WIDTHS, canvas, label_points, logarithmic, styled, svg
from .ranking import CRITERIA

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ABOVE = 0.12
"""Where what is exact is drawn: this share of the axis above the others."""


@dataclass(frozen=True)
class _Side:
    """What a picture has upwards."""

    title: str
    value: Callable[[VariantResult], float | None]


_SIDES = {
    "error": _Side("SQNR in dB (more is better)", lambda one: one.tradeoff.quality_db if one.tradeoff else None),
    "accuracy": _Side("accuracy (more is better)", lambda one: one.accuracy),
}

CAPTIONS = {
    "error": "How true the files are against what they cost. Filled: nothing is better in something and worse in "
    "nothing, accuracy and size included. Large: the one to take. Red: misses a limit.",
    "accuracy": "The same for accuracy on the labelled data.",
}


def plots(found: RecommendationResult) -> dict[str, dict[str, str]]:
    """Name → kind of page → SVG text, of every picture that there are numbers for."""
    drawn: dict[str, dict[str, str]] = {}
    with styled():
        for kind, width in WIDTHS.items():
            for name in _SIDES:
                figure = front(found, name, width)
                if figure is not None:
                    drawn.setdefault(name, {})[kind] = svg(figure, f"recommend-{name}-{kind}")
    return drawn


def front(found: RecommendationResult, name: str, width: float) -> Figure | None:
    """Latency (size, where none was taken) against SQNR or accuracy; ``width`` in inches. None with fewer than two."""
    cost = CRITERIA["latency" if found.timed_on else "size"]
    points = [
        (one, x, y)
        for one in found.variants
        if one.same_as is None and (x := _ratio(one, timed=bool(found.timed_on))) is not None
        if (y := _SIDES[name].value(one)) is not None and y > -math.inf
    ]
    if len(points) < 2:
        return None
    figure, (axes,) = canvas(width, 4.4)
    heights = _heights([y for _, _, y in points])
    for (one, x, _), y in zip(points, heights, strict=True):
        _mark(axes, x, y, one, picked=one.name == found.pick)
    axes.margins(x=0.3, y=0.15)
    logarithmic(axes)
    axes.set_xlabel(f"{cost.key} ÷ that of float32, logarithmic")
    axes.set_title(_SIDES[name].title, loc="left", fontsize=9, color=MUTED)
    _ticks(axes, [y for _, _, y in points], heights, shares=name == "accuracy")
    axes.grid(True)
    axes.set_axisbelow(True)
    labelled = [(one.name, (x, y)) for (one, x, _), y in zip(points, heights, strict=True)
                if one.beaten_by is None or (name == "error" and width > 5)]  # fmt: skip
    beaten = {one.name for one, _, _ in points if one.beaten_by}
    labelled.sort(key=lambda label: label[0] in beaten)  # the others have the choice of places
    label_points(figure, axes, [place for _, place in labelled], [text for text, _ in labelled])
    return figure


def _ratio(one: VariantResult, *, timed: bool) -> float | None:
    found = one.tradeoff
    return None if found is None else found.latency_ratio if timed else found.size_ratio


def _heights(values: Sequence[float]) -> list[float]:
    """Those that are infinite a little above the others."""
    finite = [value for value in values if value < math.inf] or [0.0]
    top = max(finite) + _ABOVE * max(max(finite) - min(finite), 1.0)
    return [min(value, top) for value in values]


def _ticks(axes: Axes, values: Sequence[float], heights: Sequence[float], *, shares: bool) -> None:
    from matplotlib.ticker import MaxNLocator

    finite = [value for value in values if value < math.inf]
    places = [float(t) for t in MaxNLocator(6).tick_values(min(finite, default=0), max(finite, default=1))]
    texts = [percent(t) if shares else f"{t:g}" for t in places]
    exact = [height for value, height in zip(values, heights, strict=True) if value == math.inf]
    if exact:
        kept = [i for i, t in enumerate(places) if t < max(finite, default=0) + 0.02 * exact[0]]
        places, texts = [places[i] for i in kept] + [exact[0]], [texts[i] for i in kept] + ["exact"]
    axes.set_yticks(places, texts)


def _mark(axes: Axes, x: float, y: float, one: VariantResult, *, picked: bool) -> None:
    colour = SECOND if picked else FAIL if one.status == "fail" else FIRST
    filled = picked or (one.beaten_by is None and one.status == "pass")
    if picked:
        axes.plot(
            x, y, "o", markersize=18, zorder=4, markeredgecolor=SECOND, markeredgewidth=2.5, markerfacecolor="none"
        )
    axes.plot(x, y, "o", markersize=9, zorder=4 if picked else 3, markeredgecolor=colour, markeredgewidth=2,
              markerfacecolor=colour if filled else SURFACE)  # fmt: skip
