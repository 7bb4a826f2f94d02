"""What quantization does to real models: error, agreement, time and size of every scheme, of the engines by
themselves, and of the repaired file.

Each model goes through `edgeworthy quantize` in a process of its own, and so does each file when it is judged, so that
a crash is a row. What is done is kept below OUT, and a second run goes on from there. With --make files are made and
judged, and other work may run beside; without it, what has no time yet is timed as well, on a machine that does nothing
else (below 20 minutes for 22 models that are made). Trained models come as packages of PyPI, pinned and by hash. The
exit status is 1 when a bar is missed: see BARS in `quantized/bars.py`.
"""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

from edgeworthy.benchmarks.quantized import bars, page
from edgeworthy.benchmarks.quantized.make import CALIBRATION, FLOAT, HELD_OUT, Made, Making, Origin
from edgeworthy.benchmarks.quantized.models import SUBJECTS
from edgeworthy.benchmarks.quantized.rows import ENGINES, Row
from edgeworthy.files import write_text

_MODULE = "edgeworthy.benchmarks.quantized"
_MAKE_S, _ENGINE_S, _JUDGE_S, _CLOCK_S = 7200, 900, 600, 600


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", action="append", metavar="NAME", choices=SUBJECTS, help=f"may be given again; {', '.join(SUBJECTS)}"
    )
    parser.add_argument("--output", "-o", type=Path, default=Path("out/quantization"), metavar="OUT")
    parser.add_argument("--samples", type=int, default=64, help="for calibration (64)")
    parser.add_argument("--held-out", type=int, default=16, help="other samples to judge on (16)")
    parser.add_argument("--make", action="store_true", help="make and judge the files, and time none")
    parser.add_argument("--anew", action="store_true", help="keep nothing of an earlier run")
    parser.add_argument("--stale", action="store_true", help="keep nothing that other code or samples made")
    parser.add_argument("--time-anew", action="store_true", help="time again what was timed")
    parser.add_argument(
        "--write", type=Path, metavar="FILE.md", help=f"put the tables between {page.BEGIN} and its end"
    )
    parser.add_argument("--json", action="store_true", help="print the rows as JSON instead of the tables")
    options = parser.parse_args()
    origin, rows = Origin.now(options.samples, options.held_out), []
    for name in options.only or SUBJECTS:
        begin, folder = time.perf_counter(), options.output / name
        made = made_by(name, folder, origin, anew=options.anew, stale=options.stale)
        of_one = judged(name, folder, made, origin)
        if not options.make:
            of_one = timed(folder, of_one, anew=options.time_anew)
        rows += of_one
        print(f"{name:20} {time.perf_counter() - begin:6.1f} s", file=sys.stderr, flush=True)
    missed = bars.missed(rows)
    text = page.markdown(rows, missed, shlex.join(["python", *sys.argv]), origin)
    if options.write:
        page.put(options.write, text)
    print(json.dumps([asdict(row) for row in rows], indent=1) if options.json else text)
    for line in missed:
        print(line, file=sys.stderr)
    return 1 if missed else 0


def made_by(name: str, folder: Path, origin: Origin, *, anew: bool, stale: bool) -> Making:
    """The files of a model: those that are there, or all of them, made now."""
    before = Making.read(folder)
    if before is not None and not anew and not (stale and before.origin != origin):
        return before
    if anew or before is not None:  # else an interrupted run goes on, with edgeworthy's own stages
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    failure = _child("make", [name, str(folder), str(origin.samples), str(origin.held_out)], _MAKE_S)
    made = Making.read(folder)
    if made is None:
        made = Making(origin, (Made("float32", failure=failure),))
        made.write(folder)
    return made


def judged(name: str, folder: Path, made: Making, origin: Origin) -> list[Row]:
    """A row for each file of a model, and for what each engine makes of it by itself."""
    rows = [_row(folder, Row.of(name, file), lambda file=file: file.failure) for file in made.files]  # type: ignore[misc]
    if (folder / FLOAT).exists():
        for engine, source in ENGINES.items():
            file = f"engine_{source}.tflite".replace("/", "_")
            rows.append(_row(folder, Row(name, "int8", engine, file), _engine(folder, engine, source, file)))
    return [replace(row, origin="" if made.origin == origin else str(made.origin)) for row in rows]


def timed(folder: Path, rows: list[Row], *, anew: bool) -> list[Row]:
    """The rows with their times; those that have one keep it, unless all are timed anew."""
    wanted = [row for row in rows if not row.failure and (anew or row.latency is None)]
    if not wanted:
        return rows
    answer = folder / "times.json"
    answer.unlink(missing_ok=True)
    files = [HELD_OUT, answer.name, FLOAT, *(row.file for row in wanted)]
    failure = _child("clock", [str(folder / file) for file in files], _CLOCK_S)
    if failure:
        print(f"{rows[0].model}: no times: {failure}", file=sys.stderr, flush=True)
        return rows
    base, *nanoseconds = json.loads(answer.read_text(encoding="utf-8"))
    pairs = zip(wanted, nanoseconds, strict=True)
    found = {row.key: replace(row, latency=ns / base, microseconds=ns / 1000) for row, ns in pairs}
    for row in found.values():
        _keep(folder, row)
    return [found.get(row.key, row) for row in rows]


def _engine(folder: Path, engine: str, source: str, file: str) -> Callable[[], str]:
    """What makes the file of an engine by itself, and gives the cause if it can't."""

    def make() -> str:
        if not (folder / source).exists():
            return f"there is no {source}"
        return _child("engines", [engine, *(str(folder / part) for part in (source, CALIBRATION, file))], _ENGINE_S)

    return make


def _row(folder: Path, row: Row, make: Callable[[], str]) -> Row:
    """The row as it is kept, or made and judged now."""
    kept = _kept(folder, row)
    if kept.exists():
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
    _keep(folder, row)
    return row


def _keep(folder: Path, row: Row) -> None:
    write_text(_kept(folder, row), json.dumps(asdict(row), indent=1))


def _kept(folder: Path, row: Row) -> Path:
    return folder / f"row_{row.key}.json"


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
