"""Every target that can run here on one model: a row each of parity, receipt, latency, and what it took to set it up.

The model is `sample:digits_cnn` in float32 and int8, which is quantized for the device where that computes integers
alone. With --boards a board behind sshd and a device behind adbd, both
Arm under QEMU, are started here: `ssh` and `android`. With --install every kit that is installed is removed
and installed anew, to be timed. What can't run here is listed with its reason.

They are measured in another process: a target, or a kit's set-up, that takes more than --timeout is a failed row, and
the others go on. After each the table is in FILE, and its row in OUT: a run that was stopped goes on from
there, and makes again what failed; a changed edgeworthy, another machine and --anew make all. The exit status is 1
when a target that can run here failed.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from edgeworthy import kits
from edgeworthy.benchmarks import figures, target_rows
from edgeworthy.benchmarks.target_rows import MODEL, Measured
from edgeworthy.display import size
from edgeworthy.errors import EdgeworthyError
from edgeworthy.files import write_text
from edgeworthy.pipeline.fingerprint import of_code, of_values
from edgeworthy.targets import find
from edgeworthy.validate.host import current
from edgeworthy.workers.child import Child

MARK = "figures"
STANDING_IN = ("litert:npu,device=cpu",)
"""What computes in the place of a device that this machine lacks."""
BOARDS = ("ssh", "android")
"""What ``boards.started`` starts; it takes the kit ``arm64``."""
STORED = "rows.json"
NOT_YET = "not measured: the run was stopped before it"

_BEGUN = -1.0
"""Seconds of a kit's set-up that hasn't ended: it is removed by now, perhaps, and was there."""


class Store:
    """What is done, in ``OUT/rows.json``.

    Attributes:
        rows: Label of a target → what it gave.
        set_up: Name of a kit → seconds that it took to install, or ``_BEGUN``.
        begun: Date of the first of them.
    """

    def __init__(self, out: Path, seconds: float, *, anew: bool) -> None:
        machine = current()
        about = [of_code(), Path(__file__).read_text(), machine.cpu, machine.logical_cores, machine.python, seconds]
        self._file, self._key = out / STORED, of_values(about)
        self.rows: dict[str, Measured] = {}
        self.set_up: dict[str, float] = {}
        self.begun = date.today()
        stored: dict[str, Any] = json.loads(self._file.read_text()) if self._file.exists() else {}
        same = stored.get("key") == self._key and not anew
        if same:
            self.rows = {name: Measured.of_json(row) for name, row in stored["rows"].items()}
            self.begun = date.fromisoformat(stored["begun"])
        # One that was cut off is installed again, whatever has changed since.
        self.set_up = {name: took for name, took in stored.get("set_up", {}).items() if same or took == _BEGUN}

    def has(self, label: str) -> bool:
        """Whether nothing is to be done for a row: it is there, and nothing is wrong with it."""
        row = self.rows.get(label)
        return row is not None and bool(row.lines) and not row.failures

    def keep(self) -> None:
        rows = {name: row.as_json() for name, row in self.rows.items()}
        stored = {"key": self._key, "begun": self.begun.isoformat(), "set_up": self.set_up, "rows": rows}
        write_text(self._file, json.dumps(stored, indent=1))


class Bench:
    """A run: what it measures goes to the store and to the page."""

    def __init__(self, asked: Sequence[str], options: argparse.Namespace) -> None:
        self.asked, self.options, self.out = asked, options, options.output
        self.out.mkdir(parents=True, exist_ok=True)
        self.store = Store(self.out, options.seconds, anew=options.anew)
        self.failures: list[str] = []

    def install(self) -> None:
        """Install the kits of what is asked anew, as far as they were there."""
        needed = {kit.name for kit in map(_kit, self.asked) if kit} | ({"arm64"} if self.options.boards else set())
        for name in filter(needed.__contains__, kits.KITS):
            took = self.store.set_up.get(name)
            if kits.look(kits.KITS[name]).status == "absent" if took is None else took != _BEGUN:
                continue
            self.store.set_up[name] = _BEGUN
            self.store.keep()
            try:
                with self._process(f"set-up of {name}") as child:
                    self.store.set_up[name] = child.ask("set_up", name)
                self._say(f"kit {name}", self.store.set_up[name], "installed")
            except EdgeworthyError as error:
                self.failures.append(f"kit {name}: {error}")
                self._say(f"kit {name}", self.options.timeout, error.what)
            self.store.keep()

    def measure(self, names: Mapping[str, str], lacks: Mapping[str, str]) -> None:
        """Rows of targets, label → name; and why there are none of others."""
        for label, why in lacks.items():
            self._take(Measured(label, missing=target_rows.hidden(why, self.out)))
        child: Child | None = None
        for label, name in names.items():
            if self.store.has(label):
                known = self.store.rows[label]
                self._say(label, known.seconds, f"as before: {known.said}")
                continue
            try:
                if child is None or not child.alive:
                    child = self._process(label).__enter__()
                child.name = label
                self._take(child.ask("row", label, name, self.out, self.options.seconds))
            except EdgeworthyError as error:
                self._take(target_rows.failed(label, str(error), self.out))
        if child is not None:
            child.close()

    def text(self) -> str:
        """The table so far, and what isn't in it."""
        found = [self.store.rows[label] for label in self.asked if label in self.store.rows]
        lines = [(*line, self._cost(row.target)) for row in found for line in row.lines]
        missing = {row.target: row.missing for row in found if row.missing}
        missing |= {label: NOT_YET for label in self.asked if label not in self.store.rows}
        body = figures.table((*figures.COLUMNS, "set-up"), lines)
        return figures.document(MODEL, "", body, missing, self.store.begun)

    def _take(self, row: Measured) -> None:
        self.store.rows[row.target] = row
        self.store.keep()
        self.failures += [f"{row.target}: {why}" for why in row.failures]
        self._say(row.target, row.seconds, row.said)
        if self.options.write:
            figures.put(self.text(), self.options.write, MARK)

    def _process(self, name: str) -> Child:
        return Child(target_rows.__name__, name=name, timeout_s=self.options.timeout)

    def _cost(self, name: str) -> str:
        """What it took to set a target up."""
        kit = _kit(name)
        found = kits.look(kit) if kit else None
        if found is None or found.status != "ready":
            return "with pip" if found is None else found.status
        took = self.store.set_up.get(found.kit.name, _BEGUN)
        return f"{took:.0f} s, {size(found.size)}" if took >= 0 else size(found.size)

    def _say(self, name: str, seconds: float, what: str) -> None:
        print(f"{seconds:5.1f} s  {name}: {what.splitlines()[0]}", file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--also", action="append", default=[], metavar="TARGET", help="one with an address, as ssh:pi@host"
    )
    parser.add_argument("--boards", action="store_true", help="start a board and a device here: ssh and android")
    parser.add_argument("--target", action="append", metavar="TARGET", help="these alone, in place of all")
    parser.add_argument("--install", action="store_true", help="install the kits anew, and tell how long that took")
    parser.add_argument("--seconds", type=float, default=1.0, help="time for each row (1)")
    parser.add_argument("--timeout", type=float, default=300.0, help="most seconds of a target, or of a kit (300)")
    parser.add_argument("--anew", action="store_true", help="measure again what is in OUT")
    parser.add_argument("-o", "--output", type=Path, default=Path("out/targets"), metavar="OUT", help="%(default)s")
    parser.add_argument(
        "--write", type=Path, metavar="FILE.md", help=f"put the table between its <!-- {MARK} --> marks"
    )
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # boards must not outlive it
    boards = BOARDS if options.boards else ()
    asked = [*(options.target or (*figures.ALL, *STANDING_IN)), *options.also, *boards]
    bench = Bench(list(dict.fromkeys(asked)), options)
    if options.install:
        bench.install()
    bench.measure({label: label for label in bench.asked if label not in boards}, {})
    if not all(map(bench.store.has, boards)):
        # Here, as its helpers look for the kits when they are imported.
        from edgeworthy.benchmarks.boards import started

        with tempfile.TemporaryDirectory() as folder, started(Path(folder)) as (found, lacks):
            bench.measure(found, lacks)
    text = bench.text()
    print(text)
    if options.write:
        figures.put(text, options.write, MARK)
    for failure in bench.failures:
        print(failure, file=sys.stderr)
    return 1 if bench.failures else 0


def _kit(name: str) -> kits.Kit | None:
    """What a target takes, if it is more than pip's."""
    return next((kit for kit in kits.KITS.values() if kit.serves(find(name).name)), None)


if __name__ == "__main__":
    sys.exit(main())
