"""Mutate right ONNX models, convert them, print what became of them, and every kind of failure.

Exit status: 0 without a failure, else 1.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from .cases import make_case
from .corpus import Corpus, load_corpus
from .suite import ARTIFACTS, Run, report, run_cases, table


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.run", description=__doc__)
    parser.add_argument("--cases", type=int, default=1000, help="how many (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="number of the first case (%(default)s)")
    parser.add_argument("--artifact", choices=ARTIFACTS, action="append", help="default: tflite")
    parser.add_argument("--workers", type=int, default=2, help="worker processes (%(default)s)")
    parser.add_argument("--replay", type=int, nargs="+", metavar="NUMBER", help="only these cases")
    parser.add_argument("--save", type=Path, metavar="FOLDER", help="with --replay: write the models there")
    options = parser.parse_args()
    corpus = load_corpus()
    numbers = options.replay or list(range(options.seed, options.seed + options.cases))
    if options.save:
        save(corpus, numbers, options.save)
    runs = []
    for artifact in options.artifact or ARTIFACTS[:1]:
        show = progress_line(artifact, len(numbers))
        runs.append(run_cases(artifact, corpus, numbers, workers=options.workers, progress=show))
        print(*report(runs[-1]), sep="\n")
    if options.replay:
        tell(runs)
    print(*table(runs), sep="\n")
    return 1 if any(run.failures for run in runs) else 0


def save(corpus: Corpus, numbers: list[int], folder: Path) -> None:
    """Write the models of cases, and their external data, each to a folder of its own."""
    for number in numbers:
        case = make_case(corpus, number)
        place = folder / str(number)
        place.mkdir(parents=True, exist_ok=True)
        for name, content in {"model.onnx": case.model, **case.files}.items():
            (place / name).write_bytes(content)
        print(f"{place}/model.onnx: {', '.join(case.story)}")


def tell(runs: list[Run]) -> None:
    for run in runs:
        for number, outcome in sorted(run.outcomes.items()):
            print(f"{run.artifact}  {number}  {outcome.status}  {outcome.detail}  {outcome.more}")


def progress_line(artifact: str, total: int) -> Callable[[int], None]:
    """A counter on standard error if that is a terminal."""

    def show(done: int) -> None:
        if sys.stderr.isatty():
            print(f"\r{artifact}: {done} of {total}", end="\n" if done == total else "", file=sys.stderr, flush=True)

    return show


if __name__ == "__main__":
    sys.exit(main())
