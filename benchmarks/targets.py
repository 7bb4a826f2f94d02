"""Every target that can run here on one model: a row each of parity, receipt, latency, and what it took to set it up.

The model is `sample:digits_cnn` in float32 and int8, which is quantized for the device where that computes integers
alone. With --boards a board behind sshd and a device behind adbd, both
Arm under QEMU, are started here: `ssh` and `android`. With --install every kit that is installed is removed
and installed anew, to be timed. What can't run here is listed with its reason. The exit status is 1 when a target that
can run here failed.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from edgeworthy import devices, kits
from edgeworthy.benchmarks import figures
from edgeworthy.benchmarks.boards import started
from edgeworthy.display import size
from edgeworthy.targets import find

MODEL = "sample:digits_cnn"
SCHEMES = ("int8",)
MARK = "figures"
STANDING_IN = ("litert:npu,device=cpu",)
"""What computes in the place of a device that this machine lacks."""


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
    parser.add_argument("--boards", action="store_true", help="start a board and a device here: ssh and android")
    parser.add_argument("--target", action="append", metavar="TARGET", help="these alone, in place of all")
    parser.add_argument("--install", action="store_true", help="install the kits anew, and tell how long that took")
    parser.add_argument("--seconds", type=float, default=1.0, help="time for each row (1)")
    parser.add_argument(
        "--write", type=Path, metavar="FILE.md", help=f"put the table between its <!-- {MARK} --> marks"
    )
    options = parser.parse_args()
    set_up = {name: _set_up(name, options.install) for name in kits.KITS}
    chosen, missing = figures.runnable(options.target or [*figures.ALL, *STANDING_IN])
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        boards: Mapping[str, str] = {}
        if options.boards:
            boards, lacks = stack.enter_context(started(Path(folder)))
            missing = {name: why for name, why in missing.items() if name not in boards} | dict(lacks)
        shown = {find(name).name: label for label, name in boards.items()}
        asked = list(dict.fromkeys(find(name).name for name in (*chosen, *options.also, *boards.values())))
        device = {name: _device(name) for name in asked}
        reports = {}
        for each in dict.fromkeys(device.values()):
            names = [name for name in asked if device[name] == each]
            reports[each] = figures.measured(names, MODEL, Path(folder) / each, SCHEMES, options.seconds, each)
    found = [(name, row) for name in asked for row in figures.rows(name, reports[device[name]])]
    failures = [f"{shown.get(name, name)}: {why}" for name, row in found if (why := figures.failure(row))]
    lines = [
        (f"`{shown.get(name, name)}`", _addressless(title), *cells, _cost(shown.get(name, name), set_up))
        for name, row in found
        for _, title, *cells in [figures.cells(name, row)]
    ]
    text = figures.document(MODEL, "", figures.table((*figures.COLUMNS, "set-up"), lines), missing)
    print(text)
    if options.write:
        figures.put(text, options.write, MARK)
    for failure in failures:
        print(failure, file=sys.stderr)
    return 1 if failures else 0


def _device(name: str) -> str:
    """What the file of a target is quantized for: where it computes integers alone, for that, else for both CPUs."""
    found = devices.of_targets([name])
    return found if found and devices.computes_integers_alone(found) else "cpu"


def _addressless(title: str) -> str:
    """A row's name without the address and the options of a board, which are folders of this machine."""
    return re.sub(r" \(.*[@:].*\)", "", title)


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


def _cost(name: str, set_up: dict[str, SetUp | None]) -> str:
    """What it took to set a target up."""
    kit = next((found for found in map(kits.find, kits.KITS) if found.serves(find(name).name)), None)
    cost = set_up.get(kit.name) if kit else None
    took = f"{cost.seconds:.0f} s, " if cost and cost.seconds is not None else ""
    return f"{took}{size(cost.size_bytes)}" if cost else "with pip"


if __name__ == "__main__":
    sys.exit(main())
