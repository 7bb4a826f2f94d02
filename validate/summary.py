"""The table that the terminal, `report.md` and `report.html` share: a row for every runtime and artifact."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from ..numerics.comparison import Errors
from ..schemes import SCHEMES
from .results import AccuracyRow, Hop, LatencyRow, Report


@dataclass(frozen=True)
class Figure:
    """The number that a verdict on parity is about: multiples of the noise floor, or decibels of SQNR.

    ``limit`` is None where another rule decides, such as a tolerance, or nothing does.
    """

    value: float
    unit: Literal["noise", "dB"]
    limit: float | None

    def __str__(self) -> str:
        return f"{self.value:.2g}× noise" if self.unit == "noise" else f"{self.value:.1f} dB"


@dataclass(frozen=True)
class SummaryRow:
    """Everything that was measured on one artifact (or on PyTorch, which has none).

    ``latencies`` has a row for every number of threads that was timed, in that order.
    """

    name: str
    key: str
    size_bytes: int | None
    hop: Hop | None
    accuracy: AccuracyRow | None
    latencies: tuple[LatencyRow, ...]

    @property
    def latency(self) -> LatencyRow | None:
        """With the first number of threads."""
        return self.latencies[0] if self.latencies else None

    @property
    def worst(self) -> Errors | None:
        """The accumulated errors of the output, or of the group of its channels, with the least SQNR."""
        errors = [o.worst for o in self.hop.outputs if o.worst] if self.hop else []
        return min(errors, key=lambda e: e.quality_db, default=None)

    @property
    def own_share(self) -> float | None:
        """The largest rms error that the hop itself added to a float output; of others, where there are only others."""
        outputs = [o for o in self.hop.outputs if o.vs_previous] if self.hop else []
        floats = [o for o in outputs if o.dtype.startswith("float")]
        return max((o.vs_previous.rms for o in floats or outputs if o.vs_previous), default=None)

    @property
    def figure(self) -> Figure | None:
        """Of the output that is furthest off: by noise floors for float32, by SQNR for what was quantized."""
        worst = self.worst
        if self.hop is None or worst is None or worst.exact:
            return None
        by_floor = SCHEMES[self.hop.scheme].by_floor
        noisy = [o for o in self.hop.outputs if o.noise_ratio is not None] if by_floor else []
        if noisy:
            output = max(noisy, key=lambda o: o.noise_ratio or 0.0)
            return Figure(output.noise_ratio or 0.0, "noise", output.bound)
        if worst.sqnr_db is None:
            return None
        output = next(o for o in self.hop.outputs if o.worst is worst)
        return Figure(worst.sqnr_db, "dB", output.bound)

    @property
    def parity(self) -> str:
        """Parity in a few words: ``0.8× noise`` for float, ``41.2 dB`` for what was quantized."""
        if self.hop is None:
            return "–"
        if self.hop.status in ("error", "skipped"):
            return self.hop.status
        worst = self.worst
        if worst is None:
            return self.hop.status
        if worst.exact:
            return "exact" if self.own_share is not None else "truth"
        return str(self.figure) if self.figure else decibels(worst)

    @property
    def status(self) -> str:
        """The worst of the row's verdicts."""
        found = {r.status for r in (self.hop, self.accuracy, *self.latencies) if r}
        order = ("error", "fail", "inconclusive", "skipped", "pass", "reference")
        return next((s for s in order if s in found), "–")


def summarize(report: Report) -> list[SummaryRow]:
    """One row for every runtime and artifact that any stage looked at, in the order of the hops."""
    hops = {h.artifact or h.runtime: h for h in report.parity.hops} if report.parity else {}
    scored = {r.artifact or r.runtime: r for r in report.accuracy.rows} if report.accuracy else {}
    timed: dict[str, tuple[LatencyRow, ...]] = {}
    for row in report.latency.rows if report.latency else []:
        key = row.artifact or row.runtime
        timed[key] = (*timed.get(key, ()), row)
    artifacts = {a.name: a for a in report.artifacts}
    rows = []
    for key in dict.fromkeys([*hops, *scored, *timed, *artifacts]):
        latencies = timed.get(key, ())
        found = [r.name for r in (hops.get(key), scored.get(key), *latencies) if r]
        rows.append(
            SummaryRow(
                name=found[0] if found else key,
                key=key,
                size_bytes=artifacts[key].size_bytes if key in artifacts else None,
                hop=hops.get(key),
                accuracy=scored.get(key),
                latencies=latencies,
            )
        )
    return rows


def size(count: float | None) -> str:
    """Bytes for people, in powers of 1000."""
    if count is None:
        return "–"
    if count < 1000:
        return f"{count:.0f} B"
    power = min(3, int(math.log10(count)) // 3)
    return f"{_three(count / 1000**power)} {('B', 'kB', 'MB', 'GB')[power]}"


def milliseconds(value: float | None) -> str:
    """A time in the unit that fits, with three significant digits."""
    if value is None:
        return "–"
    if value < 1:
        return f"{_three(value * 1000)} µs"
    return f"{_three(value)} ms" if value < 1000 else f"{_three(value / 1000)} s"


def percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.2f} %"


def decibels(errors: Errors | None) -> str:
    """The SQNR; of what is no signal (indices, bools), the share of equal elements."""
    if errors is None:
        return "–"
    if errors.exact:
        return "exact"
    if errors.sqnr_db is None:
        return "–" if errors.equal is None else f"{100 * errors.equal:.3g} % equal"
    return f"{errors.sqnr_db:.1f} dB"


def number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"


def six_digits(value: float) -> str:
    """For limits and what they are held against; all digits of a large number, as bytes are counted exactly."""
    return f"{value:.6g}" if abs(value) < 1e6 else f"{value:.0f}"


def _three(value: float) -> str:
    """Three significant digits, no exponent."""
    digits = 2 - math.floor(math.log10(value)) if value > 0 else 0
    return f"{value:.{max(0, digits)}f}"
