"""Every converter on many architectures: who converts, what comes out right, how fast, how large, at what cost.

One `edgeworthy compare` for each model, in a process of its own: all files of a model, and ONNX Runtime on its graph,
take turns in one run. What is done stays in OUT and in the page, and the next run goes on from there. The exit status
is 1 when our own file failed.
"""

from __future__ import annotations

import argparse
import math
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from pathlib import Path

from edgeworthy.convert.routes import CONVERTERS
from edgeworthy.display import milliseconds, size
from edgeworthy.files import write_text
from edgeworthy.samples.zoo import ZOO
from edgeworthy.validate import report as reports
from edgeworthy.validate.node_tests import NodeTestTable
from edgeworthy.validate.routes import RouteComparison, RouteRow

OURS = "direct"
TIMEOUT_S = 3600
NETS = (
    "mobilenet_v1", "regnet", "resnext_d", "convnext_v2", "swin", "poolformer", "pvt", "mobilevit", "deit",
    "distilbert", "albert",
)  # fmt: skip
"""Of ``architectures/catalogue.py``, which needs transformers."""

_CATALOGUE = "edgeworthy.benchmarks.architectures.catalogue"

Number = Callable[[RouteRow], float | None]
FIGURES: dict[str, Number] = {
    "latency": lambda row: row.p50_ms,
    "size": lambda row: row.size_bytes,
    "operators": lambda row: row.operators,
    "seconds": lambda row: row.seconds,
    "memory": lambda row: row.peak_bytes,
}
"""What ours is divided by a peer's of, over the models that both convert right."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", metavar="NAME", help="may be given again; default: all")
    parser.add_argument("--full", action="store_true", help="the zoo in its real sizes; takes hours")
    parser.add_argument("--route", action="append", default=[], metavar="NAME", help="default: all that can run here")
    parser.add_argument("--seconds", type=float, default=1.0, help="time for each row; default: 1")
    parser.add_argument("--anew", action="store_true", help="measure again what is in OUT")
    parser.add_argument("--out", type=Path, default=Path("out/peers"), metavar="DIR")
    parser.add_argument("--onnx-tests", type=Path, metavar="JSON", help="of `edgeworthy compare --onnx-tests`")
    parser.add_argument("--note", default="", help="a sentence about the machine for the page")
    parser.add_argument("--write", type=Path, metavar="FILE.md")
    options = parser.parse_args()
    chosen = {name: spec for name, spec in sources(full=options.full).items() if name in (options.only or [name])}
    found, failures = {}, {}
    wanted = set(options.route or CONVERTERS)
    told = NodeTestTable.model_validate_json(options.onnx_tests.read_bytes()) if options.onnx_tests else None
    for name, spec in chosen.items():
        folder = options.out / name
        words = [*(word for route in options.route for word in ("--route", route)), "--seconds", f"{options.seconds:g}"]
        before, said = done(folder), ""
        if options.anew or before is None or not wanted <= {row.route for row in before.rows}:
            (folder / "compare.json").unlink(missing_ok=True)
            said = compare(spec, folder, words)
            before = done(folder)
        if before is None:
            failures[name] = said
        else:
            found[name] = before
        status = ", ".join(f"{row.route} {row.status}" for row in found[name].rows) if name in found else said
        print(f"{name:20} {status}", file=sys.stderr, flush=True)
        if found and options.write:
            page = markdown(found, failures, options.out, shlex.join(["python", *sys.argv]), options.note, told)
            write_text(options.write, page)
    return 1 if failures or any(row.status != "pass" for one in found.values() for row in of(one, OURS)) else 0


def done(folder: Path) -> RouteComparison | None:
    """What an earlier run measured; None where it didn't come to its end."""
    try:
        return RouteComparison.model_validate_json((folder / "compare.json").read_bytes())
    except OSError:
        return None


def sources(*, full: bool) -> dict[str, str]:
    """Name → source of every model."""
    zoo = {name: model.spec(small=not full) for name, model in ZOO.items()}
    return {"digits_cnn": "sample:digits_cnn", **zoo, **{name: f"{_CATALOGUE}:{name}" for name in NETS}}


def compare(spec: str, folder: Path, words: Sequence[str]) -> str:
    """Run the command; returns the last line that it said."""
    command = [sys.executable, "-m", "edgeworthy", "compare", spec, "-o", str(folder), "--quiet", *words]
    command += ["--target", "pytorch,onnxruntime,tflite"]
    try:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        return f"took more than {TIMEOUT_S} s"
    return (ran.stderr.strip().splitlines() or ["no message"])[0]


def of(found: RouteComparison, route: str) -> Iterable[RouteRow]:
    """The row of a route, if there is one."""
    return (row for row in found.rows if row.route == route)


def onnxruntime_ms(folder: Path) -> float | None:
    """The median of ONNX Runtime in the same run."""
    report = reports.read(folder)
    rows = report.latency.rows if report.latency else []
    return next((row.p50_ms for row in rows if row.runtime == "onnxruntime"), None)


def ratio(pairs: Iterable[tuple[float | None, float | None]]) -> tuple[float, int] | None:
    """The geometric mean of the quotients, and of how many; None where there is no pair."""
    logs = [math.log(ours / theirs) for ours, theirs in pairs if ours and theirs]
    return (math.exp(sum(logs) / len(logs)), len(logs)) if logs else None


def markdown(
    found: dict[str, RouteComparison],
    failures: dict[str, str],
    out: Path,
    command: str,
    note: str = "",
    tests: NodeTestTable | None = None,
) -> str:
    """The page: who converts what, ours against each, every row, and why something failed."""
    routes = list(dict.fromkeys(row.route for one in found.values() for row in one.rows if row.status != "skipped"))
    host = next(iter(found.values())).host
    versions = {row.route: row.made_by for one in found.values() for row in one.rows if row.made_by}
    lines = [
        "# Routes",
        "",
        "Every converter that `edgeworthy routes` lists, on models of `samples/zoo.py` and `benchmarks/architectures` "
        "with random weights: each file judged against PyTorch in float64 by its noise floor, and timed in turns with "
        "all the others and ONNX Runtime, one thread. A converter's seconds and memory are those of its whole process.",
        "",
        f"Made by `{command}` on {date.today()}: {host.cpu}, {host.logical_cores} cores, {host.system}. "
        + "; ".join(f"{route}: {made}" for route, made in versions.items())
        + "."
        + (f" {note}" if note else ""),
        "",
        *table(("route", "converts", "right", *(f"ours ÷ its {name}" for name in FIGURES)),
               [summary(route, found) for route in routes]),
    ]  # fmt: skip
    against = ratio((row.p50_ms, onnxruntime_ms(out / name)) for name, one in found.items() for row in of(one, OURS))
    if against:
        lines += ["", f"Our file's latency ÷ ONNX Runtime's: {against[0]:.2f} over {against[1]} models."]
    lines += [
        "",
        "*converts*: it made a TFLite file whose inputs and outputs are the model's; *right*: what it computes passes. "
        "The ratios are geometric means over the models that both get right; below 1 ours is better.",
        "",
        *(onnx_tests(tests) if tests else []),
        "## Where another is better",
        "",
        *(better(found) or ["Nowhere by more than 5 %."]),
        "",
        "## Every model",
        "",
    ]
    heads = ("model", "route", "", "parity", "latency", "size", "ops", "transposes", "partitions", "took", "memory")
    shown = [(name, row) for name, one in found.items() for row in one.rows if row.route in routes]
    lines += table(heads, [[name, *cells(row)] for name, row in shown])
    causes = [
        f"- {name}, {row.route}: {row.cause}"
        for name, one in found.items()
        for row in one.rows
        if row.cause and row.status != "skipped"
    ]
    causes += [f"- {name}: {said}" for name, said in failures.items()]
    lines += ["", "## Why something failed", "", *causes] if causes else []
    return "\n".join(lines).rstrip() + "\n"


def summary(route: str, found: dict[str, RouteComparison]) -> list[str]:
    rows = {name: row for name, one in found.items() for row in of(one, route)}
    right = {name: row for name, row in rows.items() if row.status == "pass"}
    ours = {name: row for name, one in found.items() for row in of(one, OURS) if row.status == "pass"}
    both = [(ours[name], row) for name, row in right.items() if name in ours]
    ratios = [ratio((number(us), number(them)) for us, them in both) for number in FIGURES.values()]
    shown = ["–" if route == OURS or r is None else f"{r[0]:.2f}" for r in ratios]
    converted = sum(row.converted for row in rows.values())
    return [route, f"{converted} of {len(rows)}", f"{len(right)} of {len(rows)}", *shown]


def onnx_tests(told: NodeTestTable) -> list[str]:
    """ONNX's own node tests, by what became of them."""
    return [
        "## ONNX's own node tests",
        "",
        f"`{told.command}`: {told.chosen} of the {told.total} node tests of onnx {told.onnx} with TFLite's types, run "
        "by LiteRT. A converter gets the benefit of the doubt: tensors by name or order, channels last or not.",
        "",
        *table(told.heads, told.rows),
        "",
    ]


def better(found: dict[str, RouteComparison]) -> list[str]:
    """Rows of others that beat ours by more than 5 %, and whose interval of latency lies below ours."""
    said = []
    for name, one in found.items():
        for us in of(one, OURS):
            for them in one.rows:
                if us.status != "pass" or them.status != "pass" or them is us:
                    continue
                wins = [
                    f"{figure} ÷ {mine / its:.2f}"
                    for figure, number in FIGURES.items()
                    if (mine := number(us)) and (its := number(them)) and mine > 1.05 * its
                    and (figure != "latency" or (them.p50_high_ms or its) < (us.p50_low_ms or mine))
                ]  # fmt: skip
                said += [f"- {name}, {them.route}: {', '.join(wins)}"] if wins else []
    return said


def cells(row: RouteRow) -> list[str]:
    took = "–" if row.seconds is None else f"{row.seconds:.1f} s"
    counts = ("–" if count is None else str(count) for count in (row.operators, row.transposes, row.partitions))
    times, bytes_ = milliseconds(row.p50_ms), size(row.size_bytes)
    return [row.route, row.status, row.parity, times, bytes_, *counts, took, size(row.peak_bytes)]


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = ["| " + " | ".join(heads) + " |", "|" + " :-- |" * 3 + " --: |" * (len(heads) - 3)]
    return [*lines, *("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)]


if __name__ == "__main__":
    sys.exit(main())
