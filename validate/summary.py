"""The table that the terminal, `report.md` and `report.html` share: a row for every runtime and artifact."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from ..display import number, six_digits
from ..metrics import METRICS, Metric
from ..numerics.comparison import Errors
from ..schemes import FLOAT32, SCHEMES
from ..vocabulary import HARDWARE
from .made import ArtifactResult
from .results import AccuracyResult, AccuracyRow, Hop, LatencyRow, OutputParity, Report


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
    """Everything that was measured on one artifact (or on PyTorch, which has none) by one runtime.

    Attributes:
        name: As shown, such as ``TFLite int8``.
        key: Key of the artifact in the report, or the runtime's name.
        kind: ``Artifact.kind``; empty without a file.
        size_ratio: Its size in sizes of the float32 TFLite file.
        latencies: A row for every number of threads that was timed, in that order.
        missing: Why the artifact is not there though it was to be made; empty where it is.
        excused: Whether it is missing because this machine lacks something.
    """

    name: str
    key: str
    kind: str = ""
    scheme: str = FLOAT32.name
    artifact: ArtifactResult | None = None
    size_ratio: float | None = None
    hop: Hop | None = None
    accuracy: AccuracyRow | None = None
    latencies: tuple[LatencyRow, ...] = ()
    missing: str = ""
    excused: bool = False

    @property
    def latency(self) -> LatencyRow | None:
        """With the first number of threads."""
        return self.latencies[0] if self.latencies else None

    @property
    def timed(self) -> list[SummaryRow]:
        """This row once for every number of threads."""
        return [replace(self, latencies=(row,)) for row in self.latencies]

    @property
    def size_bytes(self) -> int | None:
        return self.artifact.size_bytes if self.artifact else None

    @property
    def _telling(self) -> list[OutputParity]:
        """The outputs that the row's figure is of: where some failed, those."""
        outputs = self.hop.outputs if self.hop else []
        return [o for o in outputs if o.passed is False] or outputs

    @property
    def worst(self) -> Errors | None:
        """The accumulated errors of the output, or of the group of its channels, with the least SQNR."""
        errors = [o.worst for o in self._telling if o.worst]
        return min(errors, key=lambda e: e.quality_db, default=None)

    @property
    def sqnr_db(self) -> float | None:
        """The least of all outputs; infinite where all are exact. None: there are only integers, and errors."""
        outputs = self.hop.outputs if self.hop else []
        told = [o.worst for o in outputs if o.worst and (o.worst.exact or o.dtype.startswith("float"))]
        return min((errors.quality_db for errors in told), default=None)

    @property
    def top1_agreement(self) -> float | None:
        """The least of all outputs; None: none decides anything."""
        told = [o.vs_truth.top1_agreement for o in self.hop.outputs if o.vs_truth] if self.hop else []
        return min((share for share in told if share is not None), default=None)

    @property
    def noise_ratio(self) -> float | None:
        """The largest of all outputs."""
        ratios = [o.noise_ratio for o in self.hop.outputs if o.noise_ratio is not None] if self.hop else []
        return max(ratios, default=None)

    @property
    def counted(self) -> str:
        """The most quanta of all outputs; a dash where they lie on no grid, or others are counted from this row."""
        counts = [o.quanta for o in self.hop.outputs if o.quanta is not None] if self.hop else []
        return six_digits(max(counts)) if counts else "–"

    @property
    def own_share(self) -> float | None:
        """The largest rms error that the hop itself added to a float output; of others, where there are only others."""
        outputs = [o for o in self.hop.outputs if o.vs_previous] if self.hop else []
        floats = [o for o in outputs if o.dtype.startswith("float")]
        return max((o.vs_previous.rms for o in floats or outputs if o.vs_previous), default=None)

    @property
    def figure(self) -> Figure | None:
        """Of the output that is furthest off: by noise floors for float32, by SQNR for what was quantized.

        Where some failed, of those.
        """
        worst = self.worst
        if self.hop is None or worst is None or worst.exact:
            return None
        by_floor = SCHEMES[self.hop.scheme].by_floor
        noisy = [o for o in self._telling if o.noise_ratio is not None] if by_floor else []
        if noisy:
            output = max(noisy, key=lambda o: o.noise_ratio or 0.0)
            return Figure(output.noise_ratio or 0.0, "noise", output.bound)
        if worst.sqnr_db is None:
            return None
        output = next(o for o in self._telling if o.worst is worst)
        return Figure(worst.sqnr_db, "dB", output.bound)

    @property
    def added(self) -> str:
        """``own_share`` in a few words."""
        return "exact" if self.own_share == 0 else number(self.own_share)

    @property
    def parity(self) -> str:
        """Parity in a few words: ``0.8× noise`` for float, ``41.2 dB`` for what was quantized.

        What fails though the figure is within its limit says beside it why.
        """
        if self.hop is None:
            return "–"
        if self.hop.status in ("error", "skipped"):
            return self.hop.status
        breach = next((o.breach for o in self._telling if o.breach), "")
        worst = self.worst
        if worst is None:
            return breach or self.hop.status
        said = str(self.figure) if self.figure else decibels(worst)
        if worst.exact:
            said = "exact" if self.own_share is not None else "truth"
        return f"{said}, {breach}" if breach else said

    @property
    def status(self) -> str:
        """The worst of the row's verdicts."""
        found = {r.status for r in (self.hop, self.accuracy, *self.latencies) if r}
        order = ("error", "fail", "inconclusive", "skipped", "pass", "reference")
        return next((s for s in order if s in found), "–")


def summarize(report: Report) -> list[SummaryRow]:
    """One row for every runtime and artifact that any stage looked at, in the order of the hops.

    Then one for every artifact that none did.
    """
    hops, others = _hops(report)
    scored = {_key(r): r for r in report.accuracy.rows} if report.accuracy else {}
    timed: dict[tuple[str, str], tuple[LatencyRow, ...]] = {}
    for row in report.latency.rows if report.latency else []:
        timed[_key(row)] = (*timed.get(_key(row), ()), row)
    looked_at = dict.fromkeys([*hops, *scored, *timed])
    unseen = [(a.name, "") for a in report.artifacts if a.name not in {key for key, _ in looked_at}]
    float32 = report.artifact(FLOAT32.artifact)
    rows = []
    for place in [*looked_at, *unseen]:
        rows += [
            SummaryRow(hop.name, place[0] or place[1], scheme=hop.scheme, hop=hop) for hop in others.pop(place, ())
        ]
        artifact, latencies = report.artifact(place[0]), timed.get(place, ())
        whole = float32.size_bytes if float32 else 0
        found = [r for r in (hops.get(place), scored.get(place), *latencies) if r]
        rows.append(
            SummaryRow(
                name=found[0].name if found else place[0],
                key=place[0] or place[1],
                kind=artifact.kind if artifact else "",
                scheme=artifact.scheme if artifact else found[0].scheme if found else FLOAT32.name,
                artifact=artifact,
                size_ratio=artifact.size_bytes / whole if artifact and whole else None,
                hop=hops.get(place),
                accuracy=scored.get(place),
                latencies=latencies,
            )
        )
    return rows


def _hops(report: Report) -> tuple[dict[tuple[str, str], Hop], dict[tuple[str, str], list[Hop]]]:
    """Of each artifact and runtime the last hop, which its row is about, and those before it on other kernels.

    The truth's own hop is a run of what a row is about in another way; it has none.
    """
    found: dict[tuple[str, str], list[Hop]] = {}
    for hop in report.parity.hops if report.parity else ():
        found.setdefault(_key(hop), []).append(hop)
    truth = report.parity.truth if report.parity else ""
    others = {key: [h for h in hops[:-1] if h.name != truth and h.outputs] for key, hops in found.items()}
    return {key: hops[-1] for key, hops in found.items()}, others


def _key(row: Hop | AccuracyRow | LatencyRow) -> tuple[str, str]:
    """A row of the summary: artifact and runtime. The truth's own hop is of the same as the run in float32."""
    return row.artifact or "", row.runtime


@dataclass(frozen=True)
class Column:
    """A column of a table: the text of a row in it, and its 95 % interval; of a high ``rank`` it is the first to go."""

    title: str
    text: Callable[[SummaryRow], str]
    interval: Callable[[SummaryRow], str] = lambda row: ""
    rank: int = 0


def glance(report: Report) -> list[Column]:
    """The columns of the table of all rows, but for name and verdict."""
    threads = list(dict.fromkeys(r.threads for r in report.latency.rows)) if report.latency else []
    there = {"artifact": True, "accuracy": report.accuracy is not None, "hop": report.parity is not None}
    columns, timed = [], []
    for metric in METRICS:
        if not metric.glance:
            continue
        if metric.stage == "latency":
            timed.append(metric)
        elif there[metric.stage]:
            columns.append(Column(metric.title, partial(cell, metric), rank=metric.rank))
    if report.parity:
        at = 1 if report.accuracy else 0
        columns[at:at] = [Column("parity", lambda row: row.parity), Column("hop adds", lambda row: row.added, rank=9)]
        if any(output.quanta is not None for hop in report.parity.hops for output in hop.outputs):
            columns.insert(at + 1, Column("quanta", lambda row: row.counted, rank=8))
    for count in threads:
        for metric in timed:
            of_threads = metric.title if len(threads) == 1 else f"{metric.title}, {count} thr."
            columns.append(Column(of_threads, partial(_timed_cell, metric, count), rank=metric.rank))
    return columns


def latency_columns() -> list[Column]:
    """The columns of the table of latencies, of rows with one number of threads."""
    return [
        Column(m.title, partial(cell, m), partial(_interval, m)) for m in METRICS if m.stage == "latency" and m.title
    ]


def cell(metric: Metric, row: SummaryRow) -> str:
    """A metric of a row as text."""
    if getattr(row, metric.stage) is None:
        return "–"
    value = metric.of(row)
    return "–" if value is None else metric.show(value)


def _interval(metric: Metric, row: SummaryRow) -> str:
    low, high = metric.interval(row)
    return "" if low is None or high is None else f"{metric.show(low)} to {metric.show(high)}"


def _timed_cell(metric: Metric, threads: int, row: SummaryRow) -> str:
    """A metric at a number of threads; a time of no hardware is marked as such."""
    for one in row.timed:
        if one.latency and one.latency.threads == threads:
            said, measured = cell(metric, one), one.latency.measured
            marked = metric.unit == "ms" and metric.of(one) is not None and measured not in HARDWARE
            return f"{measured} {said}" if marked else said
    return "–"


def decibels(errors: Errors | None) -> str:
    """The SQNR; of what is no signal (indices, bools), the share of equal elements."""
    if errors is None:
        return "–"
    if errors.exact:
        return "exact"
    if errors.sqnr_db is None:
        return "–" if errors.equal is None else f"{100 * errors.equal:.3g} % equal"
    return f"{errors.sqnr_db:.1f} dB"


def flips(accuracy: AccuracyResult | None) -> tuple[str, str]:
    """What the samples are called that a runner does worse than the reference, and better."""
    flipped = accuracy is not None and any(row.correct is not None for row in accuracy.rows)
    return ("right → wrong", "wrong → right") if flipped else ("worse", "better")
