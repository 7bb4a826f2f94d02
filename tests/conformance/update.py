"""Write what fails now into ``expected_failures.toml``: ``python -m tests.conformance.update``.

``[[expected]]`` tables, written by hand, are kept as long as their cases fail in the same way. With
``--filter`` or ``--artifact`` only what was run is rewritten.
"""

from __future__ import annotations

import argparse

import onnx

from . import expectations
from .run import add_arguments, listed, run_selected
from .suite import table


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.update", description=__doc__)
    add_arguments(parser)
    options = parser.parse_args()
    suite, runs = run_selected(options)
    path = listed(options)
    old = expectations.read(path)
    new = expectations.update(
        old,
        onnx.__version__,
        {run.artifact: run.outcomes for run in runs},
        {case.name: case.op for case in suite.cases},
        complete=not options.filter,
    )
    expectations.write(new, path)
    for run in runs:
        print(
            *expectations.deviations(run.artifact, run.outcomes, old.of(run.artifact), complete=False),
            sep="\n",
        )
    print(*table(runs), sep="\n")


if __name__ == "__main__":
    main()
