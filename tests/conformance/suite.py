"""Runs cases on an artifact in worker processes, and sums up."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeworthy.formats.onnx.node_tests import NodeTest
from edgeworthy.validate.node_tests import STATUSES, NodeTestOutcome
from edgeworthy.workers.child import TIMEOUT, Death
from edgeworthy.workers.pool import Pool
from edgeworthy.workers.serve import Raised

from .declared import DeclaredPass

ARTIFACTS = ("tflite", "saved_model")
REQUIRED_SHARE = {"tflite": 0.95, "saved_model": 0.97}
DECLARED = "by declared shape"

_ROOT = str(Path(__file__).parents[2])
_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "CUDA_VISIBLE_DEVICES": "-1",
    "TF_CPP_MIN_LOG_LEVEL": "2",
    "TF_ENABLE_ONEDNN_OPTS": "0",  # TensorFlow leaves oneDNN off on many processors, and knows less then
}


@dataclass(frozen=True)
class Run:
    """What became of every case that was run on one artifact."""

    artifact: str
    outcomes: dict[str, NodeTestOutcome]
    seconds: float

    @property
    def passed(self) -> int:
        return sum(outcome.status == "pass" for outcome in self.outcomes.values())

    @property
    def declared(self) -> int:
        """Those that pass only because their model declares the shape of an output that run-time values decide."""
        return sum(isinstance(outcome, DeclaredPass) for outcome in self.outcomes.values())

    @property
    def share(self) -> float:
        return self.passed / len(self.outcomes) if self.outcomes else 0.0


def run_cases(
    artifact: str,
    cases: Sequence[NodeTest],
    *,
    workers: int = 2,
    timeout_s: float = 30.0,
    progress: Callable[[int], None] = lambda done: None,
) -> Run:
    """Run ``cases`` on ``artifact`` (one of `ARTIFACTS`); ``progress`` is told how many are done."""
    pool = Pool(
        f"{__package__}.worker",
        [artifact],
        children=workers,
        timeout_s=timeout_s,
        environment=_ENVIRONMENT,
        path=[_ROOT, *sys.path],
    )
    start = time.monotonic()
    outcomes = {}
    for case, result in pool.run(cases):
        outcomes[case.name] = _outcome(result)
        progress(len(outcomes))
    return Run(artifact, outcomes, time.monotonic() - start)


def _outcome(result: NodeTestOutcome | Raised | Death) -> NodeTestOutcome:
    if isinstance(result, NodeTestOutcome):
        return result
    if isinstance(result, Raised):
        return NodeTestOutcome("crash", result.text)
    if result.reason == TIMEOUT:
        return NodeTestOutcome("timeout", f"no end of {result.stage}")
    said = f": {result.last_words[:160]}" if result.last_words else ""
    return NodeTestOutcome("crash", f"{result.reason} while {result.stage}{said}")


def table(runs: Sequence[Run]) -> list[str]:
    """The share that passes, how much of it by a declared shape, and the count of every other outcome, by artifact."""
    counts = {run.artifact: Counter(outcome.status for outcome in run.outcomes.values()) for run in runs}
    failures = [s for s in STATUSES if s != "pass" and any(c[s] for c in counts.values())]
    lines = ["  ".join([f"{'artifact':12}", f"{'pass':>11}", " share", DECLARED, *failures, "seconds"])]
    for run in runs:
        numbers = [f"{counts[run.artifact][status]:{len(status)}}" for status in failures]
        passed = f"{run.passed}/{len(run.outcomes)}"
        declared = f"{run.declared:{len(DECLARED)}}"
        row = [f"{run.artifact:12}", f"{passed:>11}", f"{run.share:6.1%}", declared, *numbers, f"{run.seconds:7.0f}"]
        lines.append("  ".join(row))
    return lines
