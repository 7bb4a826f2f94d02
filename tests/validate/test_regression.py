"""Limits against an earlier report: what got worse fails, what can't be compared is never a pass."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgeworthy.config import GateTable
from edgeworthy.errors import BadInput
from edgeworthy.validate.gate import evaluate
from edgeworthy.validate.regression import read_baseline
from edgeworthy.validate.results import GateLine, Report


def lines(now: Report, then: Report | None, **limits: Any) -> list[GateLine]:
    rules = GateTable.model_validate({"parity": False, "must_convert": [], "regression": limits})
    return [line for line in evaluate(now, rules, baseline=then).lines if line.check.startswith("regression.")]


def with_last(report: Report, field: str, rows: str, **update: object) -> Report:
    """The report whose last row of a result (TFLite int8) is another."""
    result = getattr(report, field)
    changed = [*getattr(result, rows)[:-1], getattr(result, rows)[-1].model_copy(update=update)]
    return report.model_copy(update={field: result.model_copy(update={rows: changed})})


def test_nothing_is_worse_than_itself(report: Report) -> None:
    found = lines(report, report, size_bytes=1.0, sqnr_db=0.0, accuracy=0.0, load_ms=1.0, first_inference_ms=1.0)
    assert {line.status for line in found} == {"pass"}
    assert {line.check for line in found} == {
        f"regression.{key}" for key in ("size_bytes", "sqnr_db", "accuracy", "load_ms", "first_inference_ms")
    }


def test_sizes(report: Report) -> None:
    grown = [a.model_copy(update={"size_bytes": a.size_bytes * 2}) for a in report.artifacts]
    now = report.model_copy(update={"artifacts": grown})
    for limit, status in ((1.99, "fail"), (2.0, "pass")):
        (line,) = lines(now, report, size_bytes={"int8": limit})
        assert (line.status, line.measured) == (status, 2.0)
    (line,) = lines(report, now, size_bytes={"int8": 0.5})
    assert line.status == "pass"


def test_a_quality_is_lost_not_divided(report: Report) -> None:
    now = with_last(report, "accuracy", "rows", accuracy=0.95, low=0.9, high=0.97)
    assert report.accuracy and report.accuracy.rows[-1].accuracy
    lost = report.accuracy.rows[-1].accuracy - 0.95
    for limit, status in ((lost - 0.001, "fail"), (lost + 0.001, "pass")):
        (line,) = lines(now, report, accuracy={"int8": limit})
        assert (line.status, line.measured) == (status, pytest.approx(lost))
    (better,) = lines(report, now, accuracy={"int8": 0.0})
    assert better.status == "pass"


@pytest.mark.parametrize(
    ("low", "high", "status"), [(0.0119, 0.0122, "pass"), (0.013, 0.016, "inconclusive"), (0.02, 0.03, "fail")]
)
def test_latency_is_decided_by_both_intervals(report: Report, low: float, high: float, status: str) -> None:
    now = with_last(report, "latency", "rows", p50_ms=(low + high) / 2, p50_low_ms=low, p50_high_ms=high)
    (line,) = lines(now, report, latency_ms={"p50": {"int8": 1.2}})
    assert (line.status, line.subject) == (status, "TFLite int8, 1 thread")


def test_times_of_another_machine_are_not_compared(report: Report) -> None:
    then = report.model_copy(update={"host": report.host.model_copy(update={"cpu": "another"})})
    (line,) = lines(report, then, load_ms={"int8": 100})
    assert (line.status, "host.cpu" in line.message) == ("inconclusive", True)
    (size,) = lines(report, then, size_bytes={"int8": 1.0})
    assert size.status == "pass"


def test_accuracy_on_other_data_is_not_compared(report: Report) -> None:
    assert report.accuracy
    then = report.model_copy(update={"accuracy": report.accuracy.model_copy(update={"samples": 90})})
    (line,) = lines(report, then, accuracy={"int8": 1.0})
    assert line.status == "inconclusive"


def test_what_is_in_one_report_only(report: Report) -> None:
    fewer = report.model_copy(update={"artifacts": report.artifacts[:-1], "quantization": report.quantization[:-1]})
    gone = {line.subject: line.status for line in lines(fewer, report, size_bytes=1.0)}
    assert gone["model_static_wi8_ai8.tflite"] == "fail"
    new = {line.subject: line.status for line in lines(report, fewer, size_bytes=1.0)}
    assert new["model_static_wi8_ai8.tflite"] == "inconclusive"
    assert {s for n, s in new.items() if n != "model_static_wi8_ai8.tflite"} == {"pass"}
    (nobody,) = lines(report, report, size_bytes={"int4": 1.0})
    assert nobody.status == "fail"
    assert {line.status for line in lines(report, None, size_bytes=1.0)} == {"inconclusive"}
    assert [line.status for line in lines(report.model_copy(update={"accuracy": None}), report, accuracy=1.0)] == [
        "fail"
    ] * 7


def test_a_baseline_must_be_another_run_and_be_used(report: Report, tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text(report.model_dump_json())
    used = GateTable.model_validate({"baseline": tmp_path / "report.json", "regression": {"size_bytes": 1.0}})
    assert read_baseline(used, tmp_path / "out") == report
    assert read_baseline(GateTable(), tmp_path) is None
    with pytest.raises(BadInput, match="own baseline"):
        read_baseline(used, tmp_path)
    with pytest.raises(BadInput, match="no limit"):
        read_baseline(GateTable.model_validate({"baseline": tmp_path}), tmp_path / "out")
