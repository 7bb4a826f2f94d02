"""``--max-runtime``: a file that an old TFLite runtime can't run is refused, by node."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

import edgeworthy
from edgeworthy.convert import convert
from edgeworthy.errors import BadInput, CheckFailed
from edgeworthy.formats.tflite.releases import least_runtime
from edgeworthy.validate.results import Report

from ..conformance.adapters import run_tflite
from .quick_runs import redone


def onnx_file(folder: Path, text: str) -> Path:
    onnx.save(onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["": 18]> {text}'), folder / "m.onnx")
    return folder / "m.onnx"


def test_a_gather_of_bools_is_of_a_version_that_2_14_has(tmp_path: Path) -> None:
    """Version 5 of GATHER_ND, which takes bool, is LiteRT's: a mask is gathered as integers."""
    path = onnx_file(tmp_path, "g (bool[3,2] x, int64[4,2] i) => (bool[4] y) { y = GatherND(x, i) }")
    made = convert(path, tmp_path, to=("tflite",)).tflite
    assert made is not None and str(least_runtime(made.path)) == "TFLite ≥ 2.7"
    x = np.array([[True, False], [False, False], [True, True]])
    i = np.array([[0, 0], [2, 1], [1, 0], [0, 1]], np.int64)
    np.testing.assert_array_equal(run_tflite(made.path, {"x": x, "i": i})["y"], [True, True, False, False])


def test_a_node_that_it_has_not_is_named_and_nothing_is_left(tmp_path: Path) -> None:
    path = onnx_file(tmp_path, "g (float[2,3] x) => (float[2,3] y) { a = Sign(x) y = Mul(a, x) }")
    with pytest.raises(
        CheckFailed, match=r"TFLite 2\.10 can't run model_float32\.tflite, which TFLite 2\.11 can"
    ) as error:
        edgeworthy.convert(str(path), tmp_path / "out", convert={"to": ["tflite"], "max_runtime": "2.10"})
    assert [d.split(":")[0] for d in error.value.details] == ["SIGN a"]
    assert error.value.remedy == "rewrite these nodes, or ask for --max-runtime 2.11"
    assert not (tmp_path / "out/model_float32.tflite").exists()
    edgeworthy.convert(str(path), tmp_path / "out", convert={"to": ["tflite"], "max_runtime": "2.11"})
    assert (tmp_path / "out/model_float32.tflite").exists()


def test_no_such_runtime(tmp_path: Path) -> None:
    path = onnx_file(tmp_path, "g (float[2,3] x) => (float[2,3] y) { y = Sign(x) }")
    with pytest.raises(BadInput, match=r"no TFLite runtime '2\.15' is known"):
        edgeworthy.convert(str(path), tmp_path / "out", convert={"max_runtime": "2.15"})
    assert not (tmp_path / "out").exists()


def test_a_scheme_that_it_computes_wrong_is_a_row(net: Path, tmp_path: Path) -> None:
    """Of two schemes, 2.14 has kernels for one."""
    out = tmp_path / "out"

    def quantize(oldest: str) -> Report:
        table = {"schemes": ["int8", "dynamic_wi8_afp32"], "calibration": "random"}
        return edgeworthy.quantize(f"{net}/net.py:make", out, quantize=table, convert={"max_runtime": oldest})

    rows = {row.scheme: row for row in quantize("2.14").quantization}
    assert rows["static_wi8_ai8"].failure is None
    assert "FULLY_CONNECTED" in str(rows["dynamic_wi8_afp32"]) and "--max-runtime" in str(rows["dynamic_wi8_afp32"])
    assert (out / "model_int8.tflite").exists() and not (out / "model_dynamic_wi8_afp32.tflite").exists()
    assert "quantize.dynamic_wi8_afp32" in redone(quantize("1.0"))
    assert (out / "model_dynamic_wi8_afp32.tflite").exists()
