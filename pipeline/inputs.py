"""What a run was given: the model, calibration and labelled data, schemes and targets, loaded and checked once."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from .. import files
from .. import schemes as quantization
from ..artifact import TensorSpec
from ..config import Config
from ..errors import BadInput
from ..tables import EVERY
from . import fingerprint
from .plan import STAGES
from .wanted import Wanted

if TYPE_CHECKING:
    from ..artifact import Array
    from ..data.forms import Reading
    from ..data.lint import Doubt
    from ..data.preprocess import Preprocess
    from ..quantize.calibration import CalibrationSet
    from ..quantize.recipe import Recipe
    from ..validate.inputs import Labelled
    from ..validate.made import SamplesAre
    from ..validate.results import Report
    from ..validate.tasks import Task
    from .advice_limits import RecommendationLimits


class Inputs(Wanted):
    """Everything of a ``Config`` that has to be read, found or defaulted, with the data. See `Wanted`.

    Args:
        handed: Data that Python handed over itself, and not by name: ``calibration``, ``labelled``.
        force: Whether files that edgeworthy didn't make may be overwritten.

    Attributes:
        notes: What is worth knowing of the data.
    """

    def __init__(
        self, config: Config, stages: Sequence[str], handed: Mapping[str, object] | None = None, *, force: bool = False
    ) -> None:
        super().__init__(config, stages)
        self.handed = handed or {}
        self.force = force
        self.notes: list[str] = []

    @cached_property
    def recipes(self) -> dict[str, Recipe]:
        """See `recipes.of`."""
        from . import recipes

        return recipes.of(self.config, self.schemes, self.recipe)

    @property
    def device(self) -> str:
        """See `recipes.device`."""
        from . import recipes

        return recipes.device(self.config)

    @property
    def _calibration_spec(self) -> object:
        return self.handed.get("calibration", super()._calibration_spec)

    @cached_property
    def calibration(self) -> CalibrationSet | None:
        """The calibration data, if ranges are taken from it, or it was given: schemes without ranges are judged by it.

        Raises:
            BadInput: there is none, or it doesn't fit the model.
        """
        from ..quantize import saved
        from ..quantize.calibration import load_calibration, no_calibration

        recommends = "recommend" in self.stages  # it judges all files on real samples
        needy = self._needy
        if not self._takes_ranges:
            if self.config.quantize.save_calibration is not None:
                raise BadInput(
                    "no scheme that is made needs calibration data, so there is nothing to save",
                    where="--save-calibration",
                    remedy="add one that does, such as --scheme int8, or leave it out",
                )
            given = self.handed.get("calibration", self.config.quantize.calibration)
            if not self.schemes or given is None or (isinstance(given, str) and given == "random"):
                return None
        data, target = self._calibration_spec, self.config.quantize.save_calibration
        if data is None:
            raise no_calibration(needy[0].short_name if needy else "a recommendation" if recommends else "int8")
        if target is not None:
            saved.check(target, self.config.quantize.calibration, force=self.force)
        return load_calibration(
            data,
            self.source.inputs,
            how=self._reading(data),
            samples=self.config.quantize.samples or (self.recipe.samples if self.recipe else None),
            seed=self.config.seed,
            examples=self.source.examples,
            hold_out=recommends or (self.config.quantize.repair and bool(needy)),
        )

    @property
    def _needy(self) -> list[quantization.Scheme]:
        """The schemes that need calibration data."""
        return [s for name in self.schemes if (s := quantization.SCHEMES[name]).needs_calibration]

    @property
    def _takes_ranges(self) -> bool:
        """Whether anything that is made takes ranges from data."""
        return bool(self._needy) or "recommend" in self.stages or bool(self.config.artifacts.int8)

    @cached_property
    def calibration_hash(self) -> str | None:
        """Of the calibration data that is used; also looks for what makes it look wrong, see `data.lint`."""
        data = self.calibration
        if data is None:
            return None
        self.warnings += map(str, self.findings)
        return f"{data.survey.sha256} {data.description}"

    @cached_property
    def findings(self) -> list[Doubt]:
        """What makes the calibration data look wrong."""
        from ..data import lint
        from ..data.normalization import observed

        data, source = self.calibration, self.source
        if data is None or not data.fit_for_deployment:
            return []
        labelled = self.labelled if any("labelled" in STAGES[name].checks for name in self.stages) else None
        classes = data.classes
        if labelled is not None and labelled.labels.ndim == 1 and labelled.labels.dtype.kind in "iu":  # classes
            classes |= frozenset(labelled.labels.tolist())
        examples = {name: source.examples[name] for name in source.given}
        seen = lint.Seen(data.survey, examples, classes, observed(source, data))
        if unknown := lint.unknown_range(seen):
            self.notes.append(
                f"nothing says what range {', '.join(map(repr, unknown))} has in use, as nobody gave an example "
                "(--inputs): calibration data of another scale would not be noticed"
            )
        return lint.check(seen)

    @cached_property
    def held_hash(self) -> str | None:
        """Of the samples that files are chosen by."""
        return None if self.calibration is None else fingerprint.of_arrays(self.calibration.to_compare()[0])

    @cached_property
    def labelled(self) -> Labelled | None:
        """The labelled data, if there is any; a sample brings its own."""
        from ..samples import SAMPLES
        from ..source.factories import user_code
        from ..validate.inputs import CLASSIFICATION, load_labelled

        spec = self.config.validation.labelled or self.handed.get("labelled")
        sample = SAMPLES.get(self.spec.removeprefix("sample:")) if self.spec.startswith("sample:") else None
        if spec is None and sample is not None:
            with user_code(self.spec, "the sample's data can't be made"):
                spec = None if sample.labelled() is None else self.spec
        if spec is None and self.config.validation.accuracy != CLASSIFICATION:
            raise BadInput(
                f"--accuracy {self.config.validation.accuracy} asks for labelled data, and there is none",
                where="--labelled",
                remedy="give it with --labelled DATA",
            )
        if spec is None:
            return None
        return load_labelled(spec, self.source.inputs, self._reading(spec), self.config.validation.accuracy)

    @cached_property
    def limits(self) -> RecommendationLimits:
        """What a recommended file has to keep to.

        Raises:
            BadInput: accuracy is limited and there is no labelled data, or a recipe was given that decides all.
        """
        from .advice_limits import RecommendationLimits

        if self.recipe is not None:
            raise BadInput(
                "a recipe decides all, so there is nothing to choose among",
                where="quantize.recipe",
                remedy="take it out, or make its file with `edgeworthy quantize`",
            )
        return RecommendationLimits.of(self.config, labelled=self.labelled is not None)

    @cached_property
    def task(self) -> Task | None:
        """What accuracy is asked for, of the labelled data."""
        from ..validate.accuracy import task_of

        table = self.config.validation
        return None if self.labelled is None else task_of(table.accuracy, self.labelled, table.box_format)

    @property
    def task_hash(self) -> list[str | None]:
        """Of the task, and of the file of a metric of the user's own."""
        table = self.config.validation
        file = Path(table.accuracy.rpartition(":")[0])
        return [table.accuracy, table.box_format, files.sha256(file) if file.is_file() else None]

    def samples(self) -> tuple[list[dict[str, Array]], str, int]:
        """What to compare models on, what it is, and how many of it, the last ones, were drawn at random.

        Real data where there is any, else the example and random inputs like it.
        """
        from ..source.variations import random_samples

        count = self.config.validation.samples
        if self.labelled is not None:
            batches = self.labelled.batches(self.source.inputs)
            return [feeds for feeds, _ in itertools.islice(batches, count)], self.labelled.description, 0
        if self.calibration is not None and self.calibration.fit_for_deployment:
            held, said = self.calibration.held_out(count)
            return held, said if self._takes_ranges else self.calibration.description, 0
        samples = random_samples(self.source.examples, count, seed=self.config.seed)
        return samples, "the example and random inputs like it", count - 1

    @property
    def samples_are(self) -> SamplesAre:
        """What kind of samples ``samples`` gives."""
        if self.labelled is not None:
            return "labelled"
        if self.calibration is not None and self.calibration.fit_for_deployment:
            return "held out" if self.calibration.spare or not self._takes_ranges else "calibration"
        return "random"

    @cached_property
    def labelled_hash(self) -> str | None:
        """Of the labelled data, if there is any."""
        data = self.labelled
        return None if data is None else fingerprint.of_arrays([data.inputs, {"labels": data.labels}])

    @cached_property
    def threads(self) -> list[int]:
        """The numbers of threads to time with.

        Raises:
            BadInput: there are fewer cores.
        """
        from ..validate import host

        asked, cores = self.config.bench.threads, host.current().logical_cores
        if max(asked) > cores:
            raise BadInput(
                f"{max(asked)} threads were asked for, and this machine gives {cores} cores",
                where="--threads",
                remedy=f"take {cores} at most: threads that wait for each other tell nothing of the model",
            )
        return list(asked)

    @cached_property
    def earlier(self) -> Report | None:
        """The report that ``[gate.regression]`` is held against.

        Raises:
            BadInput: it can't be read, it is this run's own, or nothing is held against it.
        """
        from ..validate.regression import read_baseline

        return read_baseline(self.config.gate, self.config.output)

    def check_outputs(self, outputs: Sequence[TensorSpec]) -> None:
        """What was said of the model's outputs goes with those that it has.

        Raises:
            BadInput: there is a tolerance for another output, or a label that is none of the classes.
        """
        table = self.config.validation
        names = [spec.name for spec in outputs]
        for flag, tolerances in (("--atol", table.atol), ("--rtol", table.rtol)):
            if unknown := [name for name in tolerances if name not in (EVERY, *names)]:
                raise BadInput(
                    f"the model has no output named {unknown[0]!r}",
                    where=flag,
                    details=[f"it has {name}" for name in names],
                    remedy="use the names of the model's own outputs, or give one number for all",
                )
        if self.task is not None:
            self.task.check(outputs)

    @cached_property
    def baseline(self) -> str | None:
        """The row that latencies are compared with.

        Raises:
            BadInput: nothing that will be timed is called so.
        """
        from .subjects import row_name_given, row_names

        schemes = {
            "pytorch": [quantization.FLOAT32.name] if self.source.module is not None else [],
            "onnx": [quantization.FLOAT32.name],
        }
        schemes |= {"saved_model": [quantization.FLOAT32.name]} if "saved_model" in self.to else {}
        schemes |= {"tflite": self._tflite_schemes} if "tflite" in self.to else {}
        if self.converted is not None:
            schemes = {self.converted.artifact.kind: [self.converted.scheme, *self.schemes]}
        asked, rows = self.config.bench.baseline, row_names(self.targets, schemes)
        rows += [row_name_given(name, file.scheme) for name, file in self.artifacts.items()] + list(self.converters)
        if asked is not None and asked not in rows:
            raise BadInput(
                f"there is no row {asked!r} to compare with",
                where="--baseline",
                details=rows,
                remedy="use one of these",
            )
        return asked

    def _reading(self, spec: object) -> Reading:
        """How what isn't arrays becomes inputs."""
        from ..data.forms import Reading, holds_images

        table = self.config.data
        return Reading(
            preprocess=self._preprocess(str(spec)) if holds_images(spec) else None,
            tokenizer=table.tokenizer,
            text_column=table.text_column,
            sample_rate=table.sample_rate,
            timeout_s=table.timeout_s,
        )

    def _preprocess(self, folder: str) -> Preprocess:
        """How images become inputs: as flags and file say; what they leave open, as the model's makers wrote down."""
        from ..data import found_preprocess
        from ..data.preprocess import Preprocess, stated

        table = self.config.quantize.preprocess
        given = table.model_dump(include=table.model_fields_set, exclude_none=True) if table else {}
        found = found_preprocess.find(self.source, self._neighbours(), published=self.config.model.weights is None)
        if found is None and not given:
            self.warnings.append(
                f"nothing says how the images of {folder} become inputs, so they are scaled to 0…1 and not normalized: "
                "give --mean, --std, --resize … as in training"
            )
        return stated(found or Preprocess(), given)

    def _neighbours(self) -> list[Path]:
        """Folders of the model, of its code and of its weights."""
        name = Path(self.spec.removeprefix("hf:"))
        folders = [name] if name.is_dir() else []
        folders += [p.parent for p in (name, Path(self.spec.rpartition(":")[0])) if p.is_file()]
        return folders + ([self.config.model.weights.parent] if self.config.model.weights else [])
