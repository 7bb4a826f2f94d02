"""Every converter on many architectures: who converts, what comes out right, how fast, how large, at what cost.

`--convert` has all files made and judged, one converter after the other, as `edgeworthy compare` does over a list of
models; it may run beside other work, as processor time and memory stay what they are. `--time` times the files that are
right, all of a model and ONNX Runtime on its graph in turns, and wants a quiet machine. Neither: one after the other.
What is done stays in OUT: other converters' files until the model or the converter changes, ours and all judgements
until edgeworthy's code does, latencies until a file does. The exit status is 1 when our own file failed, or a reason in
``peers_reasons.toml`` doesn't hold.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from edgeworthy.artifact import Artifact, Feeds
from edgeworthy.benchmarks import peers_reasons
from edgeworthy.benchmarks.architectures import catalogue, timm_nets
from edgeworthy.benchmarks.peers_page import against_onnxruntime, markdown
from edgeworthy.cli.progress import Log
from edgeworthy.config import Config
from edgeworthy.files import write_text
from edgeworthy.fleet.compared import JSON, ComparisonReport, compare_all
from edgeworthy.fleet.plan import FleetModel, SourceList
from edgeworthy.pipeline import comparing
from edgeworthy.pipeline.progress import Progress
from edgeworthy.pipeline.subjects import Cast, to_artifact
from edgeworthy.samples.zoo import ZOO
from edgeworthy.settings import load_config
from edgeworthy.validate import host, latency
from edgeworthy.validate import report as reports
from edgeworthy.validate.node_tests import NodeTestTable
from edgeworthy.validate.record import Record
from edgeworthy.validate.results import LatencyResult
from edgeworthy.validate.route_summary import OURS, of, summaries
from edgeworthy.validate.routes import RouteComparison
from edgeworthy.vocabulary import ROUTE

TIMEOUT_S = 3600.0
TIMES = "times.json"
STAGES = ("validate",)
TABLES = {
    "targets": ["onnxruntime", "tflite"],
    "artifacts": {"jobs": 1, "int8": True},
    "quantize": {"calibration": "random", "samples": 16},
}
NETS = (
    *(name for name in ZOO if name != "resnet50"),
    "squeezenet", "mobilenet_v1", "regnet", "resnext_d", "convnext_v2", "swin", "poolformer", "pvt", "mobilevit",
    "mobilevit_v2", "deit", "distilbert", "albert", "convbert", "gemma3_prefill", "segformer", "diffusion_unet",
    "esrgan", "tcn", "conformer", "whisper_encoder",
)  # fmt: skip
"""Of ``architectures/catalogue.py``, which needs transformers; those of ``timm_nets.py`` need timm."""


class Times(Record):
    """What was timed of a model.

    Attributes:
        machine: Processor and cores.
        files: Row → SHA-256 of its file.
        seconds: For each row.
    """

    machine: list[str | int]
    files: dict[str, str]
    seconds: float
    latency: LatencyResult


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--convert", action="store_true", help="only make the files and judge them")
    parser.add_argument("--time", action="store_true", help="only time the files that are there")
    parser.add_argument("--only", action="append", metavar="NAME", help="may be given again; default: all")
    parser.add_argument("--route", action="append", default=[], metavar="NAME", help="default: all that can run here")
    parser.add_argument("--seconds", type=float, default=1.0, help="time for each row; default: 1")
    parser.add_argument("--anew", action="store_true", help="do again what is in OUT")
    parser.add_argument("--out", type=Path, default=Path("out/peers"), metavar="DIR")
    parser.add_argument("--onnx-tests", type=Path, metavar="JSON", help="of `edgeworthy compare --onnx-tests`")
    parser.add_argument("--note", default="", help="a sentence about the machine for the page")
    parser.add_argument("--write", type=Path, metavar="FILE.md")
    options = parser.parse_args()
    both, progress = options.convert == options.time, Log(sys.stderr)
    told = NodeTestTable.model_validate_json(options.onnx_tests.read_bytes()) if options.onnx_tests else None
    if both or options.convert:
        found = convert(options.out, options.only, options.route, reuse=not options.anew, progress=progress)
    else:
        found = ComparisonReport.model_validate_json((options.out / JSON).read_bytes())
        for name in outdated(found, options.out, options.route):
            progress.warn(f"{name} was made and judged by other code or with other converters: --convert does it again")
    again = options.anew and not options.convert
    if both or options.time:
        for name, one in found.found.items():
            if name in (options.only or [name]):
                with progress.stage("time", name):
                    time_files(one, options.out / name, options.seconds, reuse=not again, progress=progress)
    stale: list[str] = []
    if options.write:
        times = {name: known.latency for name in found.found if (known := known_times(options.out / name))}
        command = shlex.join(["python", *sys.argv])
        report = with_times(found, times)
        wins, forms = peers_reasons.load()
        why, stale = peers_reasons.reasons(report.found, wins)
        slow, wrong = peers_reasons.slower(against_onnxruntime(report, times), forms)
        stale += wrong
        for line in stale:
            progress.warn(f"peers_reasons.toml: {line}")
        write_text(options.write, markdown(report, times, command, options.note, told, why, slow))
    ours = [row for one in found.found.values() for row in of(one, OURS)]
    right = len(found.found) == len(found.models) and all(row.status == "pass" for row in ours)
    return 0 if right and not stale else 1


def sources() -> dict[str, str]:
    """Name → source of every model."""
    nets = {name: catalogue.spec(name) for name in NETS} | {
        name: timm_nets.spec(name) for name in timm_nets.ARCHITECTURES
    }
    return {"digits_cnn": "sample:digits_cnn", **nets}


def config_of(source: str, folder: Path) -> Config:
    return load_config(None, {"model": {"source": source}, "output": folder, **TABLES})


def convert(
    out: Path, only: Sequence[str] | None, routes: Sequence[str], *, reuse: bool, progress: Progress
) -> ComparisonReport:
    """Have every converter make its file of every model, and judge them; ``OUT/compare.json`` tells of all."""
    chosen = {name: spec for name, spec in sources().items() if name in (only or [name])}
    return compare_all(
        SourceList(model=[FleetModel(source=spec, name=name) for name, spec in chosen.items()], timeout_s=TIMEOUT_S),
        {name: config_of(spec, out / name) for name, spec in chosen.items()},
        out,
        routes=routes,
        stages=STAGES,
        reuse=reuse,
        progress=progress,
    )


def outdated(report: ComparisonReport, out: Path, routes: Sequence[str]) -> list[str]:
    """Models whose files were made by other code, or by other converters."""
    return [
        name
        for name, one in report.found.items()
        if one.digest != comparing.digest_of(config_of(sources()[name], out / name), routes, stages=STAGES)
    ]


def time_files(
    found: RouteComparison, folder: Path, seconds: float, *, reuse: bool, progress: Progress
) -> LatencyResult:
    """The latency of every right file and of ONNX Runtime, taken in turns; ``MODEL/times.json`` keeps it."""
    report, right = reports.read(folder), {f"{ROUTE}{row.route}" for row in found.rows if row.status == "pass"}
    judged = [a for a in report.artifacts if a.name in right]
    graphs: dict[str, Artifact] = {a.name: to_artifact(a, folder) for a in report.artifacts if a.kind == "onnx"}
    files = {a.name: a.sha256 for a in report.artifacts if a.name in right | graphs.keys()}
    machine = host.current()
    about = {"machine": [machine.cpu, machine.logical_cores], "files": files, "seconds": seconds}
    before = known_times(folder) if reuse else None
    if before and before.model_dump(include={*about}) == about:
        return before.latency
    others = {a.name: (to_artifact(a, folder), a.matches) for a in judged}
    cast = Cast(None, graphs, names=TABLES["targets"], others=others)  # type: ignore[arg-type]
    timed = latency.measure(cast.subjects(), feeds(graphs), seconds=seconds, progress=progress.step)
    made = Times.model_validate({**about, "latency": timed})
    write_text(folder / TIMES, made.model_dump_json(indent=2) + "\n")
    return timed


def known_times(folder: Path) -> Times | None:
    """What an earlier run timed."""
    try:
        return Times.model_validate_json((folder / TIMES).read_bytes())
    except (OSError, ValidationError):
        return None


def feeds(graphs: Mapping[str, Artifact]) -> Feeds:
    """Normal values, and ones where integers are wanted: tokens and masks."""
    draw = np.random.default_rng(0)
    return {
        spec.name: draw.standard_normal(shape).astype(spec.dtype)
        if "float" in spec.dtype
        else np.ones(shape, spec.dtype)
        for graph in graphs.values()
        for spec in graph.inputs
        for shape in [[extent if isinstance(extent, int) else 1 for extent in spec.shape]]
    }


def with_times(report: ComparisonReport, times: Mapping[str, LatencyResult]) -> ComparisonReport:
    """The report with the latencies in its rows."""
    results = [
        result.model_copy(update={"found": _timed(result.found, times[result.model])})
        if result.found and result.model in times
        else result
        for result in report.results
    ]
    found = {result.model: result.found for result in results if result.found}
    return report.model_copy(update={"results": results, "routes": summaries(found)})


def _timed(found: RouteComparison, timed: LatencyResult) -> RouteComparison:
    rows = {row.artifact: row for row in timed.rows}

    def with_time(route: str) -> dict[str, object]:
        row = rows.get(f"{ROUTE}{route}")
        ran = row.receipt if row else None
        return {
            **({key: getattr(row, key) for key in ("p50_ms", "p50_low_ms", "p50_high_ms")} if row else {}),
            **({key: getattr(ran, key) for key in ("nodes", "delegated", "partitions")} if ran else {}),
        }

    return found.model_copy(update={"rows": [row.model_copy(update=with_time(row.route)) for row in found.rows]})


if __name__ == "__main__":
    sys.exit(main())
