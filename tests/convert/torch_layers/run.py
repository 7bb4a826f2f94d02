"""Runs cases in worker processes: ``python -m tests.convert.torch_layers.run [TEXT…]`` prints what doesn't pass."""

from __future__ import annotations

import sys
import time
from collections.abc import Container, Iterable
from pathlib import Path

from edgeworthy.workers.child import Death
from edgeworthy.workers.pool import Pool
from edgeworthy.workers.serve import Raised

from .case import ARTIFACTS, Outcome, Outcomes
from .cases import CASES, groups

_ROOT = str(Path(__file__).parents[3])
_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "CUDA_VISIBLE_DEVICES": "-1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_ENABLE_ONEDNN_OPTS": "0",  # TensorFlow leaves oneDNN off on many processors, and knows less then
}


def run(alone: Container[str], only: Container[str] = CASES) -> Outcomes:
    """Outcomes of all cases. A group that fails as a whole is run again case by case."""
    chosen = [[name for name in group if name in only] for group in groups(alone)]
    outcomes = _run([group for group in chosen if group])
    failed = [g for g in chosen if len(g) > 1 and any(_is_whole(outcomes[n, a]) for n in g for a in ARTIFACTS)]
    return outcomes | _run([[name] for group in failed for name in group])


def _is_whole(outcome: Outcome) -> bool:
    return not outcome.status.startswith(("pass", "wrong"))


def _run(jobs: Iterable[list[str]]) -> Outcomes:
    pool = Pool(f"{__package__}.worker", timeout_s=120.0, environment=_ENVIRONMENT, path=[_ROOT, *sys.path])
    outcomes: Outcomes = {}
    for names, result in pool.run(jobs):
        if isinstance(result, Death | Raised):
            died = Outcome("crash", _told(result))
            result = {(name, artifact): died for name in names for artifact in ARTIFACTS}
        outcomes |= result
    return outcomes


def _told(result: Death | Raised) -> str:
    if isinstance(result, Raised):
        return result.text
    return f"{result.reason} while {result.stage}: {result.last_words[:160]}"


def main() -> None:
    wanted = sys.argv[1:]
    only = [name for name in CASES if not wanted or any(text in name for text in wanted)]
    start = time.monotonic()
    outcomes = run((), only)
    for (name, artifact), outcome in sorted(outcomes.items()):
        if outcome.status != "pass" or wanted:
            print(f"{name:36} {artifact:12} {outcome.status:14} {outcome.detail}")
    passed = sum(outcome.status == "pass" for outcome in outcomes.values())
    print(f"{passed} of {len(outcomes)} pass, {len(only)} cases, {time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
