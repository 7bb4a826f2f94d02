"""Every target that can run here on one model: a row each of parity, receipt, latency, and what it took to set it up.

The model is `sample:digits_cnn` in float32 and int8. With --install every kit that is installed is removed and
installed anew, to be timed. What can't run here is listed with its reason. The exit status is 1 when a target that can
run here failed.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import edgeworthy
from edgeworthy import kits
from edgeworthy.display import milliseconds, size
from edgeworthy.files import write_text
from edgeworthy.targets import TARGETS, find
from edgeworthy.validate.host import current
from edgeworthy.validate.results import Report
from edgeworthy.validate.summary import SummaryRow, summarize

MODEL = "sample:digits_cnn"
SCHEMES = ("int8",)
BEGIN, END = "<!-- figures -->", "<!-- end of figures -->"
NEEDED = ("pytorch", "onnxruntime")
"""What gives the truth and its noise floor."""


@dataclass(frozen=True)
class SetUp:
    """What a kit took; None of the seconds where it wasn't installed anew."""

    seconds: float | None
    size_bytes: int


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--also", action="append", default=[], metavar="TARGET", help="one with an address, as ssh:pi@host"
    )
    parser.add_argument("--install", action="store_true", help="install the kits anew, and tell how long that took")
    parser.add_argument("--seconds", type=float, default=1.0, help="time for each row (1)")
    parser.add_argument("--write", type=Path, metavar="FILE.md", help=f"put the table between {BEGIN} and {END}")
    options = parser.parse_args()
    set_up = {name: _set_up(name, options.install) for name in kits.KITS}
    missing = {name: why for name in TARGETS if (why := TARGETS[name].missing())}
    chosen = [name for name in TARGETS if name not in missing and name != "onnx-reference"]
    failures, rows = [], []
    with tempfile.TemporaryDirectory() as folder:
        for name in [*chosen, *options.also]:
            print(name, file=sys.stderr, flush=True)
            report = _measured(name, Path(folder), options.seconds)
            found = [row for row in summarize(report) if _runtime(row) == find(name).name]
            failures += [f"{name}: {_failure(row)}" for row in found if _failure(row)]
            rows += [_line(name, row, set_up) for row in found]
    table = _table(rows, missing)
    print(table)
    if options.write:
        text = options.write.read_text(encoding="utf-8")
        between = re.compile(f"{re.escape(BEGIN)}.*{re.escape(END)}", re.DOTALL)
        write_text(options.write, between.sub(lambda _: f"{BEGIN}\n\n{table}\n{END}", text))
    for failure in failures:
        print(failure, file=sys.stderr)
    return 1 if failures else 0


def _set_up(name: str, anew: bool) -> SetUp | None:
    kit = kits.find(name)
    seconds = None
    if anew and kits.look(kit).status != "absent":
        kits.remove(kit)
        begin = time.perf_counter()
        kits.install(kit)
        seconds = time.perf_counter() - begin
    found = kits.look(kit)
    return SetUp(seconds, found.size) if found.status == "ready" else None


def _measured(name: str, folder: Path, seconds: float) -> Report:
    """The model through one target, with the truth beside it. Made once, as the folder keeps it."""
    names = list(dict.fromkeys([*NEEDED, name]))
    return edgeworthy.run(
        MODEL,
        folder / "out",
        stages=("validate", "bench"),
        targets=names,
        quantize={"schemes": list(SCHEMES)},
        bench={"seconds": seconds},
    )


def _runtime(row: SummaryRow) -> str:
    record = row.hop or row.latency
    return record.runtime if record else ""


def _failure(row: SummaryRow) -> str:
    """Why a row has no number, or a wrong one."""
    for record in (row.hop, row.latency):
        if record is not None and record.status not in ("pass", "reference", "inconclusive"):
            return record.failure or record.status
    return ""


def _line(name: str, row: SummaryRow, set_up: dict[str, SetUp | None]) -> str:
    receipt = (row.latency and row.latency.receipt) or (row.hop and row.hop.receipt)
    kit = next((found for found in map(kits.find, kits.KITS) if found.serves(find(name).name)), None)
    cost = set_up.get(kit.name) if kit else None
    took = f"{cost.seconds:.0f} s, " if cost and cost.seconds is not None else ""
    cells = (
        f"`{name}`",
        row.name,
        "–" if row.hop is None else row.parity,
        f"{receipt.said}, {receipt.precision}" if receipt else _failure(row).splitlines()[0],
        milliseconds(row.latency.p50_ms) if row.latency and row.latency.p50_ms else "–",
        row.latency.measured if row.latency else "–",
        f"{took}{size(cost.size_bytes)}" if cost else "with pip",
    )
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _table(rows: Sequence[str], missing: dict[str, str]) -> str:
    host = current()
    said = [f"- `{name}`: {why}" for name, why in missing.items()]
    return "\n".join(
        [
            f"`{MODEL}`, {date.today().isoformat()}: {host.cpu}, {host.logical_cores} cores, {host.system}.",
            "",
            "| target | row | parity | ran | median | measured | set-up |",
            "| --- | --- | --: | --- | --: | --- | --- |",
            *rows,
            "",
            *(["Not run on that machine:", "", *said] if said else []),
            "",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
