"""A row of the table of targets, or the set-up of a kit, as a process of its own makes it: served by ``workers``."""

from __future__ import annotations

import re
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from edgeworthy import devices, kits
from edgeworthy.benchmarks import figures
from edgeworthy.kits.place import home
from edgeworthy.targets import find

MODEL = "sample:digits_cnn"
SCHEMES = ("int8",)

_REPOSITORY = Path(__file__).parents[1]
_ADDRESS = re.compile(r" \(.*[@:].*\)")


@dataclass(frozen=True)
class Measured:
    """What a target gave.

    Attributes:
        target: What it is called in the table.
        lines: ``figures.COLUMNS`` of each file that it takes.
        missing: What it lacks to run here; then it has no lines.
        failures: What is wrong with its lines.
        seconds: That all of it took.
    """

    target: str
    lines: tuple[tuple[str, ...], ...] = ()
    missing: str = ""
    failures: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def said(self) -> str:
        """Itself on a line of a log."""
        return "; ".join([*(" | ".join(line[1:]) for line in self.lines), *self.failures]) or self.missing

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def of_json(cls, table: Mapping[str, Any]) -> Self:
        rest = {**table, "lines": tuple(map(tuple, table["lines"])), "failures": tuple(table["failures"])}
        return cls(**rest)


def start(tell: Callable[[str], None]) -> Mapping[str, Callable[..., Any]]:
    return {"row": row, "set_up": set_up}


def row(label: str, name: str, out: Path, seconds: float) -> Measured:
    """Parity, receipt and latency of a target, by its name with address and options; ``seconds`` are for each file.

    ``out`` keeps the converted files for the targets after it.
    """
    begin = time.monotonic()
    if why := find(name).missing():
        return Measured(label, missing=hidden(why, out))
    device = _device(name)
    report = figures.measured([name], MODEL, out / device, SCHEMES, seconds, device)
    lines, failures = [], []
    for found in figures.rows(name, report):
        _, title, *cells = figures.cells(name, found)
        lines.append((f"`{hidden(label, out)}`", _ADDRESS.sub("", title), *(hidden(cell, out) for cell in cells)))
        if why := figures.failure(found):
            failures.append(hidden(why, out))
    return Measured(
        label,
        tuple(lines),
        failures=tuple(failures if lines else ["no row of it in the report"]),
        seconds=time.monotonic() - begin,
    )


def failed(label: str, why: str, out: Path) -> Measured:
    """The line of one that gave none."""
    said = hidden(why, out)
    cells = (f"`{hidden(label, out)}`", _ADDRESS.sub("", find(label).title), "–", said.splitlines()[0], "–", "–")
    return Measured(label, (cells,), failures=(said,))


def set_up(name: str) -> float:
    """Remove a kit and install it anew; the seconds that the latter took."""
    kit = kits.KITS[name]
    kits.remove(kit)
    begin = time.perf_counter()
    kits.install(kit)
    return time.perf_counter() - begin


def hidden(text: str, out: Path) -> str:
    """A text without the folders of this machine: of a path in one of them its last part stays."""
    roots = {Path.home(), home(), Path(tempfile.gettempdir()), _REPOSITORY, Path(sys.prefix), out, Path.cwd()}
    named = {str(form) for root in roots for form in (root.absolute(), root.resolve()) if form.parent != form}
    for root in sorted(named, key=len, reverse=True):
        text = re.sub(rf"(?<![\w./…-]){re.escape(root)}(/[^\s`'\"|,;:)]*)?(?![\w.-])", _last_part, text)
    return text


def _last_part(found: re.Match[str]) -> str:
    return f"…/{Path(found[1]).name}" if found[1] else "…"


def _device(name: str) -> str:
    """What the file of a target is quantized for: where it computes integers alone, for that, else for both CPUs."""
    found = devices.of_targets([name])
    return found if found and devices.computes_integers_alone(found) else "cpu"
