"""The stages, wired: export → convert → quantize → validate → bench.

A stage asks for the results that it needs, so that one command brings all before it up to date, and what didn't
change is taken over from an earlier run (see ``cache``). ``assembly`` makes the report of them.
"""

from __future__ import annotations

import time
from functools import cached_property

from ..validate.made import ArtifactResult
from ..validate.results import AccuracyResult, LatencyResult, ParityResult
from .judged_files import JudgedFiles
from .making import nothing_died


class Pipeline(JudgedFiles):
    """A run: its files, and what is measured on them. Stages run when their result is asked for."""

    @cached_property
    def artifacts(self) -> list[ArtifactResult]:
        """All files of the run, made or taken over."""
        return self._own + (self._others if self.inputs.measures else [])

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
                    samples_are=self.inputs.samples_are,
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
