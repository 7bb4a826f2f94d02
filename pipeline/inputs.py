"""What a run was given: the model, calibration and labelled data, schemes and targets, loaded and checked once."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from ..config import Config
from ..errors import BadInput
from ..quantize import schemes as quantization
from . import fingerprint

if TYPE_CHECKING:
    from ..convert.source import Source
    from ..quantize.calibration import CalibrationSet
    from ..quantize.preprocess import Preprocess
    from ..validate.inputs import Labelled


class Inputs:
    """Everything of a ``Config`` that has to be read, found or defaulted. Nothing is loaded before it is asked for.

    Attributes:
        warnings: What was left out, and how to get it.
    """

    def __init__(self, config: Config) -> None:
        if config.model.source is None:
            raise BadInput(
                "no model was given",
                where="SOURCE",
                remedy="name one, such as sample:digits_cnn, or set source under [model] in edgeworthy.toml",
            )
        self.config = config
        self.spec = config.model.source
        self.warnings: list[str] = []

    @cached_property
    def source(self) -> Source:
        from ..convert.source import load_source

        model = self.config.model
        return load_source(
            self.spec,
            weights=model.weights,
            inputs=model.inputs,
            inputs_file=model.inputs_file,
            seed=self.config.seed,
        )

    @cached_property
    def source_hash(self) -> str:
        return fingerprint.of_source(self.source)

    @cached_property
    def to(self) -> list[str]:
        """The kinds of artifact to convert to."""
        from ..targets import TARGETS

        if self.config.convert.to is not None:
            return list(self.config.convert.to)
        if TARGETS["tensorflow"].version is None:
            self.warnings.append(
                "no SavedModel was made: TensorFlow is not installed (pip install 'edgeworthy[tensorflow]')"
            )
            return ["tflite"]
        return ["tflite", "saved_model"]

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
        free = [s.name for s in quantization.SCHEMES.values() if not s.needs_calibration]
        if self._calibration_spec is None:
            self.warnings.append(
                "int8 was skipped, as it needs calibration data: give --calibration data.npz, a folder of images, "
                "or file.py:generator"
            )
            return free
        return [*free, quantization.ALIASES["int8"]]

    @cached_property
    def calibration(self) -> CalibrationSet | None:
        """The calibration data, if one of the schemes needs any.

        Raises:
            BadInput: there is none, or it doesn't fit the model.
        """
        from ..quantize.calibration import load_calibration, no_calibration

        needy = [name for name in self.schemes if quantization.get_scheme(name).needs_calibration]
        if not needy:
            return None
        if self._calibration_spec is None:
            raise no_calibration(needy[0])
        return load_calibration(
            self._calibration_spec,
            self.source.inputs,
            preprocess=self._preprocess,
            samples=self.config.quantize.samples,
            seed=self.config.seed,
        )

    @cached_property
    def labelled(self) -> Labelled | None:
        """The labelled data, if there is any; a sample brings its own."""
        from ..samples import SAMPLES
        from ..validate.inputs import load_labelled

        spec = self.config.validation.labelled
        sample = SAMPLES.get(self.spec.removeprefix("sample:")) if self._is_sample else None
        if spec is None and sample is not None and sample.labelled() is not None:
            spec = self.spec
        return load_labelled(spec, self.source.inputs) if spec else None

    @cached_property
    def targets(self) -> list[str]:
        """The targets to validate and time on."""
        from .subjects import choose

        return choose(self.config.targets)

    @property
    def _is_sample(self) -> bool:
        return self.spec.startswith("sample:")

    @property
    def _calibration_spec(self) -> str | None:
        return self.config.quantize.calibration or (self.spec if self._is_sample else None)

    @property
    def _preprocess(self) -> Preprocess | None:
        from ..quantize.preprocess import Preprocess

        table = self.config.quantize.preprocess
        if table is None:
            return None
        return Preprocess(
            size=(table.size[0], table.size[1]) if table.size else None,
            mean=tuple(table.mean),
            std=tuple(table.std),
            colour=table.colour,
            fit=table.fit,
            resize=table.resize,
        )
