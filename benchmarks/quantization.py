"""What quantization does to real models: error, agreement, time and size of every scheme, of the engines by
themselves, and of the repaired file.

Each model goes through `edgeworthy quantize` in a process of its own, and so does each file when it is judged, so that
a crash is a row. What is done is kept below OUT, and a second run goes on from there. Trained models come as packages
of PyPI, pinned and by hash. The exit status is 1 when a bar is missed: see BARS in `quantized/bars.py`.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from edgeworthy.benchmarks.quantized import bars, page
from edgeworthy.benchmarks.quantized.make import CALIBRATION, FLOAT, HELD_OUT, Made
from edgeworthy.benchmarks.quantized.models import SUBJECTS
from edgeworthy.benchmarks.quantized.rows import ENGINES, Row
from edgeworthy.files import write_text

_MODULE = "edgeworthy.benchmarks.quantized"
_MAKE_S, _ENGINE_S, _JUDGE_S = 3600, 900, 600


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", action="append", metavar="NAME", choices=SUBJECTS, help=f"may be given again; {', '.join(SUBJECTS)}"
    )
    parser.add_argument("--output", "-o", type=Path, default=Path("out/quantization"), metavar="OUT")
    parser.add_argument("--samples", type=int, default=64, help="for calibration (64)")
    parser.add_argument("--held-out", type=int, default=16, help="other samples to judge on (16)")
    parser.add_argument("--anew", action="store_true", help="keep nothing of an earlier run")
    parser.add_argument(
        "--write", type=Path, metavar="FILE.md", help=f"put the tables between {page.BEGIN} and its end"
    )
    parser.add_argument("--json", action="store_true", help="print the rows as JSON instead of the tables")
    options = parser.parse_args()
    rows: list[Row] = []
    for name in options.only or SUBJECTS:
        begin = time.perf_counter()
        rows += measure(name, options.output / name, options.samples, options.held_out, options.anew)
        print(f"{name:20} {time.perf_counter() - begin:6.1f} s", file=sys.stderr, flush=True)
    missed = bars.missed(rows)
    text = page.markdown(rows, missed, shlex.join(["python", *sys.argv]), options.samples, options.held_out)
    if options.write:
        page.put(options.write, text)
    print(json.dumps([asdict(row) for row in rows], indent=1) if options.json else text)
    for line in missed:
        print(line, file=sys.stderr)
    return 1 if missed else 0


def measure(name: str, folder: Path, samples: int, held_out: int, anew: bool) -> list[Row]:
    """All rows of a model: those that are there, and those that are not."""
    folder.mkdir(parents=True, exist_ok=True)
    done = folder / "made.json"
    if anew or not done.exists():
        done.unlink(missing_ok=True)
        failure = _child("make", [name, str(folder), str(samples), str(held_out)], _MAKE_S)
        if not done.exists():
            write_text(done, json.dumps([asdict(Made("float32", failure=failure))]))
    rows = []
    for entry in json.loads(done.read_text(encoding="utf-8")):
        made = Made(**entry)
        rows.append(_row(folder, anew, Row.of(name, made), lambda made=made: made.failure))  # type: ignore[misc]
    if (folder / FLOAT).exists():
        for engine, source in ENGINES.items():
            file = f"engine_{source}.tflite".replace("/", "_")
            rows.append(_row(folder, anew, Row(name, "int8", engine, file), _engine(folder, engine, source, file)))
    return rows


def _engine(folder: Path, engine: str, source: str, file: str) -> Callable[[], str]:
    """What makes the file of an engine by itself, and gives the cause if it can't."""

    def make() -> str:
        if not (folder / source).exists():
            return f"there is no {source}"
        return _child("engines", [engine, *(str(folder / part) for part in (source, CALIBRATION, file))], _ENGINE_S)

    return make


def _row(folder: Path, anew: bool, row: Row, make: Callable[[], str]) -> Row:
    """The row as it is kept, or made and judged now."""
    kept = folder / f"row_{row.key}.json"
    if kept.exists() and not anew:
        return Row(**json.loads(kept.read_text(encoding="utf-8")))
    failure = make()
    if not failure:
        answer = folder / "judgement.json"
        answer.unlink(missing_ok=True)
        files = [FLOAT, row.file, HELD_OUT, answer.name]
        failure = _child("judge", [str(folder / part) for part in files], _JUDGE_S)
        if answer.exists():
            row = row.judged(json.loads(answer.read_text(encoding="utf-8")))
    row = row.failed(failure) if failure else row
    write_text(kept, json.dumps(asdict(row), indent=1))
    return row


def _child(module: str, arguments: list[str], seconds: float) -> str:
    """Run a module of the benchmark; the cause in a line if it failed."""
    command = [sys.executable, "-m", f"{_MODULE}.{module}", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        return f"took more than {seconds:g} s"
    if done.returncode == 0:
        return ""
    said = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
    return f"exit status {done.returncode}: {said[-1] if said else 'no message'}"


if __name__ == "__main__":
    sys.exit(main())
