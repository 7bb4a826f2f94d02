"""How fast each operator form is: our file against ONNX Runtime, and against the other forms that lowering has of it.

A form is a small module (``op_forms.py``). Its files are ours with the model's own layout, ours with channels-last
inputs and outputs, as it lies in a chain of images, and of that one each that differs where a rule of
``convert/forms.toml`` is taken or left; all in float32 and, channels-last, in int8 with float inputs and outputs. Each
is held against PyTorch. They and ONNX Runtime take turns, one thread. What is done stays in OUT, and the next run goes
on from there.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from edgeworthy.artifact import Artifact, TFLiteModel
from edgeworthy.benchmarks.op_forms import FORMS, OpForm
from edgeworthy.benchmarks.quantized import page
from edgeworthy.convert import build_tflite, prepare
from edgeworthy.convert.forms import Forms, choose, table
from edgeworthy.errors import EdgeworthyError
from edgeworthy.files import write_text
from edgeworthy.schemes import FLOAT32, INT8
from edgeworthy.validate.runners import Subject

MARKS = "<!-- operators -->", "<!-- end of operators -->"
RULE_MARKS = "<!-- forms -->", "<!-- end of forms -->"
OURS, IN_A_CHAIN, THEIRS = "ours", "ours, channels-last", "ONNX Runtime"
_WORST = 1e-3
"""Error of a float file, relative to the largest value, from which on a row has failed."""


@dataclass(frozen=True)
class FileTime:
    """A file of a row: microseconds of the median, and its 95 % interval.

    Attributes:
        name: ``ours``, or what was changed in it.
        scheme: ``float32``, or that of int8.
        error: Largest difference to PyTorch ÷ largest value.
        nodes, delegated, partitions: Of XNNPACK; None for ONNX Runtime.
    """

    name: str
    scheme: str
    us: float
    low: float
    high: float
    error: float = 0.0
    nodes: int | None = None
    delegated: int | None = None
    partitions: int | None = None


@dataclass(frozen=True)
class OpRow:
    """All files of a form, or why there are none."""

    name: str
    files: list[FileTime] = field(default_factory=list)
    failure: str = ""

    def of(self, name: str, scheme: str = FLOAT32.name) -> FileTime | None:
        return next((f for f in self.files if (f.name, f.scheme) == (name, scheme)), None)

    @property
    def chain(self) -> str:
        """The name of the file as in a chain: where the layout of the ends changes nothing, there is one file."""
        return IN_A_CHAIN if self.of(IN_A_CHAIN) else OURS


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", action="append", metavar="NAME", help="a form, or the beginning of some; again for more"
    )
    parser.add_argument("--quick", action="store_true", help="short turns, and no int8: to see whether it runs")
    parser.add_argument("--seconds", type=float, default=0.5, help="time for each file; default: 0.5")
    parser.add_argument("--out", type=Path, default=Path("out/ops"), metavar="DIR")
    parser.add_argument("--anew", action="store_true", help="measure again what is in OUT")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    parser.add_argument("--write", type=Path, metavar="FILE.md", help=f"put the tables between {MARKS[0]} and its end")
    options = parser.parse_args()
    chosen = [form for form in FORMS if any(form.name.startswith(n) for n in options.only or [""])]
    if not chosen:
        parser.error(f"there is no form {' or '.join(options.only)}; there are {', '.join(f.name for f in FORMS)}")
    rows = []
    for number, form in enumerate(chosen, 1):
        folder = options.out / hashlib.sha256(form.name.encode()).hexdigest()[:12]
        row = None if options.anew else done(folder)
        if row is None:
            row = measured(form, folder, seconds=0.1 if options.quick else options.seconds, quantizes=not options.quick)
            write_text(folder / "row.json", json.dumps(asdict(row), indent=1))
        rows.append(row)
        print(f"{number}/{len(chosen)} {line(row)}", file=sys.stderr, flush=True)
    print(json.dumps([asdict(row) for row in rows], indent=1) if options.json else markdown(rows))
    if options.write:
        page.put(options.write, markdown(rows), MARKS)
        page.put(options.write, rules(), RULE_MARKS)
    return 1 if any(row.failure for row in rows) else 0


def done(folder: Path) -> OpRow | None:
    """What an earlier run measured; None where it didn't come to its end."""
    try:
        read = json.loads((folder / "row.json").read_text(encoding="utf-8"))
    except OSError:
        return None
    return OpRow(read["name"], [FileTime(**entry) for entry in read["files"]], read["failure"])


def measured(form: OpForm, folder: Path, *, seconds: float, quantizes: bool) -> OpRow:
    """Make the files of a form and time them in turns; what fails is in the row."""
    from edgeworthy.validate.latency import measure

    folder.mkdir(parents=True, exist_ok=True)
    try:
        subjects, feeds, errors = _subjects(form, folder, quantizes=quantizes)
        result = measure(subjects, feeds, seconds=seconds)
    except EdgeworthyError as error:
        return OpRow(form.name, failure=str(error))
    files: list[FileTime] = []
    for entry in result.rows:
        if entry.p50_ms is None or entry.p50_low_ms is None or entry.p50_high_ms is None:
            return OpRow(form.name, files, entry.failure or "nothing is known of its time")
        receipt = entry.receipt if entry.runtime == "tflite" else None
        counts = (receipt.nodes, receipt.delegated, receipt.partitions) if receipt else (None, None, None)
        times = entry.p50_ms * 1e3, entry.p50_low_ms * 1e3, entry.p50_high_ms * 1e3
        name = entry.name.removesuffix(f" {entry.scheme}")
        files.append(FileTime(name, entry.scheme, *times, errors.get(entry.name, 0.0), *counts))
    wrong = [f.name for f in files if f.scheme == FLOAT32.name and not f.error <= _WORST]
    return OpRow(form.name, files, f"{', '.join(wrong)}: other values than PyTorch's" if wrong else "")


def _subjects(form: OpForm, folder: Path, *, quantizes: bool) -> tuple[list[Subject], Any, dict[str, float]]:
    """What is timed, on what, and the errors of the files."""
    from edgeworthy.export.onnx_export import export_onnx
    from edgeworthy.source.load import from_module

    source = from_module(form.module(), form.name, form.inputs())
    graph = export_onnx(source, folder / "model.onnx").model
    feeds = source.examples
    truth = [np.asarray(t) for t in _outputs(form)]
    made = list(_files(graph.path, folder, feeds, quantizes=quantizes))
    subjects = [Subject(THEIRS, "onnxruntime", partial(_worker, "onnxruntime", graph), THEIRS)]
    errors = {}
    for name, model, axes in made:
        subject = Subject(
            f"{name} {model.scheme}", "tflite", partial(_worker, "tflite", model), name, model.scheme,
            permute_inputs={s.name: axes[s.name] for s in model.inputs if s.name in axes},
            permute_outputs={s.name: tuple(np.argsort(axes[s.name])) for s in model.outputs if s.name in axes},
        )  # fmt: skip
        errors[subject.name] = _error(model, subject, feeds, truth)
        subjects.append(subject)
    return subjects, feeds, errors


def _outputs(form: OpForm) -> list[Any]:
    import torch

    with torch.no_grad():
        found = form.module()(*form.inputs())
    return [found] if isinstance(found, torch.Tensor) else list(found)


def _worker(runtime: str, artifact: Artifact) -> Any:
    from edgeworthy.targets.worker import Worker

    return Worker(runtime, artifact, threads=1)


def _error(model: TFLiteModel, subject: Subject, feeds: Any, truth: Sequence[Any]) -> float:
    """Largest difference of a file's outputs to PyTorch's ÷ the largest value."""
    from edgeworthy.targets.remote.there.litert import LiteRTModel

    outputs = subject.outputs(LiteRTModel(str(model.path), 1).run(subject.feeds(feeds)))
    found = [np.asarray(outputs[spec.name], np.float64) for spec in model.outputs]
    return max(float(np.abs(a - b).max() / max(np.abs(b).max(), 1e-9)) for a, b in zip(found, truth, strict=True))


def _files(
    graph: Path, folder: Path, feeds: Any, *, quantizes: bool
) -> Iterator[tuple[str, TFLiteModel, Mapping[str, tuple[int, ...]]]]:
    """Name, file and axes of each; of two alike the first."""
    usual, seen = choose(), set()
    wanted: list[tuple[str, str, Forms]] = [(OURS, "keep", usual), (IN_A_CHAIN, "nhwc", usual)]
    wanted += [
        (f"{'without' if usual.takes(form) else 'with'} {form}", "nhwc", usual.toggled(form))
        for form in sorted(table().forms)
    ]
    wanted.append(("with all steps written out", "nhwc", choose(unroll=True)))
    floats = []
    for index, (name, layout, forms) in enumerate(wanted):
        model, axes = _converted(graph, folder / f"{index}.tflite", layout, forms)
        content = model.path.read_bytes()
        if content not in seen:
            seen.add(content)
            floats.append((name, model, axes))
            yield floats[-1]
    chains = floats[1:] if len(floats) > 1 and floats[1][0] == IN_A_CHAIN else floats
    for index, (name, model, axes) in enumerate(chains if quantizes else []):
        if any(spec.dtype == "float32" for spec in model.inputs):
            yield name, _quantized(model, folder / f"int8_{index}.tflite", feeds, axes), axes


def _converted(graph: Path, path: Path, layout: str, forms: Forms) -> tuple[TFLiteModel, Mapping[str, tuple[int, ...]]]:
    from edgeworthy.formats.onnx.file import read_onnx

    prepared = prepare(read_onnx(graph), io_layout=layout, forms=forms)
    inputs, outputs = build_tflite(prepared.model, path, forms=forms)
    return TFLiteModel(path, inputs, outputs), prepared.permutations


def _quantized(model: TFLiteModel, path: Path, feeds: Any, axes: Mapping[str, tuple[int, ...]]) -> TFLiteModel:
    """In int8 all through, as far as there are kernels: it is the operator that is measured."""
    from edgeworthy.quantize.calibration import CalibrationSet
    from edgeworthy.quantize.post_training import quantize
    from edgeworthy.quantize.recipe import Recipe

    data = CalibrationSet("the input that is timed", 1, 1, lambda _: dict(feeds))
    recipe = Recipe.of(INT8.name, device=None)
    return quantize(model, path, recipe, calibration=data, permute=axes).model


def line(row: OpRow) -> str:
    """A row in a line, for who waits."""
    if row.failure:
        return f"{row.name}: {row.failure.splitlines()[0]}"
    return f"{row.name}: " + ", ".join(f"{f.name} {f.scheme} {f.us:.0f} µs" for f in row.files)


def markdown(rows: Sequence[OpRow]) -> str:
    """What was measured, and on what."""
    from edgeworthy.validate.host import current

    host = current()
    lines = [
        f"{date.today()}: {host.cpu}, {host.system}, LiteRT {host.packages.get('ai-edge-litert')} with XNNPACK, "
        f"ONNX Runtime {host.packages.get('onnxruntime')}, one thread, medians in turns ± half of the 95 % interval.",
        "",
        _cell_line("form", "ONNX Runtime, µs", "ours ÷ it", "channels-last ÷ it", "nodes · taken · partitions",
                   "int8 ÷ float32", "other forms ÷ ours"),
        "| :-- | --: | --: | --: | --: | --: | :-- |",
        *map(_cells, rows),
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def rules() -> str:
    """The forms of ``convert/forms.toml``, and for whom they are written on what ground."""
    devices = list(table().devices)
    lines = [_cell_line("form", "what it is", *devices), _cell_line(*[":--"] * (2 + len(devices)))]
    for rule in table().rules:
        bounds = ", ".join(f"`{name}` {number}" for name, number in rule.numbers.items())
        grounds = [rule.on[device].basis if device in rule.on else "–" for device in devices]
        lines.append(_cell_line(f"`{rule.form}`", rule.says + (f": {bounds}" if bounds else ""), *grounds))
    return "\n".join(lines) + "\n"


def _cells(row: OpRow) -> str:
    theirs, ours, chain = row.of(THEIRS), row.of(OURS), row.of(row.chain)
    if row.failure or theirs is None or ours is None or chain is None:
        return _cell_line(row.name, " ".join(row.failure.split()) or "not measured", "", "", "", "", "")
    int8 = row.of(row.chain, INT8.name)
    others = []
    for file in row.files:
        if file.name in (OURS, IN_A_CHAIN, THEIRS) or file.scheme != FLOAT32.name:
            continue
        quantized = row.of(file.name, INT8.name)
        said = f"{file.name} {file.us / chain.us:.2f}, {file.partitions} partitions"
        others.append(said + (f", int8 {quantized.us / int8.us:.2f}" if quantized and int8 else ""))
    spread, counts = _spread(theirs), f"{chain.nodes} · {chain.delegated} · {chain.partitions}"
    quotient = f"{int8.us / chain.us:.2f}" if int8 else "–"
    ratios = [f"{file.us / theirs.us:.2f}" for file in (ours, chain)]
    return _cell_line(row.name, spread, *ratios, counts, quotient, "; ".join(others))


def _spread(file: FileTime) -> str:
    return f"{file.us:.0f} ± {(file.high - file.low) / 2:.0f}"


def _cell_line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.exit(main())
