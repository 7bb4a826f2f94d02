"""How the report's pictures are drawn: inline SVG that follows the reader's light or dark mode.

Matplotlib draws with stand-in colours, which become CSS variables in the text of the SVG. Text stays text.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, MUTED, GRID, FIRST, SECOND, SURFACE, FAIL = (f"#01020{i}" for i in range(7))
_VARIABLES = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    GRID: "var(--line)",
    FIRST: "var(--first)",
    SECOND: "var(--second)",
    SURFACE: "var(--surface)",
    FAIL: "var(--fail)",
}
_LIGHT = {"--ink": "#16202c", "--muted": "#5a6675", "--line": "#d9dee5", "--first": "#1f6feb",
          "--second": "#d9822b", "--surface": "#ffffff", "--fail": "#c62f2f"}  # fmt: skip
"""The variables as the page's style has them by day."""

WIDTHS = {"wide": 8.2, "narrow": 3.4}
"""Kind of page → width of a picture in inches, at 100 CSS pixels each."""


def styled() -> AbstractContextManager[None]:
    """Matplotlib's settings, as long as the context lasts."""
    import matplotlib as mpl

    return mpl.rc_context(
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
    )


def canvas(width: float, height: float, panels: Sequence[float] = (1.0,)) -> tuple[Figure, Sequence[Axes]]:
    """A figure of so many inches, and its axes one below the other, with heights like ``panels``."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    figure.patch.set_alpha(0)
    grid = figure.subplots(len(panels), squeeze=False, height_ratios=panels)[:, 0]
    for axes in grid:
        axes.patch.set_alpha(0)
    return figure, list(grid)


def logarithmic(axes: Axes) -> None:
    """A logarithmic x axis with plain numbers (names may hold a "$", so mathtext is off)."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axes.set_xscale("log")
    low, high = axes.get_xlim()
    narrow = axes.get_window_extent().width < 300
    if high < (30 if narrow else 300) * low:  # whole decades alone would leave too few marks
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    else:
        axes.xaxis.set_major_locator(LogLocator(numticks=5 if narrow else 9))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())


def label_rows(axes: Axes, names: Sequence[str]) -> None:
    """A name beside each row; of a long one the middle is left out, as it would leave no room for the rows."""
    most = int(axes.figure.bbox.width / axes.figure.dpi * _CHARACTERS_AN_INCH)
    axes.set_yticks(range(len(names)), [_fitting(name, most) for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(True, axis="x")
    axes.set_axisbelow(True)


def label_points(figure: Figure, axes: Axes, points: Sequence[tuple[float, float]], texts: Sequence[str]) -> None:
    """Write ``texts`` beside ``points``, each where it covers the fewest points and labels before it."""
    from matplotlib.transforms import Bbox

    figure.draw_without_rendering()
    sides: tuple[Literal["left", "right"], ...] = ("left", "right")
    offsets = ((9, 0), (6, 11), (6, -11), (0, 22), (0, -22))
    places = [(x if side == "left" else -x, y, side) for x, y in offsets for side in sides]
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


_CHARACTERS_AN_INCH = 6
"""Of names, for half of a picture's width."""


def _fitting(name: str, most: int) -> str:
    return name if len(name) <= most else f"{name[: most // 2]}…{name[len(name) - (most - most // 2 - 1) :]}"


def svg(figure: Figure, name: str) -> str:
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


def alone(text: str) -> str:
    """An SVG of `svg` as a file of its own, with the page's colours in it."""
    rules = "".join(f"{name}:{light};" for name, light in _LIGHT.items())
    at = text.index(">") + 1
    style = f"<style>svg{{{rules}background:#ffffff}}svg text{{font-family:'DejaVu Sans',sans-serif}}</style>"
    return f"{text[:at]}{style}{text[at:].rstrip()}\n"
