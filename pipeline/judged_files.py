"""The files that a run judges: its own, and those of other converters, given or made here, aligned with the model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..artifact import TFLiteModel
from ..errors import BadInput, CheckFailed, EdgeworthyError, InternalFault, NotAvailable
from ..formats.tflite.summary import describe
from ..quantize.calibration import no_calibration
from ..quantize.recipe import path_beside
from ..schemes import FLOAT32, INT8
from ..source.model_files import read
from ..validate.made import ArtifactResult
from . import fingerprint
from .advising import Advising
from .inspection import artifact_result
from .others import check, file_name, int8_row, place, quantize, refused, scratch
from .records import Aligned, Routed
from .side_by_side import Conclusion, Order, convert_all

if TYPE_CHECKING:
    import torch

    from ..convert.routes import ConverterInfo
    from ..source.model_files import ModelFile
    from .subjects import Cast, Failed

Failing = dict[str, tuple[str, EdgeworthyError]]
"""A `Failed` that is being filled."""

_ALIGNED_BY = 3
"""Samples that a file's layout is tried on, the example among them."""


class JudgedFiles(Advising):
    """A run's files, and other converters'."""

    @cached_property
    def _own(self) -> list[ArtifactResult]:
        found = [self.exported.artifact] if self.copies_source else []
        found += [self.given] if self.given is not None else []
        found += self.converted.artifacts if "convert" in self.brought else []
        if "quantize" in self.brought:
            found += [q.artifact for q in self.quantized if q.artifact is not None]
        return found

    @property
    def _others(self) -> list[ArtifactResult]:
        """Other converters' files, aligned with the model."""
        return self._judged[0]

    @cached_property
    def _judged(self) -> tuple[list[ArtifactResult], Failed]:
        """Other converters' files, and those that a converter could not make."""
        found, failed = [], Failing()
        for number, (name, file) in enumerate(self.inputs.artifacts.items()):
            result = artifact_result(name, file.artifact, self.output, given=True)
            found.append(self._aligned(f"align.{number}", file, result))
        routed = self._routed() if self.inputs.converters else {}
        for name, info in self.inputs.converters.items():
            made = routed[name]
            if isinstance(made, EdgeworthyError):
                failed[name] = info.makes, made
                continue
            file = read(self.output / file_name(info))
            result = artifact_result(name, file.artifact, self.output).model_copy(update=made.model_dump())
            try:
                found.append(self._aligned(f"align.route.{info.name}", file, result))
            except BadInput as error:
                # No fault of the user's: its outputs are others, or in no layout that can be told.
                failed[name] = info.makes, error
                continue
            if self.config.artifacts.int8 and isinstance(file.artifact, TFLiteModel):
                self._add_int8(info, file.artifact, found, failed)
        return found, failed

    def _routed(self) -> dict[str, Routed | EdgeworthyError]:
        """Have every ``OUT/route_NAME`` made: how it was, by the names of the report, or why there is none.

        The converters are at work side by side, and none of them is any more when this returns; what they made is
        recorded in order.
        """
        found: dict[str, Routed | EdgeworthyError] = {}
        infos = self.inputs.converters
        with scratch(self.workspace.records.folder) as folder:
            left = [i for i in infos.values() if not self.workspace.earlier(_stage_of(i), Routed, self._made_of(i))]
            outcomes = self._at_work(left, folder)
            for name, info in infos.items():
                try:
                    found[name] = self._converted_by(info, folder, outcomes)
                except (CheckFailed, NotAvailable) as error:
                    found[name] = error
        return found

    def _at_work(self, infos: Sequence[ConverterInfo], folder: Path) -> dict[str, Conclusion]:
        """What comes of these converters; their files are in ``folder``."""
        found: dict[str, Conclusion] = {}
        orders = []
        for info in infos:
            record = self.workspace.records.read(_stage_of(info))
            before = record.result.get("peak_bytes") if record and isinstance(record.result, dict) else None
            try:
                model = self._program(folder) if info.takes == "pt2" else self.graph.path
            except EdgeworthyError as error:
                found[info.name] = Conclusion(error)
            else:
                orders.append(Order(info, model, before))
        timeout_s = self.config.validation.timeout_s
        return found | convert_all(orders, folder, self.config.artifacts, timeout_s=timeout_s, progress=self.progress)

    def _converted_by(self, info: ConverterInfo, folder: Path, outcomes: Mapping[str, Conclusion]) -> Routed:
        """Record what a converter made, if it isn't taken over.

        Raises:
            CheckFailed, NotAvailable: it made nothing of use.
        """
        from ..convert.routes import made_by

        path, early = self.output / file_name(info), outcomes.get(info.name)

        def make() -> Routed:
            outcome = early or self._at_work([info], folder)[info.name]
            with refused(path):
                made = outcome.result()
                check(made.file, self.inputs.source, self.config.artifacts, self.inputs.targets)
                place(made.file.artifact.path, path)
            return Routed(
                made_by=made_by(info),
                seconds=made.seconds,
                peak_bytes=made.peak_bytes or None,
                cpu_seconds=made.cpu_seconds or None,
                beside=outcome.beside,
            )

        origins = [self.graph.path] if self.graph.path.parent == self.output else []
        return self._stage(
            _stage_of(info), Routed, self._made_of(info), make, [path], origins=origins,
            spent=early.seconds if early else None,
        )  # fmt: skip

    def _made_of(self, info: ConverterInfo) -> dict[str, object]:
        """All that a converter's file depends on."""
        from ..convert.routes import made_by

        depends: dict[str, object] = {"graph": self._hash(self.graph), "layout": self.config.artifacts.layout}
        depends |= {"converter": [info.name, info.makes, made_by(info)], "code": fingerprint.of_converter(info)}
        if info.takes == "pt2":
            depends |= {"source": self.inputs.source_hash, "examples": self._examples_hash}
        return depends

    def _add_int8(self, info: ConverterInfo, file: TFLiteModel, found: list[ArtifactResult], failed: Failing) -> None:
        """The last of ``found`` in int8 too, or why there is none."""
        result = found[-1]
        if result.scheme != FLOAT32.name:
            return
        try:
            found.append(self._quantized_other(info, file, result))
        except (CheckFailed, NotAvailable, InternalFault) as error:
            failed[int8_row(result.name)] = info.makes, error

    def _quantized_other(self, info: ConverterInfo, file: TFLiteModel, result: ArtifactResult) -> ArtifactResult:
        """Another converter's float file in int8, by our quantizer on our data.

        Raises:
            CheckFailed, NotAvailable: it can't be quantized.
        """
        from . import recipes

        path, data = self.output / file_name(info, INT8.short_name), self.inputs.calibration
        recipe = recipes.of(self.config, (INT8.name,), None)[INT8.name]
        if data is None:
            raise no_calibration(INT8.short_name)
        feeds, example = data, self.inputs.source.examples

        def make() -> Routed:
            step = partial(self.progress.step, "calibrate")
            with refused(path):
                made = quantize(file, result.matches, path, recipe, feeds, example, step)
            return Routed(made_by=f"{result.made_by}, {made.engine}", seconds=made.seconds, peak_bytes=None)

        depends: dict[str, object] = {
            "file": result.sha256,
            "matches": [m.model_dump(mode="json") for m in result.matches],
        }
        depends |= {"recipe": recipe.model_dump(mode="json"), "data": self.inputs.calibration_hash}
        origins = [self.output / result.path]
        files = [path, path_beside(path)]
        made = self._stage(f"route.{info.name}.int8", Routed, depends, make, files, origins=origins)
        quantized = artifact_result(int8_row(result.name), describe(path, INT8.name), self.output)
        return quantized.model_copy(update={**made.model_dump(), "matches": result.matches})

    def _program(self, folder: Path) -> Path:
        """The source's module as a program of ``torch.export``, of the sizes of its example."""
        from ..export.program import save_program

        source, path = self.inputs.source, folder / "program.pt2"
        if not path.exists():
            with self.progress.stage("program"):
                fixed = (replace(spec, shape=source.examples[spec.name].shape) for spec in source.inputs)
                save_program(replace(source, inputs=tuple(fixed)), path)
        return path

    def _aligned(self, stage: str, file: ModelFile, result: ArtifactResult) -> ArtifactResult:
        source, table, seed = self.inputs.source, self.config.artifacts, self.config.seed

        def make() -> Aligned:
            from ..source.variations import random_samples
            from .alignment import align

            samples = random_samples(source.examples, _ALIGNED_BY, seed=seed)
            with self._cast([result]) as cast, cast.reference().open() as runner:
                truth = [runner.run(feeds) for feeds in samples]
                found = align(file, source.inputs, samples, truth, partial(cast.other, result.name), table)
            notes = [*file.notes, *found.notes]
            return Aligned(artifact=result.model_copy(update={"matches": list(found.matches), "notes": notes}))

        depends: dict[str, object] = {"file": result.model_dump(mode="json"), "layout": table.layout}
        depends |= {
            "model": self._own[0].sha256,
            "examples": self._examples_hash,
            "seed": seed,
            "source": self.inputs.source_hash,
        }
        return self._stage(stage, Aligned, depends, make).artifact

    @contextmanager
    def _cast(self, others: Sequence[ArtifactResult] | None = None) -> Iterator[Cast]:
        """All that can be run; the module's weights are in a file while it is open, so that all workers agree.

        Args:
            others: Other converters' files; None: all of them.
        """
        from ..targets.pytorch import PyTorchModel
        from .subjects import Cast, to_artifact

        source, seed, module = self.inputs.source, self.config.seed, None
        others, failed = self._judged if others is None else (others, {})
        # A module with packed integers has no plain state: its factory makes it again.
        plain = source.module is not None and _is_plain(source.module)
        weights = self.workspace.scratch("weights.pt") if source.kind == "module" and plain else None
        try:
            if source.module is not None:
                if weights is not None:
                    _save_weights(source.module, weights)
                outputs = self.graph.outputs
                module = PyTorchModel.of(
                    source.spec, source.inputs, outputs, weights=weights, seed=seed, bind=source.bound
                )
            yield Cast(
                module,
                {a.name: to_artifact(a, self.output) for a in self._own},
                permutations=self._permutations,
                names=self.inputs.targets,
                timeout_s=self.config.validation.timeout_s,
                source=self.given.name if self.given is not None else None,
                others={a.name: (to_artifact(a, self.output), a.matches) for a in others},
                failed=failed,
                quantized="convert" in self.brought and self.given is None and self.has_scales,
            )
        finally:
            if weights is not None:
                weights.unlink(missing_ok=True)


def _stage_of(info: ConverterInfo) -> str:
    return f"route.{info.name}"


def _is_plain(module: torch.nn.Module) -> bool:
    import torch

    return all(isinstance(value, torch.Tensor) for value in module.state_dict().values())


def _save_weights(module: torch.nn.Module, path: Path) -> None:
    from ..targets.pytorch import snapshot

    try:
        snapshot(module, path)
    except RuntimeError as error:  # PyTorch's writer doesn't pass on what the system said
        raise BadInput(
            f"the model's weights can't be written: {str(error).splitlines()[0]}",
            where=str(path),
            remedy="free some space on the disk, or choose another folder with --output",
        ) from error
