"""Names in ``[gate]`` are known before any work: what nothing is called is refused, what a row can be called is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import edgeworthy
from edgeworthy.config import GateTable
from edgeworthy.errors import BadInput
from edgeworthy.pipeline.limits import check_names, possible_rows
from edgeworthy.validate.evidence import names_of
from edgeworthy.validate.results import Report
from edgeworthy.validate.summary import summarize

WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "scheme": ({"sqnr_db": {"int9": 20}}, "sqnr_db.int9: nothing is called 'int9'; did you mean 'int8'?"),
    "target": ({"latency_ms": {"p50": {"tensroflow": 5}}}, "latency_ms.p50.tensroflow: nothing is called"),
    "row": ({"accuracy": {"TFLite in8": 0.9}}, "did you mean 'TFLite int8'?"),
    "artifact": ({"must_convert": ["tflite", "saved_modle"]}, "did you mean 'saved_model'?"),
    "no file": ({"must_convert": ["pytorch"]}, "must_convert.pytorch: nothing is called"),
    "regression": ({"regression": {"size_bytes": {"in8": 1.0}}}, "regression.size_bytes.in8"),
    "not measured of it": ({"noise_ratio": {"int8": 3}}, "noise_ratio is not measured of int8"),
    "no file to weigh": ({"size_mb": {"pytorch": 3}}, "size_mb is not measured of pytorch"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_name_that_nothing_has_is_refused(case: str) -> None:
    table, said = WRONG[case]
    with pytest.raises(BadInput) as caught:
        check_names(GateTable.model_validate(table), possible_rows())
    (line,) = caught.value.details
    assert said in line
    assert "int8" in str(caught.value.remedy) and "saved_model" in str(caught.value.remedy)


def test_every_name_of_a_report_goes(report: Report) -> None:
    """Rows, keys and schemes, as `gate` finds them in a report of all runtimes."""
    names = [name for row in summarize(report) for name in names_of(row)]
    check_names(GateTable.model_validate({"latency_ratio": dict.fromkeys(names, 1.0), "sqnr_db": 20}), possible_rows())


def test_nothing_is_done_before_the_names_are_known(net: Path, tmp_path: Path) -> None:
    data = {"calibration": str(net / "calibration.npz")}
    with pytest.raises(BadInput, match=r"(?s)size_ratio\.int9.*did you mean 'int8'"):
        edgeworthy.run(f"{net}/net.py:make", tmp_path / "out", quantize=data, gate={"size_ratio": {"int9": 0.3}})
    assert not (tmp_path / "out").exists()


def test_holding_a_report_against_a_name_that_nothing_has(report: Report, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="did you mean 'int8'"):
        edgeworthy.gate(report, {"size_ratio": {"int9": 0.3}})
    config = tmp_path / "ci.toml"
    config.write_text("[gate]\nmust_convert = ['tflit']\n")
    with pytest.raises(BadInput, match=r"must_convert\.tflit.*did you mean 'tflite"):
        edgeworthy.gate(report, config=config)
    assert edgeworthy.gate(report, {"size_ratio": {"int8": 0.3}}).status == "pass"
    theirs = report.artifacts[-1].model_copy(update={"name": "theirs.tflite", "path": "theirs.tflite", "given": True})
    more = report.model_copy(update={"artifacts": [*report.artifacts, theirs]})
    assert edgeworthy.gate(more, {"size_ratio": {"theirs.tflite": 0.3}}).status == "pass"
