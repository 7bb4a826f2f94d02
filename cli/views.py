"""Results as tables for people, and as exit codes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..display import number, percent, size
from ..kits import KITS
from ..pipeline.plan import STAGES
from ..schemes import SCHEMES
from ..validate.summary import flips, glance, summarize
from .advice import advice
from .analysis import analysis
from .anatomy import anatomy
from .console import Console
from .fidelity import accepts, fidelity, fix
from .terminal import TextColumn

_BAD = ("fail", "error", "skipped")

if TYPE_CHECKING:
    from ..android.export import AndroidExport
    from ..pipeline.diagnosis import ConverterState, Diagnosis, KitState, TargetState
    from ..pipeline.inspection import Inspection
    from ..pipeline.trial import Trial, Tried
    from ..samples import Sample
    from ..validate.made import RepairResult
    from ..validate.results import AccuracyResult, GateResult, Report


def report(console: Console, shown: Report, folder: Path, *, whole: bool) -> None:
    """A report's table, its verdict, and where the files are. ``whole``: there are pages as well."""
    if shown.recommendation:
        advice(console, shown.recommendation, folder)
    elif shown.parity or shown.latency or shown.accuracy:
        _rows(console, shown)
    elif shown.artifacts:
        _artifacts(console, shown, folder)
    if shown.accuracy:
        _drops(console, shown.accuracy)
    if shown.latency and shown.latency.inputs:
        console.say(f"Latency of one inference of {shown.latency.fed}")
    if shown.fidelity:
        fidelity(console, shown, shown.fidelity)
    for found in shown.analyses:
        analysis(console, found)
    told = [] if whole else [q.calibration.description for q in shown.quantization if q.calibration]  # on the pages
    for said in dict.fromkeys(told):
        console.say(f"· calibrated on {said}")
    for q in shown.quantization:
        if q.failure:
            console.say(f"✗ {q.scheme}: {q.failure}")
        if q.repair:
            _repair(console, q.scheme, q.repair)
        for note in q.notes:
            console.say(f"· {SCHEMES[q.scheme].short_name}: {note}")
        if q.traceback and console.debug:
            console.say(q.traceback)
        if kept := [op for op in q.float_ops if op.reason.startswith("excluded by")]:
            console.say(f"· {q.scheme}: {len(kept)} stay float: {', '.join(f'{op.op} {op.name}' for op in kept)}")
    for note in (*shown.model.notes, *(shown.parity.notes if shown.parity else ()), *shown.notes):
        console.say(f"· {note}")
    for warning in shown.warnings:
        console.say(f"⚠ {warning}")
    if shown.gate and whole:
        gate(console, shown.gate)
    else:
        _failures(console, shown)
    if whole:
        console.say(f"Report: {folder / 'report.html'}")


def _repair(console: Console, scheme: str, shown: RepairResult) -> None:
    """What was reached, and what it was searched among."""
    asked = " and ".join(shown.asked) or "nothing"
    on = f" ({shown.judged_on})" if shown.judged_on else ""
    console.say(
        f"· {scheme}: {shown.reached}{on} by repair, where {asked} was asked; the fastest of {len(shown.trials)} trials"
    )
    for note in shown.notes:
        console.say(f"· {scheme}: {note}")


def gate(console: Console, result: GateResult) -> None:
    """The lines that don't pass, and the verdict."""
    marks = {"fail": "✗", "inconclusive": "?"}
    passed = sum(line.status == "pass" for line in result.lines)
    for line in result.lines:
        if line.status != "pass":
            console.say(f"{marks[line.status]} {line.check}: {line.message}")
            fix(console, line.remedy)
    verdict = {"pass": "✓ The gate passes", "fail": "✗ The gate fails", "inconclusive": "? The gate can't say"}
    console.say(f"{verdict[result.status]}: {passed} of {len(result.lines)} lines hold")


def exit_code(shown: Report, stages: Sequence[str], asked: Iterable[str] = ()) -> int:
    """The gate's, where there is one; else 1 if any of ``stages`` has something that failed.

    3 where nothing failed, and a target that was asked for ran nothing, as a board that nobody could reach. A report
    also shows what earlier commands measured on the same files.
    """
    if shown.gate:
        return shown.gate.exit_code
    fields = dict.fromkeys(field for stage in stages for field in STAGES[stage].verdicts)
    found = [getattr(shown, field) for field in fields]
    rows = [row for value in found for row in (value if isinstance(value, list) else [value]) if row]
    if accepts(shown):
        rows = [row for row in rows if row is not shown.fidelity]
    if {"fail", "error"} & {row.status for row in rows}:
        return 1
    ran: dict[str, set[str]] = {}
    for field in {"parity", "latency", "accuracy"} & {*fields}:
        found = getattr(shown, field)
        for row in (found.hops if field == "parity" else found.rows) if found else ():
            ran.setdefault(row.runtime, set()).add(row.status)
    return 3 if any(ran.get(name) == {"skipped"} for name in asked) else 0


def _failures(console: Console, shown: Report) -> None:
    """Why rows of the table are no pass."""
    for row in summarize(shown):
        said = [row.hop.failure or row.hop.reason] if row.hop and row.hop.status in _BAD else []
        said += [r.failure or r.status for r in (row.accuracy, *row.latencies) if r and r.status in _BAD]
        for why in dict.fromkeys(said):
            console.say(f"{'–' if row.status == 'skipped' else '✗'} {row.name}: {why}")
        if row.hop and row.hop.status == "fail" and row.hop.receipt:
            for note in row.hop.receipt.notes:
                console.say(f"  - {note}")
        fix(console, row.hop.remedy if row.hop else "")


def _rows(console: Console, shown: Report) -> None:
    """Accuracy, parity and each hop's own share, size and latency: what was measured of it.

    A narrow terminal loses first what the hop adds, then the quotient, size, latency and accuracy.
    """
    columns = glance(shown)
    table = [[row.name, *(column.text(row) for column in columns), row.status] for row in summarize(shown)]
    heads = [TextColumn(column.title, right=True, rank=column.rank) for column in columns]
    console.table([TextColumn("runs as"), *heads, TextColumn("")], table)


def _drops(console: Console, found: AccuracyResult) -> None:
    """What each quantized file lost of the accuracy, and how sure that is."""
    console.say(f"Accuracy is {found.metric} on {found.samples} samples of {found.data}, against {found.reference}")
    worse, better = flips(found)
    for row in found.rows:
        if row.drop is None or row.drop_low is None or SCHEMES[row.scheme].by_floor:
            continue
        interval = f"95 % interval {percent(row.drop_low)} to {percent(row.drop_high)}"
        flipped = "" if row.lost is None else f"; samples {worse}: {row.lost}, {better}: {row.won}"
        console.say(f"· {row.name} loses {percent(row.drop)} ({interval}){flipped}")


def _artifacts(console: Console, shown: Report, folder: Path) -> None:
    numbers = (("size", 1), ("operators", 3), ("transposes", 4), ("seconds", 2))
    console.table(
        (TextColumn("file"), *(TextColumn(title, right=True, rank=rank) for title, rank in numbers)),
        [
            (
                os.path.normpath(a.below(folder)),
                size(a.size_bytes),
                str(a.op_count or "–"),
                "–" if a.transposes is None else str(a.transposes),
                "taken over" if a.cached else f"{a.seconds or 0:.1f}",
            )
            for a in shown.artifacts
        ],
    )


def inspection(console: Console, found: Inspection) -> None:
    """What is in a model file."""
    console.say(f"{found.path}: {found.kind}, {size(found.size_bytes)}")
    rows = [("input", str(t)) for t in found.inputs] + [("output", str(t)) for t in found.outputs]
    rows += [(key, value) for key, value in found.details.items() if value]
    rows += [(f"{dtype} weights", size(count)) for dtype, count in found.constants.items()]
    rows += [(f"{dtype} tensors", str(count)) for dtype, count in found.activations.items()]
    rows.append(("transposes", str(found.transposes)))
    rows += [(f"runs on {target}", state) for target, state in found.runs_on.items()]
    console.table(("what", ""), rows)
    console.table(("operator", TextColumn("count", right=True)), [(op, str(n)) for op, n in found.ops.items()])
    if found.anatomy is not None:
        anatomy(console, found.anatomy)
    if found.kind == "onnx" and not found.unsupported:
        console.say("✓ every node can be converted to TFLite and SavedModel")
    for target, refusals in found.refused.items():
        console.say(f"✗ {target} would refuse:" if refusals else f"✓ {target} takes every node")
        for line in refusals:
            console.say(f"  {line}")
    if found.unsupported:
        console.say("✗ can't be converted:")
        console.table(
            ("operator", "node", "where", "why, and what to do"),
            [
                (u.op, u.node, " ".join(filter(None, (u.module, u.source))), f"{u.reason}; {u.remedy}")
                for u in found.unsupported
            ],
        )


def android(console: Console, made: AndroidExport) -> None:
    """What was written for an app."""
    console.say(f"{made.class_name}: {', '.join(f'{name}(…)' for name in made.functions)}")
    console.say(f"{made.scheme}, {made.samples} samples" + (f", labels of {made.labels_of}" if made.labels_of else ""))
    for path in made.files:
        console.say(path)


def diagnosis(console: Console, found: Diagnosis) -> None:
    """What this machine has."""
    host = found.host
    console.say(f"edgeworthy {found.edgeworthy}, Python {host.python}, {host.system} {host.machine}")
    console.say(f"{host.cpu}, {host.logical_cores} cores, {size(host.memory_bytes)} memory")
    console.say(f"CPU features: {' '.join(found.cpu_features) or 'unknown'}")
    console.table(
        ("package", "version", ""),
        [
            (
                p.name,
                p.version or "–",
                (f"✗ {p.why}" if p.why else "✓")
                if p.version
                else f"{'optional' if p.optional else '✗ missing'}: {p.install}",
            )
            for p in found.packages
        ],
    )
    console.table(
        ("target", "version", ""),
        [(t.name, t.version or "–", "✓" if t.available else f"✗ {t.why}") for t in found.targets],
    )
    converters(console, found.converters)


def targets(console: Console, found: Sequence[TargetState]) -> None:
    """Where models can run, and what to install or plug in where they can't."""
    console.table(
        ("target", TextColumn("what it is", rank=1), TextColumn("version", rank=2), "available"),
        [(t.name, t.summary, t.version or "–", "✓ yes" if t.available else f"✗ {t.why}") for t in found],
    )


def converters(console: Console, found: Sequence[ConverterState]) -> None:
    """Where a file can come from, and what to install where it can't."""
    console.table(
        ("route", TextColumn("what it is", rank=1), "starts from", TextColumn("version", rank=2), "size", "available"),
        [
            (
                route.name,
                route.summary,
                _STARTS.get(route.takes, "–") + (f" ≤ {route.opset}" if route.opset else ""),
                route.version or "–",
                size(route.size_bytes or None),
                "✓ yes" if route.available else f"✗ {route.why}",
            )
            for route in found
        ],
    )


_STARTS = {"onnx": "ONNX", "pt2": "PyTorch"}


def kits(console: Console, found: Sequence[KitState]) -> None:
    """What `targets install` or `routes install` takes, and what is there."""
    marks = {"ready": "✓ installed", "absent": "–", "outdated": "✗ outdated", "broken": "✗ damaged"}
    console.table(
        (
            "kit",
            TextColumn("what it is", rank=1),
            TextColumn("version", rank=2),
            "state",
            "size",
            TextColumn("folder", rank=3),
        ),
        [
            (
                kit.name,
                kit.summary,
                kit.version,
                marks[kit.status] + (f" in {kit.seconds:.1f} s" if kit.seconds is not None else ""),
                size(kit.size_bytes or None),
                kit.folder if kit.status != "absent" else KITS[kit.name].install,
            )
            for kit in found
        ],
    )


def trial(console: Console, found: Trial) -> None:
    """What a target did with models of one operator; of a kit without a target, that it works."""
    columns = ("model", "asked", "ran", "precision", "off by", "at most", "")
    if rows := [_tried(row) for row in found.rows]:
        console.table(columns, rows)
    for row in found.rows:
        for line in row.receipt.fallback if row.receipt else ():
            console.say(f"· {SCHEMES[row.scheme].title}: {line} ran elsewhere")
        if row.why:
            console.say(f"✗ {SCHEMES[row.scheme].title}: {row.why}")
    where = f", kit {found.kit} in {found.folder}" if found.kit else ""
    console.say(f"{'✓' if found.passes else '✗'} {found.target} {found.version}{where}")


def _tried(row: Tried) -> tuple[str, ...]:
    told = (row.receipt.asked, row.receipt.said, row.receipt.precision) if row.receipt else ("–",) * 3
    return SCHEMES[row.scheme].title, *told, number(row.error), number(row.limit), row.status


def write_sample(sample: Sample, folder: Path) -> list[Path]:
    """A sample's data as .npz files, and an ``edgeworthy.toml`` that uses them."""
    import numpy as np

    from ..files import atomic_file, write_text
    from ..schemes import QUANTIZED
    from ..source.factories import user_code

    tables = [f'output = "out"\n\n[model]\nsource = "sample:{sample.name}"\n']
    with user_code(f"sample:{sample.name}", "the sample's data can't be made"):
        arrays, labelled = {"calibration": sample.calibration(128, 0)}, sample.labelled()
    usual = [s for s in QUANTIZED if s.default]
    names = ", ".join(f'"{s.short_name}"' for s in usual)
    tables.append(f'[quantize]\nschemes = [{names}]\ncalibration = "calibration.npz"\n')
    if labelled is not None:
        arrays["labelled"] = labelled[0] | {"labels": labelled[1]}
        tables.append('[validate]\nlabelled = "labelled.npz"\n')
    quantized = next(s.short_name for s in usual if s.needs_calibration)
    limits = f'parity = true\nmust_convert = ["tflite", "saved_model", "{quantized}"]\n'
    limits += f"accuracy_drop = {{ {quantized} = 0.01 }}\n" if labelled is not None else ""
    tables.append(f"[gate]\n{limits}")
    written = []
    for name, values in arrays.items():
        path = folder / f"{name}.npz"
        with atomic_file(path) as part, part.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **values)
        written.append(path)
    write_text(folder / "edgeworthy.toml", "\n".join(tables))
    return [*written, folder / "edgeworthy.toml"]
