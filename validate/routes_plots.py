"""The picture of a comparison of converters: latency against size of what each made (see ``drawing``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .drawing import FAIL, FIRST, MUTED, SECOND, SURFACE, WIDTHS, canvas, label_points, logarithmic, styled, svg
from .routes import RouteComparison, RouteRow

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CAPTION = (
    "What the converters' files cost. Bars: the median's 95 % interval. Filled: no file that passes is smaller and as "
    "fast, or faster and as small. Large: the one picked. Red: computes something else."
)


def plots(found: RouteComparison) -> dict[str, str]:
    """Kind of page → SVG text; empty with fewer than two files that were timed."""
    drawn: dict[str, str] = {}
    with styled():
        for kind, width in WIDTHS.items():
            figure = front(found, width)
            if figure is not None:
                drawn[kind] = svg(figure, f"compare-{kind}")
    return drawn


def front(found: RouteComparison, width: float) -> Figure | None:
    """Latency against size, ``width`` in inches; None with fewer than two files."""
    points = [(row, row.p50_ms, row.size_bytes) for row in found.rows if row.p50_ms and row.size_bytes]
    if len(points) < 2:
        return None
    from matplotlib.ticker import MaxNLocator

    figure, (axes,) = canvas(width, 4.0)
    for row, x, y in points:
        _mark(axes, x, y / 1e6, row, picked=row.route == found.picked, beaten=_beaten(row, found))
    axes.margins(x=0.3, y=0.2)
    logarithmic(axes)
    axes.xaxis.set_major_locator(MaxNLocator(6 if width > 5 else 3))
    axes.set_xlabel("median latency in ms, logarithmic")
    axes.set_title("size in MB (less is better)", loc="left", fontsize=9, color=MUTED)
    axes.grid(True)
    axes.set_axisbelow(True)
    label_points(figure, axes, [(x, y / 1e6) for _, x, y in points], [row.route for row, _, _ in points])
    return figure


def _beaten(row: RouteRow, found: RouteComparison) -> bool:
    """Whether a file that passes is better in one thing and as good in the other."""
    mine = (row.p50_ms or 0.0, row.size_bytes or 0)
    return any(
        other is not row and other.status == "pass" and other.p50_ms and other.size_bytes
        and other.p50_ms <= mine[0] and other.size_bytes <= mine[1] and (other.p50_ms, other.size_bytes) != mine
        for other in found.rows
    )  # fmt: skip


def _mark(axes: Axes, x: float, y: float, row: RouteRow, *, picked: bool, beaten: bool) -> None:
    colour = SECOND if picked else FIRST if row.status == "pass" else FAIL
    if row.p50_low_ms and row.p50_high_ms:
        axes.plot([row.p50_low_ms, row.p50_high_ms], [y, y], color=colour, linewidth=7, alpha=0.25, zorder=2)
    if picked:
        axes.plot(
            x, y, "o", markersize=18, zorder=4, markeredgecolor=SECOND, markeredgewidth=2.5, markerfacecolor="none"
        )
    filled = picked or (row.status == "pass" and not beaten)
    axes.plot(x, y, "o", markersize=9, zorder=4 if picked else 3, markeredgecolor=colour, markeredgewidth=2,
              markerfacecolor=colour if filled else SURFACE)  # fmt: skip
