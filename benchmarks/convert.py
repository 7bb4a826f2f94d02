"""What a conversion costs as a whole process: ``model.onnx`` → float32 ``.tflite`` by the command line.

Each run is a fresh ``edgeworthy convert`` in a fresh folder. CPU time (user + system) and peak resident
memory are the kernel's own account of the child (``wait4``): imports, conversion and writing all count. Shown
are the median and the range of the runs; a budget holds for the median. With ``--check`` the exit status is 1
when one is exceeded.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

# Nothing large is imported here: a child's peak memory starts at its parent's at the moment of the fork.

MB = 1_000_000


@dataclass(frozen=True)
class Budget:
    """What the median run may take: CPU seconds, bytes, or a multiple of the ONNX file's bytes."""

    cpu_s: float | None = None
    peak_bytes: int | None = None
    peak_per_byte: float | None = None


BUDGETS = {
    "mobilenet_v2": Budget(cpu_s=1.5, peak_bytes=200 * MB),
    "bert_base": Budget(peak_per_byte=1.3),
}


@dataclass(frozen=True)
class Cost:
    """One run: wall-clock and CPU seconds, and peak resident bytes."""

    wall_s: float
    cpu_s: float
    peak_bytes: int


@dataclass(frozen=True)
class Result:
    """All runs on one model."""

    model: str
    onnx_bytes: int
    tflite_bytes: int
    costs: tuple[Cost, ...]
    exceeded: tuple[str, ...]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=list(BUDGETS), metavar="MODEL", help="default: all")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--cache", type=Path, default=Path("out/bench"), help="where the ONNX files are kept")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--check", action="store_true", help="exit with 1 when a budget is exceeded")
    options = parser.parse_args()
    if unknown := set(options.models) - set(BUDGETS):
        parser.error(f"no such model: {', '.join(sorted(unknown))}; there are {', '.join(BUDGETS)}")
    results = [measure(name, onnx_file(name, options.cache), options.runs) for name in options.models]
    if options.json:
        host = {"machine": platform.machine(), "cpus": os.cpu_count(), "python": platform.python_version()}
        print(json.dumps({"host": host, "results": [asdict(result) for result in results]}, indent=1))
    else:
        print(*table(results), sep="\n")
    return 1 if options.check and any(result.exceeded for result in results) else 0


def onnx_file(name: str, cache: Path) -> Path:
    """The zoo's model ``name`` as an ONNX file, exported on the first call."""
    folder = cache / name
    path = folder / "model.onnx"
    if not path.exists():
        edgeworthy("export", f"edgeworthy.samples.zoo:{name}", "-o", str(folder))
    return path


def measure(name: str, onnx: Path, runs: int) -> Result:
    """Convert ``onnx`` ``runs`` times."""
    costs = []
    with tempfile.TemporaryDirectory() as scratch:
        for run in range(runs):
            output = Path(scratch, str(run))
            costs.append(edgeworthy("convert", str(onnx), "-o", str(output), "--to", "tflite", "--no-cache"))
        tflite_bytes = (output / "model_float32.tflite").stat().st_size
    onnx_bytes = sum(file.stat().st_size for file in onnx.parent.glob("model.onnx*"))
    exceeded = over_budget(BUDGETS[name], onnx_bytes, costs)
    return Result(name, onnx_bytes, tflite_bytes, tuple(costs), tuple(exceeded))


def edgeworthy(*arguments: str) -> Cost:
    """Run the command line in a process of its own and account for it."""
    command = [sys.executable, "-m", "edgeworthy", *arguments]
    with tempfile.TemporaryFile() as log:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=log, stderr=log)
        _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            log.seek(0)
            sys.stderr.write(log.read().decode(errors="replace"))
            raise SystemExit(f"exit {process.returncode} of: {' '.join(command)}")
    return Cost(wall_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def over_budget(budget: Budget, onnx_bytes: int, costs: Sequence[Cost]) -> list[str]:
    """One line for every budget that the median exceeds."""
    cpu_s = statistics.median(cost.cpu_s for cost in costs)
    peak = statistics.median(cost.peak_bytes for cost in costs)
    lines = []
    if budget.cpu_s is not None and cpu_s > budget.cpu_s:
        lines.append(f"CPU {cpu_s:.2f} s > {budget.cpu_s} s")
    if budget.peak_bytes is not None and peak > budget.peak_bytes:
        lines.append(f"memory {peak / MB:.0f} MB > {budget.peak_bytes / MB:.0f} MB")
    if budget.peak_per_byte is not None and peak > budget.peak_per_byte * onnx_bytes:
        lines.append(f"memory {peak / onnx_bytes:.2f}× > {budget.peak_per_byte}× the model's bytes")
    return lines


def table(results: Sequence[Result]) -> list[str]:
    """A header and one line a model: median [lowest–highest]."""
    heads = ("CPU s", "wall s", "peak MB")
    columns = "  ".join(f"{head:^18}" for head in heads)
    lines = [f"{'model':14} {'ONNX MB':>8} {'tflite MB':>9}  {columns}  ×ONNX  budget"]
    for result in results:
        cpu = spread([cost.cpu_s for cost in result.costs], 2)
        wall = spread([cost.wall_s for cost in result.costs], 2)
        peaks = [cost.peak_bytes / MB for cost in result.costs]
        ratio = statistics.median(peaks) * MB / result.onnx_bytes
        verdict = "; ".join(result.exceeded) or "kept"
        lines.append(
            f"{result.model:14} {result.onnx_bytes / MB:8.1f} {result.tflite_bytes / MB:9.1f}"
            f"  {cpu:^18}  {wall:^18}  {spread(peaks, 0):^18}  {ratio:5.2f}  {verdict}"
        )
    return lines


def spread(values: Sequence[float], digits: int) -> str:
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:.{digits}f} [{low:.{digits}f}–{high:.{digits}f}]"


if __name__ == "__main__":
    sys.exit(main())
