"""What a run was given: the model, calibration and labelled data, schemes and targets, loaded and checked once."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from .. import schemes as quantization
from ..artifact import TensorSpec
from ..config import EVERY, Config
from ..errors import BadInput, NotAvailable
from ..vocabulary import CONVERTED
from . import fingerprint
from .plan import ALL

if TYPE_CHECKING:
    from ..artifact import Array
    from ..quantize.calibration import CalibrationSet
    from ..quantize.preprocess import Preprocess
    from ..source.load import Source
    from ..validate.inputs import Labelled
    from ..validate.results import Report


class Inputs:
    """Everything of a ``Config`` that has to be read, found or defaulted. Nothing is loaded before it is asked for.

    Attributes:
        warnings: What was left out, and how to get it.
    """

    def __init__(self, config: Config, stages: Sequence[str] = ALL) -> None:
        if config.model.source is None:
            raise BadInput(
                "no model was given",
                where="SOURCE",
                remedy="name one, such as sample:digits_cnn, or set source under [model] in edgeworthy.toml",
            )
        self.config = config
        self.stages = tuple(stages)
        self.spec = config.model.source
        self.warnings: list[str] = []

    @cached_property
    def source(self) -> Source:
        from ..source.load import load_source

        model = self.config.model
        return load_source(
            self.spec,
            weights=model.weights,
            weights_key=model.weights_key,
            bind=model.bind,
            inputs=model.inputs,
            inputs_file=model.inputs_file,
            seed=self.config.seed,
        )

    @cached_property
    def source_hash(self) -> str:
        return fingerprint.of_source(self.source)

    @cached_property
    def to(self) -> list[str]:
        """The kinds of artifact to convert to.

        Raises:
            NotAvailable: a SavedModel is asked for and TensorFlow isn't installed.
        """
        from ..targets import TARGETS

        asked, tensorflow = self.config.convert.to, TARGETS["tensorflow"]
        if asked is not None:
            if "saved_model" in asked and tensorflow.version is None:
                raise NotAvailable(
                    "a SavedModel needs TensorFlow, which is not installed",
                    where="--to",
                    remedy=f"{tensorflow.install}, or convert with --to tflite",
                )
            return list(asked)
        self.warnings += [f"no {kind} was made: {why}" for kind, why in self.left_out.items()]
        return [
            kind for kind in CONVERTED if kind != "saved_model" or (self._saved_model_is_of_use and not self.left_out)
        ]

    @property
    def left_out(self) -> dict[str, str]:
        """Kinds that would be made as none was asked for, and can't be here → why, and what to do."""
        from ..targets import TARGETS

        tensorflow = TARGETS["tensorflow"]
        if self.config.convert.to is not None or tensorflow.version is not None or not self._saved_model_is_of_use:
            return {}
        return {"saved_model": f"TensorFlow is not installed; {tensorflow.install}, or ask for --to tflite alone"}

    @cached_property
    def schemes(self) -> list[str]:
        """The quantization schemes to make, by full name."""
        asked = self.config.quantize.schemes
        if "tflite" not in self.to:
            if asked:
                raise BadInput("quantization starts from TFLite", where="--to", remedy="add tflite to --to")
            return []
        if asked is not None:
            return list(dict.fromkeys(quantization.get_scheme(name).name for name in asked))
        usual = [s for s in quantization.QUANTIZED if s.default]
        needy = [s for s in usual if s.needs_calibration and self._calibration_spec is None]
        self.warnings += [
            f"{s.short_name} was skipped, as it needs calibration data: give --calibration data.npz, a folder of "
            "images, or file.py:generator"
            for s in needy
        ]
        return [s.name for s in usual if s not in needy]

    @cached_property
    def calibration(self) -> CalibrationSet | None:
        """The calibration data, if one of the schemes needs any.

        Raises:
            BadInput: there is none, or it doesn't fit the model.
        """
        from ..quantize.calibration import load_calibration, no_calibration

        needy = [s for name in self.schemes if (s := quantization.SCHEMES[name]).needs_calibration]
        if not needy:
            return None
        data = self._calibration_spec
        if data is None:
            raise no_calibration(needy[0].short_name)
        return load_calibration(
            data,
            self.source.inputs,
            preprocess=self._preprocess(data) if Path(data).is_dir() else None,
            samples=self.config.quantize.samples,
            seed=self.config.seed,
            examples=self.source.examples,
        )

    @cached_property
    def calibration_hash(self) -> str | None:
        """Of the calibration data; reads all of it, so what is damaged shows."""
        data = self.calibration
        return None if data is None else f"{fingerprint.of_arrays(data)} {data.description}"

    @cached_property
    def labelled(self) -> Labelled | None:
        """The labelled data, if there is any; a sample brings its own."""
        from ..samples import SAMPLES
        from ..source.factories import user_code
        from ..validate.inputs import load_labelled

        spec = self.config.validation.labelled
        sample = SAMPLES.get(self.spec.removeprefix("sample:")) if self._is_sample else None
        if spec is None and sample is not None:
            with user_code(self.spec, "the sample's data can't be made"):
                spec = None if sample.labelled() is None else self.spec
        return load_labelled(spec, self.source.inputs) if spec else None

    def samples(self) -> tuple[list[dict[str, Array]], str, int]:
        """What to compare models on, what it is, and how many of it, the last ones, were drawn at random.

        Real data where there is any, else the example and random inputs like it.
        """
        from ..source.random_inputs import random_samples

        count = self.config.validation.samples
        if self.labelled is not None:
            batches = self.labelled.batches(self.source.inputs)
            return [feeds for feeds, _ in itertools.islice(batches, count)], self.labelled.description, 0
        if self.calibration is not None and self.calibration.fit_for_deployment:
            return (*self.calibration.held_out(count), 0)
        samples = random_samples(self.source.examples, count, seed=self.config.seed)
        return samples, "the example and random inputs like it", count - 1

    @cached_property
    def labelled_hash(self) -> str | None:
        """Of the labelled data, if there is any."""
        data = self.labelled
        return None if data is None else fingerprint.of_arrays([data.inputs, {"labels": data.labels}])

    def loaded(self, name: str) -> bool:
        """Whether a run has asked for this property, and it is something."""
        return vars(self).get(name) is not None

    @cached_property
    def targets(self) -> list[str]:
        """The targets to validate and time on.

        Raises:
            BadInput: one that was asked for doesn't exist, or has nothing to run.
            NotAvailable: one that was asked for can't run here.
        """
        from ..targets import TARGETS
        from .subjects import choose

        chosen = choose(self.config.targets)
        for name in chosen if self.config.targets else ():
            kind = TARGETS[name].kind
            if kind == "pytorch" and self.source.module is None:
                raise BadInput(
                    f"target {name} has nothing to run: {self.spec} holds no PyTorch module",
                    where="--target",
                    remedy="leave it out, or give the module itself as the source",
                )
            if kind in CONVERTED and kind not in self.to:
                raise BadInput(
                    f"target {name} has nothing to run: no {kind} is made",
                    where="--target",
                    remedy=f"leave it out, or add {kind} to --to",
                )
        return chosen

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
    def baseline(self) -> str | None:
        """The row that latencies are compared with.

        Raises:
            BadInput: nothing that will be timed is called so.
        """
        from .subjects import row_names

        schemes = {
            "pytorch": [quantization.FLOAT32.name] if self.source.module is not None else [],
            "onnx": [quantization.FLOAT32.name],
        }
        schemes |= {"saved_model": [quantization.FLOAT32.name]} if "saved_model" in self.to else {}
        schemes |= {"tflite": [quantization.FLOAT32.name, *self.schemes]} if "tflite" in self.to else {}
        asked, rows = self.config.bench.baseline, row_names(self.targets, schemes)
        if asked is not None and asked not in rows:
            raise BadInput(
                f"there is no row {asked!r} to compare with",
                where="--baseline",
                details=rows,
                remedy="use one of these",
            )
        return asked

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
        from ..validate import accuracy

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
        if self.labelled is not None:
            accuracy.check(self.labelled, outputs)

    @property
    def _saved_model_is_of_use(self) -> bool:
        """Somebody asked for it, or runs it; or it is there from an earlier command, and is to stay as it should be."""
        from ..targets import TARGETS
        from .subjects import choose

        if "saved_model" in (self.config.gate.must_convert or ()):
            return True
        if self.stages != ALL and self.config.output and (self.config.output / "saved_model").is_dir():
            return True
        if {"validate", "bench"} & set(self.stages):
            return any(TARGETS[name].kind == "saved_model" for name in choose(self.config.targets))
        return "convert" in self.stages

    @property
    def _is_sample(self) -> bool:
        return self.spec.startswith("sample:")

    @property
    def _calibration_spec(self) -> str | None:
        return self.config.quantize.calibration or (self.spec if self._is_sample else None)

    def _preprocess(self, folder: str) -> Preprocess:
        """How images become inputs: as flags and file say; what they leave open, as the model's makers wrote down."""
        from ..quantize import found_preprocess
        from ..quantize.preprocess import Preprocess, stated

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
