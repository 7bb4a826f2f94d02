"""Every check of the gate passes, fails and says so; what was not measured never passes."""

from __future__ import annotations

import re

import pytest

from edgeworthy.config import GateTable
from edgeworthy.validate.gate import evaluate
from edgeworthy.validate.results import GateLine, Report


def lines(report: Report, check: str, **rules: object) -> list[GateLine]:
    table = GateTable.model_validate({"parity": False, "must_convert": []} | rules)
    return [line for line in evaluate(report, table).lines if line.check == check]


@pytest.mark.parametrize(
    ("check", "limits", "status"),
    [
        ("sqnr_db", {"int8": 40}, "pass"),
        ("sqnr_db", {"int8": 41}, "fail"),
        ("sqnr_db", {"tflite_float16": 70}, "pass"),
        ("noise_ratio", {"onnx": 1.3}, "pass"),
        ("noise_ratio", {"onnx": 1.2}, "fail"),
        ("accuracy_drop", {"int8": 0.01}, "pass"),
        ("accuracy_drop", {"TFLite int8": 0.001}, "fail"),
        ("size_bytes", {"saved_model": 187_211}, "pass"),
        ("size_bytes", {"saved_model": 187_210}, "fail"),
        ("size_ratio", {"int8": 0.29}, "pass"),
        ("size_ratio", {"int8": 0.28}, "fail"),
        ("latency_ratio", {"int8": 0.5}, "pass"),
        ("latency_ratio", {"int8": 0.4}, "fail"),
        ("latency_ratio", {"int8": 0.42}, "inconclusive"),
    ],
)
def test_limits(report: Report, check: str, limits: dict[str, float], status: str) -> None:
    found = lines(report, check, **{check: limits})
    assert [line.status for line in found] == [status]


def test_one_number_holds_for_every_row_that_has_the_measure(report: Report) -> None:
    assert {line.subject for line in lines(report, "size_ratio", size_ratio=1)} == {
        "model_float16.tflite",
        "model_dynamic_wi8_afp32.tflite",
        "model_static_wi8_ai8.tflite",
    }


@pytest.mark.parametrize(
    ("check", "stage"),
    [("sqnr_db", "parity"), ("accuracy_drop", "accuracy"), ("latency_ratio", "latency")],
)
def test_a_limit_without_a_measurement_fails(report: Report, check: str, stage: str) -> None:
    bare = report.model_copy(update={stage: None})
    for limits in (1.0, {"int8": 1.0}):
        (line,) = lines(bare, check, **{check: limits})
        assert line.status == "fail"
        assert "not measured" in line.message


def test_a_limit_on_an_unknown_artifact_fails(report: Report) -> None:
    (line,) = lines(report, "size_ratio", size_ratio={"int4": 0.2})
    assert (line.status, line.subject) == ("fail", "int4")


def test_exact_output_satisfies_any_sqnr(report: Report) -> None:
    assert report.parity
    hop = report.parity.hops[-1]
    errors = hop.outputs[0].vs_truth
    assert errors
    exact = errors.model_copy(update={"exact": True, "sqnr_db": None})
    outputs = [hop.outputs[0].model_copy(update={"vs_truth": exact})]
    hops = [*report.parity.hops[:-1], hop.model_copy(update={"outputs": outputs})]
    changed = report.model_copy(update={"parity": report.parity.model_copy(update={"hops": hops})})
    (line,) = lines(changed, "sqnr_db", sqnr_db={"int8": 200})
    assert (line.status, line.measured) == ("pass", "exact")


@pytest.mark.parametrize(
    ("hop_status", "gate_status"),
    [("pass", "pass"), ("fail", "fail"), ("error", "fail"), ("inconclusive", "inconclusive")],
)
def test_parity_follows_the_hops(report: Report, hop_status: str, gate_status: str) -> None:
    assert report.parity
    hop = report.parity.hops[-1].model_copy(update={"status": hop_status, "failure": "it crashed"})
    hops = [*report.parity.hops[:-1], hop]
    changed = report.model_copy(update={"parity": report.parity.model_copy(update={"hops": hops})})
    result = evaluate(changed, GateTable())
    assert result.status == gate_status
    line = next(line for line in result.lines if line.subject == hop.name and line.check == "parity")
    assert line.status == gate_status
    assert "it crashed" in line.message


def test_parity_that_was_asked_for_must_have_run(report: Report) -> None:
    bare = report.model_copy(update={"parity": None})
    assert evaluate(bare, GateTable()).status == "pass"
    assert evaluate(bare, GateTable(parity=True)).status == "fail"
    assert evaluate(bare, GateTable(parity=False)).status == "pass"


def test_must_convert_defaults_to_what_was_asked_for(report: Report) -> None:
    assert evaluate(report, GateTable()).status == "pass"
    without = report.model_copy(
        update={
            "artifacts": report.artifacts[:-1],
            "quantization": [
                *report.quantization[:-1],
                report.quantization[-1].model_copy(
                    update={"status": "error", "artifact": None, "failure": "the engine raised"}
                ),
            ],
        }
    )
    result = evaluate(without, GateTable())
    assert [line.subject for line in result.failing] == ["static_wi8_ai8"]
    assert "the engine raised" in result.failing[0].message


@pytest.mark.parametrize("name", ["tflite", "int8", "saved_model", "onnx", "tflite_float16", "float16"])
def test_must_convert_knows_all_names(report: Report, name: str) -> None:
    assert [line.status for line in lines(report, "must_convert", must_convert=[name])] == ["pass"]


def test_fail_outranks_inconclusive(report: Report) -> None:
    both = GateTable(latency_ratio={"int8": 0.42}, size_ratio={"int8": 0.1})
    assert evaluate(report, both).exit_code == 1
    assert evaluate(report, GateTable(latency_ratio={"int8": 0.42})).exit_code == 4


def test_messages_carry_limit_and_measure(report: Report) -> None:
    (line,) = lines(report, "latency_ratio", latency_ratio={"int8": 0.42})
    assert re.search(r"0\.42.*interval.*at most 0\.42 × TFLite float32", line.message)
