"""Every way to quantize a model, made and measured: what ``recommend`` chooses from.

Each file is a stage of its own, in ``OUT/tried``, so that a run that was cut short goes on from there.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path

from pydantic import BaseModel

from .. import schemes as quantization
from ..artifact import TFLiteModel
from ..devices import computes_integers_alone
from ..errors import CheckFailed, EdgeworthyError, InternalFault, NotAvailable, OutOfMemory
from ..quantize.range_methods import AUTO
from ..quantize.recipe import Recipe, path_beside
from ..quantize.variants import Variant, variants
from ..validate.advice import VariantResult
from ..validate.inputs import CLASSIFICATION
from ..validate.made import ArtifactResult, Tradeoff
from ..validate.record import Status
from ..validate.results import AccuracyResult, LatencyResult, ParityResult
from ..validate.tradeoff import tradeoffs
from . import repairing
from .advice_limits import timed_here
from .analyzing import Analyzing
from .inspection import artifact_result
from .making import nothing_died

TRIED = "tried"
"""Folder of OUT that holds all files that were made to be compared."""

_SECONDS, _ROUNDS = 0.8, 8
"""Of each file, warm-up aside."""

_TOGETHER, _TOGETHER_BYTES = 16, 256_000_000
"""Most files, and bytes of them, that are loaded at once to be timed in turns, in a process each."""


class TriedVariant(BaseModel):
    """Of a stage ``recommend.NAME``. ``failure``: why there is no file; ``ranges``: how ranges were taken."""

    artifact: ArtifactResult | None = None
    failure: str = ""
    ranges: str = ""
    notes: list[str] = []


class Trying(Analyzing):
    """All files that a recommendation is about."""

    @property
    def _times(self) -> bool:
        return timed_here(self.inputs.device)

    # -- what is tried ----------------------------------------------------------------------------------

    @cached_property
    def _tried(self) -> tuple[list[tuple[Variant, TriedVariant]], list[str]]:
        """The variants that were tried or refused, and the names of those that there was no time for."""
        begin, found, left_out = time.monotonic(), list[tuple[Variant, TriedVariant]](), list[str]()
        ranges = ""
        for variant in variants(self.inputs.recipes, self.floating.ops):
            if variant.skipped:
                found.append((variant, TriedVariant(failure=variant.skipped)))
                continue
            left = self.config.recommend.time_limit_s - (time.monotonic() - begin)
            if left <= 0:
                left_out.append(variant.name)
                continue
            # What is best for the first calibrated file is taken for the others, as `repair` does.
            if ranges and not variant.searched and variant.recipe.ranges == AUTO:
                variant = replace(variant, recipe=variant.recipe.model_copy(update={"ranges": ranges}))
            tried = self._try(variant, left)
            ranges = ranges or tried.ranges
            found.append((variant, tried))
        return found, left_out

    def _try(self, variant: Variant, seconds: float) -> TriedVariant:
        path, model = self.tried_path(variant), self._float_file
        needs_data = quantization.SCHEMES[variant.recipe.scheme].needs_calibration
        data = self.inputs.calibration if needs_data else None

        def make() -> TriedVariant:
            from ..quantize.post_training import quantize

            path.parent.mkdir(exist_ok=True)
            recipe, modules = variant.recipe, self._modules if variant.recipe.has_patterns else {}
            try:
                if variant.searched:
                    recipe = self._searched(recipe, seconds)
                made = quantize(
                    model,
                    path,
                    recipe,
                    calibration=data,
                    permute=self._permutations,
                    modules=modules,
                    example=self.inputs.source.examples,
                    saved_model=self._saved_model,
                    progress=partial(self.progress.step, "calibrate"),
                )
                self._check_made(path, made.scheme)
            except OutOfMemory:  # says nothing of the variant, and everything of the machine
                raise
            except (CheckFailed, NotAvailable, InternalFault) as error:
                return TriedVariant(failure=_said(error))
            name = f"{TRIED}.{variant.slug}"
            ranges = made.recipe.ranges if needs_data else ""
            return TriedVariant(
                artifact=artifact_result(name, made.model, self.output), ranges=ranges, notes=[*made.notes]
            )

        depends: dict[str, object] = {
            "model": self.floating.sha256,
            "recipe": variant.recipe.model_dump(mode="json"),
            "permute": self._permutations,
            "data": self.inputs.calibration_hash if needs_data else None,
            "held": self.inputs.held_hash if needs_data else None,
        } | self._asked_for
        if variant.searched:
            seconds_asked = min(self.config.quantize.budget.seconds, self.config.recommend.time_limit_s)
            depends |= {
                "budget": str(self.inputs.limits.budget),
                "seconds": seconds_asked,
                "labelled": self.inputs.labelled_hash,
            }
        outputs = [path, path_beside(path)]
        self.workspace.claim(outputs, force=self.force)  # the operators of the float file say which there are
        return self._stage(f"recommend.{variant.slug}", TriedVariant, depends, make, outputs, origins=[model.path])

    def _searched(self, recipe: Recipe, seconds: float) -> Recipe:
        """The recipe that repair ends with, whether or not it meets the budget: that is judged with all others."""
        limit = min(self.config.quantize.budget.seconds, seconds)
        modules = self._modules if recipe.has_patterns else {}
        # Its accuracy is top-1: other tasks are held to the SQNR that is the default.
        drop = (
            self.inputs.limits.budget.max_accuracy_drop if self.config.validation.accuracy == CLASSIFICATION else None
        )
        least = self.inputs.limits.budget.min_sqnr_db
        if least is None and drop is None:
            least = self.config.quantize.budget.min_sqnr_db
        found = repairing.search(
            self._float_file,
            recipe,
            self.inputs,
            budget=replace(self.inputs.limits.budget, min_sqnr_db=least, max_accuracy_drop=drop),
            seconds=limit,
            permute=self._permutations,
            modules=modules,
            progress=self.progress,
        )
        return found.recipe

    def tried_path(self, variant: Variant) -> Path:
        """Where an variant's file is made."""
        return self.output / TRIED / f"{variant.slug}.tflite"

    @property
    def _float_file(self) -> TFLiteModel:
        from .subjects import to_artifact

        model = to_artifact(self.floating, self.output)
        return TFLiteModel(model.path, model.inputs, model.outputs)

    # -- what is measured -------------------------------------------------------------------------------

    @cached_property
    def _files(self) -> list[ArtifactResult]:
        """Those that were made, each content once."""
        found = {tried.artifact.sha256: tried.artifact for _, tried in reversed(self._tried[0]) if tried.artifact}
        return list(reversed(found.values()))

    @cached_property
    def _tried_quality(self) -> ParityResult | None:
        """Errors on samples that no range was taken from, in TFLite."""
        if not self._files:
            return None

        def make() -> ParityResult:
            from ..validate import parity

            samples, origin, _ = self.inputs.samples()
            return parity.measure(
                self._tflite(self._files).subjects(),
                samples,
                plans=[],
                seed=self.config.seed,
                inputs=origin,
                samples_are=self.inputs.samples_are,
                progress=self.progress.step,
            )

        depends = self._about_tried | {"samples": self.config.validation.samples}
        return self._stage("recommend.errors", ParityResult, depends, make, final=nothing_died)

    @cached_property
    def _tried_accuracy(self) -> AccuracyResult | None:
        """On the labelled data; None where there is none."""
        data = self.inputs.labelled
        if data is None:
            return None

        def make() -> AccuracyResult:
            from ..validate import accuracy

            return accuracy.measure(
                self._tflite(self._files).subjects(),
                data,
                self.inputs.source.inputs,
                task=self.inputs.task,
                seed=self.config.seed,
                progress=self.progress.step,
            )

        depends = self._about_tried | {"task": self.inputs.task_hash}
        return self._stage("recommend.accuracy", AccuracyResult, depends, make, final=nothing_died)

    @cached_property
    def _tried_speed(self) -> list[LatencyResult]:
        """In turns with the float32 file, as many at a time as there is room for; none where the device isn't here."""
        if not self._times:
            return []
        groups: list[list[ArtifactResult]] = []
        for file in self._files:
            together = [*groups[-1], file] if groups else []
            fits = len(together) <= _TOGETHER and sum(one.size_bytes for one in together) <= _TOGETHER_BYTES
            groups[-1:] = [together] if together and fits else [*groups[-1:], [file]]
        return [self._timed(number, group) for number, group in enumerate(groups)]

    def _timed(self, number: int, group: list[ArtifactResult]) -> LatencyResult:
        from ..validate import host

        def make() -> LatencyResult:
            from ..source.load import timed_examples
            from ..validate import latency

            return latency.measure(
                self._tflite(group).subjects(),
                timed_examples(self.inputs.source),
                seconds=_SECONDS,
                rounds=_ROUNDS,
                seed=self.config.seed,
                progress=self.progress.step,
            )

        machine = host.current()
        depends = self._hashes(group) | {"permute": self._permutations, "seed": self.config.seed}
        depends |= {"machine": [machine.cpu, machine.logical_cores], "examples": self._examples_hash}
        return self._stage(f"recommend.latency{number}", LatencyResult, depends, make, final=nothing_died)

    @property
    def _about_tried(self) -> dict[str, object]:
        depends: dict[str, object] = {**self._hashes(self._files), "permute": self._permutations}
        data = [self.inputs.labelled_hash, self.inputs.calibration_hash, self.inputs.held_hash]
        return depends | {"seed": self.config.seed, "data": data}

    @property
    def _measured(self) -> list[VariantResult]:
        """The float32 file, where the device runs it, and all variants; unranked."""
        bargains, integer = self._bargains, computes_integers_alone(self.inputs.device)
        found = [] if integer else [self._variant("float32", quantization.FLOAT32.name, self.floating, bargains)]
        first: dict[str, str] = {}
        for variant, tried in self._tried[0]:
            name, scheme, file = variant.name, variant.recipe.scheme, tried.artifact
            if file is None:
                status: Status = "skipped" if variant.skipped else "error"
                found.append(VariantResult(name=name, scheme=scheme, status=status, failure=tried.failure))
            elif file.sha256 in first:
                found.append(VariantResult(name=name, scheme=scheme, status="pass", same_as=first[file.sha256]))
            else:
                first[file.sha256] = name
                found.append(self._variant(name, scheme, file, bargains))
        return found

    @cached_property
    def _bargains(self) -> dict[str, Tradeoff]:
        """Key of a file → what it lost and gained, each by the latencies that it was timed in."""
        quality, groups, made = self._tried_quality, self._tried_speed, [self.floating, *self._files]
        found = tradeoffs(made, quality, None)
        for group in groups:
            timed = {row.artifact for row in group.rows}
            found |= {key: one for key, one in tradeoffs(made, quality, group).items() if key in timed}
        whole = dict.fromkeys(("latency_ratio", "latency_low", "latency_high"), 1.0 if groups else None)
        return found | {self.floating.name: Tradeoff.model_validate({"exact": True, "size_ratio": 1.0} | whole)}

    def _variant(self, name: str, scheme: str, file: ArtifactResult, bargains: Mapping[str, Tradeoff]) -> VariantResult:
        times = [row for group in self._tried_speed for row in group.rows if row.artifact == file.name]
        labelled = self._tried_accuracy.rows if self._tried_accuracy else []
        accurate = next((row for row in labelled if row.artifact == file.name), None)
        hop = self._tried_quality.hop(file.name) if self._tried_quality else None
        rows = [row for row in (hop, accurate, *times) if row is not None]
        broken = [row.failure or row.status for row in rows if row.status in ("error", "skipped")]
        broken += [f"{out.name}: {problem}" for out in (hop.outputs if hop else ()) for problem in out.problems]
        one = VariantResult(
            name=name,
            scheme=scheme,
            status="error" if broken else "pass",
            failure=broken[0] if broken else None,
            file=file.path,
            sha256=file.sha256,
            size_bytes=file.size_bytes,
            tradeoff=bargains[file.name],
            latency_ms=times[0].p50_ms if times else None,
            **{key: getattr(accurate, key) for key in ("accuracy", "drop", "drop_low", "drop_high") if accurate},
        )
        missed = [] if broken else self.inputs.limits.missed(one)
        return one.model_copy(update={"status": "fail", "missed": missed}) if missed else one


def _said(error: EdgeworthyError) -> str:
    """What an error says, without what to do."""
    return "; ".join([error.what, *error.details[:1]])
