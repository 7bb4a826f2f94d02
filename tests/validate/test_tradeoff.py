"""What a quantized file lost and gained, from records, and who is told."""

from __future__ import annotations

from typing import Any

import pytest

from edgeworthy.validate.made import QuantizationResult, Tradeoff
from edgeworthy.validate.results import Report
from edgeworthy.validate.tradeoff import tradeoffs, warnings

INT8, DYNAMIC = "tflite_static_wi8_ai8", "tflite_dynamic_wi8_afp32"


def told(report: Report) -> dict[str, Tradeoff]:
    return tradeoffs(report.artifacts, report.parity, report.latency)


def changed(report: Report, artifact: str, **row: Any) -> Report:
    assert report.latency
    rows = [r.model_copy(update=row) if r.artifact == artifact else r for r in report.latency.rows]
    return report.model_copy(update={"latency": report.latency.model_copy(update={"rows": rows})})


def test_numbers_are_those_of_the_rows(report: Report) -> None:
    found = told(report)
    assert set(found) == {"tflite_float16", DYNAMIC, INT8}
    one, hop = found[INT8], report.parity and report.parity.hop(INT8)
    assert hop and hop.outputs[0].vs_truth
    assert (one.output, one.channels, one.sqnr_db) == ("logits", "", hop.outputs[0].vs_truth.sqnr_db)
    assert one.top1_agreement == 0.9972
    assert one.size_ratio == pytest.approx(42_608 / 150_120)
    assert one.latency_ratio == pytest.approx(0.0121 / 0.0287)
    assert (one.speed, one.beaten_by) == ("faster", None)
    assert one.said == f"{one.sqnr_db:.1f} dB at 0.42×"


def test_slower_than_float_and_beaten_by_a_neighbour(report: Report) -> None:
    slow = changed(report, INT8, p50_ms=0.0287 * 1.4, ratio=1.4, ratio_low=1.35, ratio_high=1.45, verdict="slower")
    found = told(slow)
    assert found[INT8].speed == "slower"
    assert found[INT8].beaten_by == "tflite_float16", "the truest of those that are truer and faster"
    assert found[DYNAMIC].beaten_by is None
    made = [q.model_copy(update={"tradeoff": found.get(q.artifact or "")}) for q in report.quantization]
    said = list(warnings(made))
    assert said == [
        "int8 is slower than float32: 1.40× its latency (95 % interval 1.35 to 1.45)",
        f"int8 is {found[INT8].said}, and float16 is both better and faster: "
        f"{found['tflite_float16'].said}, though larger",
    ]


def test_overlapping_intervals_or_less_than_a_decibel_beat_nobody(report: Report) -> None:
    close = changed(report, DYNAMIC, ratio=0.43, ratio_low=0.41, ratio_high=0.45)
    assert told(close)[INT8].beaten_by is None


def test_what_was_not_measured_is_none(report: Report) -> None:
    one = tradeoffs(report.artifacts, None, None)[INT8]
    assert (one.sqnr_db, one.latency_ratio, one.speed, one.beaten_by) == (None, None, None, None)
    assert one.said == "–"
    failed = QuantizationResult(status="error", scheme="static_wi8_ai8", engine="", failure="no")
    assert list(warnings([failed])) == []


def test_another_baseline_gives_a_ratio_without_interval(report: Report) -> None:
    assert report.latency
    other = report.latency.model_copy(update={"baseline": "PyTorch"})
    one = tradeoffs(report.artifacts, report.parity, other)[INT8]
    assert one.latency_ratio == pytest.approx(0.0121 / 0.0287)
    assert (one.latency_low, one.speed) == (None, None)


def test_what_could_not_be_timed_is_said(report: Report) -> None:
    slow = changed(report, INT8, status="error", failure="crashed with SIGILL\nmore", p50_ms=None)
    assert slow.latency and told(slow)[INT8].latency_ratio is None
    assert list(warnings([], slow.latency)) == ["TFLite int8 could not be timed: crashed with SIGILL"]
