"""The stages that make files: export → convert → quantize."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import files
from .. import schemes as quantization
from ..artifact import Artifact, OnnxModel, TensorSpec, TFLiteModel
from ..errors import BadInput, CheckFailed, InternalFault, NotAvailable, OutOfMemory, UnsupportedNodes
from ..formats.model_files import model_files
from ..quantize.recipe import path_beside
from ..validate.made import ArtifactResult, InputHash
from ..validate.results import AccuracyResult, LatencyResult, ParityResult
from ..vocabulary import MODULE_KEY
from . import repairing
from .inspection import artifact_result
from .own_scales import quantized_already
from .plan import ALL
from .records import Converted, Exported, Quantized
from .staging import Staging
from .wanted import MADE

if TYPE_CHECKING:
    from ..quantize.repair.repair import Repair
    from .preflight import Refusals


def nothing_died(result: ParityResult | AccuracyResult | LatencyResult) -> bool:
    """Whether a result is one to take over: what crashed, hung or ran out of memory may run the next time."""
    rows = result.hops if isinstance(result, ParityResult) else result.rows
    return all(row.status != "error" for row in rows)


class Making(Staging):
    """The files of a run."""

    def bring(self) -> None:
        """Bring the stages up to date, unless a target that the model is for would refuse some of it."""
        if self.inputs.meant_for.targets and (self.given is not None or "convert" in self.brought):
            with self.progress.stage("preflight"):
                self._preflight()
        super().bring()

    def _preflight(self) -> None:
        from . import preflight
        from .subjects import to_artifact

        table = self.inputs.meant_for
        if self.given is None:
            found = preflight.of_graph(self.graph, table.targets, self.config.convert, **self._quantizes)
        else:
            found = self._preflight_of_file(to_artifact(self.given, self.output))
        preflight.check(found, table, self.inputs.spec)

    def _preflight_of_file(self, file: Artifact) -> Refusals:
        from . import preflight

        targets = self.inputs.meant_for.targets
        if not isinstance(file, TFLiteModel):
            raise BadInput(
                "--for and --max-runtime are about ONNX and TFLite files",
                where=self.inputs.spec,
                remedy="leave them out, or give the model that the file was made of",
            )
        if file.scheme == quantization.FLOAT32.name:
            return preflight.of_float_file(file, targets, **self._quantizes)
        return preflight.of_file(file.path, targets)

    def _check_made(self, path: Path, scheme: str) -> None:
        """Hold a file against the targets that the model is for: only a file has all that they ask of.

        Raises:
            CheckFailed: one would refuse a node of it.
        """
        from . import preflight

        table = self.inputs.meant_for
        graph = self.graph.path if self.given is None else None
        if table.targets:
            preflight.check(preflight.of_file(path, table.targets, scheme, graph), table, path.name, path)

    @property
    def _quantizes(self) -> dict[str, Any]:
        """How the model will be quantized."""
        return {"table": self.config.quantize, "schemes": self.inputs.schemes if "quantize" in self.brought else []}

    @property
    def _asked_for(self) -> dict[str, object]:
        """What a file's key holds of the targets that the model is for."""
        table = self.inputs.meant_for
        return {"preflight": table.model_dump()} if table.targets else {}

    @cached_property
    def exported(self) -> Exported:
        """``OUT/model.onnx``."""
        table, path = self.config.export, self.output / "model.onnx"

        def make() -> Exported:
            from ..export.onnx_export import export_onnx

            made = export_onnx(self.inputs.source, path, exporter=table.exporter, opset=table.opset)
            return Exported.of(made, self.output)

        depends = {"source": self.inputs.source_hash, "examples": self._examples_hash} | table.model_dump()
        return self._stage("export", Exported, depends, make, [path, path.with_name("model.onnx.data")])

    @cached_property
    def graph(self) -> OnnxModel:
        """What conversion starts from: the exported file, or an ONNX source itself where no copy is asked for."""
        graph = self._graph()
        if {"validate", "recommend"} & set(self.stages):
            self.inputs.check_outputs(graph.outputs)
        return graph

    def _graph(self) -> OnnxModel:
        from ..formats.onnx.summary import describe
        from .subjects import to_artifact

        source = self.inputs.source
        if source.path is not None and source.kind == "onnx" and not self.copies_source:
            model = describe(source.path)
            if model.inputs == source.inputs:
                return model
        graph = to_artifact(self.exported.artifact, self.output)
        return OnnxModel(graph.path, graph.inputs, graph.outputs)

    @cached_property
    def converted(self) -> Converted:
        """The TFLite file, float32 unless the model is quantized already, and ``OUT/saved_model``."""
        from ..convert import scheme_of

        table, to, scheme = self.config.convert, self.inputs.to, scheme_of(self.graph.path)

        def make() -> Converted:
            from ..convert import convert

            weights = sum(files.size(path) for path in model_files(self.graph.path))
            self.workspace.require(weights * len(to))
            check = None
            if table.check_passes:
                from .pass_check import PassCheck

                check = PassCheck(self.graph, self.inputs.source.examples)
            try:
                made = convert(
                    self.graph, self.output, to=to, io_layout=table.io_layout, unroll=table.unroll,
                    targets=self.inputs.meant_for.targets, check_passes=check,
                )  # fmt: skip
            except UnsupportedNodes as error:  # the exported file is taken back: name what the user gave
                raise UnsupportedNodes(error.nodes, where=self.inputs.spec) from error
            if made.tflite is not None:
                self._check_made(made.tflite.path, made.tflite.scheme)
            return Converted.of(made, self.output, table, to, check.changes if check else {})

        depends = {"graph": self._hash(self.graph)} | table.model_dump() | {"to": to} | self._asked_for
        outputs = [self.output / MADE[kind] for kind in to]  # also where none of the model's scales can be kept
        outputs += [self.output / scheme.file_name] if "tflite" in to and scheme != quantization.FLOAT32 else []
        self.workspace.claim(outputs, force=self.force)  # what an export is quantized to is known only now
        origins = [self.graph.path] if self.graph.path.parent == self.output else []
        return self._stage("convert", Converted, depends, make, outputs, origins=origins)

    @property
    def has_scales(self) -> bool:
        """Whether the model that is converted came with scales of its own, even such as no TFLite kernel takes."""
        from ..formats.onnx.summary import summarize

        return self.converted.own is not None or summarize(self.graph.path).quantizes

    @cached_property
    def given(self) -> ArtifactResult | None:
        """The source itself, where it is converted already."""
        file = self.inputs.converted
        if file is None:
            return None
        name = quantization.SCHEMES[file.scheme].artifact if file.artifact.kind == "tflite" else "saved_model"
        return artifact_result(name, file.artifact, self.output, given=True)

    @cached_property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """The model's."""
        file = self.inputs.converted
        if file is None:
            return self.graph.outputs
        if {"validate", "recommend"} & set(self.stages):
            self.inputs.check_outputs(file.outputs)
        return file.outputs

    @property
    def floating(self) -> ArtifactResult:
        """The float32 TFLite file, which others are made from."""
        if self.given is not None:
            return self.given
        return next(a for a in self.converted.artifacts if a.name == quantization.FLOAT32.artifact)

    # -- quantize ---------------------------------------------------------------------------------------

    @cached_property
    def quantized(self) -> list[Quantized]:
        """``OUT/model_SCHEME.tflite`` for every scheme; a scheme that fails is a row that says so.

        Of a model that is quantized already, the one file that conversion made.

        Raises:
            BadInput: such a model is to be quantized.
        """
        if self.given is None and self.has_scales:
            if self.config.quantize.schemes or ("quantize" in self.stages and self.stages != ALL):
                raise quantized_already(self.inputs.spec)
            return [Quantized(result=own, artifact=None) for own in [self.converted.own] if own is not None]
        saved = self._saved_calibration()
        found = [self._quantized(scheme) for scheme in self.inputs.schemes]
        return [made.saved_with(saved) for made in found] if saved else found

    def _saved_calibration(self) -> InputHash | None:
        """The file that the calibration samples were written to, where one is asked for."""
        from ..quantize.saved import Saved, save

        path, data = self.config.quantize.save_calibration, self.inputs.calibration
        if path is None or data is None:
            return None
        with self.progress.stage("save", str(path)):
            said = Saved(data.samples, data.description, data.fit_for_deployment)
            save(data.whole, said, self.inputs.source.inputs, path)
        return InputHash(role="calibration", name=str(path), what="file", sha256=files.sha256(path))

    def _quantized(self, scheme: str) -> Quantized:
        from .subjects import to_artifact

        needs_data = quantization.SCHEMES[scheme].needs_calibration
        calibration = self.inputs.calibration if needs_data else None
        path, recipe = self._quantized_path(scheme), self.inputs.recipes[scheme]
        floating = self.floating
        model = to_artifact(floating, self.output)

        def make() -> Quantized:
            from ..quantize.post_training import quantize

            float_model = TFLiteModel(model.path, model.inputs, model.outputs)
            found = self._repaired(scheme, float_model)
            made = quantize(
                float_model,
                path,
                found.recipe if found else recipe,
                calibration=calibration,
                permute=self._permutations,
                modules=self._modules if recipe.has_patterns else {},
                example=self.inputs.source.examples,
                saved_model=self._saved_model,
                progress=lambda done, total: self.progress.step("calibrate", done, total),
            )
            self._check_made(path, scheme)
            return Quantized.of(made, self.output, calibration, repairing.result(found) if found else None)

        data = self.inputs.calibration_hash if needs_data else None
        depends = {
            "model": floating.sha256,
            "recipe": recipe.model_dump(mode="json"),
            "permute": self._permutations,
            "data": data,
            "held": self.inputs.held_hash if needs_data else None,
        } | self._asked_for
        if repairing.wanted(self.inputs, scheme):
            depends |= {"budget": self.config.quantize.budget.model_dump(), "labelled": self.inputs.labelled_hash}
        try:
            made = [path, path_beside(path)]
            return self._stage(f"quantize.{scheme}", Quantized, depends, make, made, origins=[model.path])
        except OutOfMemory:  # says nothing of the scheme, and everything of the machine
            raise
        except (CheckFailed, NotAvailable, InternalFault) as error:
            return Quantized.failed(scheme, error, calibration)

    @property
    def _saved_model(self) -> Path | None:
        """The SavedModel beside the float32 file, for TensorFlow's quantizer."""
        made = [] if self.given is not None else self.converted.artifacts
        return next((self.output / artifact.path for artifact in made if artifact.name == "saved_model"), None)

    def _repaired(self, scheme: str, model: TFLiteModel) -> Repair | None:
        """The search for the scheme's recipe, where one is wanted."""
        if not repairing.wanted(self.inputs, scheme):
            return None
        recipe = self.inputs.recipes[scheme]
        modules = self._modules if recipe.has_patterns else {}
        return repairing.search(
            model, recipe, self.inputs, permute=self._permutations, modules=modules, progress=self.progress
        )

    @cached_property
    def _modules(self) -> dict[str, str]:
        """Value or node of the graph → its PyTorch module, for a recipe's patterns."""
        from ..formats.onnx.file import read_onnx
        from ..formats.onnx.names import metadata_by_name

        if self.given is not None:
            return {}
        return {name: data.get(MODULE_KEY, "") for name, data in metadata_by_name(read_onnx(self.graph.path)).items()}

    @property
    def _permutations(self) -> dict[str, tuple[int, ...]]:
        if "convert" not in self.brought:
            return {}
        return {name: tuple(axes) for name, axes in self.converted.permutations.items()}

    def _hash(self, model: OnnxModel) -> list[str]:
        return [files.sha256(path) for path in model_files(model.path)]
