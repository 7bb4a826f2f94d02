"""``--max-runtime``, which is ``--for`` a TFLite runtime: files take forms that it has, or are refused, by node."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

import edgeworthy
from edgeworthy.artifact import TFLiteModel
from edgeworthy.convert import convert
from edgeworthy.errors import BadInput, CheckFailed, RuntimeFailure
from edgeworthy.formats.tflite.releases import least_runtime
from edgeworthy.formats.tflite.summary import describe
from edgeworthy.targets import find
from edgeworthy.targets.worker import Worker
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
    said = []
    for asked in ({"convert": {"to": ["tflite"], "max_runtime": "2.10"}},
                  {"convert": {"to": ["tflite"]}, "preflight": {"targets": ["tflite-2.10"]}}):  # fmt: skip
        with pytest.raises(CheckFailed, match=r"1 node would be refused by tflite-2\.10") as error:
            edgeworthy.convert(str(path), tmp_path / "out", **asked)
        said.append(str(error.value))
        assert not (tmp_path / "out/model_float32.tflite").exists()
    assert said[0] == said[1] and "SIGN a: SIGN is not among the operators of TFLite 2.10; " in said[0]
    edgeworthy.convert(str(path), tmp_path / "out", convert={"to": ["tflite"], "max_runtime": "2.11"})
    assert (tmp_path / "out/model_float32.tflite").exists()


WIDE = """
    g (float[2,1,3,1,2,1] x, float[1,4,1,5,1,3] y, int64[2,4,3,5,2,3] i)
    => (float[2,4,3,5,2,3] p, float[1,3,3,2,1,3] s, bool[2,4,3,5,2,3] l, float[2,4,3,5,2,3] w)
    <int64[6] b = {1,0,0,1,0,0}, int64[6] e = {2,3,3,3,1,3}>
    { p = Mul(x, y) s = Slice(p, b, e) l = Less(x, y) f = Cast<to = 1>(i) m = Pow(f, y) w = Sub(m, x) }"""
"""Operators on six axes of which each has its own extents: 2.14 broadcasts over four or five, and slices five."""


def wide(folder: Path, **asked: object) -> tuple[TFLiteModel, dict[str, np.ndarray]]:
    """The file of it for a runtime, and inputs with ties."""
    path = onnx_file(folder, WIDE)
    out = folder / "out"
    edgeworthy.convert(str(path), out, **{"convert": {"to": ["tflite"]}, **asked})
    random = np.random.default_rng(0)
    x = random.integers(-2, 3, (2, 1, 3, 1, 2, 1)).astype(np.float32)
    y = random.integers(0, 3, (1, 4, 1, 5, 1, 3)).astype(np.float32)
    return describe(out / "model_float32.tflite"), {"x": x, "y": y, "i": random.integers(0, 4, (2, 4, 3, 5, 2, 3))}


def test_both_flags_write_the_older_forms(tmp_path: Path) -> None:
    files = []
    for name, asked in {"plain": {}, "oldest": {"convert": {"to": ["tflite"], "max_runtime": "2.14"}},
                        "for": {"preflight": {"targets": ["tflite-2.14"]}}}.items():  # fmt: skip
        (tmp_path / name).mkdir()
        made, feeds = wide(tmp_path / name, **asked)
        files.append(made.path.read_bytes())
        least = str(least_runtime(made.path))
        assert least == ("LiteRT ≥ 2.2 (because of SLICE of more than 5 axes)" if name == "plain" else "TFLite ≥ 2.7")
        expected = dict(zip("pslw", run_onnx(tmp_path / name / "m.onnx", feeds), strict=True))
        for output, value in run_tflite(made.path, feeds).items():
            np.testing.assert_array_equal(value, expected[output], err_msg=output)
    assert files[1] == files[2] != files[0]


@pytest.mark.device
def test_the_runtime_itself_takes_what_is_made_for_it(tmp_path: Path) -> None:
    if why := find("tflite-2.14").missing():
        pytest.skip(why)
    (tmp_path / "plain").mkdir()
    plain, _ = wide(tmp_path / "plain")
    with pytest.raises(RuntimeFailure, match="Slice op only supports 1D-5D"), Worker("tflite-2.14", plain):
        pass
    made, feeds = wide(tmp_path, convert={"to": ["tflite"], "max_runtime": "2.14"})
    expected = dict(zip("pslw", run_onnx(tmp_path / "m.onnx", feeds), strict=True))
    for kernels in ("xnnpack", "builtin"):
        with Worker(f"tflite-2.14,kernels={kernels}", made) as then:
            for output, value in then.run(feeds).items():
                np.testing.assert_array_equal(value, expected[output], err_msg=output)


def run_onnx(path: Path, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
    return list(onnxruntime.InferenceSession(path).run(None, feeds))


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
    assert "FULLY_CONNECTED" in str(rows["dynamic_wi8_afp32"]) and "--max-runtime 1.0" in str(rows["dynamic_wi8_afp32"])
    assert (out / "model_int8.tflite").exists() and not (out / "model_dynamic_wi8_afp32.tflite").exists()
    assert "quantize.dynamic_wi8_afp32" in redone(quantize("1.0"))
    assert (out / "model_dynamic_wi8_afp32.tflite").exists()
