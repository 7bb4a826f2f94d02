"""What ``quantize`` ends with: how true the quantized files stay to the float32 file, and how fast they are."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from ..tables import EVERY
from ..validate.made import ArtifactResult
from ..validate.results import LatencyResult, ParityResult
from .making import Making, nothing_died

if TYPE_CHECKING:
    from .subjects import Cast

_SECONDS, _ROUNDS = 0.6, 6
"""Of each file, warm-up aside: enough to tell faster from slower; ``bench`` tells by how much."""


class Judging(Making):
    """The quantized files against the float32 file; None where ``validate`` or ``bench`` say more, or nothing was made.

    TFLite alone runs them: neither PyTorch nor TensorFlow has to be there.
    """

    @cached_property
    def fidelity(self) -> ParityResult | None:
        """What the quantized files compute, on samples held out from calibration where there are any."""
        made = self._quantized_files
        if "validate" in self.stages or not made:
            return None

        def make() -> ParityResult:
            from ..validate import parity
            from ..validate.judge import Rules

            samples, origin, _ = self.inputs.samples()
            return parity.measure(
                self._tflite(made).subjects(),
                samples,
                plans=[],
                rules=Rules(sqnr_db=self.floors),
                seed=self.config.seed,
                inputs=origin,
                samples_are=self.inputs.samples_are,
                progress=self.progress.step,
            )

        depends = self._hashes(made) | {"permute": self._permutations, "seed": self.config.seed}
        depends |= {"data": self.inputs.labelled_hash, "calibration": self.inputs.calibration_hash}
        depends |= {"samples": self.config.validation.samples, "floors": self.floors}
        about = self._hashes(made)
        return self._stage("fidelity", ParityResult, depends, make, about=about, final=nothing_died)

    @cached_property
    def speed(self) -> LatencyResult | None:
        """The files in turns, on one thread."""
        made = self._quantized_files
        if "bench" in self.stages or not made:
            return None
        from ..validate import host

        def make() -> LatencyResult:
            from ..source.load import timed_examples
            from ..validate import latency

            return latency.measure(
                self._tflite(made).subjects(),
                timed_examples(self.inputs.source),
                seconds=_SECONDS,
                rounds=_ROUNDS,
                seed=self.config.seed,
                progress=self.progress.step,
            )

        machine, about = host.current(), self._hashes(made)
        depends = about | {"permute": self._permutations, "seed": self.config.seed, "examples": self._examples_hash}
        depends |= {"machine": [machine.cpu, machine.logical_cores]}
        return self._stage("speed", LatencyResult, depends, make, about=about, final=nothing_died)

    @property
    def floors(self) -> dict[str, float]:
        """The least SQNR that the user asks of every quantized file; empty: those of the schemes."""
        floor = self.config.quantize.floor_db
        return {} if floor is None else {EVERY: floor}

    @property
    def _quantized_files(self) -> list[ArtifactResult]:
        return [q.artifact for q in self.quantized if q.artifact is not None]

    def _hashes(self, made: list[ArtifactResult]) -> dict[str, str]:
        return {a.name: a.sha256 for a in (self.floating, *made)}

    def _tflite(self, made: list[ArtifactResult]) -> Cast:
        from .subjects import Cast, to_artifact

        return Cast(
            None,
            {a.name: to_artifact(a, self.output) for a in (self.floating, *made)},
            permutations=self._permutations,
            names=["tflite"],
            timeout_s=self.config.validation.timeout_s,
        )
