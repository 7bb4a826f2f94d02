"""The analysis of the quantized files: a lint always, and with ``--analyze`` the error of each layer."""

from __future__ import annotations

import importlib.metadata
from functools import cached_property, partial

from .. import files
from ..analysis import AnalysisFile, QuantizationAnalysis
from ..artifact import TFLiteModel
from ..errors import RuntimeFailure
from ..quantize.recipe import Recipe, path_beside
from ..schemes import FLOAT32, SCHEMES
from ..validate import analysis_page
from ..validate.made import ArtifactResult
from .judging import Judging
from .origins import Origins
from .pages import ANALYSIS


class Analyzing(Judging):
    """What is found in the quantized files of a run."""

    @cached_property
    def analyses(self) -> list[QuantizationAnalysis]:
        """Of every quantized file that was made; with ``--analyze`` they are in OUT as files too."""
        made = [(q.artifact, q.result.recipe is not None) for q in self.quantized if q.artifact is not None]
        found = [self._analysis(artifact, made_here=known) for artifact, known in made]
        if self.config.quantize.analyze and found:
            self._write_analyses(found)
        return found

    def _analysis(self, artifact: ArtifactResult, *, made_here: bool) -> QuantizationAnalysis:
        from .subjects import to_artifact

        table, floating = self.config.quantize, self.floating
        about = {floating.name: floating.sha256, artifact.name: artifact.sha256}
        models = [to_artifact(a, self.output) for a in (floating, artifact)]
        schemes = FLOAT32.name, artifact.scheme
        pair = [TFLiteModel(m.path, m.inputs, m.outputs, scheme) for m, scheme in zip(models, schemes, strict=True)]
        recipe = Recipe.read(path_beside(pair[1].path)) if made_here else None

        def make() -> QuantizationAnalysis:
            found = (self._analyzed if table.analyze else self._linted)(*pair, recipe=recipe)
            return found.placed(Origins(self.graph.path if self.given is None else None).of)

        depends: dict[str, object] = {
            **about,
            "analyze": table.analyze,
            "recipe": recipe and recipe.model_dump(mode="json"),
        }
        if table.analyze:
            depends |= {
                "sensitivity": [table.sensitivity, table.sensitivity_layers, table.sensitivity_seconds],
                "permute": self._permutations,
                "data": [self.inputs.labelled_hash, self.inputs.calibration_hash],
                "samples": [self.config.validation.samples, self.config.seed],
            }
        stage = f"analyze.{artifact.scheme}"
        return self._stage(stage, QuantizationAnalysis, depends, make, about=about, final=lambda f: not f.failure)

    def _linted(self, floating: TFLiteModel, quantized: TFLiteModel, *, recipe: Recipe | None) -> QuantizationAnalysis:
        from ..quantize.analysis.analyze import analyze

        try:
            return analyze(floating, quantized, recipe=recipe, timeout_s=self.config.validation.timeout_s)
        except RuntimeFailure as error:  # nobody asked for it: the file stands without
            artifact = SCHEMES[quantized.scheme].artifact
            return QuantizationAnalysis(scheme=quantized.scheme, artifact=artifact, failure=str(error))

    def _analyzed(self, floating: TFLiteModel, quantized: TFLiteModel, recipe: Recipe | None) -> QuantizationAnalysis:
        from ..quantize.analysis.analyze import analyze
        from ..quantize.analysis.sensitivity import sensitivity

        table, timeout = self.config.quantize, self.config.validation.timeout_s
        samples, origin, _ = self.inputs.samples()
        found = analyze(
            floating,
            quantized,
            samples,
            inputs=origin,
            recipe=recipe,
            permute=self._permutations,
            timeout_s=timeout,
            progress=lambda done: self.progress.step("layers", done, len(samples)),
        )
        if table.sensitivity is None or SCHEMES[quantized.scheme].method == "cast":
            return found
        tried = sensitivity(
            floating,
            quantized,
            samples,
            found.layers,
            mode=table.sensitivity,
            most=table.sensitivity_layers,
            seconds=table.sensitivity_seconds,
            permute=self._permutations,
            timeout_s=timeout,
            progress=partial(self.progress.step, "sensitivity"),
        )
        return found.model_copy(update={"sensitivity": tried})

    def _write_analyses(self, found: list[QuantizationAnalysis]) -> None:
        paths = [self.output / name for name in ANALYSIS]

        def make() -> list[str]:
            held = AnalysisFile(edgeworthy=importlib.metadata.version("edgeworthy"), files=found)
            texts = (held.model_dump_json(indent=2) + "\n", analysis_page.html(held, self.inputs.spec))
            for path, text in zip(paths, texts, strict=True):
                files.write_text(path, text)
            return list(ANALYSIS)

        depends = {"found": [one.model_dump(mode="json") for one in found], "spec": self.inputs.spec}
        self._stage("analysis", list[str], depends, make, paths, origins=[self.output / self.floating.path])
