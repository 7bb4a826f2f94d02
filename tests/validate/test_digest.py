"""The summary for a pull request: a table that stays one, and differences that are right."""

from __future__ import annotations

import re

import pytest

from edgeworthy.config import GateTable
from edgeworthy.validate import digest, gate
from edgeworthy.validate import report as reports
from edgeworthy.validate.made import Revision
from edgeworthy.validate.results import GateLine, Report

EVIL = "a|b <b>\n| c"


def cells(text: str) -> dict[str, list[str]]:
    """Row's name → its other cells."""
    rows = [line for line in text.splitlines() if line.startswith("|")]
    split = [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in rows]
    assert len({len(row) for row in split}) == 1, text
    return {name: rest for name, *rest in split}


def with_gate(report: Report, **limits: object) -> Report:
    return report.model_copy(update={"gate": gate.evaluate(report, GateTable.model_validate(limits))})


def changed(report: Report) -> Report:
    """An earlier report: larger, slower, more accurate, in doubt, without SavedModel, and with something else."""
    assert report.parity and report.latency and report.accuracy
    text = report.model_dump_json().replace("TFLite float16", "TFLite bfloat16")
    report = Report.model_validate_json(text)
    assert report.parity and report.latency and report.accuracy
    hops = [h.model_copy(update={"status": "fail"}) if h.name == "TFLite int8" else h for h in report.parity.hops]
    rows = [r.model_copy(update={"p50_ms": (r.p50_ms or 0) * 2}) for r in report.latency.rows]
    scored = [r.model_copy(update={"accuracy": 356 / 360}) for r in report.accuracy.rows]
    sizes = [a.model_copy(update={"size_bytes": round(a.size_bytes * 0.8)}) for a in report.artifacts]
    return report.model_copy(
        update={
            "parity": report.parity.model_copy(update={"hops": hops}),
            "latency": report.latency.model_copy(update={"rows": rows}),
            "accuracy": report.accuracy.model_copy(update={"rows": scored}),
            "artifacts": sizes,
            "host": report.host.model_copy(update={"cpu": "a slower one"}),
            "revision": Revision(commit="0123456789abcdef" * 2 + "01234567", changed=False),
        }
    )


def test_without_a_baseline_it_is_the_table(report: Report) -> None:
    text = reports.summary(with_gate(report))
    table = cells(text)
    assert table["Runs as"] == ["Accuracy", "Parity", "Size", "Latency", "Verdict"]
    assert table["TFLite int8"] == ["98.33 %", "40.3 dB", "42.6 kB", "12.1 µs", "✓ pass"]
    assert text.startswith("### ✓ The gate passes: ")
    assert "brackets" not in text
    assert text.endswith("\n")
    assert [line for line in text.splitlines() if line != line.rstrip()] == []


def test_differences_are_those_of_the_numbers(report: Report) -> None:
    """98.33 - 98.89 points; 1/0.8 of the size; half the time."""
    text = reports.summary(with_gate(report), changed(report))
    table = cells(text)
    assert table["TFLite int8"] == [
        "98.33 % (-0.56 points)", "40.3 dB", "42.6 kB (+25.0 %)", "12.1 µs (-50.0 %)", "✓ pass (was fail)",
    ]  # fmt: skip
    assert table["PyTorch"][2] == "–"
    assert table["TFLite float16 (new)"][0] == "98.61 %"
    assert table["TFLite bfloat16 (gone)"] == ["–"] * 5
    assert "commit 0123456789ab." in text
    assert "another machine (a slower one, 2 cores)" in text


def test_the_same_report_has_no_differences(report: Report) -> None:
    table = cells(reports.summary(report, report))
    assert [cell for row in list(table.values())[2:] for cell in row if "(" in cell] == []
    assert "No gate was asked" in reports.summary(report)


def test_what_fails_is_named_with_its_limit_and_the_list_ends(report: Report) -> None:
    failing = with_gate(report, size_ratio={"int8": 0.1}, latency_ratio={"int8": 0.42})
    text = reports.summary(failing)
    assert text.startswith("### ✗ The gate fails: ")
    assert re.search(r"^- ✗ \*\*size_ratio\*\* .*: 0\.283826, at most 0\.1 × float32 \(fix: .+\)$", text, re.M)
    assert re.search(r"^- \? \*\*latency_ratio\*\* TFLite int8", text, re.M)
    assert failing.gate
    line = GateLine(check="size_ratio", subject="x", status="fail", message="x: no")
    many = failing.gate.model_copy(update={"lines": [line] * 10_000})
    text = reports.summary(failing.model_copy(update={"gate": many}))
    assert len(text) < 5000
    assert f"- and {10_000 - digest.MOST_LINES} more\n" in text


@pytest.mark.parametrize("baseline", [False, True])
def test_no_name_breaks_it(report: Report, baseline: bool) -> None:
    text = report.model_dump_json()
    for name in ("sample:digits_cnn", "TFLite int8"):
        text = text.replace(name, EVIL.replace("\n", "\\n"))
    evil = with_gate(Report.model_validate_json(text).model_copy(update={"warnings": [EVIL]}), sqnr_db=100)
    shown = reports.summary(evil, report if baseline else None)
    assert len(cells(shown)) >= 9
    assert "<b>" not in shown


def test_columns_without_numbers_are_left_out(report: Report) -> None:
    bare = report.model_copy(update={"accuracy": None, "latency": None})
    assert cells(reports.summary(bare))["Runs as"] == ["Parity", "Size", "Verdict"]
