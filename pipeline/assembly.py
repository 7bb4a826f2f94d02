"""A pipeline's results as one report, and the files of a run: report, JUnit, manifest."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

from .. import files
from ..schemes import FLOAT32
from ..validate import gate, host, matching, tradeoff
from ..validate import report as reports
from ..validate.made import ArtifactResult, ConversionResult, ModelInfo, QuantizationResult
from ..validate.results import AccuracyResult, LatencyResult, ParityResult, Report
from ..vocabulary import ROUTE
from . import fingerprint, manifest, provenance
from .pages import PAGES
from .stages import Pipeline
from .subjects import infos

if TYPE_CHECKING:
    from pydantic import BaseModel

T = TypeVar("T")

_SHOWN = 100
"""Layers and findings of a quantized file that a report holds; ``analysis.json`` has all."""


def assemble(pipeline: Pipeline, *, command: str = "") -> Report:
    """The report of the stages that were asked for.

    Parity, accuracy and latency that an earlier run measured on exactly these artifacts are in it too.
    """
    stages, quantized = pipeline.brought, []
    if "quantize" in stages:
        quantized = [
            q.result.model_copy(update={"seconds": pipeline.seconds.get(f"quantize.{q.result.scheme}", 0.0)})
            for q in pipeline.quantized
        ]
    validates = "validate" in stages
    parity = pipeline.parity if validates else _earlier(pipeline, "parity", ParityResult)
    accuracy = pipeline.accuracy if validates else _earlier(pipeline, "accuracy", AccuracyResult)
    latency = pipeline.latency if "bench" in stages else _earlier(pipeline, "bench", LatencyResult)
    earlier = {n for n, r in (("parity", parity), ("accuracy", accuracy)) if r and not validates}
    earlier |= {"bench"} if latency and "bench" not in stages else set()
    machine = host.current()
    fidelity, speed = (pipeline.fidelity, pipeline.speed) if "quantize" in pipeline.stages else (None, None)
    bargains = tradeoff.tradeoffs(pipeline.artifacts, fidelity or parity, speed or latency) if quantized else {}
    quantized = [q.model_copy(update={"tradeoff": bargains.get(q.artifact or "")}) for q in quantized]
    return Report(
        edgeworthy=importlib.metadata.version("edgeworthy"),
        created=datetime.now(UTC),
        command=command,
        options=options(pipeline.config),
        revision=provenance.revision(pipeline.config),
        inputs=provenance.given(pipeline.inputs),
        host=machine,
        model=_model(pipeline),
        artifacts=[_with_time(pipeline, a) for a in pipeline.artifacts],
        export=pipeline.exported.result.model_copy(update={"seconds": pipeline.seconds["export"]})
        if pipeline.copies_source
        else None,
        conversion=_conversion(pipeline) if "convert" in stages else None,
        quantization=quantized,
        fidelity=fidelity,
        speed=speed,
        recommendation=pipeline.recommendation if "recommend" in pipeline.stages else None,
        analyses=[one.brief(_SHOWN) for one in pipeline.analyses] if "quantize" in pipeline.stages else [],
        parity=parity,
        accuracy=accuracy,
        latency=latency,
        limits=pipeline.config.gate,
        stage_seconds=pipeline.seconds,
        notes=[*_notes(pipeline, earlier), *pipeline.inputs.notes],
        warnings=[*pipeline.inputs.warnings, *_unfit(quantized), *tradeoff.warnings(quantized, speed)],
    )


def finish(pipeline: Pipeline, *, command: str = "") -> Report:
    """Assemble the report, hold it against the gate, and write the files of a whole run into OUT."""
    report = assemble(pipeline, command=command)
    verdict = gate.evaluate(report, folder=pipeline.output, baseline=pipeline.inputs.earlier)
    report = report.model_copy(update={"gate": verdict})

    def write() -> None:
        reports.write(report, pipeline.output)
        manifest.write(
            report,
            pipeline.output,
            source=pipeline.inputs.source_hash,
            inputs=fingerprint.input_files(pipeline.config),
            tools=report.host.packages | {a.name: a.made_by for a in report.artifacts if a.made_by},
        )

    pipeline.workspace.pages([pipeline.output / name for name in PAGES], write)
    pipeline.workspace.leave_only_vouched(pipeline.inputs.source_hash, whole=True)
    return report


def note(pipeline: Pipeline, *, command: str = "") -> Report:
    """Assemble the report of single stages and write it as JSON alone."""
    report = assemble(pipeline, command=command)
    path = pipeline.output / reports.JSON
    pipeline.workspace.pages([path], lambda: files.write_text(path, report.model_dump_json(indent=2) + "\n"))
    pipeline.workspace.leave_only_vouched(pipeline.inputs.source_hash, whole=False)
    return report


def options(config: BaseModel) -> dict[str, str | int | float | bool | list[str] | None]:
    """A configuration as flat ``table.key`` → value, without what wasn't given."""
    flat: dict[str, str | int | float | bool | list[str] | None] = {}

    def add(prefix: str, values: dict[str, object]) -> None:
        for key, value in values.items():
            name = f"{prefix}{key}"
            if isinstance(value, dict):
                add(f"{name}.", value)
            elif isinstance(value, list):
                flat[name] = [v if isinstance(v, str) else json.dumps(v) for v in value]
            elif isinstance(value, (str, int, float, bool)):
                flat[name] = value

    add("", config.model_dump(mode="json", by_alias=True, exclude_none=True))
    return flat


def _conversion(pipeline: Pipeline) -> ConversionResult:
    return pipeline.converted.result.model_copy(update={"left_out": pipeline.inputs.left_out})


def _model(pipeline: Pipeline) -> ModelInfo:
    source = pipeline.inputs.source
    parameters = sum(p.numel() for p in source.module.parameters()) if source.module is not None else None
    return ModelInfo(
        spec=source.spec,
        kind=source.kind,
        inputs=infos(source.inputs),
        outputs=infos(pipeline.outputs),
        parameters=parameters,
        notes=source.notes,
    )


def _earlier(pipeline: Pipeline, name: str, kind: type[T]) -> T | None:
    if not pipeline.workspace.scratch(f"{name}.json").exists():
        return None
    done = pipeline.workspace.latest(name, kind, pipeline.about)
    return done.result if done else None


def _with_time(pipeline: Pipeline, artifact: ArtifactResult) -> ArtifactResult:
    if artifact.given:
        return artifact
    stages = {"onnx": "export", FLOAT32.artifact: "convert", "saved_model": "convert"}
    made = artifact.name.replace(ROUTE, "route.") if artifact.made_by else f"quantize.{artifact.scheme}"
    stage = stages.get(artifact.name, made if made in pipeline.seconds else "convert")
    seconds, cached = pipeline.seconds.get(stage), stage in pipeline.cached
    own = (
        {} if artifact.made_by else {"seconds": seconds}
    )  # a converter's are told by itself, without the checks after it
    return artifact.model_copy(update={**own, "cached": cached})


def _notes(pipeline: Pipeline, earlier: set[str]) -> list[str]:
    """``earlier``: stages that this command isn't about, and that measured these very files before."""
    matches = [
        f"{a.name}: {sentence}"
        for a in pipeline.artifacts
        for sentence in (*([f"made by {a.made_by}"] if a.made_by else []), *map(matching.said, a.matches), *a.notes)
    ]
    taken_over = [n for n in (*pipeline.seconds, *sorted(earlier)) if n in pipeline.cached | earlier]
    if not pipeline.inputs.converts:
        matches.append("the model was not converted, as files to compare were given: --to tflite adds edgeworthy's own")
    kept = [f"taken over from an earlier run, as nothing changed: {', '.join(taken_over)}"] if taken_over else []
    return kept + matches


def _unfit(quantized: Sequence[QuantizationResult]) -> list[str]:
    return [
        f"{q.scheme} was calibrated on {q.calibration.description}: the file is unfit for deployment"
        for q in quantized
        if q.calibration is not None and not q.calibration.fit_for_deployment
    ]
