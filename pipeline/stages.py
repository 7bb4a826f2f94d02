"""The stages, wired: export → convert → quantize → validate → bench.

A stage asks for the results that it needs, so that one command brings all before it up to date, and what didn't
change is taken over from an earlier run (see ``cache``). ``assembly`` makes the report of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import BadInput
from ..validate.results import AccuracyResult, ArtifactResult, LatencyResult, ParityResult
from .making import Making, nothing_died

if TYPE_CHECKING:
    import torch

    from .subjects import Cast


class Pipeline(Making):
    """A run: its files, and what is measured on them. Stages run when their result is asked for."""

    @cached_property
    def artifacts(self) -> list[ArtifactResult]:
        """All files of the run, made or taken over."""
        found = [self.exported.artifact] if self.copies_source else []
        found += self.converted.artifacts if "convert" in self.brought else []
        if "quantize" in self.brought:
            found += [q.artifact for q in self.quantized if q.artifact is not None]
        return found

    @property
    def about(self) -> dict[str, str]:
        """What parity, accuracy and latency speak of."""
        return {"source": self.inputs.source_hash} | {a.name: a.sha256 for a in self.artifacts}

    @cached_property
    def parity(self) -> ParityResult:
        """One set of inputs through every hop."""
        table = self.config.validation

        def make() -> ParityResult:
            from ..formats.onnx.summary import summarize
            from ..validate import parity
            from ..validate.edges import Edge
            from ..validate.judge import Rules

            samples, origin, drawn = self.inputs.samples()
            kind = summarize(self.graph.path).float_type
            rules = Rules(multiple=table.noise_multiple, atol=table.atol, rtol=table.rtol, float_type=kind)
            with self._cast() as cast:
                return parity.measure(
                    cast.subjects(),
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
        depends |= {"examples": self._examples_hash}
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
                return accuracy.measure(cast.subjects(), data, self.inputs.source.inputs, progress=self.progress.step)

        depends = self.about | self._settings() | {"data": self.inputs.labelled_hash}
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
        return {"seed": self.config.seed, "targets": self.inputs.targets, "permute": self.converted.permutations}

    @contextmanager
    def _cast(self) -> Iterator[Cast]:
        """All that can be run; the module's weights are in a file while it is open, so that all workers agree."""
        from ..targets.pytorch import PyTorchModel
        from .subjects import Cast, to_artifact

        source, seed, module = self.inputs.source, self.config.seed, None
        weights = self.workspace.scratch("weights.pt") if source.kind == "module" else None
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
                {a.name: to_artifact(a, self.output) for a in self.artifacts},
                permutations=self.converted.permutations,
                names=self.inputs.targets,
                timeout_s=self.config.validation.timeout_s,
            )
        finally:
            if weights is not None:
                weights.unlink(missing_ok=True)


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
