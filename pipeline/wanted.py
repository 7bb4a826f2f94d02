"""What a run is asked for: the model, the kinds of file and schemes to make, and the targets to run them on."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from .. import schemes as quantization
from ..config import Config, PreflightTable
from ..errors import BadInput, NotAvailable
from ..vocabulary import CONVERTED
from . import fingerprint
from .own_scales import is_quantized, quantized_already
from .plan import ALL

MADE = {"tflite": quantization.FLOAT32.file_name, "saved_model": "saved_model"}
"""Kind → file or folder in OUT."""

if TYPE_CHECKING:
    from ..convert.routes import ConverterInfo
    from ..quantize.recipe import Recipe
    from ..source.load import Source
    from ..source.model_files import ModelFile


class Wanted:
    """What is to be made of which model, and run where. Nothing is loaded before it is asked for.

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
    def converted(self) -> ModelFile | None:
        """The source itself, where it is converted already: a TFLite file or a SavedModel."""
        from ..source.model_files import converted_kind, read

        return read(Path(self.spec)) if converted_kind(self.spec) else None

    @cached_property
    def meant_for(self) -> PreflightTable:
        """What files are for: ``--for``, and the runtime of ``--max-runtime``; raises BadInput where there is none."""
        from ..formats.tflite.releases import find_release, release_name

        table, asked = self.config.preflight, self.config.convert.max_runtime
        oldest = [release_name(find_release(asked, "--max-runtime"))] if asked else []
        return table.model_copy(update={"targets": list(dict.fromkeys([*table.targets, *oldest]))})

    @property
    def measures(self) -> bool:
        """Whether files are compared or timed."""
        return bool({"validate", "bench"} & set(self.stages))

    @property
    def _is_for_quantization(self) -> bool:
        """Whether somebody asked for quantized files by the command."""
        return bool({"quantize", "recommend"} & set(self.stages)) and self.stages != ALL

    @property
    def done_already(self) -> frozenset[str]:
        """Stages whose work the source has behind it.

        Raises:
            BadInput: one of them is asked for by itself.
        """
        from ..source.model_files import INSTEAD, converted_kind

        if (kind := converted_kind(self.spec)) is None:
            return frozenset()
        done = frozenset({"export", "convert"})
        if self.stages != ALL and (asked := [name for name in self.stages if name in done]):
            raise BadInput(
                f"there is nothing to {asked[0]}: the source is converted already",
                where=self.spec,
                remedy=INSTEAD[kind],
            )
        return done

    @cached_property
    def converts(self) -> bool:
        """Whether the model is converted here.

        It is not where other converters' files are compared or timed, and nobody asks for ours: by a stage that makes
        them, a key of ``[convert]`` or ``[quantize]``, or as they are in OUT from an earlier command.
        """
        config, given = self.config, self.config.artifacts.files
        if not given or self.done_already or not set(self.stages) <= {"validate", "bench"}:
            return True
        asked = [*config.convert.model_dump(exclude_defaults=True).values()]
        if not config.artifacts.int8 or config.quantize.schemes:  # else calibration data is for the others' files
            asked += config.quantize.model_dump(exclude_defaults=True).values()
        made = [config.output / name for name in MADE.values()] if config.output else []
        return any(asked) or any(path.exists() for path in made if path not in given)

    def check_comparison(self) -> None:
        """Refuse to validate what nothing is compared with.

        Raises:
            BadInput: no target gives outputs, or the source is a SavedModel, which one runtime runs, and no other file
                is given.
        """
        from ..targets import find

        if "validate" in self.stages and not any(find(name).computes for name in self.targets):
            raise BadInput(
                f"there is nothing to compare: {' and '.join(self.targets)} gives no outputs",
                where="--target",
                remedy="add one that computes, such as --target tflite, or ask for bench",
            )
        if "validate" in self.stages and self.to == ["saved_model"] and self.converted and not self.artifacts:
            raise BadInput(
                "there is nothing to compare the SavedModel with",
                where=self.spec,
                remedy="give a file that was made of it: --artifact theirs.tflite",
            )

    @cached_property
    def artifacts(self) -> dict[str, ModelFile]:
        """Files of other converters, see `others.given`."""
        from . import others

        return others.given(self.config.artifacts, self.source, self.targets)

    @cached_property
    def converters(self) -> dict[str, ConverterInfo]:
        """Converters of other packages, whose files are judged too, see `others.routes`."""
        from . import others

        module = self.source.module is not None
        return others.routes(self.config.artifacts, self.targets, converted=self.converted is not None, module=module)

    @cached_property
    def to(self) -> list[str]:
        """The kinds of artifact to convert to; of a source that is converted already, its own.

        Raises:
            BadInput: the source is converted already, and a kind is asked for.
            NotAvailable: a SavedModel is asked for and TensorFlow isn't installed.
        """
        from ..targets import TARGETS

        if self.converted is not None:
            if self.config.convert.to is not None:
                raise BadInput("the source is converted already", where="--to", remedy="leave it out")
            return [self.converted.artifact.kind]
        if not self.converts:
            return []
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
        settled = self.converted is not None or not self.converts or self.config.convert.to is not None
        if settled or tensorflow.version is not None or not self._saved_model_is_of_use:
            return {}
        return {"saved_model": f"TensorFlow is not installed; {tensorflow.install}, or ask for --to tflite alone"}

    @cached_property
    def schemes(self) -> list[str]:
        """The quantization schemes to make, by full name."""
        asked = [self.recipe.scheme] if self.recipe else self.config.quantize.schemes
        if self.converted is not None and not self._quantizes(self.converted):
            return []
        if "tflite" not in self.to:
            if asked:
                raise BadInput("quantization starts from TFLite", where="--to", remedy="add tflite to --to")
            return []
        if is_quantized(self.source):
            if asked or self._is_for_quantization:
                raise quantized_already(self.spec)
            return []
        if asked is not None:
            return list(dict.fromkeys(quantization.get_scheme(name).name for name in asked))
        if "recommend" in self.stages:
            return [s.name for s in quantization.QUANTIZED]
        usual = [s for s in quantization.QUANTIZED if s.default]
        needy = [s for s in usual if s.needs_calibration and self._calibration_spec is None]
        self.warnings += [
            f"{s.short_name} was skipped, as it needs calibration data: give --calibration data.npz, a folder of "
            "images, or file.py:generator"
            for s in needy
        ]
        return [s.name for s in usual if s not in needy]

    @cached_property
    def recipe(self) -> Recipe | None:
        """See `recipes.given`."""
        from . import recipes

        return recipes.given(self.config.quantize)

    def _quantizes(self, source: ModelFile) -> bool:
        """Whether a converted source is to be quantized.

        Raises:
            BadInput: it is, and can't be.
        """
        from ..source.model_files import INSTEAD

        table = self.config.quantize
        asked = self._is_for_quantization or bool(table.schemes or table.recipe)
        tflite = source.artifact.kind == "tflite"
        if tflite and source.scheme == quantization.FLOAT32.name:
            if wanted := "quantize" in self.stages or asked:
                from ..formats.tflite.releases import check_taken

                check_taken(source.artifact.path, self.spec)
            return wanted
        if asked and tflite:
            scheme = quantization.SCHEMES[source.scheme]
            raise BadInput(
                f"the file is quantized already ({scheme.title}), and its float weights are gone",
                where=self.spec,
                remedy="give the float .tflite file that it was made from, or the model itself",
            )
        if asked:
            raise BadInput(
                "quantization starts from a float TFLite file, and this is a SavedModel",
                where=self.spec,
                remedy=INSTEAD["saved_model"],
            )
        return False

    @cached_property
    def targets(self) -> list[str]:
        """The targets to validate and time on.

        Raises:
            BadInput: one that was asked for doesn't exist, or has nothing to run.
            NotAvailable: one that was asked for can't run here.
        """
        from ..targets import find
        from .subjects import choose

        chosen = choose(self.config.targets)
        for name in chosen if self.config.targets else ():
            kind = find(name).kind
            if kind in self._given_kinds:
                continue
            if kind == "pytorch" and self.source.module is None:
                raise BadInput(
                    f"target {name} has nothing to run: {self.spec} holds no PyTorch module",
                    where="--target",
                    remedy="leave it out, or give the module itself as the source",
                )
            if (kind in CONVERTED and kind not in self.to) or (kind == "onnx" and self.converted is not None):
                raise BadInput(
                    f"target {name} has nothing to run: no {kind} is made",
                    where="--target",
                    remedy="leave it out, or give the model that the source was made from"
                    if self.converted is not None
                    else f"leave it out, or add {kind} to --to",
                )
            if kind == "tflite" and not any(map(find(name).takes_scheme, self._tflite_schemes)):
                wanted = [quantization.SCHEMES[s].short_name for s in find(name).schemes or ()]
                raise BadInput(
                    f"target {name} has nothing to run: it takes {', '.join(wanted)}, and none of these is made",
                    where="--target",
                    remedy=f"leave it out, or make one with --scheme {wanted[0]}",
                )
        return chosen

    @property
    def _tflite_schemes(self) -> list[str]:
        """Of the TFLite files that there will be."""
        floating = quantization.FLOAT32.name if self.converted is None else self.converted.scheme
        return [quantization.INT8.name if is_quantized(self.source) else floating, *self.schemes]

    @cached_property
    def _given_kinds(self) -> set[str]:
        """Of other converters' files."""
        from ..convert.routes import CONVERTERS
        from ..source.model_files import converted_kind, read

        table = self.config.artifacts
        made = {CONVERTERS[name].makes for name in table.routes if name in CONVERTERS}
        return made | {converted_kind(path) or read(path).artifact.kind for path in table.paths}

    @property
    def _saved_model_is_of_use(self) -> bool:
        """Somebody asked for it, or runs it; or it is there from an earlier command, and is to stay as it should be."""
        from ..targets import find
        from . import recipes
        from .subjects import choose

        asked = recipes.engine(self.config.quantize, self.recipe) != "ai-edge"
        if asked or "saved_model" in (self.config.gate.must_convert or ()):
            return True
        if self.stages != ALL and self.config.output and (self.config.output / "saved_model").is_dir():
            return True
        if self.measures:
            return any(find(name).kind == "saved_model" for name in choose(self.config.targets))
        return "convert" in self.stages

    @property
    def _calibration_spec(self) -> object:
        return self.config.quantize.calibration or (self.spec if self.spec.startswith("sample:") else None)

    def loaded(self, name: str) -> bool:
        """Whether a run has asked for this property, and it is something."""
        return vars(self).get(name) is not None
