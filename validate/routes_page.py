"""``compare.html``: a comparison of converters on a page of its own."""

from __future__ import annotations

import importlib.metadata

from ..display import milliseconds, size
from .report import environment
from .routes import RouteComparison, RouteRow
from .routes_plots import CAPTION, plots


def html(found: RouteComparison) -> str:
    """One HTML page with an inline picture."""
    return (
        environment(autoescape=True)
        .get_template("routes_page.html.jinja")
        .render(
            c=found,
            version=importlib.metadata.version("edgeworthy"),
            rows=[(row, _cells(row)) for row in found.rows],
            plots=plots(found),
            caption=CAPTION,
        )
    )


def _cells(row: RouteRow) -> list[tuple[str, str]]:
    """(Title, text) of each number of a row."""
    interval = ""
    if row.p50_low_ms is not None and row.p50_high_ms is not None:
        interval = f" ({milliseconds(row.p50_low_ms)}–{milliseconds(row.p50_high_ms)})"
    share = "–" if row.delegated is None else f"{row.delegated} of {row.nodes} in {row.partitions}"
    return [
        ("parity", row.parity),
        ("int8", "–" if row.int8_sqnr_db is None else f"{row.int8_sqnr_db:.1f} dB"),
        ("latency", milliseconds(row.p50_ms) + interval),
        ("size", size(row.size_bytes)),
        ("operators", "–" if row.operators is None else str(row.operators)),
        ("transposes", "–" if row.transposes is None else str(row.transposes)),
        ("XNNPACK", share),
        ("took", "–" if row.seconds is None else f"{row.seconds:.1f} s"),
        ("CPU", "–" if row.cpu_seconds is None else f"{row.cpu_seconds:.1f} s"),
        ("memory", size(row.peak_bytes)),
    ]
