"""The results of the file-making stages, as they are kept between runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel

from ..quantize.recipe import path_beside
from ..schemes import FLOAT32, SCHEMES
from ..validate.made import (
    OWN_ENGINE,
    ArtifactResult,
    CalibrationResult,
    ConversionResult,
    ExportResult,
    FormResult,
    InputHash,
    LayoutResult,
    LoweredNode,
    OutputCheck,
    PassResult,
    QuantizationResult,
    RepairResult,
    TransposeResult,
)
from .inspection import artifact_result

if TYPE_CHECKING:
    from ..artifact import Artifact
    from ..config import ConvertTable
    from ..convert import Conversion
    from ..convert.lowering import Form
    from ..errors import EdgeworthyError
    from ..export.onnx_export import Export
    from ..quantize.calibration import CalibrationSet
    from ..quantize.post_training import Quantization


class Exported(BaseModel):
    """Of the stage ``export``."""

    result: ExportResult
    artifact: ArtifactResult

    @classmethod
    def of(cls, made: Export, folder: Path) -> Exported:
        checks = [OutputCheck(output=n, max_abs=e.max_abs, max_rel=e.max_rel) for n, e in made.check.items()]
        return cls(
            result=ExportResult(
                exporter=made.exporter, opset=made.opset, seconds=0, check=checks, notes=list(made.notes)
            ),
            artifact=artifact_result("onnx", made.model, folder),
        )


class Routed(BaseModel):
    """Of a stage ``route.NAME``: fields of the file's `ArtifactResult`."""

    made_by: str
    seconds: float
    peak_bytes: int | None
    cpu_seconds: float | None = None
    beside: int = 0


class Converted(BaseModel):
    """Of the stage ``convert``. ``permutations``: see ``convert.Conversion``; ``own``: how the model was quantized, if
    it came so."""

    result: ConversionResult
    artifacts: list[ArtifactResult]
    permutations: dict[str, list[int]]
    own: QuantizationResult | None = None

    @classmethod
    def of(
        cls,
        made: Conversion,
        folder: Path,
        table: ConvertTable,
        to: list[str],
        changes: Mapping[str, float],
    ) -> Converted:
        """``changes``: pass → the largest numeric change (see ``pass_check``)."""
        layout = None
        if made.layout is not None:
            layout = LayoutResult(
                io_layout=table.io_layout,
                nodes_channels_last=made.layout.channels_last,
                transposes=made.layout.remaining,
                transposed_bytes=sum(t.nbytes for t in made.layout.inserted),
                remaining=[
                    TransposeResult(
                        tensor=t.name, bytes=t.nbytes, axes=list(t.perm), why=t.why, module=t.module, source=t.source
                    )
                    for t in made.layout.transposes
                ],
            )
        passes = [
            PassResult(
                name=p.name,
                changes=p.changed,
                seconds=p.seconds,
                refusals=[f"{r.node}: {r.reason}" for r in p.refusals],
                max_abs=changes.get(p.name),
                operators=p.operators,
            )
            for p in made.passes
        ]
        if "layout" in changes:
            moved = len(made.layout.inserted) if made.layout else 0
            passes.append(PassResult(name="layout", changes=moved, max_abs=changes["layout"]))
        files: dict[str, Artifact | None] = {"saved_model": made.saved_model}
        if made.tflite is not None:
            files = {SCHEMES[made.tflite.scheme].artifact: made.tflite} | files
        return cls(
            result=ConversionResult(
                status="pass",
                targets=to,
                passes=passes,
                layout=layout,
                forms=[_form(form) for form in made.forms],
                forms_for=list(made.devices),
                nodes_before=made.nodes[0],
                nodes_after=made.nodes[1],
                seconds=sum(made.seconds.values()),
            ),
            artifacts=[_noted(artifact_result(name, a, folder), made) for name, a in files.items() if a is not None],
            permutations={name: list(axes) for name, axes in made.permutations.items()},
            own=_own(made),
        )


class Aligned(BaseModel):
    """Of a stage ``align.N``: another converter's file."""

    artifact: ArtifactResult


class Quantized(BaseModel):
    """Of a stage ``quantize.SCHEME``."""

    result: QuantizationResult
    artifact: ArtifactResult | None

    @classmethod
    def of(
        cls, made: Quantization, folder: Path, data: CalibrationSet | None, repair: RepairResult | None = None
    ) -> Quantized:
        """``repair``: the search that its recipe comes from."""
        name = SCHEMES[made.scheme].artifact
        return cls(
            result=QuantizationResult.model_validate(
                {
                    "status": "fail" if repair and not repair.met else "pass",
                    "failure": f"not repaired: {'; '.join(repair.missed)}" if repair and not repair.met else None,
                    "repair": repair,
                    "scheme": made.scheme,
                    "engine": made.engine,
                    "artifact": name,
                    "recipe": path_beside(made.model.path).name,
                    "io_dtype": made.io_dtype,
                    "calibration": _calibration(data),
                    "fit_for_deployment": made.fit_for_deployment,
                    "ranges": [asdict(contender) for contender in made.ranges],
                    "engines": [asdict(contender) for contender in made.engines],
                    "judged_on": made.judged_on,
                    "float_ops": list(made.float_ops),
                    "notes": list(made.notes),
                }
            ),
            artifact=artifact_result(name, made.model, folder),
        )

    def saved_with(self, file: InputHash) -> Quantized:
        """With the file that the calibration samples were written to, if there were any."""
        data = self.result.calibration
        if data is None:
            return self
        told = self.result.model_copy(update={"calibration": data.model_copy(update={"saved": file})})
        return self.model_copy(update={"result": told})

    @classmethod
    def failed(cls, scheme: str, error: EdgeworthyError, data: CalibrationSet | None) -> Quantized:
        """``error``: why; its notes hold the traceback of the process that it happened in."""
        result = QuantizationResult(
            status="error",
            scheme=scheme,
            engine="",
            failure=str(error),
            traceback="\n".join(getattr(error, "__notes__", ())),
            calibration=_calibration(data),
            fit_for_deployment=False,
        )
        return cls(result=result, artifact=None)


def _form(form: Form) -> FormResult:
    nodes = [LoweredNode(tensor=t, module=m, source=s) for t, m, s in form.nodes]
    return FormResult(
        op=form.op,
        operators=form.operators,
        count=len(nodes),
        reasons=list(form.reasons),
        nodes=nodes if form.reasons else [],
    )


def _noted(artifact: ArtifactResult, made: Conversion) -> ArtifactResult:
    """With what of a float32 file was integers in the model, and why it isn't here."""
    if artifact.scheme != FLOAT32.name or artifact.kind != "tflite":
        return artifact
    notes = [f"{op.op} {op.name} stays float: {op.reason}" for op in made.float_ops]
    return artifact.model_copy(update={"notes": [*artifact.notes, *notes]})


def _own(made: Conversion) -> QuantizationResult | None:
    """The model's own quantization, as a row among those that edgeworthy makes."""
    if made.tflite is None or made.tflite.scheme == FLOAT32.name:
        return None
    scheme = SCHEMES[made.tflite.scheme]
    ranged = scheme.method == "dynamic"
    rounded = "rounds no operand of what is int8 in TFLite" if ranged else "rounds to the model's scales"
    emulated = [f"the SavedModel computes in float32 and {rounded}"] if made.saved_model else []
    return QuantizationResult(
        status="pass",
        scheme=scheme.name,
        engine=OWN_ENGINE,
        artifact=scheme.artifact,
        float_ops=list(made.float_ops),
        notes=[f"{op.op} {op.name} stays float: {op.reason}" for op in made.float_ops] + emulated,
    )


def _calibration(data: CalibrationSet | None) -> CalibrationResult | None:
    if data is None:
        return None
    return CalibrationResult(
        description=data.description,
        samples=data.samples,
        fit_for_deployment=data.fit_for_deployment,
        sha256=data.survey.sha256,
    )
