"""docs/routes.md: what `peers.py` measured, as a page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date

from edgeworthy.benchmarks.peers_reasons import SLOWER
from edgeworthy.display import milliseconds
from edgeworthy.fleet.compared import COLUMNS, ComparisonReport, cells
from edgeworthy.validate.node_tests import NodeTestTable
from edgeworthy.validate.results import LatencyResult
from edgeworthy.validate.route_summary import OURS, Win, better, ratio

ABOUT_REASONS = (
    "The reasons are those that numbers of the rows below bear out (`benchmarks/peers_reasons.toml`); where a line has "
    "none, these numbers tell none."
)
ONNXRUNTIME = "ONNX Runtime"
BEST = "best of them"
"""The column of the fastest other converter's right file."""


def markdown(
    report: ComparisonReport,
    times: Mapping[str, LatencyResult],
    command: str,
    note: str = "",
    tests: NodeTestTable | None = None,
    why: Mapping[Win, str] | None = None,
    slow: Mapping[str, str] | None = None,
) -> str:
    """The page: who converts what, ours against each, every row, and why something failed.

    Args:
        report: With the latencies in its rows.
        times: Model → what was timed in turns on it; ONNX Runtime's row is only there.
        command: That made the page.
        note: A sentence about the machine.
        tests: ONNX's node tests through the same routes.
        why: Reasons for what another is better by.
        slow: Model → why ONNX Runtime is so much faster on it.
    """
    host = report.host
    versions = {route.route: route.made_by for route in report.routes if route.made_by}
    page = [
        "# Routes",
        "",
        "Every converter that `edgeworthy routes` lists, on models of `benchmarks/architectures` in small sizes with "
        "random weights and BatchNorm's statistics to match: each file judged against PyTorch in float64 by its noise "
        "floor, and timed in turns with all the others and ONNX Runtime, one thread. A converter's seconds are "
        "processor time, and its memory the peak, of its whole process, imports included: other programs may have been "
        "at work beside it, which takes nothing from either.",
        "",
        f"Made by `{command}` on {date.today()}: {host.cpu}, {host.logical_cores} cores, {host.system}. "
        + "; ".join(f"{route}: {made}" for route, made in versions.items())
        + "."
        + (f" {note}" if note else ""),
        "",
        *table(report.heads, report.lines, left=3),
        "",
        "*converts*: it made a TFLite file whose inputs and outputs are the model's; *right*: what it computes passes. "
        "The ratios are geometric means over the models that both get right; below 1 ours is better.",
        "",
        *(onnx_tests(tests) if tests else []),
        *latencies(report, times),
        *where_slower(against_onnxruntime(report, times), slow or {}),
        "## Where another is better",
        "",
        *where_better(report, why or {}),
        "",
        "## Every model",
        "",
        "*int8*: the SQNR of its float file in int8, by edgeworthy's quantizer on the same random inputs.",
        "",
        *table(COLUMNS, [(name, *cells(row)) for name, row in report.rows], left=3),
        *no_int8(report),
    ]
    causes = [f"- {line}" for line in report.troubles]
    page += ["", "## Why something failed", "", *causes] if causes else []
    return "\n".join(page).rstrip() + "\n"


def where_better(report: ComparisonReport, why: Mapping[Win, str]) -> list[str]:
    """Where another is better, with the reasons that figures bear out."""
    if not (found := better(report.found, why)):
        return ["Nowhere by more than 5 %."]
    return [ABOUT_REASONS, "", *(f"- {line}" for line in found)]


def latencies(report: ComparisonReport, times: Mapping[str, LatencyResult]) -> list[str]:
    """Ours ÷ each other's on every model, with the geometric mean and the worst."""
    others = [route.route for route in report.routes if route.route != OURS]
    found = {name: line for name in report.found if (line := _quotients(report, name, times.get(name), others))}
    if not found:
        return []
    columns = [*others, BEST, ONNXRUNTIME]
    by = {column: {name: line[column] for name, (_, line) in found.items() if column in line} for column in columns}
    means = {column: ratio((one, 1.0) for one in lines.values()) for column, lines in by.items()}
    worst = {column: max(lines, key=lines.__getitem__) for column, lines in by.items() if lines}
    rows = [
        ("geometric mean", "", *(_quotient(means[column]) for column in columns)),
        ("worst", "", *(f"{by[c][worst[c]]:.2f} {worst[c]}" if c in worst else "–" for c in columns)),
        *(
            (name, milliseconds(ours), *(_quotient(line.get(c)) for c in columns))
            for name, (ours, line) in found.items()
        ),
    ]
    return [
        "## Latency, ours ÷ theirs",
        "",
        *table(("model", "ours", *columns), rows, left=1),
        "",
        f"*{BEST}*: the fastest other converter's file of those that are right.",
        "",
    ]


def against_onnxruntime(report: ComparisonReport, times: Mapping[str, LatencyResult]) -> dict[str, float]:
    """Model → our latency ÷ ONNX Runtime's, of those that both have."""
    lines = {name: _quotients(report, name, times.get(name), ()) for name in report.found}
    return {name: line[1][ONNXRUNTIME] for name, line in lines.items() if line and ONNXRUNTIME in line[1]}


def where_slower(quotients: Mapping[str, float], slow: Mapping[str, str]) -> list[str]:
    """The models on which ONNX Runtime is faster by more than 1.3, with the reason."""
    found = {model: value for model, value in quotients.items() if value > SLOWER}
    lines = [f"- {model}, {value:.2f}: {slow.get(model, 'no reason is known')}" for model, value in found.items()]
    return [f"## Where ONNX Runtime is faster by more than {SLOWER:g}", "", *(lines or ["Nowhere."]), ""]


def _quotients(
    report: ComparisonReport, name: str, timed: LatencyResult | None, others: Sequence[str]
) -> tuple[float, dict[str, float]] | None:
    """Our latency of a model in ms, and by it the quotients; None: it wasn't timed, or isn't right."""
    times = {row.route: row.p50_ms for row in report.found[name].rows if row.status == "pass" and row.p50_ms}
    if not (ours := times.get(OURS)):
        return None
    line = {route: ours / times[route] for route in others if route in times}
    line |= {BEST: max(line.values())} if line else {}
    rows = timed.rows if timed else []
    theirs = next((row.p50_ms for row in rows if row.runtime == "onnxruntime"), None)
    return ours, line | ({ONNXRUNTIME: ours / theirs} if theirs else {})


def no_int8(report: ComparisonReport) -> list[str]:
    """Why routes have no int8 file, in a line each."""
    causes: dict[tuple[str, str], list[str]] = {}
    for name, one in report.found.items():
        for row in one.rows:
            if row.int8_cause:
                causes.setdefault((row.route, row.int8_cause), []).append(name)
    lines = [f"- {route} has none of {', '.join(names)}: {cause}" for (route, cause), names in causes.items()]
    return ["", "No int8 file:", "", *lines] if lines else []


def onnx_tests(told: NodeTestTable) -> list[str]:
    """ONNX's own node tests, by what became of them."""
    return [
        "## ONNX's own node tests",
        "",
        f"`{told.command}`: {told.chosen} of the {told.total} node tests of onnx {told.onnx} with TFLite's types, run "
        "by LiteRT. A converter gets the benefit of the doubt: tensors by name or order, channels last or not.",
        "",
        *table(told.heads, told.rows, left=3),
        "",
    ]


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], *, left: int) -> list[str]:
    lines = ["| " + " | ".join(heads) + " |", "|" + " :-- |" * left + " --: |" * (len(heads) - left)]
    return [*lines, *("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)]


def _quotient(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
