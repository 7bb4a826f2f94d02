"""Every target on an NVIDIA GPU that this machine has, on samples: parity, receipt and latency, beside the CPU's.

What can't run here is listed with what it lacks. The exit status is 3 without a GPU, and 1 when a target that can run
here failed. OUT keeps each run's report.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from edgeworthy.benchmarks import figures
from edgeworthy.targets import TARGETS, cuda

MODELS = ("sample:digits_cnn", "sample:mobilenet_v2")
MARK = "figures on a GPU"
BESIDE = ("pytorch", "onnxruntime", "tensorflow", "tflite")
OTHERWISE = {"cuda": "tf32=true", "gpu": "precision=float32"}
"""Device of a target → the option that changes what it computes in: a row of its own."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", nargs="*", default=MODELS, help=f"default: {' '.join(MODELS)}")
    parser.add_argument("-o", "--output", type=Path, default=Path("out/gpu"), help="default: %(default)s")
    parser.add_argument("--plain", action="store_true", help="without a row for each option of what they compute in")
    parser.add_argument("--seconds", type=float, default=1.0, help="time for each row (1)")
    parser.add_argument(
        "--write", type=Path, metavar="FILE.md", help=f"put the table between its <!-- {MARK} --> marks"
    )
    given = parser.parse_args(arguments)
    if why := cuda.missing():
        print(f"no target on CUDA can run here: {why}", file=sys.stderr)
        return 3
    names, missing = figures.runnable(name for name, t in TARGETS.items() if name in BESIDE or t.device in OTHERWISE)
    asked = names if given.plain else [text for name in names for text in _asked(name)]
    machine = f"{cuda.card()}, beside "
    failures, texts = [], []
    for source in given.sources:
        report = figures.measured(asked, source, given.output / source.rpartition(":")[2], (), given.seconds)
        found = [(name, row) for name in asked for row in figures.rows(name, report)]
        failures += [f"{source} {name}: {why}" for name, row in found if (why := figures.failure(row))]
        lines = [figures.cells(name, row) for name, row in found]
        lacks = missing if source is given.sources[-1] else {}
        texts.append(figures.document(source, machine, figures.table(figures.COLUMNS, lines), lacks))
        print(texts[-1], flush=True)
    if given.write:
        figures.put("\n".join(texts), given.write, MARK)
    for failure in failures:
        print(failure, file=sys.stderr)
    return 1 if failures else 0


def _asked(name: str) -> list[str]:
    """A target as it is, and as its option makes it."""
    option = OTHERWISE.get(TARGETS[name].device)
    return [name, f"{name},{option}"] if option else [name]


if __name__ == "__main__":
    sys.exit(main())
