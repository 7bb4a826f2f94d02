"""Every model of the zoo through the whole conversion: a row each of parity, operators, transposes, seconds and MB.

A model is exported, converted to TFLite and to a SavedModel, and both are compared with PyTorch in float64. It
does so in a process of its own, so that memory comes back and a crash is a row. The exit status is 1 when a model
didn't convert or missed parity.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from edgeworthy.errors import EdgeworthyError
from edgeworthy.files import write_text
from edgeworthy.samples.zoo import ZOO

if TYPE_CHECKING:
    from edgeworthy.artifact import Artifact
    from edgeworthy.source.load import Source

MB = 1_000_000
SAMPLES = 3
TIMEOUT_S = 1800
RUNTIMES = {"onnx": "onnxruntime", "tflite": "tflite", "saved_model": "tensorflow"}
CONVERSIONS = (("tflite", "keep"), ("saved_model", "keep"), ("tflite", "nhwc"))
"""Artifact and ``--io-layout``."""


@dataclass
class Row:
    """What became of one model; None where it didn't get so far.

    Attributes:
        parameters: Number of weights.
        onnx_nodes: Nodes of the exported graph.
        ops: Operators of the TFLite file.
        transposes: Those of them that are TRANSPOSE, with the model's own layout of inputs and outputs.
        transposes_nhwc: The same with ``--io-layout nhwc``.
        parity: Artifact → its error against PyTorch float64 ÷ that of PyTorch float32, the worst output.
        limit: What ``parity`` may be.
        seconds: ``export``, and for each artifact the time from the ONNX file to it.
        megabytes: Artifact → size in 10⁶ bytes.
        failures: What was done → what went wrong.
    """

    name: str
    parameters: int | None = None
    onnx_nodes: int | None = None
    ops: int | None = None
    transposes: int | None = None
    transposes_nhwc: int | None = None
    parity: dict[str, float] = field(default_factory=dict)
    limit: float | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    megabytes: dict[str, float] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", metavar="NAME", choices=ZOO, help="may be given again; default: all")
    parser.add_argument("--small", action="store_true", help="the small variants, in a fraction of the time")
    parser.add_argument("--write", type=Path, metavar="FILE.md")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    parser.add_argument("--child", nargs=2, metavar=("NAME", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        name, folder = options.child
        _write_row(Path(folder), measure(name, options.small, Path(folder)))
        return 0
    rows = []
    for name in options.only or ZOO:
        begin = time.perf_counter()
        rows.append(in_child(name, options.small))
        outcome = "; ".join(rows[-1].failures.values()).splitlines()[:1] or ["ok"]
        print(f"{name:20} {time.perf_counter() - begin:6.1f} s  {outcome[0]}", file=sys.stderr, flush=True)
    text = markdown(rows, shlex.join(["python", *sys.argv]))
    if options.write:
        write_text(options.write, text)
    print(json.dumps([asdict(row) for row in rows], indent=1) if options.json else text)
    return 1 if any(row.failures for row in rows) else 0


def in_child(name: str, small: bool) -> Row:
    """``measure`` in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="edgeworthy-") as folder:
        command = [sys.executable, __file__, "--child", name, folder, *(["--small"] if small else [])]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        except subprocess.TimeoutExpired:
            return Row(name, failures={"process": f"took more than {TIMEOUT_S} s"})
        path = Path(folder, "row.json")
        if path.exists():
            return Row(**json.loads(path.read_text()))
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return Row(name, failures={"process": f"exit status {done.returncode}: {last}"})


def measure(name: str, small: bool, folder: Path) -> Row:
    """Export, convert and compare one model. What fails is noted, and the rest goes on without it."""
    from edgeworthy.export.onnx_export import export_onnx
    from edgeworthy.formats.onnx.file import read_onnx
    from edgeworthy.source.load import load_source

    row = Row(name)
    try:
        source = load_source(ZOO[name].spec(small=small))
        row.parameters = sum(p.numel() for p in source.module.parameters()) if source.module else None
        begin = time.perf_counter()
        onnx = export_onnx(source, folder / "model.onnx").model
        row.seconds["export"] = time.perf_counter() - begin
        row.onnx_nodes = len(read_onnx(onnx.path).graph)
    except EdgeworthyError as error:
        row.failures["export"] = str(error)
        return row
    artifacts: dict[str, Artifact] = {"onnx": onnx}
    for kind, io_layout in CONVERSIONS:
        artifact = _convert(row, onnx, folder / io_layout, kind, io_layout)
        if artifact and io_layout == "keep":
            artifacts[kind] = artifact
    row.megabytes = {key: artifact.size / MB for key, artifact in artifacts.items()}
    _compare(row, source, artifacts)
    return row


def _convert(row: Row, onnx: Artifact, folder: Path, kind: str, io_layout: str) -> Artifact | None:
    """The artifact, noting in ``row`` the time it took and what is in it, or why there is none."""
    from edgeworthy.convert import convert
    from edgeworthy.formats.tflite.summary import summarize

    key = kind if io_layout == "keep" else f"{kind} {io_layout}"
    begin = time.perf_counter()
    try:
        conversion = convert(onnx, folder, to=[kind], io_layout=io_layout)
    except EdgeworthyError as error:
        row.failures[key] = str(error)
        return None
    row.seconds[key] = time.perf_counter() - begin
    if conversion.tflite:
        ops = summarize(conversion.tflite.path).op_counts
        if io_layout == "keep":
            row.ops, row.transposes = sum(ops.values()), ops.get("TRANSPOSE", 0)
        else:
            row.transposes_nhwc = ops.get("TRANSPOSE", 0)
    return conversion.tflite or conversion.saved_model


def _compare(row: Row, source: Source, artifacts: Mapping[str, Artifact]) -> None:
    """Run all artifacts and PyTorch on the same inputs: the example, and random ones of its shapes."""
    from edgeworthy.source.variations import random_samples
    from edgeworthy.targets.pytorch import PyTorchModel
    from edgeworthy.targets.worker import Worker
    from edgeworthy.validate import parity
    from edgeworthy.validate.runners import Subject

    module = PyTorchModel.of(source.spec, source.inputs, artifacts["onnx"].outputs)
    source.module = None  # the workers make their own: one copy of the weights less
    truth = Subject("PyTorch float64", "pytorch", partial(Worker, "pytorch", module, float64=True), scheme="float64")
    floor = Subject("PyTorch", "pytorch", partial(Worker, "pytorch", module))
    hops = [
        Subject(kind, RUNTIMES[kind], partial(Worker, RUNTIMES[kind], artifact), artifact=kind)
        for kind, artifact in artifacts.items()
    ]
    plan = parity.Plan(truth, floor, truth, parity.PYTORCH)
    samples = random_samples(source.examples, SAMPLES)
    try:
        result = parity.measure([floor, *hops], samples, plans=[plan])
    except EdgeworthyError as error:
        row.failures["parity"] = str(error)
        return
    row.limit = result.multiple
    if result.truth != truth.name:
        row.failures["truth"] = f"PyTorch in float64 failed, so {result.truth} was taken for the truth"
    for hop in result.hops:
        if hop.artifact is None:
            continue
        ratios = [output.noise_ratio for output in hop.outputs if output.noise_ratio is not None]
        if ratios:
            row.parity[hop.artifact] = max(ratios)
        if hop.status not in ("pass", "reference"):
            row.failures[f"parity of {hop.artifact}"] = hop.failure or hop.reason


def _write_row(folder: Path, row: Row) -> None:
    write_text(folder / "row.json", json.dumps(asdict(row)))


def markdown(rows: list[Row], command: str) -> str:
    """The page: the table, what its columns mean, and what failed, in full."""
    from edgeworthy.validate.host import current

    host = current()
    packages = " · ".join(f"{name} {version}" for name, version in host.packages.items())
    heads = (
        "model", "weights, M", "ONNX nodes", "TFLite ops", "TRANSPOSE", "with NHWC I/O", "ONNX Runtime", "TFLite",
        "SavedModel", "export, s", "→ TFLite, s", "→ SavedModel, s", "TFLite, MB", "SavedModel, MB",
    )  # fmt: skip
    lines = [
        "# Models",
        "",
        "The models of `samples/zoo.py`, float32, each exported from PyTorch, converted to both artifacts and run. "
        "Their weights are random, by seed; BatchNorm's statistics come from photographs.",
        "",
        f"Made by `{command}` on {date.today()}: {host.cpu}, {host.logical_cores} cores, {host.system}, "
        f"Python {host.python}, {packages}.",
        "",
        "| " + " | ".join(heads) + " |",
        "| :-- |" + " --: |" * (len(heads) - 1),
        *("| " + " | ".join(_cells(row)) + " |" for row in rows),
        "",
        *_legend(rows),
    ]
    failures = [(row.name, step, text) for row in rows for step, text in row.failures.items()]
    if failures:
        lines += ["", "## What failed", ""]
        lines += [f"**{name}, {step}**\n\n```\n{text}\n```\n" for name, step, text in failures]
    return "\n".join(lines).rstrip() + "\n"


def _cells(row: Row) -> list[str]:
    return [
        row.name,
        _number(None if row.parameters is None else row.parameters / 1e6, 2),
        _number(row.onnx_nodes, 0),
        _number(row.ops, 0),
        _number(row.transposes, 0),
        _number(row.transposes_nhwc, 0),
        *(_ratio(row, key) for key in ("onnx", "tflite", "saved_model")),
        *(_number(row.seconds.get(key), 1) for key in ("export", "tflite", "saved_model")),
        *(_number(row.megabytes.get(key), 2) for key in ("tflite", "saved_model")),
    ]


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _ratio(row: Row, key: str) -> str:
    """Parity in noise floors; in bold with its reason below when it failed."""
    value = row.parity.get(key)
    failed = any(step.endswith(key) for step in row.failures)
    if value is None:
        return "**failed**" if failed else "–"
    text = f"{value:.2f}×" if value < 100 else f"{value:.3g}×"
    return f"**{text}**" if failed else text


def _legend(rows: list[Row]) -> list[str]:
    limit = next((row.limit for row in rows if row.limit is not None), None)
    within = f" {limit:g}× passes." if limit is not None else ""
    return [
        "- *ONNX Runtime, TFLite, SavedModel*: parity. The error against PyTorch in float64, divided by PyTorch's own "
        f"in float32 (the noise floor): the larger of the rms and maximum quotients, over {SAMPLES} inputs (the "
        f"example and random ones) and all outputs.{within}",
        "- *TRANSPOSE*: operators of that kind in the TFLite file when inputs and outputs keep PyTorch's layout, and "
        "with `--io-layout nhwc`.",
        "- *→ TFLite, → SavedModel*: from the ONNX file to the artifact, in a process that has torch imported and "
        "TensorFlow not yet. `benchmarks/convert.py` measures whole processes.",
        "- *MB*: 10⁶ bytes.",
    ]


if __name__ == "__main__":
    sys.exit(main())
