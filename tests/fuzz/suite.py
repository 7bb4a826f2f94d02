"""Runs numbered cases in worker processes with limits, and sums up what became of them."""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeworthy.workers.child import TIMEOUT, Death
from edgeworthy.workers.pool import Pool
from edgeworthy.workers.serve import Raised

from .cases import Case
from .corpus import Corpus, save_corpus
from .judge import GOOD, REFERENCE, STATUSES, Outcome

ARTIFACTS = ("tflite", "saved_model")
TIMEOUT_S = 120.0
MEMORY_GIB = 4.0
"""Of private memory; a case is a few kilobytes, and no conversion of it needs more than a few hundred megabytes."""

_ROOT = str(Path(__file__).parents[2])
_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}


@dataclass(frozen=True)
class Run:
    """What became of every case, by number."""

    artifact: str
    outcomes: dict[int, Outcome]

    @property
    def failures(self) -> dict[int, Outcome]:
        return {number: o for number, o in sorted(self.outcomes.items()) if o.status not in GOOD}

    def groups(self) -> list[tuple[Outcome, list[int]]]:
        """Failures of one kind together, the commonest kind first: one of them, and the numbers of all."""
        grouped: dict[tuple[str, str], list[int]] = {}
        for number, outcome in self.failures.items():
            grouped.setdefault((outcome.status, outcome.detail), []).append(number)
        return sorted(
            ((self.outcomes[numbers[0]], numbers) for numbers in grouped.values()), key=lambda pair: -len(pair[1])
        )


def run_cases(
    artifact: str,
    corpus: Corpus,
    jobs: Sequence[int | Case],
    *,
    workers: int = 2,
    progress: Callable[[int], None] = lambda done: None,
) -> Run:
    """Judge cases, or those of numbers, on ``artifact`` (one of `ARTIFACTS`).

    ``progress`` is told how many are done.
    """
    outcomes: dict[int, Outcome] = {}
    with tempfile.TemporaryDirectory() as folder:
        stored = Path(folder, "corpus")
        save_corpus(corpus, stored)
        pool = Pool(
            f"{__package__}.worker",
            [artifact, stored, MEMORY_GIB],
            children=workers,
            timeout_s=TIMEOUT_S,
            environment=_ENVIRONMENT,
            path=[_ROOT, *sys.path],
        )
        for job, result in pool.run(jobs):
            outcomes[job.number if isinstance(job, Case) else job] = _outcome(result)
            progress(len(outcomes))
    return Run(artifact, outcomes)


def _outcome(result: Outcome | Raised | Death) -> Outcome:
    if isinstance(result, Outcome):
        return result
    if isinstance(result, Raised):
        return Outcome("crash", result.text, result.traceback)
    if result.stage == REFERENCE:
        return Outcome("converted", "", f"ONNX Runtime: {result.reason}")
    if result.reason == TIMEOUT:
        return Outcome("hang", f"no end of {result.stage}")
    return Outcome("crash", f"{result.reason} while {result.stage}", result.last_words[:160])


def table(runs: Sequence[Run]) -> list[str]:
    """How many cases had which outcome, one line an artifact."""
    lines = ["  ".join([f"{'artifact':12}", f"{'cases':>6}", *(f"{s:>10}" for s in STATUSES)])]
    for run in runs:
        counts = Counter(outcome.status for outcome in run.outcomes.values())
        lines.append(
            "  ".join([f"{run.artifact:12}", f"{len(run.outcomes):6}", *(f"{counts[s]:10}" for s in STATUSES)])
        )
    return lines


def report(run: Run) -> list[str]:
    """Every kind of failure: how often, what, where, and the numbers of a few cases."""
    lines = []
    for outcome, numbers in run.groups():
        lines.append(f"{run.artifact} {len(numbers):5} × {outcome.status}: {outcome.detail}")
        lines.append(f"        {outcome.more}  cases {' '.join(map(str, numbers[:5]))}")
    if lines:
        lines.append(f"replay one: python -m tests.fuzz.run --artifact {run.artifact} --replay NUMBER --save FOLDER")
    return lines
