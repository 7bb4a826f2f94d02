"""Pictures of the analysis of a quantized file (see ``drawing``)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..analysis import Histogram, QuantizationAnalysis
from ..display import percent
from .analysis_words import span
from .drawing import FAIL, FIRST, GRID, MUTED, SECOND, WIDTHS, canvas, styled, svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DRAWN = 8


def plots(found: QuantizationAnalysis) -> dict[str, dict[str, str]]:
    """Name → kind of page → SVG text."""
    drawn: dict[str, dict[str, str]] = {}
    if not found.layers:
        return drawn
    with styled():
        for kind, width in WIDTHS.items():
            for name, figure in (
                ("layers", _layers(found, width)),
                ("histograms", _histograms(found.histograms[:_DRAWN], width)),
            ):
                if figure is not None:
                    drawn.setdefault(name, {})[kind] = svg(figure, f"{found.scheme}-{name}-{kind}")
    return drawn


def _layers(found: QuantizationAnalysis, width: float) -> Figure | None:
    """Own and gathered error over the order of the file: where the line falls, error comes in."""
    layers = sorted(found.layers, key=lambda layer: layer.index)
    gathered = [(n.index, n.accumulated.worst_group_db) for n in layers if n.accumulated.worst_group_db is not None]
    own = [(n.index, n.local.worst_group_db, n) for n in layers if n.local and n.local.worst_group_db is not None]
    if not gathered:
        return None
    figure, (axes,) = canvas(width, 3.2)
    axes.plot(*zip(*gathered, strict=True), color=SECOND, linewidth=1.5, label="gathered from the input on")
    if own:
        axes.plot([i for i, _, _ in own], [db for _, db, _ in own], "o", color=FIRST, markersize=4, label="its own")
        for place, db, layer in own:
            if layer is found.layers[0]:
                axes.plot([place], [db], "o", color=FAIL, markersize=8)
                text = f"{layer.place.op} {layer.place.tensor}"
                left = place < found.layer_count / 2
                axes.annotate(text if width > 5 else layer.place.op, (place, db), (9 if left else -9, 0), va="center",
                              textcoords="offset points", ha="left" if left else "right", fontsize=9)  # fmt: skip
    axes.set_xlabel("tensor, in the order of the file")
    axes.set_title("SQNR in dB (more is better)", loc="left", fontsize=9, color=MUTED)
    axes.grid(True, axis="y")
    axes.set_axisbelow(True)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1.09), ncols=2, fontsize=8.5, labelcolor=MUTED, borderpad=0)
    axes.margins(y=0.15)
    return figure


def _histograms(found: Sequence[Histogram], width: float) -> Figure | None:
    """Float values of the worst tensors, with the range that the scale takes."""
    if not found:
        return None
    figure, grid = canvas(width, 1.35 * len(found), [1.0] * len(found))
    for axes, one in zip(grid, found, strict=True):
        _histogram(axes, one, wide=width > 5)
    return figure


def _histogram(axes: Axes, found: Histogram, *, wide: bool) -> None:
    edges = np.linspace(*found.edges, len(found.counts) + 1)
    counts = np.log10(1 + np.asarray(found.counts, float))
    if found.there is not None:
        axes.axvspan(*found.there, color=GRID, alpha=0.6, linewidth=0)
        inside = (edges[1:] > found.there[0]) & (edges[:-1] < found.there[1])
    else:
        inside = np.ones(len(counts), bool)
    colours = [FIRST if one else FAIL for one in inside]
    axes.bar(edges[:-1], counts, np.diff(edges), align="edge", color=colours, linewidth=0)
    clipped = f", {percent(found.clipped)} beyond" if found.clipped else ""
    name = f"{found.place.op} {found.place.tensor}" if wide else found.place.tensor[-24:]
    axes.set_title(f"{name}: range {span(found.there)}{clipped}", loc="left", fontsize=9, color=MUTED)
    axes.set_yticks([])
    axes.set_xlim(edges[0], edges[-1])
