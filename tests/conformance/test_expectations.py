"""Expected failures are strict, and an update keeps what was written by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeworthy.validate.node_tests import NodeTestOutcome

from .expectations import (
    BadExpectations,
    Entry,
    Expectations,
    deviations,
    read,
    recorded_reason,
    update,
    write,
)

PASS = NodeTestOutcome("pass")
BY_HAND = Entry("wrong-value", "random numbers", ("saved_model", "tflite"), ("test_dropout", "test_rand"), True)
RECORDED = Entry("unsupported", "Det: no lowering", ("tflite",), ("test_det",), False)
OLD = Expectations("1.0", (BY_HAND, RECORDED))
OPERATORS = {"test_dropout": "Dropout", "test_rand": "Rand", "test_det": "Det", "test_abs": "Abs"}
AS_EXPECTED = {
    "test_dropout": NodeTestOutcome("wrong-value", "…"),
    "test_rand": NodeTestOutcome("wrong-value", "…"),
    "test_det": NodeTestOutcome("unsupported", "Det: no lowering"),
    "test_abs": PASS,
}


def lines(changes: dict[str, NodeTestOutcome], *, complete: bool = True) -> list[str]:
    return deviations("tflite", AS_EXPECTED | changes, OLD.of("tflite"), complete=complete)


def test_as_expected_is_no_deviation() -> None:
    assert lines({}) == []


def test_a_failure_that_is_not_listed_deviates() -> None:
    (line,) = lines({"test_abs": NodeTestOutcome("crash", "SIGABRT while running")})
    assert "test_abs fails and isn't listed: crash, SIGABRT while running" in line


def test_a_listed_case_that_passes_deviates() -> None:
    (line,) = lines({"test_det": PASS})
    assert "test_det passes, its entry is stale" in line


def test_a_listed_case_that_fails_otherwise_deviates() -> None:
    (line,) = lines({"test_det": NodeTestOutcome("timeout", "no end of running")})
    assert "test_det is listed as unsupported and is now timeout" in line


def test_a_listed_name_without_a_case_deviates_in_a_complete_run() -> None:
    some = {"test_abs": PASS}
    assert deviations("tflite", some, OLD.of("tflite"), complete=False) == []
    assert len(deviations("tflite", some, OLD.of("tflite"), complete=True)) == 3


def test_update_keeps_hand_written_reasons_and_rewrites_the_rest() -> None:
    now = AS_EXPECTED | {
        "test_dropout": PASS,
        "test_det": NodeTestOutcome("wrong-shape", "y: [2] instead of [3]"),
        "test_abs": NodeTestOutcome("crash", "SIGSEGV while converting"),
    }
    new = update(OLD, "2.0", {"tflite": now, "saved_model": AS_EXPECTED}, OPERATORS, complete=True)
    both = ("saved_model", "tflite")
    assert new == Expectations(
        "2.0",
        (
            Entry("wrong-value", "random numbers", ("saved_model",), ("test_dropout",), True),
            Entry("wrong-value", "random numbers", both, ("test_rand",), True),
            Entry("unsupported", "Det: no lowering", ("saved_model",), ("test_det",), False),
            Entry("crash", "Abs: SIGSEGV while converting", ("tflite",), ("test_abs",), False),
            Entry(
                "wrong-shape",
                "Det: the output's shape differs from ONNX's",
                ("tflite",),
                ("test_det",),
                False,
            ),
        ),
    )
    assert deviations("tflite", now, new.of("tflite"), complete=True) == []


def test_a_partial_update_leaves_the_rest() -> None:
    new = update(OLD, "1.0", {"tflite": {"test_det": PASS}}, OPERATORS, complete=False)
    assert new == Expectations("1.0", (BY_HAND,))


def test_a_complete_update_forgets_cases_that_are_gone() -> None:
    new = update(OLD, "2.0", {"tflite": {}, "saved_model": {}}, OPERATORS, complete=True)
    assert new.entries == ()


def test_the_file_reads_back(tmp_path: Path) -> None:
    quoted = Entry("crash", 'a "quoted" \\ back\tslash', ("tflite",), tuple(f"test_{n}" for n in range(40)), False)
    expectations = Expectations("1.0", (BY_HAND, RECORDED, quoted))
    path = tmp_path / "expected.toml"
    write(expectations, path)
    assert read(path) == expectations
    assert max(map(len, path.read_text().splitlines())) <= 110


def test_a_case_listed_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "expected.toml"
    write(Expectations("1.0", (BY_HAND, BY_HAND)), path)
    with pytest.raises(BadExpectations, match="test_dropout is listed twice for saved_model"):
        read(path)


def test_an_unknown_outcome_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "expected.toml"
    write(Expectations("1.0", (Entry("pass", "?", ("tflite",), ("test_abs",), True),)), path)
    with pytest.raises(BadExpectations, match="no failure is called 'pass'"):
        read(path)


def test_recorded_reasons_are_alike_for_alike_cases() -> None:
    reasons = {
        recorded_reason(
            case, "Sum", NodeTestOutcome("unsupported", f"Sum: the rank of 'f_{case}_x' is unknown, mode='a'")
        )
        for case in ("test_a", "test_b")
    }
    assert reasons == {"Sum: the rank of a value is unknown, mode='a'"}
    wrong = recorded_reason("test_a", "Sum", NodeTestOutcome("wrong-value", "y: 1 of 3 numbers differ"))
    assert wrong == "Sum: the output's value differs from ONNX's"
