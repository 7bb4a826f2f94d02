"""How long one inference takes, of every artifact on every runtime, and who is faster than a baseline.

All runners are loaded first and sleep; then they take turns, in an order that is shuffled anew every round, so
that heat, clocks and other processes hit all rows alike. Only one runs at a time. A row warms up until its turns
agree. The first inference of a turn (caches hold the previous row's data) is not counted. A time is from inputs
in host memory to outputs in host memory; what the percentiles are made of are single inferences.

A row is *faster* or *slower* when the whole 95 % bootstrap interval of its ratio to the baseline is on one side of
1, by more than a margin; otherwise it is *inconclusive*.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np

from ..artifact import Feeds
from ..errors import BadInput
from ..numerics import intervals
from ..schemes import FLOAT32
from ..vocabulary import HARDWARE
from .made import TensorInfo
from .results import LatencyResult, LatencyRow
from .runners import ROW_FAILURES, OnStep, Runner, Subject, receipt_result, row_failure

if TYPE_CHECKING:
    from ..artifact import Array

ROUNDS = 10
MARGIN = 0.02
"""Differences of less than this share are noise to any user, however many runs prove them."""

_LEAST_ROUNDS = 3
_TURN_NS = 10_000_000
_MOST_REPEATS = 2000
_STEADY_TURNS = 3
_STEADY_WITHIN = 0.05
_MOST_WARM_TURNS = 50


@dataclass
class _Row:
    """A subject while it is being timed."""

    subject: Subject
    runner: Runner | None = None
    status: Literal["pass", "error", "skipped"] = "pass"
    failure: str | None = None
    feeds: dict[str, Array] = field(default_factory=dict)
    rounds: list[list[int]] = field(default_factory=list)
    warmup_runs: int = 0
    steady: bool = False
    typical_ns: float = 1.0
    spent_ns: int = 0

    @property
    def live(self) -> bool:
        return self.failure is None

    def attempt(self, action: Callable[[Runner], None]) -> None:
        """Do something with the runner; a failure of it ends the row."""
        if self.runner is None or not self.live:
            return
        try:
            action(self.runner)
        except ROW_FAILURES as error:
            self.status, self.failure = row_failure(self.subject.name, error)

    def turn(self, runner: Runner, nanoseconds: float) -> None:
        """One timed turn of about this length."""
        repeats = _repeats(nanoseconds, self.typical_ns)
        discard = 1 if repeats >= 3 else 0
        times = runner.time(self.feeds, repeats + discard)
        self.spent_ns += sum(times)
        self.rounds.append(times[discard:])


def measure(
    subjects: Sequence[Subject],
    feeds: Feeds,
    *,
    seconds: float = 2.0,
    rounds: int = ROUNDS,
    baseline: str | None = None,
    margin: float = MARGIN,
    seed: int = 0,
    progress: OnStep | None = None,
) -> LatencyResult:
    """Time every subject on ``feeds``. A runtime that fails is a row.

    Args:
        subjects: Rows; name and thread count together are unique.
        feeds: One set of inputs, in the common layout.
        seconds: Time for the counted turns of each row; warm-up takes up to half as much again. A row whose single
            inference is longer still gets three.
        rounds: Turns that the time is spread over.
        baseline: Name of the row to compare with; a row is compared with the baseline of its own thread count
            where there is one. Default: of the rows that ran those in float32 before others, then by
            ``Subject.baseline_rank``, then the first.
        margin: See the module.
        seed: Of the order of turns and of the bootstrap.

    Raises:
        BadInput: ``baseline`` names no row.
    """
    if baseline is not None and baseline not in {s.name for s in subjects}:
        raise BadInput(
            f"there is no row {baseline!r} to compare with",
            where="--baseline",
            details=list(dict.fromkeys(s.name for s in subjects)),
            remedy="use one of these",
        )
    begin = time.perf_counter()
    rows = [_Row(s) for s in subjects]
    report = progress or (lambda name, done, total: None)
    total = len(rows) * (rounds + 2)
    notes = _busy()
    with ExitStack() as stack:
        for index, row in enumerate(rows):
            report(f"load {row.subject.name}", index, total)
            _open(row, stack, feeds)
        for index, row in enumerate(rows):
            report(f"warm up {row.subject.name}", len(rows) + index, total)
            row.attempt(partial(_warm_up, row, seconds=seconds))
        _take_turns(rows, seconds, rounds, seed, report, total)
        finished = [_finished(row, seed) for row in rows]
    chosen = baseline or _default_baseline([row.subject for row in rows if row.live])
    done = _compared(finished, rows, chosen, margin, seed)
    threads = [r.threads for r in done if r.name == chosen and r.verdict == "baseline"]
    return LatencyResult(
        status="fail" if any(r.status == "error" for r in done) else "pass",
        rows=done,
        baseline=chosen,
        baseline_threads=min(threads) if threads else None,
        inputs=[TensorInfo(name=n, dtype=a.dtype.name, shape=list(a.shape)) for n, a in feeds.items()],
        seconds_per_row=seconds,
        total_seconds=time.perf_counter() - begin,
        notes=notes,
    )


def _open(row: _Row, stack: ExitStack, feeds: Feeds) -> None:
    try:
        row.runner = stack.enter_context(row.subject.open())
        row.feeds = row.subject.feeds(feeds)
    except ROW_FAILURES as error:
        row.status, row.failure = row_failure(row.subject.name, error)


def _warm_up(row: _Row, runner: Runner, seconds: float) -> None:
    """Run until the medians of three turns agree within 5 %, or for half of the row's time."""
    times = runner.time(row.feeds, 1)
    if row.subject.measured == "estimated":  # the same number every time
        row.rounds, row.steady, row.spent_ns = [times], True, sum(times)
        return
    row.warmup_runs, spent, medians = 1, sum(times), []
    row.typical_ns = max(1.0, float(times[0]))
    for _ in range(_MOST_WARM_TURNS):
        times = runner.time(row.feeds, _repeats(_TURN_NS, row.typical_ns))
        row.warmup_runs += len(times)
        spent += sum(times)
        row.typical_ns = max(1.0, float(np.median(times)))
        medians.append(row.typical_ns)
        last = medians[-_STEADY_TURNS:]
        row.steady = len(last) == _STEADY_TURNS and max(last) <= min(last) * (1 + _STEADY_WITHIN)
        if row.steady or spent > seconds * 0.5e9:
            return


def _take_turns(rows: Sequence[_Row], seconds: float, rounds: int, seed: int, report: OnStep, total: int) -> None:
    random = np.random.default_rng(seed)
    for index in range(rounds):
        for at, choice in enumerate(random.permutation(len(rows))):
            row = rows[choice]
            report(row.subject.name, len(rows) * (index + 2) + at, total)
            more = row.spent_ns < seconds * 1e9 or len(row.rounds) < _LEAST_ROUNDS
            if more and row.subject.measured != "estimated":
                row.attempt(partial(row.turn, nanoseconds=seconds * 1e9 / rounds))


def _repeats(nanoseconds: float, typical_ns: float) -> int:
    return int(min(_MOST_REPEATS, max(1, nanoseconds / typical_ns)))


def _finished(row: _Row, seed: int) -> LatencyRow:
    """The row with its own numbers, while its runner is still there to be asked."""
    memory: dict[str, object] = {}

    def ask(runner: Runner) -> None:
        receipt = runner.receipt
        memory.update(
            receipt=receipt_result(receipt),
            measured=receipt.measured or row.subject.measured,
            load_ms=runner.load_ms,
            first_ms=runner.first_ms,
            peak_rss_bytes=runner.peak_rss_bytes,
            model_rss_bytes=runner.model_rss_bytes,
        )

    row.attempt(ask)
    subject = row.subject
    result = LatencyRow(
        name=subject.name,
        runtime=subject.runtime,
        artifact=subject.artifact,
        scheme=subject.scheme,
        threads=subject.threads,
        measured=subject.measured,
        status=row.status,
        failure=row.failure,
        size_bytes=subject.size_bytes,
        warmup_runs=row.warmup_runs,
    )
    return result.model_copy(update=memory | _statistics(row, seed)) if row.live else result


def _statistics(row: _Row, seed: int) -> dict[str, object]:
    times = np.concatenate([np.asarray(r, np.float64) for r in row.rounds]) / 1e6
    if not times.size:
        return {"runs": 0, "quantiles_ms": [], "notes": ["nothing is known of its time"]}
    percentiles: dict[str, object] = {}
    for rank in (50, 90, 99):
        low, high = intervals.quantile_interval(row.rounds, rank / 100, seed=seed)
        percentiles |= {f"p{rank}_ms": float(np.percentile(times, rank))}
        percentiles |= {f"p{rank}_low_ms": low / 1e6, f"p{rank}_high_ms": high / 1e6}
    if row.subject.measured == "estimated":
        return {"runs": 0, "p50_ms": float(times[0]), "quantiles_ms": [], "notes": ["estimated, not measured"]}
    notes = [] if row.steady else ["the warm-up ended by its time limit, not because times were steady"]
    if times.size < 100:
        notes.append(f"p99 of {times.size} runs is next to their maximum")
    return {
        "runs": int(times.size),
        "rounds": len(row.rounds),
        "steady": row.steady,
        "min_ms": float(times.min()),
        "mean_ms": float(times.mean()),
        "quantiles_ms": [float(q) for q in np.percentile(times, np.linspace(0, 100, 21))],
        "notes": notes,
    } | percentiles


def _default_baseline(ran: Sequence[Subject]) -> str | None:
    best = max(ran, key=lambda subject: (subject.scheme == FLOAT32.name, subject.baseline_rank), default=None)
    return best.name if best else None


def _compared(
    finished: Sequence[LatencyRow], rows: Sequence[_Row], baseline: str | None, margin: float, seed: int
) -> list[LatencyRow]:
    """The rows with their ratio to the baseline of their thread count (else of its fewest threads)."""
    bases = {r.threads: k for k, r in enumerate(finished) if r.name == baseline and r.status == "pass"}
    result = []
    for row, timed in zip(finished, rows, strict=True):
        if not bases or row.p50_ms is None:
            result.append(row)
            continue
        base = bases.get(row.threads, bases[min(bases)])
        if not _comparable(row, finished[base]):
            result.append(row.model_copy(update={"verdict": "not comparable"}))
            continue
        base_ms = finished[base].p50_ms or 1.0
        low, high = intervals.ratio_interval(timed.rounds, rows[base].rounds, seed=seed)
        verdict = "baseline" if timed is rows[base] else _verdict(low, high, margin)
        ratio = row.p50_ms / base_ms
        update = {"ratio": ratio, "ratio_low": low, "ratio_high": high, "verdict": verdict}
        result.append(row.model_copy(update=update))
    return result


def _comparable(one: LatencyRow, other: LatencyRow) -> bool:
    """Whether both are times of one machine. An emulator's say nothing even of each other."""
    places = {(row.measured, row.runtime if row.measured == "device" else "") for row in (one, other)}
    return len(places) == 1 and one.measured in HARDWARE


def _verdict(low: float, high: float, margin: float) -> str:
    if high < 1 - margin:
        return "faster"
    return "slower" if low > 1 + margin else "inconclusive"


def _busy() -> list[str]:
    load, cores = os.getloadavg()[0], os.cpu_count() or 1
    if load < 0.5 * cores:
        return []
    return [f"the machine was busy when it began (load {load:.1f} on {cores} cores): times may be too long"]
