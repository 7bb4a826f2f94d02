"""The report's pictures, for a wide page and for a phone (see ``drawing``).

Every number in a picture is one of the tables', written like there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..display import milliseconds, number, percent, size
from .drawing import (
    FAIL,
    FIRST,
    INK,
    MUTED,
    SECOND,
    SURFACE,
    WIDTHS,
    canvas,
    label_points,
    label_rows,
    logarithmic,
    styled,
    svg,
)
from .results import LatencyRow, Report
from .summary import SummaryRow

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def plots(report: Report, rows: Sequence[SummaryRow]) -> dict[str, dict[str, str]]:
    """Name → kind of page → SVG text, of every picture that the report has numbers for."""
    drawn: dict[str, dict[str, str]] = {}
    with styled():
        for kind, width in WIDTHS.items():
            for name, figure in (
                ("errors", _errors(rows, width)),
                ("latency", _latency(report.latency.rows, width) if report.latency else None),
                ("front", _front(rows, width)),
            ):
                if figure is not None:
                    drawn.setdefault(name, {})[kind] = svg(figure, f"{name}-{kind}")
    return drawn


# -- error per hop ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Bar:
    """A row of a panel; without a number it has only its ``label``."""

    name: str
    label: str
    value: float | None
    limit: float | None = None
    failed: bool = False


@dataclass(frozen=True)
class _Panel:
    title: str
    colour: str
    bars: Sequence[_Bar]
    log: bool = False


def _errors(rows: Sequence[SummaryRow], width: float) -> Figure | None:
    """What the verdict is about, float and quantized apart, as they have different units; and what each hop added."""
    panels = [p for p in _panels(rows) if any(bar.value is not None for bar in p.bars)]
    if not panels:
        return None
    heights = [0.3 * len(p.bars) + 0.75 for p in panels]
    figure, grid = canvas(width, sum(heights), heights)
    for axes, panel in zip(grid, panels, strict=True):
        _draw(axes, panel)
    return figure


def _panels(rows: Sequence[SummaryRow]) -> list[_Panel]:
    measured = [(r, r.figure) for r in rows if r.figure]
    shares = [_Bar(r.name, "exact" if r.own_share == 0 else number(r.own_share), r.own_share or None) for r in rows
              if r.own_share is not None]  # fmt: skip

    def bars(unit: str) -> list[_Bar]:
        return [_Bar(r.name, r.parity, f.value, f.limit, r.status == "fail") for r, f in measured if f.unit == unit]

    noise = bars("noise")
    largest = max((b.value for b in noise if b.value), default=0.0)
    apart = largest > 3 * max((b.limit for b in noise if b.limit), default=largest)
    return [
        _Panel("error in noise floors (less is better)", FIRST, noise, log=apart),
        _Panel("SQNR in dB (more is better)", FIRST, bars("dB")),
        _Panel("rms error that the hop added", SECOND, shares, log=True),
    ]


def _draw(axes: Axes, panel: _Panel) -> None:
    values = [b.value for b in panel.bars if b.value is not None]
    limits = [b.limit for b in panel.bars if b.limit is not None]
    start = min([*values, *limits]) / 3 if panel.log else min(0.0, *values)
    for at, bar in enumerate(panel.bars):
        end = start if bar.value is None else bar.value
        axes.barh(at, end - start, 0.6, left=start, color=FAIL if bar.failed else panel.colour)
        axes.annotate(bar.label, (max(end, start), at), (4, 0), va="center", fontsize=8.5,
                      textcoords="offset points", color=MUTED,
                      bbox={"facecolor": SURFACE, "edgecolor": "none", "pad": 1})  # fmt: skip
        if bar.limit is not None:
            axes.plot([bar.limit, bar.limit], [at - 0.5, at + 0.5], color=INK, linewidth=1, linestyle=(0, (4, 3)))
    end = max([*values, *limits])
    if panel.log:
        axes.set_xlim(start, end * (end / start) ** 0.3)
        logarithmic(axes)
    else:
        axes.set_xlim(start, end + 0.3 * (end - start))
    axes.set_title(panel.title, loc="left", fontsize=9, color=MUTED, x=0)
    label_rows(axes, [bar.name for bar in panel.bars])


# -- latency ------------------------------------------------------------------------------------------


def _latency(rows: Sequence[LatencyRow], width: float) -> Figure | None:
    """A row's distribution: whisker from the least to the 95 % quantile, box of the middle half, median."""
    timed = [r for r in rows if len(r.quantiles_ms) == 21]
    if not timed:
        return None
    figure, (axes,) = canvas(width, len(timed) * 0.42 + 0.8)
    for at, row in enumerate(timed):
        q = row.quantiles_ms
        axes.plot([q[0], q[19]], [at, at], color=FIRST, linewidth=1.5, solid_capstyle="butt")
        axes.barh(at, q[15] - q[5], 0.5, left=q[5], color=FIRST)
        axes.plot([q[10], q[10]], [at - 0.34, at + 0.34], color=INK, linewidth=2)
        axes.annotate(milliseconds(row.p50_ms), (q[19], at), (6, 0), textcoords="offset points", va="center",
                      fontsize=8.5, color=MUTED)  # fmt: skip
    least, most = min(r.quantiles_ms[0] for r in timed), max(r.quantiles_ms[19] for r in timed)
    if most > 10 * least > 0:
        axes.set_xlim(least / 1.5, most * (most / least) ** (1.6 / width))
        logarithmic(axes)
        unit = "ms, logarithmic"
    else:
        axes.set_xlim(0, most * (1 + 1.2 / width))
        unit = "ms"
    axes.set_xlabel(f"one inference in {unit}")
    several = len({r.threads for r in timed}) > 1
    label_rows(axes, [f"{r.name}, {r.threads} thr." if several else r.name for r in timed])
    return figure


# -- the front ----------------------------------------------------------------------------------------


def _front(rows: Sequence[SummaryRow], width: float) -> Figure | None:
    """Size against median latency; filled points are those that no other beats in both."""
    points = [
        (r, float(r.size_bytes), r.latency.p50_ms) for r in rows if r.size_bytes and r.latency and r.latency.p50_ms
    ]
    if len(points) < 2:
        return None
    figure, (axes,) = canvas(width, 4.2)
    for _, bytes_, time in points:
        beaten = any(b <= bytes_ and t <= time and (b, t) != (bytes_, time) for _, b, t in points)
        axes.plot(time, bytes_, "o", markersize=9, markeredgecolor=FIRST, markeredgewidth=2,
                  markerfacecolor=SURFACE if beaten else FIRST)  # fmt: skip
    axes.margins(x=0.25, y=0.15)
    axes.set_xscale("log")
    axes.set_yscale("log")
    logarithmic(axes)
    axes.set_xlabel("median latency in ms, logarithmic")
    axes.set_title("size", loc="left", fontsize=10, color=MUTED)
    ticks = _apart(sorted(b for _, b, _ in points))
    axes.set_yticks(ticks, [size(t) for t in ticks])
    axes.minorticks_off()
    axes.grid(True, axis="x")
    axes.set_axisbelow(True)
    roomy = width > 5
    texts = [
        f"{r.name} {percent(r.accuracy.accuracy)}" if roomy and r.accuracy and r.accuracy.accuracy else r.name
        for r, _, _ in points
    ]
    label_points(figure, axes, [(time, bytes_) for _, bytes_, time in points], texts)
    return figure


def _apart(ticks: Sequence[float]) -> list[float]:
    """The ticks that are at least 30 % above the one before."""
    kept: list[float] = []
    for tick in ticks:
        if not kept or tick > kept[-1] * 1.3:
            kept.append(tick)
    return kept
