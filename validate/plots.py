"""The report's pictures: inline SVG that follows the reader's light or dark mode.

Matplotlib draws with stand-in colours, which become CSS variables in the text of the SVG. Text stays text.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from .results import Hop, LatencyRow, OutputParity, ParityResult, Report
from .summary import SummaryRow, milliseconds, percent, size

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, MUTED, GRID, FIRST, SECOND, SURFACE = (f"#01020{i}" for i in range(6))
_VARIABLES = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    GRID: "var(--line)",
    FIRST: "var(--first)",
    SECOND: "var(--second)",
    SURFACE: "var(--surface)",
}


def plots(report: Report, rows: Sequence[SummaryRow]) -> dict[str, str]:
    """Name → SVG text of every picture that the report has numbers for."""
    import matplotlib as mpl

    drawn: dict[str, str] = {}
    with mpl.rc_context(
        {
            "svg.fonttype": "none",
            "text.parse_math": False,
            "font.family": "sans-serif",
            "font.size": 10,
            "text.color": INK,
            "axes.edgecolor": GRID,
            "axes.labelcolor": MUTED,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.spines.left": False,
            "xtick.color": MUTED,
            "ytick.color": INK,
            "xtick.minor.bottom": False,
            "ytick.major.size": 0,
            "grid.color": GRID,
            "grid.linewidth": 0.8,
            "legend.frameon": False,
        }
    ):
        for name, figure in (
            ("errors", _errors(report.parity) if report.parity else None),
            ("latency", _latency(report.latency.rows) if report.latency else None),
            ("front", _front(rows)),
        ):
            if figure is not None:
                drawn[name] = _svg(figure, name)
    return drawn


# -- error per hop ------------------------------------------------------------------------------------


def _errors(parity: ParityResult) -> Figure | None:
    """Two bars a hop: the error against the truth so far, and what this hop added."""
    from matplotlib.patches import Patch
    from matplotlib.transforms import ScaledTranslation

    rows = [(hop, out) for hop in parity.hops if hop.name != parity.truth and (out := _output(hop, parity))]
    values = [e.rms for _, o in rows for e in (o.vs_truth, o.vs_previous) if e and e.rms > 0]
    if not values:
        return None
    name = rows[0][1].name
    floor = next((f.rms for f in parity.floor if f.output == name and f.rms > 0), None)
    least = min([*values, floor or min(values)]) / 3
    figure, axes = _figure(len(rows) * 0.62 + 1.0)
    for at, (_, out) in enumerate(rows):
        for shift, errors, colour in ((-0.17, out.vs_truth, FIRST), (0.17, out.vs_previous, SECOND)):
            if errors is None:
                continue
            if errors.rms > 0:
                axes.barh(at + shift, errors.rms - least, 0.3, left=least, color=colour)
            label = f"{errors.rms:.2g}" if errors.rms > 0 else "exact"
            axes.annotate(label, (max(errors.rms, least), at + shift), (4, 0), va="center", fontsize=8.5,
                          textcoords="offset points", color=MUTED,
                          bbox={"facecolor": SURFACE, "edgecolor": "none", "pad": 1})  # fmt: skip
    axes.set_xlim(least, max(values) * 6)
    _logarithmic(axes)
    if floor:
        for value, text in ((floor, "noise floor"), (floor * parity.multiple, f"{parity.multiple:g}× floor")):
            axes.axvline(value, color=INK, linewidth=1, linestyle=(0, (4, 3)), zorder=0)
            axes.annotate(text, (value, 1), (3, 2), xycoords=("data", "axes fraction"),
                          textcoords="offset points", fontsize=8.5, color=MUTED)  # fmt: skip
    keys = [
        Patch(color=FIRST, label="so far, against the truth"),
        Patch(color=SECOND, label="added by this hop"),
    ]
    above = axes.transAxes + ScaledTranslation(0, 16 / 72, figure.dpi_scale_trans)  # the names of the floors
    axes.legend(handles=keys, loc="lower left", bbox_to_anchor=(0, 1), bbox_transform=above, ncols=2, fontsize=9,
                borderpad=0, borderaxespad=0)  # fmt: skip
    axes.set_xlabel(f"rms error of output {name!r}, logarithmic")
    _rows(axes, [hop.name for hop, _ in rows])
    return figure


def _output(hop: Hop, parity: ParityResult) -> OutputParity | None:
    """The output that the picture is about: the first that has numbers in the chain."""
    with_numbers = [o.name for h in parity.hops for o in h.outputs if o.vs_truth]
    return next((o for o in hop.outputs if o.name == with_numbers[0] and (o.vs_truth or o.vs_previous)), None)


# -- latency ------------------------------------------------------------------------------------------


def _latency(rows: Sequence[LatencyRow]) -> Figure | None:
    """A row's distribution: whisker from the least to the 95 % quantile, box of the middle half, median."""
    timed = [r for r in rows if len(r.quantiles_ms) == 21]
    if not timed:
        return None
    figure, axes = _figure(len(timed) * 0.42 + 0.8)
    for at, row in enumerate(timed):
        q = row.quantiles_ms
        axes.plot([q[0], q[19]], [at, at], color=FIRST, linewidth=1.5, solid_capstyle="butt")
        axes.barh(at, q[15] - q[5], 0.5, left=q[5], color=FIRST)
        axes.plot([q[10], q[10]], [at - 0.34, at + 0.34], color=INK, linewidth=2)
        axes.annotate(milliseconds(q[10]), (q[19], at), (6, 0), textcoords="offset points", va="center",
                      fontsize=8.5, color=MUTED)  # fmt: skip
    least, most = min(r.quantiles_ms[0] for r in timed), max(r.quantiles_ms[19] for r in timed)
    if most > 10 * least > 0:
        axes.set_xlim(least / 1.5, most * 2)
        _logarithmic(axes)
        unit = "milliseconds, logarithmic"
    else:
        axes.set_xlim(0, most * 1.15)
        unit = "milliseconds"
    axes.set_xlabel(f"one inference, {unit}")
    several = len({r.threads for r in timed}) > 1
    _rows(axes, [f"{r.name}, {r.threads} thr." if several else r.name for r in timed])
    return figure


# -- the front ----------------------------------------------------------------------------------------


def _front(rows: Sequence[SummaryRow]) -> Figure | None:
    """Size against median latency; filled points are those that no other beats in both."""
    points = [
        (r, float(r.size_bytes), r.latency.p50_ms) for r in rows if r.size_bytes and r.latency and r.latency.p50_ms
    ]
    if len(points) < 2:
        return None
    figure, axes = _figure(4.2)
    for _, bytes_, time in points:
        beaten = any(b <= bytes_ and t <= time and (b, t) != (bytes_, time) for _, b, t in points)
        axes.plot(time, bytes_, "o", markersize=9, markeredgecolor=FIRST, markeredgewidth=2,
                  markerfacecolor=SURFACE if beaten else FIRST)  # fmt: skip
    axes.margins(x=0.25, y=0.15)
    axes.set_xscale("log")
    axes.set_yscale("log")
    _logarithmic(axes)
    axes.set_xlabel("median latency, milliseconds, logarithmic")
    axes.set_title("size", loc="left", fontsize=10, color=MUTED)
    ticks = _apart(sorted(b for _, b, _ in points))
    axes.set_yticks(ticks, [size(t) for t in ticks])
    axes.minorticks_off()
    axes.grid(True, axis="x")
    axes.set_axisbelow(True)
    texts = [
        f"{r.name} {percent(r.accuracy.accuracy)}" if r.accuracy and r.accuracy.accuracy is not None else r.name
        for r, _, _ in points
    ]
    _label(figure, axes, [(time, bytes_) for _, bytes_, time in points], texts)
    return figure


def _label(figure: Figure, axes: Axes, points: Sequence[tuple[float, float]], texts: Sequence[str]) -> None:
    """Write ``texts`` beside ``points``, each where it covers the fewest points and labels before it."""
    from matplotlib.transforms import Bbox

    figure.draw_without_rendering()
    sides: tuple[Literal["left", "right"], ...] = ("left", "right")
    places = [(x if side == "left" else -x, y, side) for x, y in ((9, 0), (6, 11), (6, -11)) for side in sides]
    taken = [Bbox.from_bounds(x - 6, y - 6, 12, 12) for x, y in axes.transData.transform(points)]
    for point, text in zip(points, texts, strict=True):
        tried = []
        for dx, dy, side in places:
            label = axes.annotate(text, point, (dx, dy), textcoords="offset points", fontsize=9, ha=side,
                                  va="center")  # fmt: skip
            box = label.get_window_extent()
            outside = box.x1 > figure.bbox.x1 or box.x0 < axes.bbox.x0
            tried.append((outside * 100 + sum(box.overlaps(other) for other in taken), label, box))
        best = min(tried, key=lambda t: t[0])
        for at in tried:
            if at is not best:
                at[1].remove()
        taken.append(best[2])


def _apart(ticks: Sequence[float]) -> list[float]:
    """The ticks that are at least 30 % above the one before."""
    kept: list[float] = []
    for tick in ticks:
        if not kept or tick > kept[-1] * 1.3:
            kept.append(tick)
    return kept


# -- what they share ----------------------------------------------------------------------------------


def _figure(height: float) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.2, height), layout="constrained")
    figure.patch.set_alpha(0)
    axes = figure.subplots()
    axes.patch.set_alpha(0)
    return figure, axes


def _logarithmic(axes: Axes) -> None:
    """A logarithmic x axis with plain numbers (names may hold a "$", so mathtext is off)."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axes.set_xscale("log")
    low, high = axes.get_xlim()
    if high < 300 * low:  # whole decades alone would leave too few marks
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())


def _rows(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.grid(True, axis="x")
    axes.set_axisbelow(True)


def _svg(figure: Figure, name: str) -> str:
    """The figure as SVG text with ids of its own, no XML prologue and colours from CSS."""
    import matplotlib as mpl

    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.S)
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'(xlink:href="|url\()#', rf"\1#{name}-", text)
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, variable)
    return text
