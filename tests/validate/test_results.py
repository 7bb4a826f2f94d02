from __future__ import annotations

import json

import numpy as np
import pytest
from pydantic import ValidationError

from edgeworthy.artifact import Receipt
from edgeworthy.errors import BadInput
from edgeworthy.numerics.comparison import Errors
from edgeworthy.validate import host
from edgeworthy.validate.results import GateLine, GateResult, Report
from edgeworthy.validate.runners import permuted, receipt_result


def test_numbers_are_finite_and_keys_are_known() -> None:
    good = {"max_abs": 1.0, "mean_abs": 1.0, "max_rel": None, "p99_rel": None, "rms": 1.0}
    good |= {"cosine": None, "sqnr_db": None, "exact": False}
    errors = Errors.model_validate(good)
    for bad in ({"rms": float("nan")}, {"sqnr_db": float("inf")}, {"colour": 1}):
        with pytest.raises(ValidationError):
            Errors.model_validate(good | bad)
    with pytest.raises(ValidationError):
        setattr(errors, "rms", 2.0)  # noqa: B010


def test_gate_result() -> None:
    lines = [
        GateLine(check="a", subject="x", status="pass", message="fine"),
        GateLine(check="b", subject="x", status="fail", message="too much"),
    ]
    result = GateResult(status="fail", lines=lines)
    assert (result.exit_code, [line.check for line in result.failing]) == (1, ["b"])
    assert GateResult(status="inconclusive").exit_code == 4
    assert GateResult(status="pass").exit_code == 0


def test_schema_describes_every_part() -> None:
    schema = Report.model_json_schema()
    assert {"ParityResult", "LatencyResult", "AccuracyResult", "GateResult"} <= set(schema["$defs"])
    assert json.dumps(schema)


def test_receipt_result() -> None:
    receipt = Receipt("XNNPACK", "XNNPACK", 3, 2, 1, "int8", ("note",), ("TOPK_V2 k",))
    assert receipt_result(receipt).model_dump() == {
        "asked": "XNNPACK",
        "ran": "XNNPACK",
        "nodes": 3,
        "delegated": 2,
        "partitions": 1,
        "precision": "int8",
        "notes": ["note"],
        "fallback": ["TOPK_V2 k"],
        "kernels": "",
    }


def test_permuted() -> None:
    arrays = {"a": np.zeros((1, 2, 3)), "b": np.zeros(1)}
    out = permuted(arrays, {"a": (0, 2, 1), "absent": (0,)})
    assert out["a"].shape == (1, 3, 2) and out["a"].flags["C_CONTIGUOUS"] and out["b"] is arrays["b"]
    with pytest.raises(BadInput, match="don't permute 'b'"):
        permuted(arrays, {"b": (0, 1)})


def test_host_is_this_machine() -> None:
    here = host.current()
    assert here.cpu and here.logical_cores >= 1 and here.memory_bytes > 1e8
    assert here.packages["numpy"] == np.__version__
    assert type(here).model_validate_json(here.model_dump_json()) == here
