"""Every converter on many architectures: who converts, what comes out right, how fast, how large, at what cost.

`edgeworthy compare` over a list of models, one converter after the other: all files of a model, and ONNX Runtime on its
graph, take turns in one run. What is done stays in OUT, and the next run goes on from there. The exit status is 1 when
our own file failed.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path

from edgeworthy.cli.progress import Log
from edgeworthy.files import write_text
from edgeworthy.fleet.compared import COLUMNS, ComparisonReport, cells, compare_all
from edgeworthy.fleet.plan import FleetModel, SourceList
from edgeworthy.samples.zoo import ZOO
from edgeworthy.settings import load_config
from edgeworthy.validate import report as reports
from edgeworthy.validate.node_tests import NodeTestTable
from edgeworthy.validate.route_summary import OURS, of, ratio

TIMEOUT_S = 3600.0
NETS = (
    "mobilenet_v1", "regnet", "resnext_d", "convnext_v2", "swin", "poolformer", "pvt", "mobilevit", "deit",
    "distilbert", "albert",
)  # fmt: skip
"""Of ``architectures/catalogue.py``, which needs transformers."""

_CATALOGUE = "edgeworthy.benchmarks.architectures.catalogue"


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
    models = [FleetModel(source=spec, name=name) for name, spec in chosen.items()]
    tables = {
        "targets": ["pytorch", "onnxruntime", "tflite"],
        "bench": {"seconds": options.seconds},
        "artifacts": {"jobs": 1},
    }
    configs = {
        model.name: load_config(None, {"model": {"source": model.source}, "output": options.out / model.name, **tables})
        for model in models
    }
    told = NodeTestTable.model_validate_json(options.onnx_tests.read_bytes()) if options.onnx_tests else None
    report = compare_all(
        SourceList(model=models, timeout_s=TIMEOUT_S),
        configs,
        options.out,
        routes=options.route,
        reuse=not options.anew,
        progress=Log(sys.stderr),
    )
    if options.write:
        command = shlex.join(["python", *sys.argv])
        write_text(options.write, markdown(report, options.out, command, options.note, told))
    ours = [row for one in report.found.values() for row in of(one, OURS)]
    return 0 if len(report.found) == len(models) and all(row.status == "pass" for row in ours) else 1


def sources(*, full: bool) -> dict[str, str]:
    """Name → source of every model."""
    zoo = {name: model.spec(small=not full) for name, model in ZOO.items()}
    return {"digits_cnn": "sample:digits_cnn", **zoo, **{name: f"{_CATALOGUE}:{name}" for name in NETS}}


def onnxruntime_ms(folder: Path) -> float | None:
    """The median of ONNX Runtime in the same run."""
    report = reports.read(folder)
    rows = report.latency.rows if report.latency else []
    return next((row.p50_ms for row in rows if row.runtime == "onnxruntime"), None)


def markdown(
    report: ComparisonReport, out: Path, command: str, note: str = "", tests: NodeTestTable | None = None
) -> str:
    """The page: who converts what, ours against each, every row, and why something failed."""
    found, host = report.found, report.host
    versions = {route.route: route.made_by for route in report.routes if route.made_by}
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
        *table(report.heads, report.lines),
    ]  # fmt: skip
    pairs = [(row.p50_ms, onnxruntime_ms(out / name)) for name, one in found.items() for row in of(one, OURS)]
    if against := ratio(pairs):
        count = sum(bool(us and them) for us, them in pairs)
        lines += ["", f"Our file's latency ÷ ONNX Runtime's: {against:.2f} over {count} models."]
    lines += [
        "",
        "*converts*: it made a TFLite file whose inputs and outputs are the model's; *right*: what it computes passes. "
        "The ratios are geometric means over the models that both get right; below 1 ours is better.",
        "",
        *(onnx_tests(tests) if tests else []),
        "## Where another is better",
        "",
        *([f"- {line}" for line in report.better] or ["Nowhere by more than 5 %."]),
        "",
        "## Every model",
        "",
    ]
    lines += table(COLUMNS, [(name, *cells(row)) for name, row in report.rows])
    causes = [f"- {line}" for line in report.troubles]
    lines += ["", "## Why something failed", "", *causes] if causes else []
    return "\n".join(lines).rstrip() + "\n"


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


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = ["| " + " | ".join(heads) + " |", "|" + " :-- |" * 3 + " --: |" * (len(heads) - 3)]
    return [*lines, *("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)]


if __name__ == "__main__":
    sys.exit(main())
