"""``quantize --repair`` from the command line's tables to the report, and the recipe that it leaves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgeworthy
from edgeworthy.cli.views import exit_code
from edgeworthy.errors import BadInput
from edgeworthy.samples import SAMPLES
from edgeworthy.validate.results import Report


@pytest.fixture
def data(tmp_path: Path) -> dict[str, Any]:
    """What digits_cnn is calibrated on, and labelled data."""
    sample = SAMPLES["digits_cnn"]
    np.savez(tmp_path / "c.npz", **sample.calibration(48, 0))  # type: ignore[arg-type]
    inputs, labels = sample.labelled() or ({}, np.zeros(0))
    chosen = {name: array[:100] for name, array in inputs.items()}
    np.savez(tmp_path / "l.npz", labels=labels[:100], **chosen)  # type: ignore[arg-type]
    return {"calibration": str(tmp_path / "c.npz"), "labelled": str(tmp_path / "l.npz")}


def repaired(data: dict[str, Any], folder: Path, io_dtype: str = "float32", **budget: Any) -> Report:
    table = {"schemes": ["int8"], "calibration": data["calibration"], "repair": True}
    table |= {"io_dtype": io_dtype}
    return edgeworthy.quantize(
        "sample:digits_cnn", folder, convert={"to": ["tflite"]}, quantize=table | {"budget": {"seconds": 30} | budget}
    )


def test_a_budget_is_met_and_the_recipe_makes_the_same_bytes(data: dict[str, Any], tmp_path: Path) -> None:
    report = repaired(data, tmp_path / "out", max_accuracy_drop=0.02)
    (result,) = report.quantization
    assert result.status == "pass" and result.repair is not None and result.repair.met
    assert result.repair.asked == ["25 dB", "accuracy within 2.0%"]
    assert len(result.repair.trials) >= 4 and sum(" ms" in trial for trial in result.repair.trials) >= 1
    assert exit_code(report, ["quantize"]) == 0
    file = tmp_path / "out" / "model_int8.tflite"
    table = {"recipe": tmp_path / "out" / "model_int8.recipe.json", "calibration": data["calibration"]}
    again = edgeworthy.quantize("sample:digits_cnn", tmp_path / "again", convert={"to": ["tflite"]}, quantize=table)
    assert again.quantization[0].repair is None
    calibrations = [made.quantization[0].calibration for made in (report, again)]
    assert calibrations[0] == calibrations[1] and calibrations[0] is not None
    assert calibrations[0].samples == 36, "a quarter of 48 is held out, and the recipe says so"
    assert (tmp_path / "again" / "model_int8.tflite").read_bytes() == file.read_bytes()


def test_a_budget_that_no_file_meets_leaves_the_nearest_and_fails(data: dict[str, Any], tmp_path: Path) -> None:
    """Where inputs and outputs have 8 bits, none is as good as the float one; the time ends before all are tried."""
    report = repaired(data, tmp_path / "out", io_dtype="int8", min_sqnr_db=250.0, seconds=0.1)
    (result,) = report.quantization
    assert result.status == "fail" and (tmp_path / "out" / "model_int8.tflite").is_file()
    assert result.failure is not None and result.failure.startswith("not repaired: ")
    assert "less than 250 dB" in result.failure and result.repair is not None and result.repair.notes
    assert exit_code(report, ["quantize"]) == 1


def test_what_contradicts_repair_is_said(data: dict[str, Any], tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=np.linspace(-1, 1, 40, dtype=np.float32)[:, None])
    table: dict[str, Any] = {"schemes": ["int8"], "calibration": str(tmp_path / "x.npz"), "repair": True}
    with pytest.raises(BadInput, match="without labelled data"):
        edgeworthy.quantize(
            "sample:linear_regression", tmp_path / "a", quantize=table | {"budget": {"max_accuracy_drop": 0.1}}
        )
    with pytest.raises(BadInput, match="none may be"):
        edgeworthy.quantize("sample:linear_regression", tmp_path / "b", quantize=table | {"full_integer": True})
    np.savez(tmp_path / "l.npz", x=np.zeros((4, 1), np.float32), labels=np.zeros((4, 1), np.float32))
    (tmp_path / "metric.py").write_text("def near(outputs, labels):\n    return 1.0\n")
    with pytest.raises(BadInput, match="classes alone"):
        edgeworthy.quantize(
            "sample:linear_regression",
            tmp_path / "c",
            quantize=table | {"budget": {"max_accuracy_drop": 0.1}},
            validate={"labelled": str(tmp_path / "l.npz"), "accuracy": f"{tmp_path}/metric.py:near"},
        )
