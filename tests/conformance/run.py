"""Run ONNX's node tests on our artifacts; print what isn't as expected, and the share that passes.

Exit status: 0 when every case is as ``expected_failures.toml`` says, else 1.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

import onnx

from edgeworthy.formats.onnx.node_tests import NodeTests, load_node_tests

from . import expectations
from .declared import DeclaredPass
from .stored import load_stored
from .suite import ARTIFACTS, Run, run_cases, table


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.run", description=__doc__)
    add_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print every outcome as JSON")
    parser.add_argument("-v", "--verbose", action="store_true", help="also print the expected failures")
    options = parser.parse_args()
    suite, runs = run_selected(options)
    known = expectations.read(listed(options))
    complete = not options.filter
    deviations = [
        line
        for run in runs
        for line in expectations.deviations(run.artifact, run.outcomes, known.of(run.artifact), complete=complete)
    ]
    if options.json:
        print(json.dumps(as_json(suite, runs, deviations), indent=1))
    else:
        if options.verbose:
            print_failures(runs)
        print(*deviations, sep="\n")
        kind = "stored tests" if options.stored else "node tests"
        print(f"onnx {onnx.__version__}: {suite.total} {kind}, {len(suite.cases)} with TFLite's types")
        print(*table(runs), sep="\n")
    return 1 if deviations else 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that choose what is run."""
    parser.add_argument("--stored", action="store_true", help="the tests that onnx has as files, not its node tests")
    parser.add_argument("--artifact", choices=ARTIFACTS, action="append", help="default: both")
    parser.add_argument(
        "--filter", action="append", default=[], metavar="TEXT", help="only cases with TEXT in the name"
    )
    parser.add_argument("--workers", type=int, default=2, help="worker processes (%(default)s)")
    parser.add_argument("--timeout", type=float, default=30.0, help="seconds a case may take (%(default)s)")


def listed(options: argparse.Namespace) -> Path:
    """The list of what fails of the tests that the options choose."""
    return expectations.STORED if options.stored else expectations.PATH


def run_selected(options: argparse.Namespace) -> tuple[NodeTests, list[Run]]:
    """Load the cases and run those that the options choose."""
    suite = load_stored() if options.stored else load_node_tests()
    wanted: list[str] = options.filter
    cases = [case for case in suite.cases if not wanted or any(text in case.name for text in wanted)]
    runs = []
    for artifact in options.artifact or ARTIFACTS:
        show = progress_line(artifact, len(cases))
        runs.append(run_cases(artifact, cases, workers=options.workers, timeout_s=options.timeout, progress=show))
    return suite, runs


def progress_line(artifact: str, total: int) -> Callable[[int], None]:
    """A counter on standard error if that is a terminal."""

    def show(done: int) -> None:
        if sys.stderr.isatty():
            end = "\n" if done == total else ""
            print(f"\r{artifact}: {done} of {total} cases", end=end, file=sys.stderr, flush=True)

    return show


def as_json(suite: NodeTests, runs: list[Run], deviations: list[str]) -> dict[str, object]:
    return {
        "onnx": onnx.__version__,
        "cases": suite.total,
        "counted": len(suite.cases),
        "deviations": deviations,
        "artifacts": {
            run.artifact: {
                "passed": run.passed,
                "by_declared_shape": run.declared,
                "share": run.share,
                "seconds": run.seconds,
                "outcomes": {
                    name: vars(outcome) | {"declared": isinstance(outcome, DeclaredPass)}
                    for name, outcome in sorted(run.outcomes.items())
                },
            }
            for run in runs
        },
    }


def print_failures(runs: list[Run]) -> None:
    for run in runs:
        for name, outcome in sorted(run.outcomes.items()):
            if outcome.status != "pass" or isinstance(outcome, DeclaredPass):
                print(f"{run.artifact}  {outcome.status:13}  {name}  {outcome.detail}")


if __name__ == "__main__":
    sys.exit(main())
