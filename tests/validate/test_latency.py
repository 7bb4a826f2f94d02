from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from edgeworthy.artifact import Receipt
from edgeworthy.errors import BadInput, EdgeworthyError, NotAvailable, OutOfMemory, RuntimeFailure
from edgeworthy.validate import latency
from edgeworthy.validate.host import current
from edgeworthy.validate.made import ModelInfo
from edgeworthy.validate.results import LatencyResult, LatencyRow, Report
from edgeworthy.validate.runners import Subject
from edgeworthy.validate.summary import glance, summarize

from .numpy_runner import NumpyRunner, subject

MS = 1e6


def timed(
    name: str, median_ms: float, seed: int, die_after: int = -1, death: EdgeworthyError | None = None, **options: Any
) -> Subject:
    runner = NumpyRunner(lambda f: {}, median_ns=median_ms * MS, seed=seed, die_after=die_after, death=death)
    return subject(name, runner.function, runner=runner, **options)


def row(result: LatencyResult, name: str, threads: int = 1) -> LatencyRow:
    return next(r for r in result.rows if (r.name, r.threads) == (name, threads))


def test_faster_slower_and_inconclusive() -> None:
    result = latency.measure(
        [
            timed("base", 2.0, 1, baseline_rank=1),
            timed("fast", 1.0, 2),
            timed("slow", 3.0, 3),
            timed("same", 2.005, 4),
        ],
        {},
        seconds=1,
    )
    assert result.baseline == "base"
    assert [r.verdict for r in result.rows] == ["baseline", "faster", "slower", "inconclusive"]
    fast = row(result, "fast")
    assert fast.ratio == pytest.approx(0.5, rel=0.05)
    assert fast.ratio_low is not None and fast.ratio_high is not None
    assert fast.ratio_low <= fast.ratio <= fast.ratio_high
    assert row(result, "base").ratio == 1.0


def test_numbers_of_a_row() -> None:
    found = row(latency.measure([timed("a", 1.0, 0, size_bytes=123, scheme="int8")], {}, seconds=1), "a")
    assert found.status == "pass" and found.steady and found.rounds == 10
    assert found.runs == pytest.approx(1000, rel=0.1)
    assert found.min_ms and found.p50_ms and found.p90_ms and found.p99_ms
    assert found.min_ms < found.p50_ms < found.p90_ms < found.p99_ms
    assert found.p50_ms == pytest.approx(1.0, rel=0.02)
    # 90 % quantile of a lognormal with σ = 0.02
    assert found.p90_ms == pytest.approx(1.026, rel=0.005)
    assert found.p50_low_ms and found.p50_high_ms and found.p50_low_ms <= found.p50_ms <= found.p50_high_ms
    assert len(found.quantiles_ms) == 21 and found.quantiles_ms == sorted(found.quantiles_ms)
    assert (found.load_ms, found.size_bytes, found.first_ms) == (1.5, 123, 1.0)
    assert (found.peak_rss_bytes, found.model_rss_bytes) == (50_000_000, 1_000_000)
    assert found.receipt and found.receipt.notes == ["numpy"]


def test_threads_are_compared_with_the_baseline_of_their_own() -> None:
    result = latency.measure(
        [
            timed("base", 4.0, 1, threads=1),
            timed("base", 2.0, 2, threads=2),
            timed("other", 2.0, 3, threads=2),
            timed("other", 2.0, 4, threads=4),
        ],
        {},
        baseline="base",
        seconds=1,
    )
    assert [r.verdict for r in result.rows] == ["baseline", "baseline", "inconclusive", "faster"]
    assert row(result, "other", 2).ratio == pytest.approx(1, rel=0.05)
    assert row(result, "other", 4).ratio == pytest.approx(0.5, rel=0.05)
    assert result.baseline_threads == 1


def test_a_slow_model_gets_three_runs_and_says_so() -> None:
    found = row(latency.measure([timed("slow", 5000, 0)], {}, seconds=0.5), "slow")
    assert found.runs == 3 and found.rounds == 3
    assert any("p99 of 3 runs" in n for n in found.notes)
    assert not found.steady and any("warm-up" in n for n in found.notes)


def test_failures_are_rows() -> None:
    result = latency.measure(
        [
            timed("dies", 1.0, 0, die_after=8),
            timed("well", 1.0, 1),
            subject("absent", lambda f: {}, error=NotAvailable("not installed")),
            subject("broken", lambda f: {}, error=RuntimeFailure("hung: load took more than 5 s (timeout)")),
            subject("killed", lambda f: {}, error=OutOfMemory("killed with SIGKILL in load")),
            timed("killed later", 1.0, 2, die_after=8, death=OutOfMemory("killed with SIGKILL in time")),
        ],
        {},
        seconds=0.5,
    )
    assert [r.status for r in result.rows] == ["error", "pass", "skipped", "error", "error", "error"]
    assert "SIGSEGV" in (row(result, "dies").failure or "") and row(result, "dies").p50_ms is None
    assert "timeout" in (row(result, "broken").failure or "")
    assert (result.status, result.baseline) == ("fail", "well")


def test_default_baseline_is_the_highest_in_rank_of_float32() -> None:
    rows = [
        timed("int8", 1, 0, baseline_rank=9, scheme="int8"),
        timed("eager", 1, 1),
        timed("also eager", 1, 1),
        timed("graph", 1, 1, baseline_rank=1),
        timed("float", 1, 2, baseline_rank=2),
        timed("dies", 1, 2, baseline_rank=3, die_after=2),
    ]
    assert latency.measure(rows, {}, seconds=0.1).baseline == "float"
    assert latency.measure(rows[:4], {}, seconds=0.1).baseline == "graph"
    assert latency.measure(rows[:3], {}, seconds=0.1).baseline == "eager"
    assert latency.measure(rows[:1], {}, seconds=0.1).baseline == "int8"
    with pytest.raises(BadInput, match="no row 'x'"):
        latency.measure(rows, {}, baseline="x")


def test_all_failing_is_no_crash() -> None:
    broken = subject("b", lambda f: {}, error=RuntimeFailure("no"))
    result = latency.measure([broken], {})
    assert (result.status, result.baseline, result.rows[0].ratio) == ("fail", None, None)


def test_turns_are_interleaved_and_progress_never_goes_back() -> None:
    seen: list[tuple[str, int, int]] = []
    latency.measure(
        [timed("a", 1, 0), timed("b", 1, 1)],
        {},
        seconds=0.1,
        rounds=6,
        progress=lambda name, done, total: seen.append((name, done, total)),
    )
    turns = [name for name, _, _ in seen if name in "ab"]
    assert len(turns) == 12
    assert all(set(turns[k : k + 2]) == {"a", "b"} for k in range(0, 12, 2))
    assert turns != ["a", "b"] * 6
    done = [d for _, d, _ in seen]
    assert done == list(range(16)) and {t for _, _, t in seen} == {16}


def test_result_survives_json() -> None:
    result = latency.measure([timed("a", 1, 0)], {}, seconds=0.1)
    assert LatencyResult.model_validate_json(result.model_dump_json()) == result


def test_times_of_different_places_are_not_compared() -> None:
    result = latency.measure(
        [
            timed("base", 2.0, 1, runtime="tflite"),
            timed("emulated", 900.0, 2, measured="emulated"),
            timed("phone", 1.0, 3, runtime="android", measured="device"),
            timed("npu", 0.5, 4, runtime="npu", measured="estimated"),
        ],
        {},
        seconds=0.2,
        baseline="base",
    )
    assert [r.measured for r in result.rows] == ["host", "emulated", "device", "estimated"]
    assert [r.verdict for r in result.rows] == ["baseline", *["not comparable"] * 3]
    assert [r.ratio for r in result.rows] == [1.0, None, None, None]
    estimate = row(result, "npu")
    assert (estimate.runs, estimate.p99_ms, estimate.notes) == (0, None, ["estimated, not measured"])
    report = Report(
        edgeworthy="0",
        created=datetime.now(UTC),
        host=current(),
        model=ModelInfo(spec="net", kind="module", inputs=[]),
        latency=result,
    )
    (column,) = (c for c in glance(report) if c.title == "latency")
    shown = {r.name: column.text(r).split(" ")[0] for r in summarize(report)}
    assert shown == {"base": "2.00", "emulated": "emulated", "phone": "1.00", "npu": "estimated"}
    assert estimate.p50_ms and estimate.p50_ms == pytest.approx(0.5, rel=0.1)


def test_rows_of_one_device_are_compared() -> None:
    rows = [timed(name, ms, 1, runtime="android:X", measured="device") for name, ms in (("a", 2.0), ("b", 1.0))]
    result = latency.measure(rows, {}, seconds=0.5)
    assert [r.verdict for r in result.rows] == ["baseline", "faster"]


def test_a_place_that_turns_out_to_be_an_emulator_is_compared_with_nothing() -> None:
    class Emulator(NumpyRunner):
        @property
        def receipt(self) -> Receipt:
            return Receipt(asked="CPU", ran="CPU", measured="emulated")

    board = Emulator(lambda f: {})
    rows = [
        timed("base", 2.0, 1, runtime="ssh:board", measured="device"),
        subject("board", board.function, runner=board, runtime="ssh:board", measured="device"),
    ]
    result = latency.measure(rows, {}, seconds=0.2, baseline="base")
    assert [(r.measured, r.verdict) for r in result.rows] == [("device", "baseline"), ("emulated", "not comparable")]
