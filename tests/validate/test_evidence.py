"""What could not be made or measured never passes: it fails, or it can't be said."""

from __future__ import annotations

import numpy as np
import pytest

from edgeworthy.metrics import METRICS
from edgeworthy.numerics import comparison
from edgeworthy.validate.gate import evaluate
from edgeworthy.validate.results import Report

from .test_gate import keyed, lines, rules, with_hop, with_last, without_int8

OF_ALL = {
    "noise_ratio": 1e9, "sqnr_db": -1e9, "top1_agreement": 0, "accuracy": 0, "accuracy_drop": 1, "size_bytes": 1e12,
    "size_mb": 1e6, "size_ratio": 100, "latency_ratio": 1e6, "first_inference_ms": 1e9, "load_ms": 1e9,
    "memory_mb": 1e9, "latency_ms.p50": 1e9, "latency_ms.p90": 1e9, "latency_ms.p99": 1e9,
}  # fmt: skip
"""A limit for each metric that everything holds."""


def test_every_metric_has_a_case_here() -> None:
    assert {m.key for m in METRICS} <= set(OF_ALL)


@pytest.mark.parametrize("metric", METRICS, ids=lambda m: m.key)
def test_one_limit_for_all_passes_only_when_all_could_be_made(report: Report, metric: object) -> None:
    key = metric.key  # type: ignore[attr-defined]
    assert {line.status for line in lines(report, key, **keyed(key, OF_ALL[key]))} == {"pass"}
    found = lines(without_int8(report), key, **keyed(key, OF_ALL[key]))
    failed = [line for line in found if line.status == "fail"]
    if key == "noise_ratio":  # int8 is never judged by it
        assert not failed
    else:
        assert [line.subject for line in failed] == ["TFLite int8"]
        assert "engine raised" in failed[0].message


@pytest.mark.parametrize("metric", [m for m in METRICS if m.stage != "artifact"], ids=lambda m: m.key)
@pytest.mark.parametrize(("status", "verdict"), [("error", "fail"), ("skipped", "inconclusive")])
def test_a_row_without_numbers_does_not_pass_because_others_have_some(
    report: Report, metric: object, status: str, verdict: str
) -> None:
    key, stage = metric.key, metric.stage  # type: ignore[attr-defined]
    update = {"status": status, "failure": "it crashed"}
    changed = with_hop(report, outputs=[], **update) if stage == "hop" else with_last(report, stage, **update)
    if key == "noise_ratio":
        assert report.parity
        hops = [
            h.model_copy(update=update | {"outputs": []}) if h.artifact == "onnx" else h for h in report.parity.hops
        ]
        changed = report.model_copy(update={"parity": report.parity.model_copy(update={"hops": hops})})
    (line,) = [line for line in lines(changed, key, **keyed(key, OF_ALL[key])) if line.status != "pass"]
    assert (line.status, "it crashed" in line.message) == (verdict, True)


@pytest.mark.parametrize("stage", ["latency", "accuracy"])
@pytest.mark.parametrize(("status", "verdict"), [("error", "fail"), ("skipped", "inconclusive")])
def test_a_stage_that_broke_is_seen_without_any_limit_on_it(
    report: Report, stage: str, status: str, verdict: str
) -> None:
    changed = with_last(report, stage, status=status, failure="crashed with SIGSEGV", p50_ms=None)
    result = evaluate(changed, rules())
    assert result.status == verdict
    assert any("SIGSEGV" in line.message for line in result.lines)


def test_a_hop_that_was_skipped_is_inconclusive(report: Report) -> None:
    changed = with_hop(report, status="skipped", outputs=[], failure="the runtime is not installed")
    result = evaluate(changed, rules())
    assert result.status == "inconclusive"
    (line,) = [line for line in result.lines if line.status != "pass"]
    assert (line.check, line.subject) == ("parity", "TFLite int8")
    assert "not installed" in line.message


def test_an_artifact_that_no_target_ran_is_inconclusive(report: Report) -> None:
    assert report.parity
    parity = report.parity.model_copy(update={"hops": report.parity.hops[:-1]})
    result = evaluate(report.model_copy(update={"parity": parity}), rules())
    assert result.status == "inconclusive"
    assert "no target ran it" in next(line.message for line in result.lines if line.status != "pass")
    narrow = evaluate(report.model_copy(update={"parity": parity}), rules(must_convert=["tflite"]))
    assert narrow.status == "pass", "nobody asks for int8 there"


def test_a_kind_that_this_machine_cant_make_is_inconclusive(report: Report) -> None:
    assert report.conversion and report.parity
    conversion = report.conversion.model_copy(
        update={"targets": ["tflite"], "left_out": {"saved_model": "TensorFlow is not installed"}}
    )
    hops = [h for h in report.parity.hops if h.artifact != "saved_model"]
    changed = report.model_copy(
        update={
            "conversion": conversion,
            "artifacts": [a for a in report.artifacts if a.name != "saved_model"],
            "parity": report.parity.model_copy(update={"hops": hops}),
        }
    )
    result = evaluate(changed, rules())
    assert result.status == "inconclusive"
    (line,) = [line for line in result.lines if line.status != "pass"]
    assert (line.check, line.subject) == ("must_convert", "saved_model")
    assert "TensorFlow is not installed" in line.message
    assert evaluate(changed, rules(must_convert=["saved_model"])).status == "fail"
    (size,) = [line for line in lines(changed, "size_bytes", size_bytes=1e12) if line.status != "pass"]
    assert size.status == "inconclusive"


def test_an_output_with_nan_or_another_shape_fails_every_limit_on_its_hop(report: Report) -> None:
    assert report.parity
    good = report.parity.hops[-1].outputs[0]
    broken = good.model_copy(update={"name": "boxes", "problems": ["3 of 8 elements are NaN"], "vs_truth": None})
    changed = with_hop(report, outputs=[good, broken], status="fail")
    (line,) = lines(changed, "sqnr_db", sqnr_db={"int8": -100})
    assert (line.status, "NaN" in line.message) == ("fail", True)


def test_noise_where_the_truth_is_all_zero_has_no_sqnr_and_fails(report: Report) -> None:
    assert report.parity
    good = report.parity.hops[-1].outputs[0]
    errors = comparison.compare([np.array([1e-3, 0.0])], [np.zeros(2)])
    assert errors.sqnr_db is None and not errors.exact
    changed = with_hop(report, outputs=[good, good.model_copy(update={"name": "zero", "vs_truth": errors})])
    (line,) = lines(changed, "sqnr_db", sqnr_db={"int8": -100})
    assert (line.status, line.measured) == ("fail", "all noise")


def test_a_passed_hop_with_a_failed_output_fails(report: Report) -> None:
    assert report.parity
    output = report.parity.hops[-1].outputs[0].model_copy(update={"passed": False})
    for update in ({"outputs": [output]}, {"outputs": []}):
        assert evaluate(with_hop(report, **update), rules()).status == "fail"


def test_an_empty_report_is_no_pass(report: Report) -> None:
    empty = report.model_copy(
        update={
            "artifacts": [], "export": None, "conversion": None, "quantization": [], "parity": None, "latency": None,
            "accuracy": None,
        }
    )  # fmt: skip
    assert evaluate(empty, rules()).status == "inconclusive"
    assert evaluate(empty, rules(parity=False, must_convert=[])).status == "inconclusive"
