"""Every check of the gate passes, fails and says so; what was not measured never passes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edgeworthy.config import GateTable
from edgeworthy.errors import FIX
from edgeworthy.metrics import METRICS
from edgeworthy.validate.gate import OWN, evaluate
from edgeworthy.validate.results import GateLine, Report


def rules(**keys: object) -> GateTable:
    return GateTable.model_validate(keys)


def keyed(check: str, limits: object) -> dict[str, object]:
    """``latency_ms.p50`` is a key in a table."""
    head, _, key = check.partition(".")
    return {head: {key: limits} if key else limits}


def lines(report: Report, check: str, **keys: object) -> list[GateLine]:
    table = rules(**({"parity": False, "must_convert": []} | keys))
    return [line for line in evaluate(report, table).lines if line.check == check]


def with_hop(report: Report, **update: object) -> Report:
    """The report whose last hop (TFLite int8) is another."""
    assert report.parity
    hops = [*report.parity.hops[:-1], report.parity.hops[-1].model_copy(update=update)]
    return report.model_copy(update={"parity": report.parity.model_copy(update={"hops": hops})})


def with_last(report: Report, stage: str, **update: object) -> Report:
    """The report whose last row of latency or accuracy is another."""
    result = getattr(report, stage)
    rows = [*result.rows[:-1], result.rows[-1].model_copy(update=update)]
    return report.model_copy(update={stage: result.model_copy(update={"rows": rows})})


def without_int8(report: Report) -> Report:
    """int8 could not be made: no file, no rows."""
    assert report.parity and report.latency and report.accuracy
    failed = report.quantization[-1].model_copy(
        update={"status": "error", "artifact": None, "failure": "engine raised"}
    )
    cut = {
        "parity": report.parity.model_copy(update={"hops": report.parity.hops[:-1]}),
        "latency": report.latency.model_copy(update={"rows": report.latency.rows[:-1]}),
        "accuracy": report.accuracy.model_copy(update={"rows": report.accuracy.rows[:-1]}),
    }
    quantization = [*report.quantization[:-1], failed]
    return report.model_copy(update=cut | {"artifacts": report.artifacts[:-1], "quantization": quantization})


@pytest.mark.parametrize(
    ("check", "limits", "status"),
    [
        ("sqnr_db", {"int8": 40}, "pass"),
        ("sqnr_db", {"int8": 41}, "fail"),
        ("sqnr_db", {"tflite_float16": 70}, "pass"),
        ("top1_agreement", {"int8": 0.997}, "pass"),
        ("top1_agreement", {"int8": 0.998}, "fail"),
        ("noise_ratio", {"onnx": 1.3}, "pass"),
        ("noise_ratio", {"onnx": 1.2}, "fail"),
        ("accuracy_drop", {"int8": 0.01}, "pass"),
        ("accuracy_drop", {"TFLite int8": 0.001}, "fail"),
        ("size_bytes", {"saved_model": 187_211}, "pass"),
        ("size_bytes", {"saved_model": 187_210}, "fail"),
        ("size_ratio", {"int8": 0.29}, "pass"),
        ("size_ratio", {"int8": 0.28}, "fail"),
        ("size_mb", {"int8": 0.05}, "pass"),
        ("size_mb", {"int8": 0.04}, "fail"),
        ("accuracy", {"int8": 0.98}, "pass"),
        ("accuracy", {"int8": 0.99}, "fail"),
        ("latency_ms.p50", {"int8": 0.02}, "pass"),
        ("latency_ms.p50", {"int8": 0.005}, "fail"),
        ("latency_ms.p50", {"int8": 0.0121}, "inconclusive"),
        ("latency_ms.p99", {"int8": 0.02}, "pass"),
        ("latency_ms.p99", {"int8": 0.01}, "fail"),
        ("first_inference_ms", {"int8": 0.08}, "pass"),
        ("first_inference_ms", {"int8": 0.07}, "fail"),
        ("load_ms", {"int8": 3.0}, "fail"),
        ("memory_mb", {"int8": 181}, "pass"),
        ("memory_mb", {"int8": 180.9}, "fail"),
        ("latency_ratio", {"int8": 0.5}, "pass"),
        ("latency_ratio", {"int8": 0.4}, "fail"),
        ("latency_ratio", {"int8": 0.42}, "inconclusive"),
    ],
)
def test_limits(report: Report, check: str, limits: dict[str, float], status: str) -> None:
    found = lines(report, check, **keyed(check, limits))
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
    result = evaluate(changed, rules())
    assert result.status == gate_status
    line = next(line for line in result.lines if line.subject == hop.name and line.check == "parity")
    assert line.status == gate_status
    assert "it crashed" in line.message


def test_parity_that_was_asked_for_must_have_run(report: Report) -> None:
    bare = report.model_copy(update={"parity": None})
    assert evaluate(bare, rules()).status == "inconclusive"
    assert evaluate(bare, rules(parity=True)).status == "fail"
    assert evaluate(bare, rules(parity=False)).status == "pass"


def test_must_convert_defaults_to_what_was_asked_for(report: Report) -> None:
    assert evaluate(report, rules()).status == "pass"
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
    result = evaluate(without, rules())
    assert [line.subject for line in result.failing] == ["static_wi8_ai8"]
    assert "the engine raised" in result.failing[0].message


@pytest.mark.parametrize("name", ["tflite", "int8", "saved_model", "onnx", "tflite_float16", "float16"])
def test_must_convert_knows_all_names(report: Report, name: str) -> None:
    assert [line.status for line in lines(report, "must_convert", must_convert=[name])] == ["pass"]


def test_fail_outranks_inconclusive(report: Report) -> None:
    both = rules(latency_ratio={"int8": 0.42}, size_ratio={"int8": 0.1})
    assert evaluate(report, both).exit_code == 1
    assert evaluate(report, rules(latency_ratio={"int8": 0.42})).exit_code == 4


def test_messages_carry_limit_and_measure(report: Report) -> None:
    (line,) = lines(report, "latency_ratio", latency_ratio={"int8": 0.42})
    assert re.search(r"0\.42.*interval.*at most 0\.42 × TFLite float32", line.message)


def test_every_line_that_fails_says_what_to_do(report: Report, tmp_path: Path) -> None:
    """By a remedy of its own, or in the message of the error that it tells."""
    everything = {
        "noise_ratio": 0.1, "sqnr_db": 99, "top1_agreement": 2, "accuracy": 1, "accuracy_drop": -1,
        "size_bytes": 1, "size_mb": 1e-6, "size_ratio": 0.01, "latency_ratio": 1e-6,
        "latency_ms": dict.fromkeys(("p50", "p90", "p99"), 1e-6),
        "memory_mb": 1e-6, "first_inference_ms": 1e-6, "load_ms": 1e-6, "must_convert": ["int4"], "parity": True,
        "regression": {"size_bytes": 0.5},
    }  # fmt: skip
    assert {m.key for m in METRICS} <= {*everything, *(f"latency_ms.p{p}" for p in (50, 90, 99))}
    bare = report.model_copy(update={"parity": None, "latency": None, "accuracy": None})
    died = with_last(with_hop(report, status="error", failure="it died"), "latency", status="error", failure="it died")
    for held in (report, without_int8(report), bare, died):
        result = evaluate(held, rules(**everything), folder=tmp_path, baseline=report)
        silent = [line for line in result.failing if not (line.remedy or FIX in line.message)]
        assert result.failing and not silent, silent
    told = with_hop(report, status="error", failure="it died\n  fix: wake it up")
    (line,) = [line for line in evaluate(told, rules()).failing if line.check == "parity"]
    assert "wake it up" in line.message and not line.remedy


# -- whose limits, and which files -------------------------------------------------------------------------


def test_without_other_limits_those_of_the_run_hold(report: Report) -> None:
    strict = report.model_copy(update={"limits": rules(size_bytes=1)})
    result = evaluate(strict)
    assert (result.status, result.origin) == ("fail", OWN)
    assert evaluate(strict, rules(), origin="ci.toml").origin == "ci.toml"


def test_files_must_be_those_that_were_measured(report: Report, tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    digest = "9834876dcfb05cb167a5c24953eba58c4ac89b1adf57f28f2f9d09af107ee8f0"
    path.write_bytes(b"aaa")
    artifact = report.artifacts[-1].model_copy(update={"path": path.name, "size_bytes": 3, "sha256": digest})
    held = report.model_copy(update={"artifacts": [artifact]})

    def found() -> tuple[str, str]:
        (line,) = [line for line in evaluate(held, rules(), folder=tmp_path).lines if line.check == "files"]
        return line.status, line.message

    assert found()[0] == "pass"
    path.write_bytes(b"aab")
    assert found()[0] == "fail" and "another file" in found()[1]
    path.unlink()
    assert found()[0] == "fail" and "not there any more" in found()[1]
    outside = artifact.model_copy(update={"path": "../model.tflite"})
    (tmp_path.parent / "model.tflite").write_bytes(b"aaa")
    held = report.model_copy(update={"artifacts": [outside]})
    assert found()[0] == "fail" and "not below" in found()[1]


def test_the_page_has_every_metric() -> None:
    page = (Path(__file__).parents[2] / "docs/gate.md").read_text(encoding="utf-8")
    table = [line for line in page.splitlines() if line.startswith("| `")]
    stages = {"artifact": "the file", "hop": "`validate`", "accuracy": "`validate`", "latency": "`bench`"}
    against = {"ratio": "new ÷ old", "difference": "lost", None: "–"}
    wanted = [
        f"| `{m.key}` | {m.unit.format(baseline='the baseline') or '–'} | {'most' if m.better == 'less' else 'least'} "
        f"| {stages[m.stage]} | {against[m.regression]} |"
        for m in METRICS
    ]
    assert table == wanted, "\n".join(wanted)
