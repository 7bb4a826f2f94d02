"""Every target on an NVIDIA GPU that this machine has, on samples: parity, receipt and latency, beside the CPU's.

A process measures all rows of a runtime (of PyTorch, ONNX Runtime …) whose libraries read the same variables, so that
each is imported once or twice. With --write the table is in FILE after every row; a row that crashes or takes more than
--timeout is a failed one, and the others go on. What can't run here is listed with what it lacks. The exit status is 3
without a GPU, and 1 when a target that can run here failed. OUT keeps the converted files and what was fed.

--target NAME … measures these instead, with or without a GPU. So this program was tried, on the CPU's targets and on
LiteRT's GPU accelerator in software. It has not run on an NVIDIA GPU yet, where only the targets themselves have
(docs/targets.md): neither TensorFlow's, TensorRT's nor `torch-compile:cuda`'s rows, nor how long all of it takes.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from edgeworthy.benchmarks import figures, gpu_rows
from edgeworthy.benchmarks.gpu_rows import Row
from edgeworthy.errors import EdgeworthyError
from edgeworthy.targets import TARGETS, cuda, find
from edgeworthy.workers.child import Child

MODELS = ("sample:digits_cnn", "edgeworthy.samples.zoo:mobilenet_v2")
MARK = "figures on a GPU"
BESIDE = ("pytorch", "onnxruntime", "tensorflow", "tflite")
OTHERWISE = {"cuda": "tf32=true", "gpu": "precision=float32"}
"""Device of a target → the option that changes what it computes in: a row of its own."""

_IMPORT_S = 600.0
"""Of a runtime on a cold disk: PyTorch alone took 200 s on a machine with a GPU."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", nargs="*", default=MODELS, help=f"default: {' '.join(MODELS)}")
    parser.add_argument("-o", "--output", type=Path, default=Path("out/gpu"), help="default: %(default)s")
    parser.add_argument("--plain", action="store_true", help="without a row for each option of what they compute in")
    parser.add_argument("--seconds", type=float, default=1.0, help="time for each row (1)")
    parser.add_argument("--timeout", type=float, default=120.0, help="most seconds of a row, its import aside (120)")
    parser.add_argument("--target", action="append", metavar="NAME", help="these targets, in place of those on a GPU")
    parser.add_argument(
        "--write", type=Path, metavar="FILE.md", help=f"put the table between its <!-- {MARK} --> marks"
    )
    given = parser.parse_args(arguments)
    if given.target is None and (why := cuda.missing()):
        print(f"no target on CUDA can run here: {why}", file=sys.stderr)
        return 3
    wanted = given.target or [name for name, t in TARGETS.items() if name in BESIDE or t.device in OTHERWISE]
    names, missing = figures.runnable(wanted)
    asked = names if given.plain else [text for name in names for text in _asked(name)]
    machine = "" if cuda.missing() else f"{cuda.card()}, beside "
    failures, texts = [], [""] * len(given.sources)
    for index, source in enumerate(given.sources):
        rows: list[Row] = []
        for row in measured(source, asked, given.output / source.rpartition(":")[2], given.seconds, given.timeout):
            rows.append(row)
            failures += [f"{source} {row.target}: {row.why}"] if row.why else []
            lacks = missing if index == len(given.sources) - 1 else {}
            lines = [r.cells for r in sorted(rows, key=lambda r: asked.index(r.target))]
            texts[index] = figures.document(source, machine, figures.table(figures.COLUMNS, lines), lacks)
            if given.write:
                figures.put("\n".join(filter(None, texts)), given.write, MARK)
        print(texts[index], flush=True)
    for failure in failures:
        print(failure, file=sys.stderr)
    return 1 if failures else 0


def measured(source: str, names: Sequence[str], folder: Path, seconds: float, timeout_s: float) -> Iterator[Row]:
    """The rows of a model as they come, a process for each runtime."""
    begin = time.monotonic()
    kinds = {find(name).kind for name in names} & {"tflite", "saved_model"}
    folder.mkdir(parents=True, exist_ok=True)
    with _process("preparing", {"CUDA_VISIBLE_DEVICES": ""}, _IMPORT_S) as preparing:
        preparing.ask("prepare", source, folder, sorted(kinds or {"tflite"}))
    print(f"{source}: ready after {time.monotonic() - begin:.0f} s", file=sys.stderr, flush=True)
    for group in groups(names):
        child: Child | None = None
        for name in group:
            try:
                if child is None or not child.alive:
                    child = _process(name, find(name).environment, timeout_s).__enter__()
                    child.ask("bring", name, timeout_s=_IMPORT_S)
                row: Row = child.ask("row", name, folder, seconds)
            except EdgeworthyError as error:
                row = Row(name, (f"`{name}`", find(name).title, "–", error.what, "–", "–"), str(error))
            print(f"{time.monotonic() - begin:4.0f} s  {' | '.join(row.cells)}", file=sys.stderr, flush=True)
            yield row
        if child is not None:
            child.close()


def groups(names: Sequence[str]) -> list[list[str]]:
    """Targets that one process can run: those of one runtime whose libraries read the same variables."""
    found: dict[tuple[object, ...], list[str]] = {}
    for name in names:
        target = find(name)
        found.setdefault((target.module or target.name, *sorted(target.environment.items())), []).append(name)
    return list(found.values())


def _process(name: str, environment: dict[str, str], timeout_s: float) -> Child:
    return Child(gpu_rows.__name__, name=name, environment=environment, timeout_s=timeout_s)


def _asked(name: str) -> list[str]:
    """A target as it is, and as its option makes it."""
    option = OTHERWISE.get(find(name).device)
    return [name, f"{name},{option}"] if option and "=" not in name else [name]


if __name__ == "__main__":
    sys.exit(main())
