"""The stages, wired: export → convert → quantize → validate → bench.

A stage asks for the results that it needs, so that one command brings all before it up to date, and what didn't
change is taken over from an earlier run (see ``cache``). ``assembly`` makes the report of them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import BadInput, CheckFailed, EdgeworthyError, NotAvailable
from ..source.model_files import read
from ..validate.made import ArtifactResult
from ..validate.results import AccuracyResult, LatencyResult, ParityResult
from .advising import Advising
from .inspection import artifact_result
from .making import nothing_died
from .others import check, convert, file_name, place, refused, scratch
from .records import Aligned, Routed

if TYPE_CHECKING:
    import torch

    from ..convert.routes import ConverterInfo
    from ..source.model_files import ModelFile
    from .subjects import Cast, Failed

_ALIGNED_BY = 3
"""Samples that a file's layout is tried on, the example among them."""


class Pipeline(Advising):
    """A run: its files, and what is measured on them. Stages run when their result is asked for."""

    @cached_property
    def artifacts(self) -> list[ArtifactResult]:
        """All files of the run, made or taken over."""
        return self._own + (self._others if self.inputs.measures else [])

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
        found, failed = [], dict[str, tuple[str, EdgeworthyError]]()
        for number, (name, file) in enumerate(self.inputs.artifacts.items()):
            result = artifact_result(name, file.artifact, self.output, given=True)
            found.append(self._aligned(f"align.{number}", file, result))
        for name, info in self.inputs.converters.items():
            try:
                made = self._converted_by(info)
            except (CheckFailed, NotAvailable) as error:
                failed[name] = info.makes, error
                continue
            file = read(self.output / file_name(info))
            result = artifact_result(name, file.artifact, self.output).model_copy(update=made.model_dump())
            try:
                found.append(self._aligned(f"align.route.{info.name}", file, result))
            except (
                BadInput
            ) as error:  # no fault of the user's: its outputs are others, or in no layout that can be told
                failed[name] = info.makes, error
        return found, failed

    def _converted_by(self, info: ConverterInfo) -> Routed:
        """Have ``OUT/route_NAME`` made.

        Raises:
            CheckFailed, NotAvailable: it can't.
        """
        from ..convert.routes import made_by

        path, table = self.output / file_name(info), self.config.artifacts
        by = made_by(info)

        def make() -> Routed:
            with scratch(self.workspace.records.folder) as folder, refused(path):
                model = self._program(folder) if info.takes == "pt2" else self.graph.path
                made = convert(info, model, folder, table, timeout_s=self.config.validation.timeout_s)
                check(made.file, self.inputs.source, table, self.inputs.targets)
                place(made.file.artifact.path, path)
            return Routed(made_by=by, seconds=made.seconds, peak_bytes=made.peak_bytes or None)

        depends: dict[str, object] = {"graph": self._hash(self.graph), "layout": table.layout}
        depends |= {"converter": [info.name, info.convert, info.makes, by]}
        if info.takes == "pt2":
            depends |= {"source": self.inputs.source_hash, "examples": self._examples_hash}
        origins = [self.graph.path] if self.graph.path.parent == self.output else []
        return self._stage(f"route.{info.name}", Routed, depends, make, [path], origins=origins)

    def _program(self, folder: Path) -> Path:
        """The source's module as a program of ``torch.export``, of the sizes of its example."""
        from ..export.program import save_program

        source, path = self.inputs.source, folder / "program.pt2"
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

    @property
    def about(self) -> dict[str, str]:
        """What parity, accuracy and latency speak of."""
        return {"source": self.inputs.source_hash} | {a.name: a.sha256 for a in self.artifacts}

    @cached_property
    def parity(self) -> ParityResult:
        """One set of inputs through every hop."""
        table = self.config.validation

        def make() -> ParityResult:
            from ..validate import parity
            from ..validate.edges import Edge
            from ..validate.judge import Rules

            samples, origin, drawn = self.inputs.samples()
            rules = Rules(
                multiple=table.noise_multiple,
                atol=table.atol,
                rtol=table.rtol,
                sqnr_db=self.floors,
                float_type=self._float_type(),
            )
            with self._cast() as cast:
                return parity.measure(
                    [*cast.kernels(), *(s for s in cast.subjects() if s.computes)],
                    samples,
                    plans=cast.plans(),
                    rules=rules,
                    at=Edge.of(self.inputs.source.examples),
                    drawn=drawn,
                    seed=self.config.seed,
                    inputs=origin,
                    progress=self.progress.step,
                )

        depends = self.about | table.model_dump(exclude={"labelled"}) | self._settings()
        depends |= {"data": self.inputs.labelled_hash, "calibration": self.inputs.calibration_hash}
        depends |= {"examples": self._examples_hash, "floors": self.floors}
        return self._stage("parity", ParityResult, depends, make, about=self.about, final=nothing_died)

    @cached_property
    def accuracy(self) -> AccuracyResult | None:
        """Labelled data through every runner; None when there is none."""
        data = self.inputs.labelled
        if data is None:
            return None

        def make() -> AccuracyResult:
            from ..validate import accuracy

            with self._cast() as cast:
                return accuracy.measure(
                    [s for s in cast.subjects() if s.computes],
                    data,
                    self.inputs.source.inputs,
                    task=self.inputs.task,
                    seed=self.config.seed,
                    progress=self.progress.step,
                )

        depends = self.about | self._settings() | {"data": self.inputs.labelled_hash, "task": self.inputs.task_hash}
        return self._stage("accuracy", AccuracyResult, depends, make, about=self.about, final=nothing_died)

    @cached_property
    def latency(self) -> LatencyResult:
        """Every artifact and PyTorch, timed in turns."""
        from ..validate import host

        table = self.config.bench

        def make() -> LatencyResult:
            from ..source.load import timed_examples
            from ..validate import latency

            with self._cast() as cast:
                return latency.measure(
                    [s for threads in table.threads for s in cast.subjects(threads)],
                    timed_examples(self.inputs.source),
                    seconds=table.seconds,
                    baseline=table.baseline,
                    seed=self.config.seed,
                    progress=self.progress.step,
                )

        machine = host.current()
        depends = self.about | table.model_dump() | self._settings()
        depends |= {"machine": [machine.cpu, machine.logical_cores], "examples": self._examples_hash}
        return self._stage("bench", LatencyResult, depends, make, about=self.about, final=nothing_died)

    def _settings(self) -> dict[str, object]:
        matches = {a.name: [m.model_dump(mode="json") for m in a.matches] for a in self.artifacts if a.matches}
        from ..targets import find

        # What hangs on a cable today may be another device than yesterday, or the same one with another system.
        devices = any(find(name).measured == "device" for name in self.inputs.targets)
        return {
            "seed": self.config.seed,
            "targets": self.inputs.targets,
            "asked": time.time_ns() if devices else None,
            "permute": self._permutations,
            "matches": matches,
            "failed": {name: str(error) for name, (_, error) in self._judged[1].items()},
        }

    def _float_type(self) -> str:
        """The coarsest float that the model computes in."""
        from ..formats.onnx.summary import summarize

        return "float32" if self.given is not None else summarize(self.graph.path).float_type

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
                quantized="convert" in self.brought and self.given is None and self.converted.own is not None,
            )
        finally:
            if weights is not None:
                weights.unlink(missing_ok=True)


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
